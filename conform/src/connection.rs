//! A client's connection that sends what a case wants, right or wrong, and says what comes back.
//!
//! What the server does is a line of text ([`Observed`]): a packet with its reason code, the end of the connection, a close
//! frame of a WebSocket. The bytes go into the report.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use mqtt::{Codec, ConnAck, Packet, PubAck, PubAckCode, Publish, Version};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error as WebSocketError, Message, client::IntoClientRequest as _, error::ProtocolError},
};
use tokio_util::codec::{Decoder as _, Encoder as _};

use crate::observed::{self, Observed};

/// How many bytes of a connection are kept for the report.
const KEPT_BYTES: usize = 512;
/// How long a connection to the server may take, with its handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Where a connection goes, and how.
pub struct Target {
    /// The address, as `HOST:PORT`.
    pub address: String,
    /// The name in the certificate, which is the SNI unless `send_name` is off.
    pub name: String,
    /// Whether the server name is sent (SNI).
    pub send_name: bool,
    /// The TLS configuration.
    pub config: ClientConfig,
}

/// A connection.
pub struct Connection {
    transport: Transport,
    version: Version,
    codec: Codec,
    incoming: BytesMut,
    packet_id: u16,
    /// Whether a packet has come.
    opened: bool,
    received: Vec<u8>,
    /// The last CONNACK.
    pub connack: Option<ConnAck>,
    /// The last message.
    pub message: Option<Publish>,
    /// Whether messages are acknowledged only where the case says so.
    pub holds: bool,
    /// The trace ids of HTTP answers.
    pub trace_ids: Vec<String>,
}

enum Transport {
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocketStream<TlsStream<TcpStream>>>),
    Http(SendRequest<Full<Bytes>>),
    Ended,
}

/// An HTTP request.
#[derive(Clone)]
pub struct HttpRequest {
    /// `POST`, for example.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects over TLS. A refusal is what is observed, and no connection.
    ///
    /// # Errors
    ///
    /// When the server can't be reached.
    pub async fn open(target: Target) -> anyhow::Result<Result<Self, Observed>> {
        let Target { address, name, send_name, mut config } = target;
        config.enable_sni = send_name;
        config.resumption = rustls::client::Resumption::disabled();
        let server =
            ServerName::try_from(name.clone()).with_context(|| format!("`{name}` is not a server name"))?;
        let handshake = async {
            let stream = TcpStream::connect(&address)
                .await
                .with_context(|| format!("can't connect to `{address}`"))?;
            stream.set_nodelay(true)?;
            anyhow::Ok(TlsConnector::from(Arc::new(config)).connect(server, stream).await)
        };
        let stream = tokio::time::timeout(CONNECT_LIMIT, handshake).await;
        let stream =
            stream.with_context(|| format!("`{address}` does not answer within {CONNECT_LIMIT:?}"))??;
        Ok(match stream {
            Ok(stream) => Ok(Self::over(Transport::Tls(Box::new(stream)))),
            Err(error) => Err(observed::refused(&error)),
        })
    }

    fn over(transport: Transport) -> Self {
        let version = Version::V5;
        Self {
            transport,
            version,
            codec: Codec::client(version, 1 << 20),
            incoming: BytesMut::new(),
            packet_id: 0,
            opened: false,
            received: Vec::new(),
            connack: None,
            message: None,
            holds: false,
            trace_ids: Vec::new(),
        }
    }

    /// Upgrades a TLS connection to a WebSocket. An answer other than 101 is what is observed.
    ///
    /// # Errors
    ///
    /// When the connection is not one of TLS, or the request can't be written.
    pub async fn upgrade(
        &mut self,
        host: &str,
        path: &str,
        headers: &[(String, String)],
    ) -> anyhow::Result<Option<Observed>> {
        let Transport::Tls(stream) = std::mem::replace(&mut self.transport, Transport::Ended) else {
            anyhow::bail!("a WebSocket begins on a TLS connection");
        };
        let mut request = format!("wss://{host}{path}").into_client_request()?;
        let all = request.headers_mut();
        all.insert("sec-websocket-protocol", "mqtt".parse()?);
        for (name, value) in headers {
            let name = name.parse::<tokio_tungstenite::tungstenite::http::HeaderName>()?;
            all.insert(name, value.parse()?);
        }
        let upgrade =
            tokio::time::timeout(CONNECT_LIMIT, tokio_tungstenite::client_async(request, *stream)).await;
        match upgrade.context("the upgrade is not answered")? {
            Ok((stream, _)) => {
                self.transport = Transport::WebSocket(Box::new(stream));
                Ok(None)
            }
            Err(WebSocketError::Http(answer)) => {
                Ok(Some(Observed::plain(format!("HTTP {}", answer.status().as_u16()))))
            }
            Err(error) => Ok(Some(Observed::with_detail("end", error.to_string()))),
        }
    }

    /// Begins to speak this version. Nothing may have been sent before.
    pub fn speak(&mut self, version: Version) {
        (self.version, self.codec) = (version, Codec::client(version, 1 << 20));
    }

    /// The version that it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The next packet id.
    pub fn next_packet_id(&mut self) -> u16 {
        self.packet_id += 1;
        self.packet_id
    }

    /// Sends a packet. A server that has closed the connection is seen at the next read.
    ///
    /// # Errors
    ///
    /// When the packet can't be written at all.
    pub async fn send(&mut self, packet: Packet) -> anyhow::Result<()> {
        let mut bytes = BytesMut::new();
        self.codec.encode(packet, &mut bytes)?;
        self.send_bytes(&bytes).await;
        Ok(())
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have closed the connection, which the next read sees.
        match &mut self.transport {
            Transport::Tls(stream) => {
                _ = stream.write_all(bytes).await;
                _ = stream.flush().await;
            }
            Transport::WebSocket(stream) => {
                _ = stream.send(Message::Binary(Bytes::copy_from_slice(bytes))).await;
            }
            Transport::Http(_) | Transport::Ended => {}
        }
    }

    /// Sends a SUBSCRIBE or an UNSUBSCRIBE with these filters, which need not be valid.
    pub async fn send_filters(&mut self, filters: &[String], subscribe: Option<(u8, Option<u8>)>) {
        let packet_id = self.next_packet_id();
        let mut body = BytesMut::new();
        body.put_u16(packet_id);
        if self.version == Version::V5 {
            // The only property that is sent is a Subscription Identifier below 128.
            match subscribe.and_then(|(_, id)| id) {
                Some(id) => body.put_slice(&[2, 0x0b, id]),
                None => body.put_u8(0),
            }
        }
        for filter in filters {
            body.put_u16(u16::try_from(filter.len()).unwrap_or(u16::MAX));
            body.put_slice(filter.as_bytes());
            if let Some((options, _)) = subscribe {
                body.put_u8(options);
            }
        }
        let mut packet = BytesMut::new();
        packet.put_u8(if subscribe.is_some() { 0x82 } else { 0xa2 });
        let mut length = body.len();
        while length > 127 {
            packet.put_u8(u8::try_from(length % 128).unwrap_or_default() | 0x80);
            length /= 128;
        }
        packet.put_u8(u8::try_from(length).unwrap_or_default());
        packet.put_slice(&body);
        self.send_bytes(&packet).await;
    }

    /// What comes next; nothing within `limit` is `silence`.
    pub async fn next(&mut self, limit: Duration) -> Observed {
        let Ok(observed) = tokio::time::timeout(limit, self.read()).await else {
            return Observed::plain("silence".to_owned());
        };
        if observed.text.starts_with("PUBLISH") && !self.holds {
            self.acknowledge().await;
        }
        observed
    }

    /// Acknowledges the last message, if it has QoS 1.
    pub async fn acknowledge(&mut self) {
        let Some(id) = self.message.as_ref().and_then(|message| message.packet_id) else { return };
        // A PUBACK can always be written; a server that has closed the connection is seen at the next read.
        _ = self.send(Packet::PubAck(PubAck::new(id, PubAckCode::Success))).await;
    }

    async fn read(&mut self) -> Observed {
        loop {
            match self.codec.decode(&mut self.incoming) {
                Ok(Some(packet)) => {
                    self.opened = true;
                    return self.packet(packet);
                }
                Ok(None) => {}
                Err(error) => {
                    let bytes =
                        hex::encode(self.incoming.get(..self.incoming.len().min(32)).unwrap_or_default());
                    self.transport = Transport::Ended;
                    return Observed::with_detail("bytes that are not MQTT", format!("{error}: {bytes}"));
                }
            }
            if let Some(end) = self.read_bytes().await {
                return end;
            }
        }
    }

    fn packet(&mut self, packet: Packet) -> Observed {
        let observed = observed::packet(&packet, self.version);
        match packet {
            Packet::ConnAck(answer) => self.connack = Some(*answer),
            Packet::Publish(message) => self.message = Some(message),
            _ => {}
        }
        observed
    }

    /// Reads more bytes, or the end.
    async fn read_bytes(&mut self) -> Option<Observed> {
        let before = self.incoming.len();
        let end = match &mut self.transport {
            Transport::Tls(stream) => match stream.read_buf(&mut self.incoming).await {
                Ok(0) => Some(Observed::with_detail("end", "close_notify".to_owned())),
                Ok(_) => None,
                Err(error) if self.opened => Some(observed::end(&error)),
                Err(error) => Some(observed::refused(&error)),
            },
            Transport::WebSocket(stream) => match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    self.incoming.extend_from_slice(&bytes);
                    None
                }
                Some(Ok(Message::Close(frame))) => Some(match frame {
                    Some(frame) => Observed::plain(format!("close-frame {}", u16::from(frame.code))),
                    None => Observed::plain("close-frame empty".to_owned()),
                }),
                Some(Ok(Message::Text(_))) => Some(Observed::plain("text-frame".to_owned())),
                Some(Ok(_)) => None,
                None => Some(Observed::plain("end".to_owned())),
                Some(Err(WebSocketError::ConnectionClosed | WebSocketError::AlreadyClosed)) => {
                    Some(Observed::plain("end".to_owned()))
                }
                Some(Err(WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    Some(Observed::with_detail("end", "without a close frame".to_owned()))
                }
                Some(Err(error)) => Some(Observed::with_detail("end", error.to_string())),
            },
            Transport::Http(_) | Transport::Ended => Some(Observed::plain("end".to_owned())),
        };
        let arrived = self.incoming.get(before..).unwrap_or_default();
        let room = KEPT_BYTES.saturating_sub(self.received.len());
        self.received.extend_from_slice(arrived.get(..room.min(arrived.len())).unwrap_or_default());
        if end.as_ref().is_some_and(|end| end.text == "end" || end.text == "refused") {
            self.transport = Transport::Ended;
        }
        end
    }

    /// The bytes that have come, for the report; the first ones of many.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Ends a WebSocket with a Close frame, or TLS with its own end.
    pub async fn close(&mut self) {
        match &mut self.transport {
            Transport::WebSocket(stream) => _ = stream.send(Message::Close(None)).await,
            Transport::Tls(stream) => _ = stream.shutdown().await,
            Transport::Http(_) | Transport::Ended => {}
        }
    }

    /// Cuts the TCP connection without a word.
    pub fn cut(&mut self) {
        let stream = match std::mem::replace(&mut self.transport, Transport::Ended) {
            Transport::Tls(stream) => stream.into_inner().0,
            Transport::WebSocket(stream) => stream.into_inner().into_inner().0,
            Transport::Http(_) | Transport::Ended => return,
        };
        drop(stream);
    }

    /// Sends a request and reads the answer; the connection is kept for the next one.
    ///
    /// # Errors
    ///
    /// When the request can't be written.
    pub async fn request(&mut self, request: HttpRequest, limit: Duration) -> anyhow::Result<Observed> {
        if matches!(self.transport, Transport::Tls(_)) {
            let Transport::Tls(stream) = std::mem::replace(&mut self.transport, Transport::Ended) else {
                return Ok(Observed::plain("end".to_owned()));
            };
            let io = TokioIo::new(*stream);
            // So that a header has the case of the case's line, or nearly.
            let mut builder = hyper::client::conn::http1::Builder::new();
            let (sender, connection) = builder.title_case_headers(true).handshake(io).await?;
            // The task ends with the connection.
            tokio::spawn(connection);
            self.transport = Transport::Http(sender);
        }
        let Transport::Http(sender) = &mut self.transport else {
            return Ok(Observed::plain("end".to_owned()));
        };
        let HttpRequest { method, path, headers, body } = request;
        let mut builder = Request::builder().method(method.as_str()).uri(path);
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            Ok((head, body.collect().await?.to_bytes()))
        };
        Ok(match tokio::time::timeout(limit, exchange).await {
            Err(_) => Observed::plain("silence".to_owned()),
            Ok(Err(error)) => http_failure(&error),
            Ok(Ok((head, body))) => {
                let room = KEPT_BYTES.saturating_sub(self.received.len());
                self.received.extend_from_slice(body.get(..room.min(body.len())).unwrap_or_default());
                self.trace_ids.extend(observed::trace_id(&body));
                let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
                observed::http(head.status.as_u16(), header, &body)
            }
        })
    }
}

/// TLS 1.3 reports a refused client certificate at the first read, which is that of the answer here.
fn http_failure(error: &hyper::Error) -> Observed {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause {
        Some(cause) => observed::refused(cause),
        None => Observed::with_detail("end", error.to_string()),
    }
}

/// A topic or another text that MQTT can carry.
///
/// # Errors
///
/// When it has more bytes than a packet can say.
pub fn fits(text: &str) -> anyhow::Result<()> {
    ensure!(u16::try_from(text.len()).is_ok(), "a text in MQTT has at most 65,535 bytes");
    Ok(())
}
