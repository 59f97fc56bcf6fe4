//! `GET /mqtt`: the upgrade to WebSocket (RFC 6455 section 4.2; MQTT 5 section 6).

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::{
    HttpStream,
    answer::{Body, Fault},
};
use crate::{connection::websocket::WebSocket, custom_auth::http_request::HttpRequest};

/// Where AWS takes it.
pub(super) const PATH: &str = "/mqtt";
/// The subprotocol of MQTT 3.1.1 and 5; `mqttv3.1` is that of 3.1, which nobody takes here.
const SUBPROTOCOL: &str = "mqtt";

/// A connection on its way to be a WebSocket.
pub(super) struct Upgrade {
    stream: OnUpgrade,
    request: HttpRequest,
}

/// Agrees to an upgrade.
pub(super) fn accept(mut request: Request<Incoming>) -> Result<(Response<Body>, Upgrade), Fault> {
    let stream = hyper::upgrade::on(&mut request);
    let mut response = create_response_with_body(&request, Body::default)
        .map_err(|error| Fault::Request(format!("this is not a WebSocket's upgrade: {error}")))?;
    let (parts, _) = request.into_parts();
    let offered =
        parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SUBPROTOCOL) {
        let details =
            format!("the WebSocket's subprotocol (Sec-WebSocket-Protocol) should be `{SUBPROTOCOL}`");
        return Err(Fault::Request(details));
    }
    let request = HttpRequest::read(&parts).map_err(|error| Fault::Request(error.to_string()))?;
    debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok((response, Upgrade { stream, request }))
}

impl Upgrade {
    /// The WebSocket, and the request that asked for it; nothing if the client has gone.
    pub(super) async fn finish(self) -> Option<(WebSocket, HttpRequest)> {
        let parts = self.stream.await.ok()?.downcast::<TokioIo<HttpStream>>().ok()?;
        let stream = WebSocket::new(parts.io.into_inner(), parts.read_buf.to_vec()).await;
        Some((stream, self.request))
    }
}
