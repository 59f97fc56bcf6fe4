//! An HTTP client that sends what a test wants, right or wrong, and sees what comes back; and the frames of a
//! WebSocket, byte by byte.

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::{eventually::within, mqtt_client::tls, test_gateway::TestGateway};

/// A connection to the HTTP door.
pub struct HttpClient(BufReader<TlsStream<TcpStream>>);

/// What a server answers to a request.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null if there is none.
    pub body: Value,
}

/// A frame of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// The kind, 2 for a binary frame.
    pub opcode: u8,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// Opcodes of RFC 6455 section 5.2.
pub const CONTINUATION: u8 = 0;
/// A text frame.
pub const TEXT: u8 = 1;
/// A binary frame.
pub const BINARY: u8 = 2;
/// A close frame.
pub const CLOSE: u8 = 8;
/// A ping.
pub const PING: u8 = 9;
/// A pong.
pub const PONG: u8 = 10;

/// The value of `Authorization` for HTTP Basic.
pub fn basic(user_name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user_name}:{password}")))
}

/// The head of an upgrade to WebSocket, with these headers too.
pub fn upgrade(target: &str, headers: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "mqtt"),
    ];
    all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
    all.extend(headers);
    head("GET", target, &all)
}

/// What a server without TLS answers to a GET: the status, and the body.
pub async fn plain_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = head("GET", path, &[("Connection", "close")]);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The head of a request.
pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for part in headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]) {
        head.push_str(part);
    }
    head + "\r\n"
}

/// A frame as a client sends it: masked, and the last of its message if `fin`.
pub fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    const MASKED: u8 = 0x80;
    let mut bytes = vec![(u8::from(fin) << 7) | opcode];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..126), _) => bytes.push(MASKED | length),
        (_, Ok(length)) => {
            bytes.push(MASKED | 0x7e);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 0x7f);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl HttpClient {
    /// A connection without ALPN on which nothing was sent yet.
    pub async fn open(gateway: &TestGateway) -> Self {
        Self::over(tls(gateway, "localhost", &[]).await.unwrap())
    }

    /// A client over a TLS connection on which nothing was sent yet.
    pub fn over(stream: TlsStream<TcpStream>) -> Self {
        Self(BufReader::new(stream))
    }

    /// A WebSocket at `/mqtt`.
    pub async fn websocket(gateway: &TestGateway, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut client = Self::open(gateway).await;
        client.send(upgrade(target, headers).as_bytes()).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-protocol"), Some("mqtt"));
        // The example of RFC 6455 section 1.3.
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        client
    }

    /// Sends bytes as they are. The server may have hung up already.
    pub async fn send(&mut self, bytes: &[u8]) {
        _ = self.0.write_all(bytes).await;
        _ = self.0.flush().await;
    }

    /// Sends a request with a body, and gives the answer.
    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> HttpAnswer {
        let length = body.len().to_string();
        let headers = [headers, &[("Content-Length", &length)]].concat();
        self.send(format!("{}{body}", head(method, target, &headers)).as_bytes()).await;
        self.answer().await.unwrap_or_else(|| panic!("no answer to {method} {target}"))
    }

    /// The next answer; nothing if the server closed.
    pub async fn answer(&mut self) -> Option<HttpAnswer> {
        let status = self.line().await?.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        while let Some((name, value)) = self.line().await?.split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = HttpAnswer { status, headers, body: Value::Null };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if length > 0 {
            let mut body = vec![0; length];
            within("the body", self.0.read_exact(&mut body)).await.ok()?;
            answer.body = serde_json::from_slice(&body).unwrap();
        }
        Some(answer)
    }

    /// The next frame of a WebSocket, which is never masked; nothing if the server closed.
    pub async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        within("a frame", self.0.read_exact(&mut head)).await.ok()?;
        let length = match head[1] {
            126 => self.0.read_u16().await.ok()?.into(),
            length @ 0..126 => usize::from(length),
            other => panic!("a masked or a very long frame: {other}"),
        };
        let mut payload = vec![0; length];
        within("a frame's payload", self.0.read_exact(&mut payload)).await.ok()?;
        assert_eq!(head[0] & 0xf0, 0x80, "frames come whole");
        Some(Frame { opcode: head[0] & 0x0f, payload })
    }

    /// Waits for the end, and gives what came before it.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A connection that is cut off ends with an error; what came before counts.
        _ = within("the end", self.0.read_to_end(&mut rest)).await;
        rest
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = within("a line", self.0.read_line(&mut line)).await.ok()?;
        (count > 0).then(|| line.trim_end().to_owned())
    }
}

impl HttpAnswer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body's `message`.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The body's `traceId`, which is the connection id in the log.
    pub fn trace_id(&self) -> &str {
        self.body["traceId"].as_str().unwrap_or_default()
    }
}
