//! MQTT's bytes in the binary frames of a WebSocket (RFC 6455; MQTT 5 section 6).
//!
//! A packet may span frames, and a frame may hold several packets. Pings are answered below this.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::frames::BinaryFrames;

/// The library's own read buffer, in bytes. Most packets of a sensor fit.
const BUFFER_BYTES: usize = 4 * 1024;

/// The server's end of a WebSocket as a stream of bytes.
pub struct WebSocket<S> {
    frames: BinaryFrames<S>,
    violation: Option<Violation>,
    /// The client sent a Close frame.
    closed: bool,
    closing: bool,
    server_close: ServerClose,
}

/// The close frame with which the server ends a connection on which the client broke no rule of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerClose {
    /// With the code for a normal end.
    Normal,
    /// Without a code.
    Empty,
    /// No close frame.
    Omitted,
}

/// A rule of the WebSocket transport that a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A text frame.
    #[error("MQTT goes in binary WebSocket frames; the client sent a text frame")]
    Text,
    /// A frame, or a message of several frames, of more bytes than the server accepts.
    #[error("a WebSocket message is larger than the server accepts")]
    TooLarge,
    /// Something that is not WebSocket.
    #[error("the client broke the rules of WebSocket (RFC 6455)")]
    Malformed,
}

/// The subprotocols that a client may ask for: MQTT 5's and 3.1.1's name, and what clients of MQTT 3.1 ask for.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Answers a client's upgrade request, whatever its path is, and then is [`Self::server`].
    ///
    /// # Errors
    ///
    /// If the request is not one for MQTT over WebSocket.
    pub async fn accept(stream: S, max_message_bytes: usize) -> Result<Self, Error> {
        let config = Some(Self::config(max_message_bytes));
        let stream = tokio_tungstenite::accept_hdr_async_with_config(stream, subprotocol, config).await?;
        Ok(Self::new(stream))
    }

    /// The server's end of a connection that was upgraded. `read` are bytes that came after the upgrade request, and
    /// `max_message_bytes` is the size of the largest message, in one frame or several; the largest packet has to fit. Twice
    /// as much may wait to be written.
    pub async fn server(stream: S, read: Vec<u8>, max_message_bytes: usize) -> Self {
        let config = Some(Self::config(max_message_bytes));
        Self::new(WebSocketStream::from_partially_read(stream, read, Role::Server, config).await)
    }

    fn config(max_message_bytes: usize) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * max_message_bytes)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes))
    }

    fn new(stream: WebSocketStream<S>) -> Self {
        let server_close = ServerClose::Normal;
        let frames = BinaryFrames::new(stream);
        Self { frames, violation: None, closed: false, closing: false, server_close }
    }

    /// From now on, the server ends the connection with this close frame.
    pub fn set_close(&mut self, close: ServerClose) {
        self.server_close = close;
    }

    /// The rule that the client broke, if nothing more can be read because of that.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Whether the client sent a Close frame.
    #[must_use]
    pub fn is_closed_by_client(&self) -> bool {
        self.closed
    }

    fn close_frame(&self) -> Option<Message> {
        let (code, reason) = match (self.violation, self.server_close) {
            (Some(violation), _) => (violation.code(), violation.to_string()),
            (None, ServerClose::Normal) => (CloseCode::Normal, String::new()),
            (None, ServerClose::Empty) => return Some(Message::Close(None)),
            (None, ServerClose::Omitted) => return None,
        };
        Some(Message::Close(Some(CloseFrame { code, reason: reason.into() })))
    }

    fn broken(&mut self, violation: Violation) -> Poll<io::Result<()>> {
        self.violation = Some(violation);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

/// Chooses the subprotocol in the answer to an upgrade request.
#[expect(clippy::result_large_err, reason = "the library's callback has this type")]
fn subprotocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let wanted = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut wanted = wanted.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    let known = wanted.find_map(|name| SUBPROTOCOLS.into_iter().find(|known| *known == name.trim()));
    if let Some(name) = known {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some("ask for the subprotocol `mqtt`\n".to_owned()));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.frames.is_read() {
            match ready!(Pin::new(&mut this.frames.stream).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => this.frames.begin(bytes),
                // The next read answers a ping or a close.
                Some(Ok(Message::Close(_))) => this.closed = true,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_)) | Err(Error::Utf8(_))) => {
                    return this.broken(Violation::Text);
                }
                Some(Err(Error::Io(error))) => return Poll::Ready(Err(error)),
                Some(Err(Error::Capacity(_))) => return this.broken(Violation::TooLarge),
                Some(Err(_)) => return this.broken(Violation::Malformed),
            }
        }
        this.frames.read(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().frames.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().frames.poll_flush(cx)
    }

    /// Sends the close frame, if there is to be one, and does not wait for the client's.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            this.closing = true;
            if let Some(close) = this.close_frame() {
                // The client may have closed already. Then its own frame was answered.
                _ = Pin::new(&mut this.frames.stream).start_send(close);
            }
        }
        _ = ready!(Pin::new(&mut this.frames.stream).poll_flush(cx));
        Pin::new(this.frames.stream.get_mut()).poll_shutdown(cx)
    }
}

impl Violation {
    /// RFC 6455 section 7.4.1.
    fn code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::Unsupported,
            Self::TooLarge => CloseCode::Size,
            Self::Malformed => CloseCode::Protocol,
        }
    }
}
