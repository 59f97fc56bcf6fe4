//! The lines of one connection in the log.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use mqtt::{Connect, SubAckCode, TopicFilter, TopicName, Version};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    broker::store::StoreError,
    custom_auth::{AuthnError, unnamed::Unnamed},
    direct_message::DirectFault,
    door::{
        ConnectionInfo, Identification,
        handshake_error::FailedHandshake,
        route::{Authentication, Protocol},
    },
    event_log::{
        AuthnAttempt, ConnectRequest, Door, EventLog, EventType, LogEntry, Ping, Status, Subscription,
        authn_reason::AuthnReason, levels::LogLevel,
    },
    quotas::{LimitError, Quotas},
    session::{
        self,
        disconnect_reason::DisconnectReason,
        enforcement::{DENIED, LOGGED_FAILURES, Rejection},
    },
    settings::Settings,
    shared::Shared,
};

/// What AWS's log says of a request that the policies deny (measured at CONNECT).
const AUTHORIZATION_FAILURE: &str = "Authorization Failure";
/// Lines about successful requests of one MQTT connection, besides its CONNECT and its end.
const LOGGED_SUCCESSES: u32 = 100;

/// The addresses of a connection.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) peer: SocketAddr,
    /// The gateway's own end. The system may not know it any more.
    pub(super) local: Option<SocketAddr>,
}

/// Writes the lines of one connection, with everything that each of them repeats.
pub(super) struct ConnectionLog {
    log: EventLog,
    settings: Arc<Settings>,
    account_id: Arc<str>,
    protocol: &'static str,
    connection_id: String,
    began: Instant,
    source_ip: String,
    source_port: u16,
    local: Option<SocketAddr>,
    server_name: Option<String>,
    authentication: Option<Authentication>,
    /// Until the client is connected.
    door: Option<Box<Door>>,
    client_id: Option<Arc<str>>,
    principal_id: Option<Arc<str>>,
    connect: Option<Box<ConnectRequest>>,
    version: Version,
    /// Shared by all requests of a connection.
    failures: Arc<AtomicU32>,
    /// Whether a line says that no service acts on a message.
    said_unserved: bool,
    /// When the last PINGREQ came, if it gets a line.
    pinged_at: Option<OffsetDateTime>,
    successes: AtomicU32,
}

/// What the log says of a client that is connected.
pub(super) struct Connected<'a> {
    /// What is suspicious about it, above all in its policies.
    pub(super) explanation: Option<String>,
    /// The authorizer that let it in.
    pub(super) authorizer: Option<&'a str>,
    /// What its policies allow, by action.
    pub(super) allows: BTreeMap<String, String>,
}

/// What the log says of a message for a service of AWS that the gateway does not play.
const UNSERVED: &str =
    "accepted, and nothing acts on it here: the gateway plays no rules, jobs and other services";

/// The part of a line that differs from one line to the next.
#[derive(Default)]
struct Line<'a> {
    failed: bool,
    topic_name: Option<&'a str>,
    subscriptions: &'a [Subscription<'a>],
    retain: bool,
    ping: Option<Ping>,
    reason: Option<&'static str>,
    /// AWS's words for the reason, where they are known.
    message: Option<&'static str>,
    /// The gateway's own words.
    explanation: Option<String>,
    disconnect_reason: Option<&'static str>,
    authorizer: Option<&'a str>,
    allows: BTreeMap<String, String>,
    awaits_decision: bool,
}

impl ConnectionLog {
    /// The log of the connection with this id.
    pub(super) fn new(shared: &Shared, connection_id: String, addresses: Addresses) -> Self {
        let Addresses { peer, local } = addresses;
        Self {
            log: shared.log.clone(),
            settings: Arc::clone(&shared.settings),
            account_id: Arc::clone(&shared.account_id),
            protocol: "MQTT",
            connection_id,
            began: Instant::now(),
            source_ip: peer.ip().to_canonical().to_string(),
            source_port: peer.port(),
            local,
            server_name: None,
            authentication: None,
            door: None,
            client_id: None,
            principal_id: None,
            connect: None,
            version: Version::V311,
            failures: Arc::default(),
            said_unserved: false,
            pinged_at: None,
            successes: AtomicU32::new(0),
        }
    }

    /// The log of an HTTP request with this id.
    pub(super) fn of_request(
        shared: &Shared,
        request_id: String,
        addresses: Addresses,
        info: &ConnectionInfo,
        failures: &Arc<AtomicU32>,
    ) -> Self {
        let failures = Arc::clone(failures);
        let mut log = Self { protocol: "HTTP", failures, ..Self::new(shared, request_id, addresses) };
        log.set_door(info);
        log
    }

    /// The connection's id.
    pub(super) fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// The principal, once it is known.
    pub(super) fn principal_id(&self) -> &str {
        self.principal_id.as_deref().unwrap_or_default()
    }

    /// The client's address.
    pub(super) fn source_ip(&self) -> &str {
        &self.source_ip
    }

    /// From now on, lines have the server name that the client sent, and how it authenticates.
    pub(super) fn set_door(&mut self, info: &ConnectionInfo) {
        self.server_name.clone_from(&info.server_name);
        let authentication = info.identification.authentication();
        self.authentication = Some(authentication);
        self.door = Some(Box::new(Door {
            port: info.port.number(),
            tls: info.tls,
            alpn: info.alpn.clone(),
            protocol: match info.protocol {
                Protocol::Mqtt => "MQTT",
                Protocol::Http(_) => "HTTP",
            },
            authentication: authentication.as_str(),
            domain: info.domain.name.clone(),
        }));
    }

    /// From now on, each line has the client id, and those about the CONNECT have what it asks for.
    pub(super) fn set_client(
        &mut self,
        client_id: &Arc<str>,
        connect: &Connect,
        info: &ConnectionInfo,
        quotas: &Quotas,
    ) {
        self.client_id = Some(Arc::clone(client_id));
        let thing_name = match &info.identification {
            Identification::X509(certificate) => certificate.things.get(&**client_id).cloned(),
            Identification::Custom | Identification::CustomX509(_) => None,
        };
        self.connect = Some(Box::new(ConnectRequest {
            thing_name,
            keep_alive_duration: connect.keep_alive,
            session_expiry: session::expiry(connect, quotas).as_secs(),
            clean_session: connect.clean_start,
        }));
        self.version = connect.version;
    }

    /// From now on, each line has the principal.
    pub(super) fn set_principal(&mut self, principal_id: &Arc<str>) {
        self.principal_id = Some(Arc::clone(principal_id));
    }

    /// The client is connected.
    pub(super) fn connected(&mut self, connected: Connected<'_>) {
        let Connected { explanation, authorizer, allows } = connected;
        self.write(EventType::Connect, Line { explanation, authorizer, allows, ..Line::default() });
        // A connection that lasts needs no memory for it.
        self.door = None;
    }

    /// The client asks for a keep-alive that is not within the quotas.
    pub(super) fn unsupported_keep_alive(&self, quotas: &Quotas) {
        let (min, max) = (quotas.min_keep_alive_seconds, quotas.max_keep_alive_seconds);
        let explanation =
            format!("a keep-alive of {min} to {max} seconds is supported; the nearest one is used");
        let line = Line { failed: true, explanation: Some(explanation), ..Line::default() };
        self.write(EventType::UnsupportedKeepAlive, line);
    }

    /// An HTTPS request has published a message. No service may act on it here, and the client may have named no authorizer.
    pub(super) fn published(&self, topic: &str, retain: bool, is_unserved: bool, unnamed: Option<&Unnamed>) {
        let explanation = [is_unserved.then(|| UNSERVED.to_owned()), unnamed.map(Unnamed::to_string)];
        let explanation = explanation.into_iter().flatten().collect::<Vec<_>>().join("; ");
        let explanation = Some(explanation).filter(|text| !text.is_empty());
        let line = Line { topic_name: Some(topic), retain, explanation, ..Line::default() };
        self.write(EventType::PublishIn, line);
    }

    /// A direct message was sent.
    pub(super) fn direct_message_sent(&self, topic: &str) {
        self.write(EventType::SendDirectMessage, Line { topic_name: Some(topic), ..Line::default() });
    }

    /// A direct message was not sent, or is not known to have arrived.
    pub(super) fn direct_message_failed(&self, fault: &DirectFault) {
        self.failed(EventType::SendDirectMessage, fault.reason(), fault.to_string());
    }

    /// Whether each message from the client, or each to it, has a line.
    pub(super) fn has_messages(&self, event_type: EventType) -> bool {
        self.settings.logging.has_messages(event_type)
    }

    /// A message came from the client, or went to it.
    pub(super) fn message(&self, event_type: EventType, topic: &TopicName, retain: bool) {
        if self.has_messages(event_type) {
            self.write(event_type, Line { topic_name: Some(topic.as_str()), retain, ..Line::default() });
        }
    }

    /// The client has sent a PINGREQ.
    pub(super) fn ping_requested(&mut self) {
        let has_line = self.settings.logging.admits(EventType::Ping, LogLevel::Error);
        self.pinged_at = has_line.then(OffsetDateTime::now_utc);
    }

    /// A PINGRESP was sent, or could not be.
    pub(super) fn ping_answered(&mut self, is_sent: bool) {
        let Some(requested_at) = self.pinged_at.take() else { return };
        let ping = Some(Ping::new(requested_at, is_sent.then(OffsetDateTime::now_utc)));
        let failure = (!is_sent).then_some(("CONNECTION_ALREADY_CLOSED", "Connection has already closed"));
        let (reason, message) = (failure.map(|(reason, _)| reason), failure.map(|(_, message)| message));
        self.write(EventType::Ping, Line { failed: !is_sent, ping, reason, message, ..Line::default() });
    }

    /// The client has subscribed, to some of these filters at least.
    pub(super) fn subscribed(&self, subscriptions: &[(TopicFilter, SubAckCode)]) {
        let subscriptions = subscriptions
            .iter()
            .map(|(filter, code)| Subscription { topic_name: filter.as_str(), reason_code: (*code).into() })
            .collect::<Vec<_>>();
        let topic_names = subscriptions.iter().map(|of| of.topic_name).collect::<Vec<_>>().join(",");
        let subscriptions = if self.version == Version::V5 { &*subscriptions } else { &[] };
        let line = Line { topic_name: Some(&topic_names), subscriptions, ..Line::default() };
        self.write(EventType::Subscribe, line);
    }

    /// The client has unsubscribed.
    pub(super) fn unsubscribed(&self) {
        self.write(EventType::Unsubscribe, Line::default());
    }

    /// A message was accepted, and no service acts on it here. The first one of a connection has a line.
    pub(super) fn unserved(&mut self, topic: &str) {
        if !std::mem::replace(&mut self.said_unserved, true) {
            self.published(topic, false, true, None);
        }
    }

    /// An HTTPS request to publish is wrong, so the authorizer was not asked.
    pub(super) fn publish_refused(&self, explanation: String) {
        self.failed(EventType::PublishIn, "CLIENT_ERROR", explanation);
    }

    /// An HTTPS request exceeds a rate. The topic is known once the request is read.
    pub(super) fn publish_throttled(&self, topic: Option<&str>, error: &LimitError) {
        let (reason, explanation) = (Some("THROTTLED"), Some(error.to_string()));
        let line = Line { failed: true, topic_name: topic, reason, explanation, ..Line::default() };
        self.write(EventType::PublishIn, line);
    }

    /// The sessions' file can't be written.
    pub(super) fn not_written(&self, event_type: EventType, error: &StoreError) {
        self.failed(event_type, "SERVER_ERROR", error.to_string());
    }

    /// The TLS handshake did not succeed.
    pub(super) fn handshake_failed(&mut self, failed: &FailedHandshake) {
        let FailedHandshake { error, server_name, authentication } = failed;
        self.server_name.clone_from(server_name);
        self.authentication = *authentication;
        match error.authn_reason() {
            Some(reason) => self.authn_error(reason, error.to_string(), false),
            None => self.failed(EventType::Connect, error.reason(), error.to_string()),
        }
    }

    /// The connection ended before the authorizer was asked, or for a reason that its answer can't change.
    pub(super) fn connect_refused(&self, reason: &'static str, explanation: String) {
        self.failed(EventType::Connect, reason, explanation);
    }

    /// What the client sees of its refusal.
    pub(super) fn seen(&self, text: impl FnOnce() -> String) {
        self.log.seen(&self.connection_id, text);
    }

    /// The client is not authenticated, or no longer.
    pub(super) fn not_authenticated(&self, error: &AuthnError) {
        self.authn_error(error.reason(), error.to_string(), error.may_have_decision_line());
    }

    /// A request of the client's was not carried out.
    pub(super) fn rejected(&self, rejection: &Rejection) {
        let topic_name = Some(&*rejection.resource).filter(|name| !name.is_empty());
        let line = Line {
            failed: true,
            topic_name,
            reason: Some(rejection.reason),
            message: (rejection.reason == DENIED).then_some(AUTHORIZATION_FAILURE),
            explanation: Some(rejection.details.clone()),
            ..Line::default()
        };
        self.write(rejection.event_type, line);
    }

    /// The connection has ended.
    pub(super) fn disconnected(&self, reason: DisconnectReason) {
        let line = Line {
            failed: !matches!(reason, DisconnectReason::Client { .. }),
            reason: Some(reason.log_reason()),
            message: reason.message(),
            explanation: reason.explanation(),
            disconnect_reason: Some(reason.aws_name()),
            ..Line::default()
        };
        self.write(EventType::Disconnect, line);
    }

    /// AWS logs an authentication that failed only if the client sent a server name (SNI) that it knows. Without one the line
    /// is about the CONNECT, so that a client that connects to an address has one too.
    fn authn_error(&self, reason: AuthnReason, explanation: String, awaits_decision: bool) {
        let event_type = if self.server_name.is_some() { EventType::AuthNError } else { EventType::Connect };
        let line = Line {
            failed: true,
            reason: Some(reason.as_str()),
            message: reason.message(),
            explanation: Some(explanation),
            awaits_decision,
            ..Line::default()
        };
        self.write(event_type, line);
    }

    fn failed(&self, event_type: EventType, reason: &'static str, explanation: String) {
        let (reason, explanation) = (Some(reason), Some(explanation));
        self.write(event_type, Line { failed: true, reason, explanation, ..Line::default() });
    }

    /// Whether a line is written. `Some(true)` says that it is the last one of its kind.
    fn admit(&self, event_type: EventType, failed: bool) -> Option<bool> {
        let (counter, limit) = match event_type {
            // The end of a connection gets its line, however many came before.
            EventType::Disconnect => return Some(false),
            _ if failed => (&*self.failures, LOGGED_FAILURES),
            EventType::Subscribe | EventType::Unsubscribe => (&self.successes, LOGGED_SUCCESSES),
            _ => return Some(false),
        };
        let count = counter.fetch_add(1, Ordering::Relaxed) + 1;
        (count <= limit).then_some(count == limit)
    }

    fn write(&self, event_type: EventType, mut line: Line<'_>) {
        let status = if line.failed { Status::Failure } else { Status::Success };
        if !self.settings.logging.admits(event_type, event_type.level(status)) {
            return;
        }
        let Some(is_last) = self.admit(event_type, line.failed) else { return };
        if is_last {
            let kind = if line.failed { "failures" } else { "subscriptions" };
            let explanation = line.explanation.get_or_insert_default();
            let separator = if explanation.is_empty() { "" } else { "; " };
            explanation.extend([separator, "further ", kind, " of this connection get no line"]);
        }
        // AWS's own lines have the id of one request each.
        let own_id = (self.protocol == "MQTT").then(|| Uuid::new_v4().to_string());
        let (details, explanation) = match line.message {
            Some(message) => (Some(message.to_owned()), line.explanation),
            None => (line.explanation, None),
        };
        let attempt = self.authentication.filter(|_| event_type == EventType::AuthNError);
        let attempt = attempt.map(|authentication| AuthnAttempt {
            authentication_type: authentication.as_str(),
            target_ip: self.local.map(|local| local.ip().to_canonical().to_string()),
            target_port: self.local.map(|local| local.port()),
        });
        self.log.write(&LogEntry {
            trace_id: own_id.as_deref().unwrap_or(&self.connection_id),
            account_id: &self.account_id,
            status,
            event_type,
            protocol: self.protocol,
            topic_name: line.topic_name,
            subscriptions: line.subscriptions,
            ping: line.ping,
            attempt: attempt.as_ref(),
            client_id: self.client_id.as_deref(),
            principal_id: self.principal_id.as_deref(),
            source_ip: &self.source_ip,
            source_port: self.source_port,
            retain: line.retain.then_some("True"),
            server_name_indication: self.server_name.as_deref(),
            connect: self.connect.as_deref().filter(|_| event_type == EventType::Connect),
            reason: line.reason,
            details,
            disconnect_reason: line.disconnect_reason,
            connection_id: &self.connection_id,
            explanation,
            door: self.door.as_deref().filter(|_| {
                let is_connect = matches!(event_type, EventType::Connect | EventType::AuthNError);
                is_connect || self.protocol == "HTTP"
            }),
            authorizer: line.authorizer,
            allows: &line.allows,
            awaits_decision: line.awaits_decision,
            took: Some(self.began.elapsed()),
        });
    }
}
