//! The lines of one connection in the log.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use iot_policy::Action;

use crate::{
    broker::store::StoreError,
    custom_auth::AuthnError,
    door::{ConnectionInfo, handshake_error::HandshakeError},
    event_log::{EventLog, EventType, LogEntry, Status},
    session::{
        disconnect_reason::DisconnectReason,
        enforcement::{LOGGED_FAILURES, Rejection},
    },
    shared::Shared,
};

/// Writes the lines of one connection, with everything that each of them repeats.
pub(super) struct ConnectionLog {
    log: EventLog,
    account_id: Arc<str>,
    protocol: &'static str,
    connection_id: String,
    source_ip: String,
    source_port: u16,
    server_name: Option<String>,
    client_id: Option<Arc<str>>,
    principal_id: Option<Arc<str>>,
    /// Shared by all requests of a connection.
    failures: Arc<AtomicU32>,
    /// Whether a line says that no service acts on a message.
    said_unserved: bool,
}

/// What the log says of a message for a service of AWS that the gateway does not play.
const UNSERVED: &str =
    "accepted, and nothing acts on it here: the gateway plays no rules, shadows, jobs and other services";

/// The part of a line that differs from one line to the next.
struct Line<'a> {
    status: Status,
    topic_name: Option<&'a str>,
    reason: Option<&'static str>,
    details: Option<String>,
}

impl ConnectionLog {
    /// The log of the connection with this id.
    pub(super) fn new(shared: &Shared, connection_id: String, peer: SocketAddr) -> Self {
        Self {
            log: shared.log.clone(),
            account_id: Arc::clone(&shared.account_id),
            protocol: "MQTT",
            connection_id,
            source_ip: peer.ip().to_canonical().to_string(),
            source_port: peer.port(),
            server_name: None,
            client_id: None,
            principal_id: None,
            failures: Arc::default(),
            said_unserved: false,
        }
    }

    /// The log of an HTTP request with this id.
    pub(super) fn of_request(
        shared: &Shared,
        request_id: String,
        peer: SocketAddr,
        info: &ConnectionInfo,
        failures: &Arc<AtomicU32>,
    ) -> Self {
        let failures = Arc::clone(failures);
        let mut log = Self { protocol: "HTTP", failures, ..Self::new(shared, request_id, peer) };
        log.set_server_name(info);
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

    /// From now on, each line has the server name that the client sent.
    pub(super) fn set_server_name(&mut self, info: &ConnectionInfo) {
        self.server_name.clone_from(&info.server_name);
    }

    /// From now on, each line has the client id. Characters that could draw on a terminal are escaped.
    pub(super) fn set_client_id(&mut self, client_id: &Arc<str>) {
        let plain = client_id.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        self.client_id =
            Some(if plain { Arc::clone(client_id) } else { client_id.escape_default().to_string().into() });
    }

    /// From now on, each line has the principal.
    pub(super) fn set_principal(&mut self, principal_id: &Arc<str>) {
        self.principal_id = Some(Arc::clone(principal_id));
    }

    /// The client is connected. `findings` are suspicious parts of its policies.
    pub(super) fn connected(&mut self, principal_id: &Arc<str>, findings: Option<String>) {
        self.set_principal(principal_id);
        self.write(
            EventType::Connect,
            Line { status: Status::Success, topic_name: None, reason: None, details: findings },
        );
    }

    /// An HTTPS request has published a message. No service may act on it here.
    pub(super) fn published(&self, topic: &str, is_unserved: bool) {
        let details = is_unserved.then(|| UNSERVED.to_owned());
        let line = Line { status: Status::Success, topic_name: Some(topic), reason: None, details };
        self.write(EventType::PublishIn, line);
    }

    /// A message was accepted, and no service acts on it here. The first one of a connection has a line.
    pub(super) fn unserved(&mut self, topic: &str) {
        if !std::mem::replace(&mut self.said_unserved, true) {
            self.published(topic, true);
        }
    }

    /// An HTTPS request to publish is wrong, so the authorizer was not asked.
    pub(super) fn publish_refused(&self, details: String) {
        self.failed(EventType::PublishIn, "CLIENT_ERROR", details);
    }

    /// The sessions' file can't be written.
    pub(super) fn not_written(&self, event_type: EventType, error: &StoreError) {
        self.failed(event_type, "SERVER_ERROR", error.to_string());
    }

    /// The TLS handshake did not succeed.
    pub(super) fn handshake_failed(&self, error: &HandshakeError) {
        self.failed(error.event_type(), error.reason(), error.to_string());
    }

    /// The connection ended before the authorizer was asked, or for a reason that its answer can't change.
    pub(super) fn connect_refused(&self, reason: &'static str, details: String) {
        self.failed(EventType::Connect, reason, details);
    }

    /// The client is not authenticated, or no longer.
    pub(super) fn not_authenticated(&self, error: &AuthnError) {
        self.failed(EventType::AuthNError, error.reason(), error.to_string());
    }

    /// A request of the client's was not carried out.
    pub(super) fn rejected(&self, rejection: &Rejection) {
        let event_type = match rejection.action {
            Action::Connect => EventType::Connect,
            Action::Publish | Action::RetainPublish | Action::SendDirectMessage => EventType::PublishIn,
            Action::Subscribe => EventType::Subscribe,
            Action::Receive => EventType::PublishOut,
        };
        let line = Line {
            status: Status::Failure,
            topic_name: (rejection.action != Action::Connect).then_some(&rejection.resource),
            reason: Some(rejection.reason),
            details: Some(format!("{} {}", rejection.action, rejection.details)),
        };
        self.write(event_type, line);
    }

    /// The connection has ended.
    pub(super) fn disconnected(&self, reason: DisconnectReason) {
        let by_client = matches!(reason, DisconnectReason::Client { .. });
        let line = Line {
            status: if by_client { Status::Success } else { Status::Failure },
            topic_name: None,
            reason: Some(reason.aws_name()),
            details: reason.details(),
        };
        self.write(EventType::Disconnect, line);
    }

    fn failed(&self, event_type: EventType, reason: &'static str, details: String) {
        let (reason, details) = (Some(reason), Some(details));
        self.write(event_type, Line { status: Status::Failure, topic_name: None, reason, details });
    }

    fn write(&self, event_type: EventType, mut line: Line<'_>) {
        // The end of a connection gets its line, however many failures came before.
        if line.status == Status::Failure && event_type != EventType::Disconnect {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures > LOGGED_FAILURES {
                return;
            }
            if failures == LOGGED_FAILURES {
                let details = line.details.get_or_insert_default();
                details.push_str("; further denials of this connection get no line");
            }
        }
        self.log.write(&LogEntry {
            event_type,
            trace_id: &self.connection_id,
            account_id: &self.account_id,
            protocol: self.protocol,
            status: line.status,
            connection_id: &self.connection_id,
            client_id: self.client_id.as_deref(),
            principal_id: self.principal_id.as_deref(),
            topic_name: line.topic_name,
            source_ip: &self.source_ip,
            source_port: self.source_port,
            domain_name: self.server_name.as_deref(),
            disconnect_reason: line.reason.filter(|_| event_type == EventType::Disconnect),
            reason: line.reason,
            details: line.details,
        });
    }
}
