//! One device's connection, from its CONNECT to its end.

mod exchange;

use std::sync::Arc;
use std::time::Duration;

use device_sim::doctor::bridge::{PROPERTY, Side};
use mqtt::wire::{ReceiveError, Wire};
use mqtt::{
    Codec, ConnAck, Connect, ConnectReasonCode, DecodeError, Disconnect, DisconnectReasonCode as Code,
    EncodeError, Packet, Version,
};
use server::handshake_limit::HandshakePermit;
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::exchange::Exchange;
use crate::downstream::Transport;
use crate::log::{ConnectionId, EventType, Level, Line};
use crate::metrics::Counted;
use crate::rules::Translation;
use crate::session::{self, Session};
use crate::shared::{Registered, Shared};
use crate::spool::SpoolDevice;
use crate::upstream::{ConnectError, pacing::Held};

/// How many bytes are read at a time from a device.
const READ_SIZE: usize = 512;
/// How long the last packets may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A device's connection.
type DeviceWire = Wire<Transport>;

/// Serves a device until one of the two connections ends for good. As in [`crate::downstream`], a stage is gone before the next
/// one begins.
pub async fn serve(transport: Transport, id: ConnectionId, handshake: HandshakePermit, shared: &Arc<Shared>) {
    let _task = shared.tasks.token();
    let receiving = Box::pin(receive_connect(transport, id, handshake, shared));
    let Some((mut device, connect, id)) = receiving.await else { return };
    let Ok(_place) = shared.devices.try_acquire() else {
        let details = "as many devices are connected as `devices` allows".to_owned();
        refuse(shared, &id, "TOO_MANY_DEVICES", details, None);
        let refusal = refusal(ConnectReasonCode::ServerBusy, Side::Bridge, None);
        return Box::pin(answer(&mut device, refusal)).await;
    };
    let connecting = Box::pin(connect_upstream(device, connect, id, shared));
    if let Some(Connected { exchange, registered, counted }) = connecting.await {
        exchange.run().await;
        drop((registered, counted));
    }
}

/// The CONNECT of a device, unless there is none that can be used.
async fn receive_connect(
    transport: Transport,
    mut id: ConnectionId,
    handshake: HandshakePermit,
    shared: &Shared,
) -> Option<(DeviceWire, Box<Connect>, ConnectionId)> {
    let _counted = shared.metrics.handshake();
    let codec = Codec::server(shared.settings.limits.packet_bytes).with_older_protocols();
    let mut device = Wire::over(transport, codec, READ_SIZE);
    let limit = shared.settings.limits.connect_timeout;
    let evicted = handshake.evicted();
    let received = tokio::select! {
        received = timeout(limit, device.next()) => received,
        () = evicted.cancelled() => {
            let details = "the oldest connection without a CONNECT gives up its place";
            refuse_unread(shared, &id, "TOO_MANY_HANDSHAKES", details);
            return None;
        }
        () = shared.stopping.cancelled() => return None,
    };
    match received {
        Ok(Ok(Some(Packet::Connect(connect)))) => {
            id.client_id = Some(connect.client_id.to_string());
            if let Some(bytes) = connect.properties.maximum_packet_size {
                device.set_peer_maximum(bytes.get());
            }
            return Some((device, connect, id));
        }
        Ok(Ok(_) | Err(ReceiveError::Io(_))) => {}
        Ok(Err(ReceiveError::Decode(error))) => {
            refuse_unread(shared, &id, "MALFORMED_CONNECT", &error.to_string());
            // A first packet that is not a CONNECT gets no answer (section 4.13.1).
            if error != DecodeError::NotConnect {
                answer(&mut device, refusal(error.connect_reason_code(), Side::Bridge, None)).await;
            }
        }
        Err(_) => {
            refuse_unread(shared, &id, "CONNECT_TIMEOUT", "no CONNECT came in time; is it MQTT?");
        }
    }
    None
}

/// A device that is connected upstream.
struct Connected<'a> {
    exchange: Box<Exchange<'a>>,
    registered: Registered<'a>,
    counted: Counted,
}

/// Connects upstream for a device, unless that fails. Then the device has read why.
async fn connect_upstream(
    mut device: DeviceWire,
    connect: Box<Connect>,
    mut id: ConnectionId,
    shared: &Arc<Shared>,
) -> Option<Connected<'_>> {
    let rules = Arc::clone(&shared.rules.borrow());
    let (version, own_id) = (connect.version, Arc::clone(&connect.client_id));
    let keep_alive = connect.keep_alive;
    let level = device.codec().protocol_level();
    let translated = session::translate(*connect, level, &rules, shared.upstream.authorizer());
    let session::Translated { connect, known, translations } = match translated {
        Ok(translated) => translated,
        Err(code) => {
            let details = "extended authentication is not what AWS IoT Core has".to_owned();
            refuse(shared, &id, "BAD_AUTHENTICATION_METHOD", details, None);
            answer(&mut device, refusal(code, Side::Bridge, None)).await;
            return None;
        }
    };
    let mapped_id = (connect.client_id != own_id).then_some(own_id);
    id.upstream_client_id = mapped_id.as_ref().map(|_| connect.client_id.to_string());
    let outcome = tokio::select! {
        outcome = Box::pin(shared.upstream.connect(&connect)) => outcome,
        () = closed(&mut device) => return None,
        () = shared.stopping.cancelled() => return None,
    };
    let (upstream, accepted) = match outcome {
        Ok(accepted) => accepted,
        Err(error) => {
            let answered = log_refusal(shared, &id, &error, version);
            answer(&mut device, answered).await;
            return None;
        }
    };
    let (taken_over, is_taken_over) = oneshot::channel();
    // The server has chosen one for a device without, which no other connection has.
    let client_id = accepted.properties.assigned_client_id.as_ref().unwrap_or(&connect.client_id);
    let registered = shared.sessions.register(client_id, mapped_id, taken_over);
    let counted = shared.metrics.device();
    let spool_device = SpoolDevice::new(&connect.client_id, connect.username.as_deref());
    // A device without a client id of its own could not be told from others later.
    let spool = shared.spool.as_ref().filter(|_| !connect.client_id.is_empty());
    let backlog = match spool {
        Some(spool) => Some(spool.count(spool_device, &connect.client_id).await),
        None => None,
    };
    let server_maximum = accepted.properties.maximum_packet_size;
    let greeting = from_side(session::accepted(accepted, version, &rules), Side::Upstream);
    queue_answer(&mut device, greeting).ok()?;
    shared.log.connection(EventType::Connect, &id, &Line::default());
    let session = Session::new(version, rules, known, backlog);
    let keep_alives = (keep_alive, connect.keep_alive);
    // Only a device whose messages can be stored is connected again by the bridge.
    let again = spool.map(|spool| exchange::Again::new(connect, spool.clone(), spool_device));
    let mut exchange = Exchange::new(
        device,
        upstream,
        session,
        keep_alives,
        server_maximum,
        again,
        is_taken_over,
        id,
        shared,
    );
    for translation in translations {
        exchange.count(translation);
    }
    Some(Connected { exchange, registered, counted })
}

/// Completes when the device closes its connection. What it sends meanwhile is kept.
async fn closed(device: &mut DeviceWire) {
    std::future::poll_fn(|context| {
        loop {
            if device.has_unread(MAX_EARLY_BYTES) {
                // More than a device sends before its CONNACK: it has to wait.
                return std::task::Poll::Pending;
            }
            match std::task::ready!(device.poll_read(context)) {
                Ok(true) => {}
                Ok(false) | Err(_) => return std::task::Poll::Ready(()),
            }
        }
    })
    .await;
}

/// How many bytes of a device are kept before its CONNACK.
const MAX_EARLY_BYTES: usize = 16_384;

/// A refusal. Where the server has no words, MQTT 5 gets the bridge's own.
fn refusal(code: ConnectReasonCode, side: Side, reason_string: Option<Arc<str>>) -> ConnAck {
    let mut answer = ConnAck::new(code);
    answer.properties.reason_string = reason_string.or_else(|| match side {
        Side::Bridge => Some("the bridge refuses the device; its log has the reason".into()),
        Side::Unreachable => Some("the bridge can't reach AWS; its log has the reason".into()),
        Side::Upstream => None,
    });
    from_side(answer, side)
}

/// The same answer, which says to MQTT 5 that there is a bridge, and which side has decided.
fn from_side(mut answer: ConnAck, side: Side) -> ConnAck {
    answer.properties.user_properties.push((PROPERTY.into(), side.as_str().into()));
    answer
}

/// Queues a CONNACK, without what the device has no room for (MQTT 5 section 3.2.2.3.9).
fn queue_answer(device: &mut DeviceWire, mut answer: ConnAck) -> Result<(), EncodeError> {
    match device.queue(Packet::ConnAck(Box::new(answer.clone()))) {
        Err(EncodeError::PacketTooLarge { .. }) => {
            answer.properties.reason_string = None;
            answer.properties.user_properties.clear();
            device.queue(Packet::ConnAck(Box::new(answer)))
        }
        queued => queued,
    }
}

/// Sends a refusal and closes. In 3.1.1 a code that it does not have closes only.
async fn answer(device: &mut DeviceWire, answer: ConnAck) {
    if queue_answer(device, answer).is_ok() {
        close(device).await;
    }
}

/// Sends what is queued, and closes.
async fn close(device: &mut DeviceWire) {
    let closing = async {
        if device.flush().await.is_ok() {
            _ = tokio::io::AsyncWriteExt::shutdown(device.stream_mut()).await;
        }
    };
    // The device may be gone.
    _ = timeout(CLOSE_TIMEOUT, closing).await;
}

/// The DISCONNECT with which the bridge ends a device's connection; 3.1.1 has none.
fn disconnect(code: Code, reason: &str) -> Packet {
    let mut disconnect = Disconnect::new(code);
    disconnect.reason_string = Some(reason.into());
    Packet::Disconnect(disconnect)
}

/// Writes the line of a device that is not connected, and returns what it gets to read.
fn log_refusal(shared: &Shared, id: &ConnectionId, error: &ConnectError, version: Version) -> ConnAck {
    use ConnectReasonCode as Reason;
    let details = error.to_string();
    let (reason, explanation, answer) = match error {
        ConnectError::Refused { code, reason_string, held_for } => {
            let why = if version == Version::V5 {
                "AWS's log has the reason (`latchkey fleet logs`)"
            } else {
                "AWS gives MQTT 3.1.1 no reason: a wrong password, a client id that the record does not allow, a disabled \
                 device, or an authorizer that does not exist; AWS's log has it (`latchkey fleet logs`)"
            };
            let seconds = held_for.as_secs();
            let explanation = format!("{why}; the same credentials are not tried again for {seconds} s");
            ("REFUSED", Some(explanation), refusal(*code, Side::Upstream, reason_string.clone()))
        }
        ConnectError::Held(Held::Refused { code, reason_string, .. }) => {
            ("REFUSED_BEFORE", None, refusal(*code, Side::Upstream, reason_string.clone()))
        }
        ConnectError::Held(Held::Storm) => {
            ("STORM", None, refusal(Reason::ConnectionRateExceeded, Side::Bridge, None))
        }
        ConnectError::Held(Held::Busy) => ("BUSY", None, refusal(Reason::ServerBusy, Side::Bridge, None)),
        ConnectError::Held(Held::Outage) => {
            ("OUTAGE", None, refusal(Reason::ServerUnavailable, Side::Unreachable, None))
        }
        ConnectError::Unreachable(_) => {
            ("UNREACHABLE", None, refusal(Reason::ServerUnavailable, Side::Unreachable, None))
        }
        ConnectError::Protocol(_) => {
            ("PROTOCOL", None, refusal(Reason::UnspecifiedError, Side::Unreachable, None))
        }
    };
    refuse(shared, id, reason, details, explanation);
    answer
}

fn refuse(
    shared: &Shared,
    id: &ConnectionId,
    reason: &'static str,
    details: String,
    explanation: Option<String>,
) {
    let line = Line { level: Level::Error, reason, details: Some(details), explanation, ..Line::default() };
    shared.log.connection(EventType::Connect, id, &line);
}

fn refuse_unread(shared: &Shared, id: &ConnectionId, reason: &'static str, details: &str) {
    refuse(shared, id, reason, details.to_owned(), None);
}

/// What the log says of something that was changed.
fn translation_line(translation: Translation) -> Line {
    let explanation = Some(translation.explanation().to_owned());
    Line { reason: translation.as_str(), explanation, ..Line::default() }
}
