//! An HTTP proxy for clients whose port is fixed: whatever they dial, they reach the gateway under test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy that takes `CONNECT` and leads to one address. Dropping it stops it.
pub struct ConnectProxy {
    /// Its port on 127.0.0.1.
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What the proxy does with a request.
#[derive(Clone, Copy)]
pub enum Manner {
    /// It leads to the address.
    Open,
    /// It leads there with this `Proxy-Authorization` only, and answers 407 without it.
    Authorized(&'static str),
    /// It writes these bytes and closes the connection.
    Answer(&'static str),
}

impl ConnectProxy {
    /// A proxy to `target`.
    pub async fn to(target: SocketAddr) -> Self {
        Self::with(target, Manner::Open).await
    }

    /// A proxy to `target` with these manners.
    pub async fn with(target: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(lead(stream, target, manner, Arc::clone(&noted)));
            }
        });
        Self { port, asked, task }
    }

    /// What clients wanted to reach so far, as `HOST:PORT`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whichever end fails first, the client sees its connection end, and says so.
async fn lead(mut client: TcpStream, target: SocketAddr, manner: Manner, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let wanted = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    asked.lock().unwrap().push(wanted.unwrap_or_else(|| panic!("no CONNECT: {head}")).to_owned());
    let refusal = match manner {
        Manner::Open => None,
        Manner::Authorized(value) => {
            let is_authorized = head.lines().any(|line| {
                line.split_once(": ").is_some_and(|(name, found)| {
                    name.eq_ignore_ascii_case("proxy-authorization") && found == value
                })
            });
            (!is_authorized)
                .then_some("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        }
        Manner::Answer(answer) => Some(answer),
    };
    if let Some(refusal) = refusal {
        _ = client.write_all(refusal.as_bytes()).await;
        return;
    }
    let mut gateway = TcpStream::connect(target).await.unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    _ = copy_bidirectional(&mut client, &mut gateway).await;
}
