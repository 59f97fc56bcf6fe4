//! A service that is throttled now and then: a proxy in front of one that is not.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The proxy, on a free port. Dropping it ends it.
pub struct Throttle {
    endpoint: String,
    throttled: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Throttle {
    /// Answers the first `times` requests that begin with `start` (`POST /things/` for example) as AWS does who is asked
    /// too often, and sends all others to `upstream`.
    pub async fn start(upstream: &str, start: &'static str, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let throttled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&throttled);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, upstream.clone(), start, times, Arc::clone(&count)));
            }
        });
        Self { endpoint, throttled, server }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How many requests it has throttled.
    pub fn throttled(&self) -> usize {
        self.throttled.load(Ordering::SeqCst)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, upstream: String, start: &str, times: usize, count: Arc<AtomicUsize>) {
    let Some(request) = request(&mut stream).await else { return };
    let is_one = request.starts_with(start.as_bytes());
    let more = |count| (is_one && count < times).then_some(count + 1);
    if count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok() {
        let body = r#"{"message":"Rate exceeded"}"#;
        let head = "HTTP/1.1 429 Too Many Requests\r\nx-amzn-errortype: ThrottlingException\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(upstream).await.unwrap();
    server.write_all(&request).await.unwrap();
    _ = tokio::io::copy(&mut server, &mut stream).await;
}

/// A whole request, asking for the connection's end after the answer.
async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
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
