//! MQTT over WebSocket as AWS IoT Core serves it: its limits, and how a connection ends.

use mqtt::{
    DisconnectReasonCode as Code,
    websocket::{self, ServerClose, Violation},
};
use tokio::{io::BufReader, net::TcpStream};
use tokio_rustls::server::TlsStream;

use crate::{quotas::LimitError, session::disconnect_reason::DisconnectReason};

/// The connection below HTTP. Its buffer is only for a look at the first byte.
pub(super) type HttpStream = BufReader<TlsStream<TcpStream>>;

/// The largest frame, and the largest message of several frames, in bytes *(guess: a WebSocket frame and message have at
/// most 256 KiB)*. The largest packet fits, unless the quota `packet_bytes` is raised.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// A WebSocket as a stream of bytes.
pub(super) type WebSocket = websocket::WebSocket<HttpStream>;

/// The server's end of a connection that was upgraded. `read` are bytes that came after the upgrade request.
pub(super) async fn upgraded(stream: HttpStream, read: Vec<u8>) -> WebSocket {
    WebSocket::server(stream, read, MAX_MESSAGE_BYTES).await
}

/// The CONNECT is refused, after a CONNACK or without one: MQTT 5 ends without a close frame, 3.1.1 with an empty one.
pub(super) fn refuse(stream: &mut WebSocket, answered: bool) {
    stream.set_close(if answered { ServerClose::Omitted } else { ServerClose::Empty });
}

/// The rule that the client broke, if nothing more can be read because of that.
pub(super) fn violation(stream: &WebSocket) -> Option<DisconnectReason> {
    let code = Code::ProtocolError;
    Some(match stream.violation()? {
        Violation::Text => DisconnectReason::Protocol(
            code,
            "MQTT goes in binary WebSocket frames; the client sent a text frame",
        ),
        Violation::TooLarge => {
            DisconnectReason::Limit(code, LimitError::WebSocketMessageBytes(MAX_MESSAGE_BYTES))
        }
        Violation::Malformed => {
            DisconnectReason::Protocol(code, "the client broke the rules of WebSocket (RFC 6455)")
        }
    })
}

/// The client's disconnect, if it sent a Close frame: on AWS that is one, as DISCONNECT is (developer guide,
/// `life-cycle-events`).
pub(super) fn closed_by_client(stream: &WebSocket) -> Option<DisconnectReason> {
    stream.is_closed_by_client().then_some(DisconnectReason::Client { with_will: false })
}
