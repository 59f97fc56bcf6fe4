//! A slow link to a server: a TCP port of this machine that passes everything on, late and little at a time.
//!
//! It knows nothing of TLS or MQTT, so all of a connection is slow, from the handshake on.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use mqtt::wire::dial::{Proxy, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::endpoint::{Address, AddressError};

/// How late each segment arrives.
pub const DELAY: Duration = Duration::from_millis(200);
/// How many bytes pass in a second.
pub const BYTES_PER_SECOND: u32 = 8_000;

/// An open port. It is closed, with the connections through it, when this is dropped.
#[derive(Debug)]
pub struct SlowLink {
    address: Address,
    _open: DropGuard,
}

/// Why there is no slow link.
#[derive(Debug, thiserror::Error)]
pub enum SlowLinkError {
    /// The operating system gives no port.
    #[error("can't listen on a port of this machine for the slow links: {0}")]
    Listen(#[from] io::Error),
    /// The port's address is not one. It always is.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl SlowLink {
    /// Opens a port for connections to `server`, through the proxy if there is one.
    ///
    /// # Errors
    ///
    /// [`SlowLinkError`].
    pub async fn open(server: Address, proxy: Option<Proxy>) -> Result<Self, SlowLinkError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string().parse()?;
        let open = CancellationToken::new();
        let closed = open.clone();
        tokio::spawn(async move {
            closed.run_until_cancelled(listen(listener, server, proxy, &closed)).await;
        });
        Ok(Self { address, _open: open.drop_guard() })
    }

    /// Where devices connect to.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }
}

async fn listen(listener: TcpListener, server: Address, proxy: Option<Proxy>, closed: &CancellationToken) {
    loop {
        let Ok((device, _)) = listener.accept().await else {
            // Too many open files: some may be closed soon.
            sleep(DELAY).await;
            continue;
        };
        let (server, proxy, closed) = (server.clone(), proxy.clone(), closed.clone());
        tokio::spawn(async move {
            let relayed = closed.run_until_cancelled(relay(device, &server, proxy.as_ref())).await;
            // Both ends see that the connection ended; more is not to be said.
            relayed.unwrap_or(Ok(())).unwrap_or_default();
        });
    }
}

async fn relay(device: TcpStream, server: &Address, proxy: Option<&Proxy>) -> io::Result<()> {
    device.set_nodelay(true)?;
    let upstream = dial(server.host(), server.port(), proxy).await.map_err(io::Error::other)?;
    let ((from_device, to_device), (from_server, to_server)) = (device.into_split(), upstream.into_split());
    tokio::try_join!(pass(from_device, to_server), pass(from_server, to_device))?;
    Ok(())
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
    let mut segment = BytesMut::new();
    loop {
        segment.reserve(SEGMENT);
        let mut limited = (&mut from).take(SEGMENT as u64);
        let read = limited.read_buf(&mut segment).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let bytes = u32::try_from(read).unwrap_or(u32::MAX);
        sleep(DELAY + Duration::from_secs(1).saturating_mul(bytes) / BYTES_PER_SECOND).await;
        to.write_all_buf(&mut segment).await?;
    }
}

/// The bytes of a segment of TCP on most links.
const SEGMENT: usize = 1_460;
