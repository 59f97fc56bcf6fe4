//! The listeners: TCP, TLS with a certificate of the site's own, and WebSocket.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mqtt::tls_failure::{End, TlsWords};
use mqtt::websocket::WebSocket;
use server::handshake_limit::HandshakePermit;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::connection;
use crate::log::{ConnectionId, EventType, Level, Line};
use crate::shared::Shared;

/// How long the bridge waits before it accepts again, if the system has no room for one more connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// MQTT over WebSocket.
    WebSocket,
}

impl Listener {
    /// The name in the log and in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::WebSocket => "websocket",
        }
    }
}

/// A device's connection as a stream of bytes.
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// WebSocket.
    WebSocket(Box<WebSocket<TcpStream>>),
}

/// Accepts devices until the bridge stops. Each is served by a task of its own.
pub async fn serve(listener: Listener, socket: TcpListener, shared: Arc<Shared>) {
    let mut is_short = false;
    loop {
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_short = false;
                let shared = Arc::clone(&shared);
                tokio::spawn(serve_connection(listener, stream, peer, shared));
            }
            Err(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    shared.log.bridge(&Line {
                        level: Level::Error,
                        reason: "NOT_ACCEPTED",
                        details: Some(format!(
                            "a connection to `{}` can't be accepted: {error}",
                            listener.as_str()
                        )),
                        explanation: Some(
                            "if too many files are open, raise the limit (`ulimit -n`, `LimitNOFILE`)"
                                .to_owned(),
                        ),
                        ..Line::default()
                    });
                }
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Each stage is boxed and gone before the next one begins, so that a connection takes the memory of the stage that it is in.
async fn serve_connection(listener: Listener, stream: TcpStream, peer: SocketAddr, shared: Arc<Shared>) {
    let opening = Box::pin(open_connection(listener, stream, peer, &shared));
    if let Some((transport, id, handshake)) = opening.await {
        connection::serve(transport, id, handshake, &shared).await;
    }
}

async fn open_connection(
    listener: Listener,
    stream: TcpStream,
    peer: SocketAddr,
    shared: &Shared,
) -> Option<(Transport, ConnectionId, HandshakePermit)> {
    let handshake = shared.handshakes.acquire();
    let evicted = handshake.evicted();
    let counted = shared.metrics.handshake();
    let id = ConnectionId {
        id: uuid::Uuid::new_v4().to_string(),
        peer,
        listener: listener.as_str(),
        client_id: None,
        upstream_client_id: None,
    };
    let limit = shared.settings.limits.connect_timeout;
    let opened = tokio::select! {
        opened = timeout(limit, open(listener, stream, shared)) => opened,
        () = evicted.cancelled() => Ok(Err(Unopened::Evicted)),
        () = shared.stopping.cancelled() => return None,
    };
    drop(counted);
    match opened.unwrap_or(Err(Unopened::Timeout)) {
        Ok(transport) => Some((transport, id, handshake)),
        Err(unopened) => {
            refuse(shared, &id, unopened);
            None
        }
    }
}

/// Why a connection has no transport.
enum Unopened {
    Io(io::Error),
    WebSocket(String),
    Timeout,
    Evicted,
}

async fn open(listener: Listener, stream: TcpStream, shared: &Shared) -> Result<Transport, Unopened> {
    stream.set_nodelay(true).map_err(Unopened::Io)?;
    match listener {
        Listener::Mqtt => Ok(Transport::Tcp(stream)),
        Listener::Mqtts => {
            let Some(config) = shared.tls.borrow().as_ref().map(|tls| Arc::clone(&tls.config)) else {
                return Err(Unopened::Io(io::ErrorKind::NotConnected.into()));
            };
            let stream = TlsAcceptor::from(config).accept(stream).await.map_err(Unopened::Io)?;
            Ok(Transport::Tls(Box::new(stream)))
        }
        Listener::WebSocket => {
            let max = 2 * usize::try_from(shared.settings.limits.packet_bytes).unwrap_or(usize::MAX / 4);
            let socket = WebSocket::accept(stream, max).await;
            let socket = socket.map_err(|error| Unopened::WebSocket(error.to_string()))?;
            Ok(Transport::WebSocket(Box::new(socket)))
        }
    }
}

/// The bridge's words about its devices' handshakes.
const WORDS: TlsWords = TlsWords {
    end: End::Server,
    peer: "the device",
    own: "the bridge",
    no_tls: "this listener accepts only TLS (`mqtts://`)",
    certificate: "the name or address that it connects to is not in the file `certificate`, or it does not trust the CA of that \
                  certificate; its clock may also be wrong",
    trust: "give it the CA of the file `certificate`",
    dates: "set its clock, or replace the file `certificate`",
    closed: "the name or address that it connects to is not in the file `certificate`, or it does not trust its CA",
};

fn refuse(shared: &Shared, id: &ConnectionId, unopened: Unopened) {
    let line = |reason, details: String, explanation: &str| Line {
        level: Level::Error,
        reason,
        details: Some(details),
        explanation: Some(explanation.to_owned()),
        ..Line::default()
    };
    let line = match unopened {
        // Health checks and port scanners come and go.
        Unopened::Io(error) if error.get_ref().is_none() => return,
        Unopened::Io(error) => line(
            "TLS_HANDSHAKE",
            WORDS.describe(&error),
            "for a device that has only older TLS or PSK put stunnel in front of port 1883",
        ),
        Unopened::WebSocket(details) => {
            line("WEBSOCKET_HANDSHAKE", details, "a client asks for the subprotocol `mqtt`, without TLS")
        }
        Unopened::Timeout => {
            line("CONNECT_TIMEOUT", "the connection was not opened in time".to_owned(), "is it MQTT?")
        }
        Unopened::Evicted => line(
            "TOO_MANY_HANDSHAKES",
            "too many connections have not sent their CONNECT, and this was the oldest".to_owned(),
            "raise `handshakes` if they are devices",
        ),
    };
    shared.log.connection(EventType::Connect, id, &line);
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
            Self::WebSocket(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
