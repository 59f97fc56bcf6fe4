//! A service that answers as a test says, or not at all.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::aws;

/// What it does with a call.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Keeps the connection open and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
}

/// A service on a free port. Dropping it ends it.
pub struct FakeAws {
    /// The configuration that finds it.
    pub aws: SdkConfig,
    endpoint: String,
    calls: Arc<Mutex<Vec<Value>>>,
    server: JoinHandle<()>,
}

impl FakeAws {
    /// Starts it. The last of `acts` is what it does from then on.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let aws = aws::configuration(&endpoint);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let acts = acts.into_iter().collect::<Vec<_>>();
        let server = tokio::spawn(serve(listener, acts, Arc::clone(&calls)));
        Self { aws, endpoint, calls, server }
    }

    /// Where it is, as `AWS_ENDPOINT_URL` names it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The bodies of the calls so far; null for one without.
    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }
}

impl Act {
    /// An error as AWS's JSON services answer it.
    pub fn error(status: u16, code: &str) -> Self {
        let body = serde_json::json!({"__type": format!("com.amazonaws#{code}"), "message": "told so"});
        Self::Answer(status, body.to_string())
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acts: Vec<Act>, calls: Arc<Mutex<Vec<Value>>>) {
    let mut silent = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Some(body) = request(&mut stream).await else { continue };
        let act = {
            let mut calls = calls.lock().unwrap();
            calls.push(body);
            acts[(calls.len() - 1).min(acts.len() - 1)].clone()
        };
        match act {
            Act::Answer(status, body) => {
                let length = body.len();
                let head = format!("HTTP/1.1 {status} Told\r\ncontent-type: application/x-amz-json-1.0\r\n");
                let answer = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
                _ = stream.write_all(answer.as_bytes()).await;
            }
            Act::Silence => silent.push(stream),
            Act::HangUp => drop(stream),
        }
    }
}

/// The body of the request that comes; none if the client goes away.
async fn request(stream: &mut TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    if body.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&body).ok() }
}
