//! A service that refuses some calls: a proxy in front of one that does not.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The proxy, on a free port. Dropping it ends it.
pub struct Refusing {
    endpoint: String,
    refused: Refused,
    server: JoinHandle<()>,
}

/// How many of each kind.
type Refused = Arc<Mutex<HashMap<String, usize>>>;

/// Which requests it refuses.
#[derive(Clone, Copy)]
pub struct Refusal {
    /// Those whose head has this part: `POST /things/` for example.
    pub part: &'static str,
    /// So many of them; or of each, where there is a difference.
    pub times: usize,
    /// How AWS calls it.
    pub code: &'static str,
}

impl Refusing {
    /// Refuses some requests as AWS does, and sends all others to `upstream`.
    pub async fn start(upstream: &str, refusal: Refusal) -> Self {
        Self::of(upstream, refusal, |_| String::new()).await
    }

    /// Refuses each request this many times. Requests with the same first line are the same.
    pub async fn start_each(upstream: &str, refusal: Refusal) -> Self {
        let first_line = |request: &[u8]| String::from_utf8_lossy(request).lines().next().unwrap().to_owned();
        Self::of(upstream, refusal, first_line).await
    }

    async fn of(upstream: &str, refusal: Refusal, kind: fn(&[u8]) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let refused = Arc::new(Mutex::new(HashMap::new()));
        let count = Arc::clone(&refused);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, upstream.clone(), refusal, kind, Arc::clone(&count)));
            }
        });
        Self { endpoint, refused, server }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many requests it has refused.
    pub fn refused(&self) -> usize {
        self.refused.lock().unwrap().values().sum()
    }
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    upstream: String,
    refusal: Refusal,
    kind: fn(&[u8]) -> String,
    refused: Refused,
) {
    let Refusal { part, times, code } = refusal;
    let Some(request) = request(&mut stream).await else { return };
    let is_one = request.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
    let is_refused = is_one && {
        let mut refused = refused.lock().unwrap();
        let count = refused.entry(kind(&request)).or_default();
        let is_refused = *count < times;
        *count += usize::from(is_refused);
        is_refused
    };
    if is_refused {
        let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"told so"}}"#);
        let head = format!("HTTP/1.1 400 Told\r\nx-amzn-errortype: {code}\r\nconnection: close\r\n");
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(upstream).await.unwrap();
    server.write_all(&request).await.unwrap();
    _ = tokio::io::copy(&mut server, &mut stream).await;
}

/// A whole request, asking for the connection's end after the answer.
pub(crate) async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let lower = line.trim_end().to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if lower.is_empty() {
            break;
        }
        request.extend_from_slice(line.as_bytes());
    }
    request.extend_from_slice(b"connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    request.extend_from_slice(&body);
    Some(request)
}
