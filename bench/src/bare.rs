//! The peer of the gateway's connects: a loop that accepts connections with rustls, and no more.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
};
use tokio::{io::AsyncReadExt, net::TcpListener, process::Command};
use tokio_rustls::TlsAcceptor;

use crate::{fixture::Fixture, process::Server};

/// The loop, in its own process.
pub(crate) struct Bare {
    _server: Server,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
}

impl Bare {
    /// Starts it with the fixture's certificate.
    pub(crate) async fn start(fixture: &Fixture) -> anyhow::Result<Self> {
        let (certificate, key) = fixture.certificate();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(certificate).arg(key);
        let mut server = Server::start(command)?;
        let address = server.line().await?.trim().parse()?;
        Ok(Self { _server: server, address })
    }
}

/// Prints its address, then accepts connections, completes their handshakes and waits until they end. It ends when
/// standard input does.
pub(crate) async fn serve(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(config(certificate, key)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(cli::output::stdout(), "{}", listener.local_addr()?)?;
    std::thread::spawn(|| {
        // An error is an end too.
        _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let mut stream = acceptor.accept(stream).await?;
            stream.read(&mut [0; 64]).await
        });
    }
}

/// The gateway's TLS settings: TLS 1.2 and 1.3, ALPN, no resumption.
pub(crate) fn config(certificate: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)
        .context("the certificate can't be used")?;
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
