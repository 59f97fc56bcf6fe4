//! An HTTP proxy for clients whose port is fixed: whatever they dial, they reach the gateway under test.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use crate::proxy::{Asked, Proxy};

/// Starts proxies that take `CONNECT`.
pub struct ConnectProxy;

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
    pub async fn to(target: SocketAddr) -> Proxy {
        Self::with(target, Manner::Open).await
    }

    /// A proxy to `target` with these manners.
    pub async fn with(target: SocketAddr, manner: Manner) -> Proxy {
        Proxy::serve(target, move |stream, target, asked| lead(stream, target, manner, asked)).await
    }
}

async fn lead(mut client: TcpStream, target: SocketAddr, manner: Manner, asked: Asked) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
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
        return client.write_all(refusal.as_bytes()).await;
    }
    let mut gateway = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut gateway).await.map(drop)
}
