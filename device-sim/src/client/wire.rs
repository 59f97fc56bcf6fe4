//! Packets over one TLS stream, with buffers that stay small.

use std::io;

use bytes::BytesMut;
use mqtt::{Codec, DecodeError, EncodeError, Packet, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::{Decoder, Encoder};
use zeroize::Zeroize;

use super::error::Closed;

/// The largest packet that is taken: what AWS IoT Core sends at most (AWS General Reference, "AWS IoT Core
/// endpoints and quotas").
pub(super) const MAX_PACKET: u32 = 149_504;

/// One connection. Dropping a future of its methods loses no packet: what was queued is sent with the next
/// flush, and what has arrived is kept.
pub(super) struct Wire {
    stream: TlsStream<TcpStream>,
    codec: Codec,
    incoming: BytesMut,
    outgoing: BytesMut,
}

impl Wire {
    pub(super) fn new(stream: TlsStream<TcpStream>, version: Version) -> Self {
        let codec = Codec::client(version, MAX_PACKET);
        Self { stream, codec, incoming: BytesMut::new(), outgoing: BytesMut::new() }
    }

    /// Refuses to send larger packets than the server takes.
    pub(super) fn set_peer_maximum(&mut self, bytes: u32) {
        self.codec.set_peer_maximum(bytes);
    }

    /// Puts a packet behind those that wait to be sent.
    pub(super) fn queue(&mut self, packet: Packet) -> Result<(), EncodeError> {
        self.codec.encode(packet, &mut self.outgoing)
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends what is queued.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            self.stream.write_buf(&mut self.outgoing).await?;
        }
        self.stream.flush().await
    }

    /// Sends a packet that holds a secret, and wipes the buffer that it was written in.
    pub(super) async fn send_secret(&mut self, packet: Packet) -> Result<(), SecretError> {
        let mut bytes = BytesMut::with_capacity(SECRET_CAPACITY);
        let encoded = self.codec.encode(packet, &mut bytes);
        let sent = match encoded {
            Ok(()) => write_all(&mut self.stream, &bytes).await.map_err(SecretError::Io),
            Err(error) => Err(SecretError::Encode(error)),
        };
        bytes.as_mut().zeroize();
        sent
    }

    /// The next packet, or nothing where the server closed the connection between two packets.
    pub(super) async fn next(&mut self) -> Result<Option<Packet>, WireError> {
        loop {
            if let Some(packet) = self.codec.decode(&mut self.incoming)? {
                return Ok(Some(packet));
            }
            self.incoming.reserve(READ_SIZE);
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Says on TLS and TCP that nothing more will be sent, and waits for the server to do the same: closing at
    /// once could make the operating system throw away the last packet.
    pub(super) async fn close(&mut self) {
        if self.stream.shutdown().await.is_ok() {
            while let Ok(Some(_)) = self.next().await {}
        }
    }
}

/// Why no packet could be read.
#[derive(Debug)]
pub(super) enum WireError {
    Io(io::Error),
    Decode(DecodeError),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DecodeError> for WireError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<WireError> for Closed {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => Self::from_io(&error),
            WireError::Decode(error) => Self::Protocol(error),
        }
    }
}

/// Why a secret packet was not sent.
pub(super) enum SecretError {
    Encode(EncodeError),
    Io(io::Error),
}

/// Acknowledgements and pings are a few bytes; a larger packet makes the buffer grow for that connection.
const READ_SIZE: usize = 256;
/// So that a buffer with a secret need not move, which would leave a copy behind.
const SECRET_CAPACITY: usize = 4_096;

async fn write_all(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
