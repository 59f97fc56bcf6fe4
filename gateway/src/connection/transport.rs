//! The transports of MQTT packets: TLS itself, or WebSocket over it; and writing packets to them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::SinkExt;
use mqtt::{Codec, EncodeError, Packet};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::codec::Framed;

use super::websocket::{self, WebSocket};
use crate::{session::disconnect_reason::DisconnectReason, shared::Shared};

/// How long a write to the client may take.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream of packets.
pub(super) type Stream = Framed<Transport, Codec>;

/// A stream of bytes, which are MQTT packets.
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub(super) enum Transport {
    Tls(TlsStream<TcpStream>),
    WebSocket(Box<WebSocket>),
}

impl Transport {
    /// From now on, the end of the connection is the one of a client whose CONNECT is refused.
    pub(super) fn refuse(&mut self, answered: bool) {
        match self {
            Self::Tls(_) => {}
            Self::WebSocket(stream) => websocket::refuse(stream, answered),
        }
    }

    /// The rule of the transport that the client broke, if nothing more can be read because of that.
    pub(super) fn violation(&self) -> Option<DisconnectReason> {
        match self {
            Self::Tls(_) => None,
            Self::WebSocket(stream) => websocket::violation(stream),
        }
    }

    /// The reason for which nothing more can be read, if the transport knows one.
    pub(super) fn end(&self) -> Option<DisconnectReason> {
        match self {
            Self::Tls(_) => None,
            Self::WebSocket(stream) => {
                websocket::violation(stream).or_else(|| websocket::closed_by_client(stream))
            }
        }
    }
}

/// The outcome of writing a packet.
pub(super) enum WriteOutcome {
    Buffered,
    /// The packet is larger than the client accepts. It is not sent, and the session goes on as if it had arrived (MQTT 5
    /// section 3.1.2.11.4).
    TooLarge,
    Broken,
}

impl WriteOutcome {
    /// The outcome of the codec. `None` is a timeout.
    pub(super) fn of(fed: Option<Result<(), EncodeError>>) -> Self {
        match fed {
            Some(Ok(())) => Self::Buffered,
            Some(Err(EncodeError::Io(_))) | None => Self::Broken,
            Some(Err(_)) => Self::TooLarge,
        }
    }
}

/// Writes a packet into the stream's buffer, before there is a session.
pub(super) async fn write(stream: &mut Stream, packet: Packet, shared: &Shared) -> WriteOutcome {
    WriteOutcome::of(shared.clock.timeout(WRITE_TIMEOUT, stream.feed(packet)).await)
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
