//! What both ends of a WebSocket share: packets' bytes in binary frames (RFC 6455).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A WebSocket, and the unread part of its last message.
pub(crate) struct BinaryFrames<S> {
    pub(crate) stream: WebSocketStream<S>,
    rest: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> BinaryFrames<S> {
    pub(crate) fn new(stream: WebSocketStream<S>) -> Self {
        Self { stream, rest: Bytes::new() }
    }

    /// Whether a message has to come before anything can be read.
    pub(crate) fn is_read(&self) -> bool {
        self.rest.is_empty()
    }

    /// The message that is to be read next.
    pub(crate) fn begin(&mut self, message: Bytes) {
        self.rest = message;
    }

    /// Reads as much of the message as there is room for.
    pub(crate) fn read(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.advance(count);
    }

    /// Each write becomes one message.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.stream).poll_ready(cx)).map_err(broken_pipe)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.stream).start_send(message).map_err(broken_pipe)?;
        Poll::Ready(Ok(bytes.len()))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(broken_pipe)
    }
}

pub(crate) fn broken_pipe(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::BrokenPipe, error.to_string()),
    }
}
