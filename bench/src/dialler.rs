//! The client that both sides of a comparison are measured with: as little as there can be between a socket and the
//! codec.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use device_sim::Login;
use mqtt::{
    Codec, Connect, ConnectReasonCode, Packet, Version,
    wire::{self, Wire, stream::Stream},
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::fixture::{Fixture, SERVER_NAME};

/// Far more than any packet here needs.
const MAX_PACKET: u32 = 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;

/// How the servers are dialled: each time with a full handshake.
#[derive(Clone)]
pub(crate) struct Dialler {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Dialler {
    /// Trusts the fixture's CA alone.
    pub(crate) fn new(fixture: &Fixture) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(fixture.ca())?)?;
        let mut config = wire::client_config(roots, &["mqtt"], rustls::DEFAULT_VERSIONS, None)?;
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name: ServerName::try_from(SERVER_NAME)? })
    }

    /// TCP and TLS.
    pub(crate) async fn handshake(&self, address: SocketAddr) -> anyhow::Result<TlsStream<TcpStream>> {
        let connected = wire::connect(address, self.name.clone(), Arc::clone(&self.config)).await;
        connected.context("can't connect over TLS")
    }

    /// TCP, TLS, CONNECT and CONNACK.
    pub(crate) async fn connect(&self, address: SocketAddr, login: &Login) -> anyhow::Result<Wire> {
        connect(self.handshake(address).await?, login, 60).await
    }

    /// TCP, CONNECT and CONNACK.
    pub(crate) async fn connect_plain(
        &self,
        address: SocketAddr,
        login: &Login,
        keep_alive: u16,
    ) -> anyhow::Result<Wire> {
        let stream = TcpStream::connect(address).await.context("can't connect over TCP")?;
        stream.set_nodelay(true)?;
        connect(stream, login, keep_alive).await
    }
}

async fn connect(stream: impl Into<Stream>, login: &Login, keep_alive: u16) -> anyhow::Result<Wire> {
    let mut wire = Wire::new(stream, Codec::client(Version::V5, MAX_PACKET), READ_BYTES);
    let connect = Connect {
        keep_alive,
        username: Some(login.user_name.as_str().into()),
        password: Some(Bytes::copy_from_slice(login.password.expose())),
        ..Connect::new(Version::V5, login.client_id.as_str())
    };
    wire.queue(Packet::Connect(Box::new(connect)))?;
    wire.flush().await?;
    match wire.next().await? {
        Some(Packet::ConnAck(answer)) if answer.code == ConnectReasonCode::Success => Ok(wire),
        other => bail!("not accepted: {other:?}"),
    }
}
