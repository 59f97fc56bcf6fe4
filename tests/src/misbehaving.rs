//! A server that misbehaves in one way.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer, server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// What the server does with a connection.
#[derive(Clone)]
pub enum Manner {
    /// It waits for the first bytes, answers these and closes the connection.
    Raw(&'static [u8]),
    /// It serves TLS, waits for a CONNECT, answers these bytes and closes the connection.
    Tls(Tls, &'static [u8]),
    /// It accepts connections, and says nothing.
    Silent,
    /// It serves TLS, and does not answer a CONNECT.
    Unanswering(Tls),
}

/// The server's TLS.
#[derive(Clone)]
pub struct Tls {
    /// Whether its CA is the one that the device trusts.
    pub known: bool,
    /// The name of its certificate.
    pub name: &'static str,
    /// From when on it is valid, from now.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// The ALPN protocols that it accepts; without any it ignores ALPN.
    pub alpn: &'static [&'static str],
    /// Whether it asks for a client certificate.
    pub client_certificate: bool,
    /// The date of its HTTP answers.
    pub date: Option<&'static str>,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            known: true,
            name: "localhost",
            from: -Duration::DAY,
            until: Duration::days(30),
            alpn: &[],
            client_certificate: false,
            date: None,
        }
    }
}

/// The server, on a free port. Dropping it stops it.
pub struct Misbehaving {
    port: u16,
    folder: TempDir,
    connects: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// The first byte of a CONNECT.
const CONNECT: u8 = 0x10;

impl Misbehaving {
    /// Starts one with a certificate of a new CA.
    pub async fn start(manner: Manner) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = [(); 2].map(|()| authority());
        std::fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        let acceptor = match &manner {
            Manner::Raw(_) | Manner::Silent => None,
            Manner::Tls(tls, _) | Manner::Unanswering(tls) => {
                let issuer = if tls.known { &own } else { &other };
                Some(TlsAcceptor::from(Arc::new(config(tls, issuer))))
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connects = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connects);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                // A client may end the connection at any time.
                let (manner, acceptor, count) = (manner.clone(), acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move { serve(tcp, &manner, acceptor, &count).await });
            }
        });
        Self { port, folder, connects, task }
    }

    /// Its name and port.
    pub fn endpoint(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The folder of its CA.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The CA that its clients trust.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// How many CONNECTs came.
    pub fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }
}

impl Drop for Misbehaving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut tcp: TcpStream,
    manner: &Manner,
    acceptor: Option<TlsAcceptor>,
    connects: &AtomicUsize,
) -> std::io::Result<()> {
    let mut first = [0; 2_048];
    let (tls, answer) = match manner {
        Manner::Raw(answer) => {
            // Not read to the end: closing would drop the answer.
            _ = tcp.read(&mut first).await?;
            tcp.write_all(answer).await?;
            return tcp.shutdown().await;
        }
        Manner::Silent => return hold(tcp).await,
        Manner::Tls(tls, answer) => (tls, Some(*answer)),
        Manner::Unanswering(tls) => (tls, None),
    };
    let Some(acceptor) = acceptor else { return Ok(()) };
    let mut stream = acceptor.accept(tcp).await?;
    let count = stream.read(&mut first).await?;
    if first[0] == CONNECT && count > 0 {
        connects.fetch_add(1, Ordering::SeqCst);
        let Some(answer) = answer else { return hold(stream).await };
        stream.write_all(answer).await?;
    } else if let Some(date) = tls.date {
        stream.write_all(format!("HTTP/1.1 404 Not Found\r\ndate: {date}\r\n\r\n").as_bytes()).await?;
    }
    stream.shutdown().await
}

/// Keeps a connection open until the client closes it.
async fn hold(mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
    let mut bytes = [0; 256];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = OffsetDateTime::UNIX_EPOCH;
    params.not_after = OffsetDateTime::now_utc() + Duration::days(365 * 200);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn config(tls: &Tls, issuer: &CertifiedIssuer<'static, KeyPair>) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![tls.name.to_owned()]).unwrap();
    params.not_before = OffsetDateTime::now_utc() + tls.from;
    params.not_after = OffsetDateTime::now_utc() + tls.until;
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let config = config.unwrap();
    let config = if tls.client_certificate {
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = tls.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}
