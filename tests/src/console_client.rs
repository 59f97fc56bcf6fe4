//! A script's client of the console's API: requests as a test wants them, right or wrong.

use std::net::SocketAddr;

use gateway::console::access::ConsoleFile;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{eventually::within, test_gateway::TestGateway};

/// The console of a gateway, with its token.
pub struct ConsoleClient {
    /// Where it is.
    pub address: SocketAddr,
    /// Its token.
    pub token: String,
}

/// What the console answers.
#[derive(Debug)]
pub struct ConsoleAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// A stream of server-sent events.
pub struct ConsoleEvents(BufReader<TcpStream>);

impl ConsoleClient {
    /// The console of a gateway.
    pub fn new(gateway: &TestGateway) -> Self {
        let file = ConsoleFile::read(gateway.folder.path()).unwrap();
        Self { address: gateway.addresses.status.unwrap(), token: file.token.to_string() }
    }

    /// The header that a page's browser sends.
    pub fn cookie(&self) -> String {
        format!("latchkey_console_{}={}", self.address.port(), self.token)
    }

    /// The origin of the page.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request with these headers, and nothing that they don't say.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> ConsoleAnswer {
        let mut stream = self.open(method, target, headers, body).await;
        let mut answer = Vec::new();
        within("the answer", stream.read_to_end(&mut answer)).await.unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        ConsoleAnswer { status, headers, body: body.to_owned() }
    }

    /// Reads with the token.
    pub async fn get(&self, path: &str) -> Value {
        let answer =
            self.send("GET", &format!("/console/v1{path}"), &[("Authorization", &self.bearer())], "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Changes something with the token: the status and the answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let bearer = self.bearer();
        let headers = [("Authorization", &*bearer), ("Content-Type", "application/json")];
        let answer = self.send("POST", &format!("/console/v1{path}"), &headers, &body.to_string()).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    /// Opens a stream of events, and waits for its first one.
    pub async fn events(&self, query: &str) -> ConsoleEvents {
        let target = format!("/console/v1/events?{query}");
        let stream = self.open("GET", &target, &[("Authorization", &self.bearer())], "").await;
        let mut events = ConsoleEvents(BufReader::new(stream));
        let (name, _) = events.next().await.unwrap();
        assert_eq!(name, "hello");
        events
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    async fn open(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let (host, length) = (self.address.to_string(), body.len().to_string());
        let mut all = vec![("Host", &*host), ("Connection", "close"), ("Content-Length", &length)];
        all.retain(|(name, _)| headers.iter().all(|(other, _)| other != name));
        for (name, value) in all.iter().chain(headers) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        stream
    }
}

impl ConsoleAnswer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl ConsoleEvents {
    /// The next event's name and data; nothing if the gateway has closed the stream.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            let read = within("an event", self.0.read_line(&mut line)).await.ok()?;
            if read == 0 {
                return None;
            }
            if let Some(text) = line.strip_prefix("event: ") {
                text.trim().clone_into(&mut name);
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(text.trim()).unwrap()));
            }
        }
    }
}
