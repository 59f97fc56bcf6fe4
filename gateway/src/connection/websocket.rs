//! MQTT's bytes in the binary frames of a WebSocket (RFC 6455; MQTT 5 section 6).
//!
//! A packet may span frames, and a frame may hold several packets. Pings are answered below this.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use mqtt::DisconnectReasonCode as Code;
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{quotas::LimitError, session::disconnect_reason::DisconnectReason};

/// The connection below HTTP. Its buffer is only for a look at the first byte.
pub(super) type HttpStream = BufReader<TlsStream<TcpStream>>;

/// The largest frame, and the largest message of several frames, in bytes *(guess: a WebSocket frame and message have at
/// most 256 KiB)*. The largest packet fits, unless the quota `packet_bytes` is raised.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;
/// Bytes that may wait to be written before the connection ends. The largest packet fits twice.
const MAX_WAITING_BYTES: usize = 512 * 1024;
/// The library's own read buffer, in bytes. Most packets of a sensor fit.
const BUFFER_BYTES: usize = 4 * 1024;

/// A WebSocket as a stream of bytes.
pub(super) struct WebSocket {
    stream: WebSocketStream<HttpStream>,
    /// The unread part of the last message.
    rest: Bytes,
    violation: Option<ProtocolViolation>,
    /// The client sent a Close frame.
    closed: bool,
    closing: bool,
    server_close: ServerClose,
}

/// The close frame with which the gateway ends a connection on which the client broke no rule of WebSocket.
#[derive(Clone, Copy)]
enum ServerClose {
    /// With the code for a normal end.
    Normal,
    /// Without a code: the CONNECT was refused without a CONNACK.
    Empty,
    /// No close frame: a CONNACK has refused the CONNECT.
    Omitted,
}

/// A rule of the WebSocket transport that a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProtocolViolation {
    Text,
    TooLarge,
    Malformed,
}

impl WebSocket {
    /// The server's end of a connection that was upgraded. `read` are bytes that came after the upgrade request.
    pub(super) async fn new(stream: HttpStream, read: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_WAITING_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let stream = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
        let server_close = ServerClose::Normal;
        Self { stream, rest: Bytes::new(), violation: None, closed: false, closing: false, server_close }
    }

    /// The CONNECT is refused, after a CONNACK or without one.
    pub(super) fn refuse(&mut self, answered: bool) {
        self.server_close = if answered { ServerClose::Omitted } else { ServerClose::Empty };
    }

    /// The rule that the client broke, if nothing more can be read because of that.
    pub(super) fn violation(&self) -> Option<DisconnectReason> {
        self.violation.map(ProtocolViolation::disconnect_reason)
    }

    /// The client's disconnect, if it sent a Close frame: on AWS that is one, as DISCONNECT is (developer guide,
    /// `life-cycle-events`).
    pub(super) fn closed_by_client(&self) -> Option<DisconnectReason> {
        self.closed.then_some(DisconnectReason::Client { with_will: false })
    }

    fn close_frame(&self) -> Option<Message> {
        let (code, reason) = match (self.violation, self.server_close) {
            (Some(violation), _) => (violation.code(), violation.disconnect_reason().details()),
            (None, ServerClose::Normal) => (CloseCode::Normal, None),
            (None, ServerClose::Empty) => return Some(Message::Close(None)),
            (None, ServerClose::Omitted) => return None,
        };
        Some(Message::Close(Some(CloseFrame { code, reason: reason.unwrap_or_default().into() })))
    }

    fn broken(&mut self, violation: ProtocolViolation) -> Poll<io::Result<()>> {
        self.violation = Some(violation);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.stream).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => this.rest = bytes,
                // The next read answers a ping or a close.
                Some(Ok(Message::Close(_))) => this.closed = true,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_)) | Err(Error::Utf8(_))) => {
                    return this.broken(ProtocolViolation::Text);
                }
                Some(Err(Error::Io(error))) => return Poll::Ready(Err(error)),
                Some(Err(Error::Capacity(_))) => return this.broken(ProtocolViolation::TooLarge),
                Some(Err(_)) => return this.broken(ProtocolViolation::Malformed),
            }
        }
        let count = this.rest.len().min(buffer.remaining());
        buffer.put_slice(this.rest.get(..count).unwrap_or_default());
        this.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WebSocket {
    /// Each write becomes one message.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_ready(cx)).map_err(broken_pipe)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut this.stream).start_send(message).map_err(broken_pipe)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx).map_err(broken_pipe)
    }

    /// Sends the close frame, if there is to be one, and does not wait for the client's.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closing {
            this.closing = true;
            if let Some(close) = this.close_frame() {
                // The client may have closed already. Then its own frame was answered.
                _ = Pin::new(&mut this.stream).start_send(close);
            }
        }
        _ = ready!(Pin::new(&mut this.stream).poll_flush(cx));
        Pin::new(this.stream.get_mut()).poll_shutdown(cx)
    }
}

fn broken_pipe(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::BrokenPipe, error.to_string()),
    }
}

impl ProtocolViolation {
    /// RFC 6455 section 7.4.1.
    fn code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::Unsupported,
            Self::TooLarge => CloseCode::Size,
            Self::Malformed => CloseCode::Protocol,
        }
    }

    fn disconnect_reason(self) -> DisconnectReason {
        let code = Code::ProtocolError;
        match self {
            Self::Text => DisconnectReason::Protocol(
                code,
                "MQTT goes in binary WebSocket frames; the client sent a text frame",
            ),
            Self::TooLarge => {
                DisconnectReason::Limit(code, LimitError::WebSocketMessageBytes(MAX_MESSAGE_BYTES))
            }
            Self::Malformed => {
                DisconnectReason::Protocol(code, "the client broke the rules of WebSocket (RFC 6455)")
            }
        }
    }
}
