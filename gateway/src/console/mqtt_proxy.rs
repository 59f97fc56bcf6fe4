//! The page's MQTT, carried to the gateway's own WebSocket door.
//!
//! A browser can't offer an ALPN protocol, nor trust a CA of one's own. So the page opens a WebSocket here, and the gateway opens one at
//! its door, over TLS, and copies the frames. What the page presents in its CONNECT passes the real door, the real authorizer and
//! its policies.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header::SEC_WEBSOCKET_PROTOCOL, request::Parts},
};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{CallError, Console};

/// How long the way to the door may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message of a WebSocket, as at the door.
const MAX_MESSAGE_BYTES: usize = 256 * 1_024;
const SUBPROTOCOL: &str = "mqtt";
/// A name that the gateway's certificate always has.
const SERVER_NAME: &str = "localhost";

/// The way to the door.
pub(super) struct MqttProxy {
    door: SocketAddr,
    connector: TlsConnector,
}

impl MqttProxy {
    /// The way to this door, whose certificate this CA has issued.
    pub(super) fn new(door: SocketAddr, ca: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).context("the CA is not PEM")?;
        roots.add(ca).context("the CA can't be trusted")?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let ip = if door.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { door.ip() };
        Ok(Self { door: SocketAddr::new(ip, door.port()), connector: TlsConnector::from(Arc::new(config)) })
    }

    /// A WebSocket at the door, as a device opens it. `query` may name the authorizer.
    async fn open(&self, query: Option<&str>) -> anyhow::Result<WebSocketStream<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.door).await?;
        let stream = self.connector.connect(ServerName::try_from(SERVER_NAME)?, stream).await?;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = format!("wss://{SERVER_NAME}/mqtt{query}").into_client_request()?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(client_async_with_config(request, stream, Some(limits())).await?.0)
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

/// Accepts a page's WebSocket. The page has shown its token.
pub(super) fn accept(console: &Arc<Console>, parts: &mut Parts) -> Result<Response<Body>, CallError> {
    if console.proxy.is_none() {
        return Err(CallError::unavailable("the port that stands for AWS's 443 is closed"));
    }
    let permit = Arc::clone(&console.streams).try_acquire_owned();
    let permit = permit.map_err(|_| CallError::unavailable("too many pages are open: close some"))?;
    // The upgrade is in the request's extensions, and the rest of it is looked at twice.
    let mut request =
        Request::builder().method(parts.method.clone()).uri(parts.uri.clone()).version(parts.version);
    if let Some(headers) = request.headers_mut() {
        headers.clone_from(&parts.headers);
    }
    let mut request = request.body(()).map_err(|_| CallError::invalid("the request can't be read"))?;
    std::mem::swap(request.extensions_mut(), &mut parts.extensions);
    let upgrade = hyper::upgrade::on(&mut request);
    let mut response = create_response_with_body(&request, Body::empty)
        .map_err(|error| CallError::invalid(format!("this is not a WebSocket's upgrade: {error}")))?;
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let query = parts.uri.query().map(str::to_owned);
    let console = Arc::clone(console);
    tokio::spawn(async move {
        let _permit = permit;
        let (Ok(upgraded), Some(proxy)) = (upgrade.await, &console.proxy) else { return };
        let page =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits())).await;
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, proxy.open(query.as_deref())).await;
        let carried = async {
            match opened {
                Ok(Ok(door)) => carry(page, door).await,
                Ok(Err(error)) => say(page, &format!("the door is not open: {error}")).await,
                Err(_) => say(page, "the door did not answer in time").await,
            }
        };
        tokio::select! {
            () = carried => {}
            () = console.shared.stopping.cancelled() => {}
        }
    });
    Ok(response)
}

/// Copies messages in both directions until either end closes. An error of one is the end of the other.
async fn carry<A, B>(page: WebSocketStream<A>, door: WebSocketStream<B>)
where
    A: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    B: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut to_page, mut from_page) = page.split();
    let (mut to_door, mut from_door) = door.split();
    let up = async {
        while let Some(Ok(message)) = from_page.next().await {
            let is_end = message.is_close();
            if to_door.send(message).await.is_err() || is_end {
                break;
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = from_door.next().await {
            let is_end = message.is_close();
            if to_page.send(message).await.is_err() || is_end {
                return;
            }
        }
        _ = to_page.close().await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
    _ = to_door.close().await;
}

/// Ends the page's WebSocket with a sentence.
async fn say<A>(mut page: WebSocketStream<A>, text: &str)
where
    A: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // A close frame has room for 123 bytes.
    let reason = text.chars().filter(char::is_ascii).take(123).collect::<String>();
    let close = CloseFrame { code: CloseCode::Again, reason: reason.into() };
    _ = page.send(Message::Close(Some(close))).await;
}
