//! A table that has every device: the least of DynamoDB that the authorizer calls, over TLS.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use device_auth::verifier::Verifier;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{bare, fixture::Fixture};

/// Serves `GetItem` until this program ends: each device's password is its name. Returns the address.
pub(crate) async fn serve(fixture: &Fixture) -> anyhow::Result<SocketAddr> {
    let (certificate, key) = fixture.certificate();
    let mut config = bare::config(&certificate, &key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            // A client that goes away is not an error here: each start of the function is one.
            tokio::spawn(async move { connection(&acceptor, stream).await });
        }
    });
    Ok(address)
}

async fn connection(acceptor: &TlsAcceptor, stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().to_ascii_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse()?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let request = serde_json::from_slice::<Value>(&body)?;
        let device = request.pointer("/Key/device/S").and_then(Value::as_str).context("no key")?;
        let item = json!({"Item": {
            "device": {"S": device}, "schema_version": {"N": "1"}, "scheme": {"S": "password"},
            "verifiers": {"L": [{"M": {"verifier": {"S": String::from(Verifier::of_generated(device.as_bytes(), [7; 16]))}}}]},
            "grant": {"S": "own-topics"},
        }})
        .to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{item}",
            item.len()
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
}
