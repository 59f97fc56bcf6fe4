//! What MQTT's bytes travel in: TCP, TLS, or a WebSocket over TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink as _, Stream as _};
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest};

use crate::frames::{BinaryFrames, broken_pipe};

/// The stream below MQTT. A connection over TCP or TLS needs no memory for WebSocket.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every connection is over TLS, and has its room in one piece"
)]
pub enum Stream {
    /// Nothing protects it.
    Tcp(TcpStream),
    /// TLS.
    Tls(TlsStream<TcpStream>),
    /// Binary frames of a WebSocket over TLS.
    WebSocket(Box<WebSocket>),
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(stream)
    }
}

impl From<WebSocket> for Stream {
    fn from(socket: WebSocket) -> Self {
        Self::WebSocket(Box::new(socket))
    }
}

/// The client's end of a WebSocket (RFC 6455), as a stream of bytes (MQTT 5 section 6). A packet may span frames, and a
/// frame may hold several packets.
pub struct WebSocket(BinaryFrames<TlsStream<TcpStream>>);

/// Why there is no WebSocket. Texts of the server are not escaped.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The server answered the request in another way.
    #[error("the server answered the WebSocket request with HTTP {status}{}", .message.as_ref().map_or(String::new(), |text| format!(": {text}")))]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The beginning of its body.
        message: Option<String>,
    },
    /// The path, a parameter or a header can't be written.
    #[error("the WebSocket request can't be sent: {0}")]
    Unsendable(String),
    /// The answer is not one of HTTP, or breaks a rule of WebSocket.
    #[error("the server does not speak WebSocket as it must: {0}")]
    Protocol(String),
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

impl WebSocket {
    /// Asks for a WebSocket with the subprotocol `mqtt` at `target`, a path with a query, on an open TLS connection.
    ///
    /// # Errors
    ///
    /// [`UpgradeError`].
    pub async fn upgrade(
        stream: TlsStream<TcpStream>,
        host: &str,
        target: &str,
        headers: &[(String, String)],
    ) -> Result<Self, UpgradeError> {
        let unsendable = |error: &dyn std::fmt::Display| UpgradeError::Unsendable(error.to_string());
        let mut request: Request<()> =
            format!("wss://{host}{target}").into_client_request().map_err(|error| unsendable(&error))?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
        for (name, value) in headers {
            let name = HeaderName::try_from(name).map_err(|error| unsendable(&error))?;
            let mut value = HeaderValue::try_from(value).map_err(|error| unsendable(&error))?;
            value.set_sensitive(true);
            request.headers_mut().append(name, value);
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_WAITING_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((stream, _)) => Ok(Self(BinaryFrames::new(stream))),
            Err(Error::Http(answer)) => {
                let body = answer.body().as_deref().unwrap_or_default();
                let body = String::from_utf8_lossy(body.get(..SHOWN_BYTES).unwrap_or(body)).into_owned();
                let message = Some(body).filter(|body| !body.is_empty());
                Err(UpgradeError::Refused { status: answer.status().as_u16(), message })
            }
            Err(Error::Io(error)) => Err(UpgradeError::Io(error)),
            Err(error) => Err(UpgradeError::Protocol(error.to_string())),
        }
    }
}

/// The largest message that is accepted: AWS's largest packet fits.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Bytes that may wait to be written.
const MAX_WAITING_BYTES: usize = 512 * 1024;
/// The library's read buffer, which every connection has.
const BUFFER_BYTES: usize = 1_024;
/// How much of a refusal's body is shown.
const SHOWN_BYTES: usize = 200;

impl AsyncRead for WebSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let frames = &mut self.get_mut().0;
        while frames.is_read() {
            match ready!(Pin::new(&mut frames.stream).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => frames.begin(bytes),
                // The library answers a ping and a close by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "a text frame")));
                }
                Some(Err(error)) => return Poll::Ready(ended(error)),
            }
        }
        frames.read(buffer);
        Poll::Ready(Ok(()))
    }
}

/// A server that closes TCP without a close frame has closed the connection.
fn ended(error: Error) -> io::Result<()> {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok(()),
        error => Err(broken_pipe(error)),
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0.stream).poll_close(cx).map_err(broken_pipe)
    }
}

/// Calls a method of the stream that there is.
macro_rules! forward {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Tls($inner) => $call,
            Stream::WebSocket($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_over_tls_has_no_room_for_the_other_ways() {
        assert!(size_of::<Stream>() <= size_of::<TlsStream<TcpStream>>() + size_of::<usize>());
    }
}
