//! The client that both sides of a comparison are measured with: as little as there can be between a socket and the
//! codec.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use device_sim::Login;
use mqtt::{Codec, Connect, ConnectReasonCode, Packet, Version};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::codec::{Decoder, Encoder};

use crate::fixture::{Fixture, SERVER_NAME};

/// Far more than anything here takes.
const MAX_PACKET: u32 = 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// How the servers are dialled: each time with a full handshake.
#[derive(Clone)]
pub(crate) struct Dialler {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// A connection that the server has accepted.
pub(crate) struct Wire {
    stream: TlsStream<TcpStream>,
    codec: Codec,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Dialler {
    /// Trusts the fixture's CA alone.
    pub(crate) fn new(fixture: &Fixture) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(fixture.ca())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"mqtt".to_vec()];
        config.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { connector, name: ServerName::try_from(SERVER_NAME)? })
    }

    /// TCP and TLS.
    pub(crate) async fn handshake(&self, address: SocketAddr) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.context("can't connect")?;
        stream.set_nodelay(true)?;
        self.connector.connect(self.name.clone(), stream).await.context("no TLS handshake")
    }

    /// TCP, TLS, CONNECT and CONNACK.
    pub(crate) async fn connect(&self, address: SocketAddr, login: &Login) -> anyhow::Result<Wire> {
        let stream = self.handshake(address).await?;
        let codec = Codec::client(Version::V5, MAX_PACKET);
        let mut wire = Wire { stream, codec, incoming: BytesMut::new(), outgoing: BytesMut::new() };
        let connect = Connect {
            keep_alive: 60,
            username: Some(login.user_name.as_str().into()),
            password: Some(Bytes::copy_from_slice(login.password.expose())),
            ..Connect::new(Version::V5, login.client_id.as_str())
        };
        wire.queue(Packet::Connect(Box::new(connect)))?;
        wire.flush().await?;
        match wire.next().await? {
            Packet::ConnAck(answer) if answer.code == ConnectReasonCode::Success => Ok(wire),
            other => bail!("not accepted: {other:?}"),
        }
    }
}

impl Wire {
    /// Puts a packet behind those that are to be sent.
    pub(crate) fn queue(&mut self, packet: Packet) -> anyhow::Result<()> {
        Ok(self.codec.encode(packet, &mut self.outgoing)?)
    }

    /// Sends what is queued, at once.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        while !self.outgoing.is_empty() {
            self.stream.write_buf(&mut self.outgoing).await?;
        }
        Ok(self.stream.flush().await?)
    }

    /// The next packet that has arrived already, if there is one.
    pub(crate) fn arrived(&mut self) -> anyhow::Result<Option<Packet>> {
        Ok(self.codec.decode(&mut self.incoming)?)
    }

    /// The next packet.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Packet> {
        loop {
            if let Some(packet) = self.arrived()? {
                return Ok(packet);
            }
            self.incoming.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}
