//! A server that takes Lambda's Invoke call and does as a test says: what `cargo lambda watch`, an emulator and AWS
//! itself are to the gateway.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use rcgen::CertifiedKey;
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// What it does with a call.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers this.
    Answer(Value),
    /// Reports a function's error of this type, with the event as its message.
    Error(&'static str),
    /// Answers with this status, these headers, and the event as the body.
    Status(u16, &'static str),
    /// Sends these bytes, and then nothing.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    BytesAndEnd(Vec<u8>),
    /// Does not answer until it gets another behavior, then follows that.
    Hold,
}

/// A call that came.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request line and the headers.
    pub head: String,
    /// The event.
    pub event: Value,
}

/// The server, on a free port. Dropping it ends it.
pub struct FakeFunction {
    address: std::net::SocketAddr,
    seen: Arc<Seen>,
    act: watch::Sender<Act>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<Invocation>>,
    connections: AtomicUsize,
}

impl FakeFunction {
    /// Starts it.
    pub async fn start(act: Act) -> Self {
        Self::start_as(act, None).await
    }

    /// Starts it with TLS as `localhost`, and returns the certificate (PEM) to trust.
    pub async fn start_with_tls(act: Act) -> (Self, String) {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        (Self::start_as(act, Some(TlsAcceptor::from(Arc::new(config)))).await, cert.pem())
    }

    async fn start_as(act: Act, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (act, acts) = watch::channel(act);
        let seen = Arc::new(Seen::default());
        let mut server = JoinSet::new();
        server.spawn(serve(listener, tls, acts, Arc::clone(&seen)));
        Self { address, seen, act, _server: server }
    }

    /// Where all services of AWS are, as `AWS_ENDPOINT_URL` names it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its Invoke URL.
    pub fn url(&self) -> String {
        format!("{}/2015-03-31/functions/f/invocations", self.endpoint())
    }

    /// Changes what it does with the next call, and with those that it holds.
    pub fn set(&self, act: Act) {
        self.act.send_replace(act);
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Invocation> {
        self.seen.calls.lock().unwrap().clone()
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

impl Act {
    /// An answer of 200 whose body has this many bytes.
    pub fn body_of(bytes: usize) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
        Self::Bytes([head.into_bytes(), vec![b' '; bytes]].concat())
    }

    /// An answer that begins, and goes on for ever.
    pub fn slow_body() -> Self {
        Self::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec())
    }

    /// An answer that ends before its end.
    pub fn half_a_body() -> Self {
        Self::BytesAndEnd(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec())
    }

    /// An error as AWS's Lambda answers it.
    pub fn aws_error(status: u16, code: &str) -> Self {
        let body = r#"{"Type":"User","Message":"told so"}"#;
        let head = format!("HTTP/1.1 {status} Told\r\nx-amzn-errortype: {code}\r\n");
        Self::Bytes(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, acts: watch::Receiver<Act>, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, acts, seen) = (tls.clone(), acts.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            match tls {
                None => connection(stream, acts, seen).await,
                Some(tls) => {
                    // A client that doesn't trust the certificate goes away.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    connection(stream, acts, seen).await;
                }
            }
        });
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut acts: watch::Receiver<Act>,
    seen: Arc<Seen>,
) {
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = request(&mut stream).await {
        let event = serde_json::from_slice(&body).unwrap_or_default();
        seen.calls.lock().unwrap().push(Invocation { head, event });
        let act = acts.wait_for(|act| !matches!(act, Act::Hold)).await.unwrap().clone();
        let answer = |status: u16, headers: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        let (bytes, end) = match act {
            Act::Answer(value) => (answer(200, "", value.to_string().as_bytes()), false),
            Act::Error(error_type) => {
                let message = String::from_utf8_lossy(&body);
                let error = serde_json::json!({"errorType": error_type, "errorMessage": message});
                (answer(200, "X-Amz-Function-Error: Unhandled\r\n", error.to_string().as_bytes()), false)
            }
            Act::Status(status, headers) => (answer(status, headers, &body), false),
            Act::Bytes(bytes) => (bytes, false),
            Act::BytesAndEnd(bytes) => (bytes, true),
            Act::Hold => unreachable!("it waits for another"),
        };
        // The caller may have closed the connection.
        _ = stream.write_all(&bytes).await;
        _ = stream.flush().await;
        if end {
            return;
        }
    }
}

/// The request that comes: its head, and its body; none if the client goes away.
async fn request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let begin = head.len();
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
        let line = head[begin..].trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
