//! Packets over TLS, for our own clients: the simulator's, the bench's and the tests'. [`dial`] opens their TCP
//! connections, through a proxy where there is one, and [`stream`] has what packets travel in.

pub mod dial;
pub mod stream;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::codec::{Decoder, Encoder};
use zeroize::Zeroize;

use self::stream::Stream;
use crate::{Codec, DecodeError, EncodeError, Packet};

/// A certificate chain and its key, for a client that has one.
pub type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The TLS configuration of a client that trusts `roots` and no other, and offers the application protocols `alpn`.
///
/// # Errors
///
/// If `versions` is empty, or the key does not belong to the certificate.
pub fn client_config(
    roots: RootCertStore,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
    certificate: Option<ClientCertificate>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Connects over TCP, without a delay for small packets, and over TLS.
///
/// # Errors
///
/// If no address can be reached or the handshake fails.
pub async fn connect(
    addresses: impl ToSocketAddrs,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// One end of a connection, with buffers that stay small.
///
/// Dropping a future of its methods loses no packet: what was queued is sent with the next flush, and what has arrived
/// is kept.
pub struct Wire<S = Stream> {
    stream: S,
    codec: Codec,
    read_size: usize,
    /// The last read has filled its room, so more has arrived.
    filled: bool,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Wire {
    /// Reads `read_size` bytes at a time; a larger packet makes the buffer grow for that connection.
    #[must_use]
    pub fn new(stream: impl Into<Stream>, codec: Codec, read_size: usize) -> Self {
        Self::over(stream.into(), codec, read_size)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// As [`Wire::new`], over any stream.
    #[must_use]
    pub fn over(stream: S, codec: Codec, read_size: usize) -> Self {
        Self { stream, codec, read_size, filled: false, incoming: BytesMut::new(), outgoing: BytesMut::new() }
    }

    /// Refuses to send packets that are larger than the server accepts.
    pub fn set_peer_maximum(&mut self, bytes: u32) {
        self.codec.set_peer_maximum(bytes);
    }

    /// Adds a packet to those that wait to be sent.
    ///
    /// # Errors
    ///
    /// If the packet can't be written; the others still wait.
    pub fn queue(&mut self, packet: Packet) -> Result<(), EncodeError> {
        self.codec.encode(packet, &mut self.outgoing)
    }

    /// The codec, which knows the version of the connection.
    #[must_use]
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// How many bytes wait to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether as many bytes as this have arrived and are not read.
    #[must_use]
    pub fn has_unread(&self, bytes: usize) -> bool {
        self.incoming.len() >= bytes
    }

    /// Whether packets wait to be sent.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends what is queued.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            self.stream.write_buf(&mut self.outgoing).await?;
        }
        self.stream.flush().await
    }

    /// Sends what is queued, for a caller that waits for several things at a time.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.outgoing))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        if self.outgoing.capacity() > KEPT_CAPACITY {
            self.outgoing = BytesMut::new();
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Reads what has arrived, for [`Self::arrived`]. It is false where the other end closed the connection.
    ///
    /// # Errors
    ///
    /// If the connection fails.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.incoming.is_empty() && self.incoming.capacity() > KEPT_CAPACITY {
            self.incoming = BytesMut::new();
        }
        self.incoming.reserve(if self.filled {
            FILLED_READ_SIZE.max(self.read_size)
        } else {
            self.read_size
        });
        let room = self.incoming.capacity() - self.incoming.len();
        let read = pin!(self.stream.read_buf(&mut self.incoming));
        let count = ready!(read.poll(context))?;
        self.filled = count == room;
        Poll::Ready(Ok(count > 0))
    }

    /// Sends a packet that holds a secret, and wipes the buffer that it was written in.
    ///
    /// # Errors
    ///
    /// If the packet can't be written or the connection fails.
    pub async fn send_secret(&mut self, packet: Packet) -> Result<(), SendError> {
        let mut bytes = BytesMut::with_capacity(SECRET_CAPACITY);
        let encoded = self.codec.encode(packet, &mut bytes);
        let sent = match encoded {
            Ok(()) => write_all(&mut self.stream, &bytes).await.map_err(SendError::Io),
            Err(error) => Err(SendError::Encode(error)),
        };
        bytes.as_mut().zeroize();
        sent
    }

    /// The next packet that has arrived already, if there is one.
    ///
    /// # Errors
    ///
    /// If the bytes are not MQTT as it must be.
    pub fn arrived(&mut self) -> Result<Option<Packet>, DecodeError> {
        self.codec.decode(&mut self.incoming)
    }

    /// The next packet, or nothing where the server closed the connection.
    ///
    /// # Errors
    ///
    /// If the connection fails, or the bytes are not MQTT as it must be.
    pub async fn next(&mut self) -> Result<Option<Packet>, ReceiveError> {
        loop {
            if let Some(packet) = self.arrived()? {
                return Ok(Some(packet));
            }
            self.incoming.reserve(self.read_size);
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Ends TLS and TCP in this direction, and waits until the server does the same: closing at once could make the
    /// operating system drop the last packet.
    pub async fn close(&mut self) {
        if self.stream.shutdown().await.is_ok() {
            while let Ok(Some(_)) = self.next().await {}
        }
    }

    /// The stream, for bytes that are not a packet.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream, and the bytes that have arrived on it and are not read yet.
    #[must_use]
    pub fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.incoming)
    }
}

/// Why no packet could be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The bytes are not MQTT as it must be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Why a packet was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The packet can't be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// So that a buffer with a secret need not move, which would leave a copy of it.
const SECRET_CAPACITY: usize = 4_096;
/// A larger buffer is given back when it is empty, so that a connection that is idle after a burst is as small as before it.
const KEPT_CAPACITY: usize = 2_048;
/// How much is read at a time while more arrives than was asked for.
const FILLED_READ_SIZE: usize = 8_192;

async fn write_all(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
