//! The transports of MQTT packets: TLS itself, or WebSocket over it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::websocket::WebSocket;
use crate::session::disconnect_reason::DisconnectReason;

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
            Self::WebSocket(stream) => stream.refuse(answered),
        }
    }

    /// The rule of the transport that the client broke, if nothing more can be read because of that.
    pub(super) fn violation(&self) -> Option<DisconnectReason> {
        match self {
            Self::Tls(_) => None,
            Self::WebSocket(stream) => stream.violation(),
        }
    }

    /// The reason for which nothing more can be read, if the transport knows one.
    pub(super) fn end(&self) -> Option<DisconnectReason> {
        match self {
            Self::Tls(_) => None,
            Self::WebSocket(stream) => stream.violation().or_else(|| stream.closed_by_client()),
        }
    }
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
