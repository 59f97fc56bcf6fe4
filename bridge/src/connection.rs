//! One device's connection, from its CONNECT to its end.

mod exchange;

use std::sync::Arc;
use std::time::Duration;

use mqtt::wire::{ReceiveError, Wire};
use mqtt::{
    Codec, ConnAck, Connect, ConnectReasonCode, DecodeError, Disconnect, DisconnectReasonCode as Code,
    Packet, Version,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::exchange::Exchange;
use crate::downstream::{Handshake, Transport};
use crate::log::{ConnectionId, EventType, Line};
use crate::rules::Translation;
use crate::session::{self, Session};
use crate::shared::Shared;
use crate::spool::SpoolDevice;
use crate::upstream::{ConnectError, pacing::Held};

/// How many bytes are read at a time from a device.
const READ_SIZE: usize = 512;
/// How long the last packets may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A device's connection.
type DeviceWire = Wire<Transport>;

/// Serves a device until one of the two connections ends for good.
pub async fn serve(transport: Transport, mut id: ConnectionId, handshake: Handshake, shared: Arc<Shared>) {
    let _task = shared.tasks.token();
    let counted = shared.metrics.handshake();
    let codec = Codec::server(shared.settings.limits.packet_bytes).with_older_protocols();
    let mut device = Wire::over(transport, codec, READ_SIZE);
    let limit = shared.settings.limits.connect_timeout;
    let received = tokio::select! {
        received = timeout(limit, device.next()) => received,
        () = handshake.evicted() => return refuse_unread(&shared, &id, "TOO_MANY_HANDSHAKES", "the oldest connection \
            without a CONNECT gives up its place"),
        () = shared.stopping.cancelled() => return,
    };
    let connect = match received {
        Ok(Ok(Some(Packet::Connect(connect)))) => *connect,
        Ok(Ok(_) | Err(ReceiveError::Io(_))) => return,
        Ok(Err(ReceiveError::Decode(error))) => {
            refuse_unread(&shared, &id, "MALFORMED_CONNECT", &error.to_string());
            // A first packet that is not a CONNECT gets no answer (section 4.13.1).
            if error != DecodeError::NotConnect {
                answer(&mut device, refusal(error.connect_reason_code(), None)).await;
            }
            return;
        }
        Err(_) => {
            return refuse_unread(&shared, &id, "CONNECT_TIMEOUT", "no CONNECT came in time; is it MQTT?");
        }
    };
    drop((handshake, counted));
    id.client_id = Some(connect.client_id.to_string());
    let Ok(_place) = shared.devices.try_acquire() else {
        let details = "as many devices are connected as `devices` allows".to_owned();
        refuse(&shared, &id, "TOO_MANY_DEVICES", details, None);
        return answer(&mut device, refusal(ConnectReasonCode::ServerBusy, None)).await;
    };
    Box::pin(connected(device, connect, id, &shared)).await;
}

/// Connects upstream for a device, and then passes packets.
async fn connected(mut device: DeviceWire, connect: Connect, mut id: ConnectionId, shared: &Arc<Shared>) {
    let rules = Arc::clone(&shared.rules.borrow());
    let (version, own_id) = (connect.version, Arc::clone(&connect.client_id));
    let (keep_alive, peer_maximum) = (connect.keep_alive, connect.properties.maximum_packet_size);
    let level = device.codec().protocol_level();
    let translated = session::translate(connect, level, &rules, shared.upstream.authorizer());
    let session::Translated { connect, known, translations } = match translated {
        Ok(translated) => translated,
        Err(code) => {
            let details = "extended authentication is not what AWS IoT Core has".to_owned();
            refuse(shared, &id, "BAD_AUTHENTICATION_METHOD", details, None);
            return answer(&mut device, refusal(code, None)).await;
        }
    };
    let mapped_id = (connect.client_id != own_id).then_some(own_id);
    id.upstream_client_id = mapped_id.as_ref().map(|_| connect.client_id.to_string());
    let outcome = tokio::select! {
        outcome = Box::pin(shared.upstream.connect(&connect)) => outcome,
        () = closed(&mut device) => return,
        () = shared.stopping.cancelled() => return,
    };
    let (upstream, accepted) = match outcome {
        Ok(accepted) => accepted,
        Err(error) => {
            let (code, reason_string) = log_refusal(shared, &id, &error, version);
            return answer(&mut device, refusal(code, reason_string)).await;
        }
    };
    let (control, controlled) = mpsc::unbounded_channel();
    let client_id = if accepted.properties.assigned_client_id.is_some() {
        // The server has chosen one, which no other connection has.
        accepted.properties.assigned_client_id.clone().unwrap_or_default()
    } else {
        Arc::clone(&connect.client_id)
    };
    let _registered = shared.sessions.register(&client_id, mapped_id, control);
    let _counted = shared.metrics.device();
    let spool_device = SpoolDevice::new(&connect.client_id, connect.username.as_deref());
    // A device without a client id of its own could not be told from others later.
    let spool = shared.spool.as_ref().filter(|_| !connect.client_id.is_empty());
    let backlog = match spool {
        Some(spool) => Some(spool.count(spool_device).await),
        None => None,
    };
    if let Some(bytes) = peer_maximum {
        device.set_peer_maximum(bytes.get());
    }
    let server_maximum = accepted.properties.maximum_packet_size;
    let greeting = session::accepted(accepted, version, &rules);
    if device.queue(Packet::ConnAck(Box::new(greeting))).is_err() {
        return;
    }
    shared.log.connection(EventType::Connect, &id, &Line::default());
    let session = Session::new(version, rules, known, backlog);
    let keep_alives = (keep_alive, connect.keep_alive);
    // Only a device whose messages can be stored is connected again by the bridge.
    let again = spool.map(|spool| exchange::Again { connect, spool: spool.clone(), device: spool_device });
    let mut exchange =
        Exchange::new(device, upstream, session, keep_alives, server_maximum, again, controlled, id, shared);
    for translation in translations {
        exchange.count(translation);
    }
    // Each stage is boxed, so that a connection takes the memory of the one that it is in.
    Box::pin(exchange.run()).await;
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

fn refusal(code: ConnectReasonCode, reason_string: Option<Arc<str>>) -> ConnAck {
    let mut answer = ConnAck::new(code);
    answer.properties.reason_string = reason_string;
    answer
}

/// Sends a refusal and closes. In 3.1.1 a code that it does not have closes only.
async fn answer(device: &mut DeviceWire, answer: ConnAck) {
    if device.queue(Packet::ConnAck(Box::new(answer))).is_ok() {
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
fn log_refusal(
    shared: &Shared,
    id: &ConnectionId,
    error: &ConnectError,
    version: Version,
) -> (ConnectReasonCode, Option<Arc<str>>) {
    use ConnectReasonCode as Reason;
    let details = error.to_string();
    let (reason, explanation, code, reason_string) = match error {
        ConnectError::Refused { code, reason_string, held_for } => {
            let why = if version == Version::V5 {
                "AWS's log has the reason (`latchkey fleet logs`)"
            } else {
                "AWS gives MQTT 3.1.1 no reason: a wrong password, a client id that the record does not allow, a disabled \
                 device, or an authorizer that does not exist; AWS's log has it (`latchkey fleet logs`)"
            };
            let seconds = held_for.as_secs();
            let explanation = format!("{why}; the same credentials are not tried again for {seconds} s");
            ("REFUSED", Some(explanation), *code, reason_string.clone())
        }
        ConnectError::Held(Held::Refused { code, reason_string, .. }) => {
            ("REFUSED_BEFORE", None, *code, reason_string.clone())
        }
        ConnectError::Held(Held::Storm) => ("STORM", None, Reason::ConnectionRateExceeded, None),
        ConnectError::Held(Held::Busy) => ("BUSY", None, Reason::ServerBusy, None),
        ConnectError::Held(Held::Outage) => ("OUTAGE", None, Reason::ServerUnavailable, None),
        ConnectError::Unreachable(_) => ("UNREACHABLE", None, Reason::ServerUnavailable, None),
        ConnectError::Protocol(_) => ("PROTOCOL", None, Reason::UnspecifiedError, None),
    };
    refuse(shared, id, reason, details, explanation);
    (code, reason_string)
}

fn refuse(
    shared: &Shared,
    id: &ConnectionId,
    reason: &'static str,
    details: String,
    explanation: Option<String>,
) {
    let line = Line { failed: true, reason, details: Some(details), explanation, ..Line::default() };
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
