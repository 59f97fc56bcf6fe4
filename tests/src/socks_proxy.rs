//! A SOCKS5 proxy (RFC 1928) to the gateway under test, whatever its clients want to reach.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use crate::proxy::{Asked, Proxy};

/// Starts SOCKS5 proxies.
pub struct SocksProxy;

/// What the proxy does with a client.
#[derive(Clone, Copy)]
pub enum Manner {
    /// It leads to the address.
    Open,
    /// It leads there with this user name and password only (RFC 1929).
    Authorized(&'static str, &'static str),
    /// It answers every request with this reply code.
    Reply(u8),
    /// It answers the greeting with these bytes.
    Garbage(&'static [u8]),
}

const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

impl SocksProxy {
    /// A proxy to `target`.
    pub async fn to(target: SocketAddr, manner: Manner) -> Proxy {
        Proxy::serve(target, move |stream, target, asked| lead(stream, target, manner, asked)).await
    }
}

async fn lead(mut client: TcpStream, target: SocketAddr, manner: Manner, asked: Asked) -> io::Result<()> {
    assert_eq!(client.read_u8().await?, 5, "the version of the greeting");
    let methods = counted(&mut client).await?;
    let method = match manner {
        Manner::Garbage(bytes) => return client.write_all(bytes).await,
        Manner::Authorized(..) => USER_AND_PASSWORD,
        Manner::Open | Manner::Reply(_) => NO_AUTHENTICATION,
    };
    if !methods.contains(&method) {
        return client.write_all(&[5, 0xff]).await;
    }
    client.write_all(&[5, method]).await?;
    if let Manner::Authorized(user, password) = manner {
        assert_eq!(client.read_u8().await?, 1, "the version of RFC 1929");
        let sent = (counted(&mut client).await?, counted(&mut client).await?);
        let is_right = sent == (user.into(), password.into());
        client.write_all(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok(());
        }
    }
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    assert_eq!(head[..3], [5, 1, 0], "a CONNECT");
    let host = match head[3] {
        1 => Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => String::from_utf8(counted(&mut client).await?).unwrap(),
        4 => Ipv6Addr::from(client.read_u128().await?).to_string(),
        other => panic!("an address of type {other}"),
    };
    let port = client.read_u16().await?;
    asked.lock().unwrap().push(format!("{host}:{port}"));
    let reply = if let Manner::Reply(code) = manner { code } else { 0 };
    client.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if reply == 0 {
        let mut gateway = TcpStream::connect(target).await?;
        copy_bidirectional(&mut client, &mut gateway).await?;
    }
    Ok(())
}

async fn counted(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}
