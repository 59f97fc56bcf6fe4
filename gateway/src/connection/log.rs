//! One connection's lines in the log.

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
    door::{self, ConnectionInfo},
    event_log::{Event, EventLog},
    session::{Record, ending::Ending},
    shared::Shared,
};

/// Knows what every line of a connection says about it.
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
    denials: Arc<AtomicU32>,
}

/// Denials of one connection that get a line each. A client can be denied as fast as it can send.
const LOGGED_DENIALS: u32 = 100;

/// What one line says beyond that.
#[derive(Default)]
struct Line<'a> {
    failed: bool,
    topic_name: Option<&'a str>,
    reason: Option<&'static str>,
    disconnect_reason: Option<&'static str>,
    details: Option<String>,
}

impl ConnectionLog {
    /// The lines of the connection with this id.
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
            denials: Arc::default(),
        }
    }

    /// The lines of an HTTP request with this id.
    pub(super) fn of_request(
        shared: &Shared,
        request_id: String,
        peer: SocketAddr,
        info: &ConnectionInfo,
        denials: &Arc<AtomicU32>,
    ) -> Self {
        let denials = Arc::clone(denials);
        let mut log = Self { protocol: "HTTP", denials, ..Self::new(shared, request_id, peer) };
        log.name_domain(info);
        log
    }

    /// From now on the lines say by which server name the client came.
    pub(super) fn name_domain(&mut self, info: &ConnectionInfo) {
        self.server_name.clone_from(&info.server_name);
    }

    /// The connection's id.
    pub(super) fn connection_id(&self) -> &str {
        &self.connection_id
    }

    /// The principal, once the lines name it.
    pub(super) fn principal_id(&self) -> &str {
        self.principal_id.as_deref().unwrap_or_default()
    }

    /// Where the client is.
    pub(super) fn source_ip(&self) -> &str {
        &self.source_ip
    }

    /// From now on the lines name the client; what could draw on a terminal is escaped.
    pub(super) fn name_client(&mut self, client_id: &Arc<str>) {
        let plain = client_id.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        self.client_id =
            Some(if plain { Arc::clone(client_id) } else { client_id.escape_default().to_string().into() });
    }

    /// The client may connect; from now on the lines name its principal. `findings` is what is suspicious in its policies.
    pub(super) fn connected(&mut self, principal_id: &Arc<str>, findings: Option<String>) {
        self.name_principal(principal_id);
        self.write("Connect", Line { details: findings, ..Line::default() });
    }

    /// From now on the lines name the principal.
    pub(super) fn name_principal(&mut self, principal_id: &Arc<str>) {
        self.principal_id = Some(Arc::clone(principal_id));
    }

    /// A request has published a message.
    pub(super) fn published(&self, topic: &str) {
        self.write("Publish-In", Line { topic_name: Some(topic), ..Line::default() });
    }

    /// A request to publish has a fault, and nobody was asked about it.
    pub(super) fn publish_refused(&self, details: String) {
        self.failed("Publish-In", "CLIENT_ERROR", details);
    }

    /// What was to be kept can't be written.
    pub(super) fn not_written(&self, event_type: &'static str, error: &StoreError) {
        self.failed(event_type, "SERVER_ERROR", error.to_string());
    }

    /// The connection did not come in.
    pub(super) fn kept_out(&self, refusal: &door::handshake_error::HandshakeError) {
        self.failed(refusal.event_type(), refusal.reason(), refusal.to_string());
    }

    /// The connection ended before anybody was asked about it.
    pub(super) fn refused(&self, reason: &'static str, details: String) {
        self.failed("Connect", reason, details);
    }

    /// The authorizer did not let the client in, or not any longer.
    pub(super) fn not_authenticated(&self, refusal: &AuthnError) {
        self.failed("Connection.AuthNError", refusal.reason(), refusal.to_string());
    }

    /// The policies decided about a request.
    pub(super) fn decided(&self, record: &Record) {
        let event_type = match record.action {
            Action::Connect => "Connect",
            Action::Publish | Action::RetainPublish => "Publish-In",
            Action::Subscribe => "Subscribe",
            Action::Receive => "Publish-Out",
        };
        let line = Line {
            failed: record.reason.is_some(),
            topic_name: (record.action != Action::Connect).then_some(&record.resource),
            reason: record.reason,
            details: Some(format!("{} {}", record.action, record.details)),
            ..Line::default()
        };
        self.write(event_type, line);
    }

    /// The connection is over.
    pub(super) fn disconnected(&self, ending: Ending) {
        let failed = !matches!(ending, Ending::Client { .. });
        let (reason, details) = (Some(ending.reason()), ending.details());
        let line = Line { failed, reason, details, ..Line::default() };
        self.write("Disconnect", Line { disconnect_reason: reason, ..line });
    }

    fn failed(&self, event_type: &'static str, reason: &'static str, details: String) {
        let (reason, details) = (Some(reason), Some(details));
        self.write(event_type, Line { failed: true, reason, details, ..Line::default() });
    }

    fn write(&self, event_type: &'static str, mut line: Line<'_>) {
        // The end of a connection comes once, whatever came before.
        if line.failed && event_type != "Disconnect" {
            let failures = self.denials.fetch_add(1, Ordering::Relaxed) + 1;
            if failures > LOGGED_DENIALS {
                return;
            }
            if failures == LOGGED_DENIALS {
                let details = line.details.get_or_insert_default();
                details.push_str("; further denials of this connection get no line");
            }
        }
        self.log.event(&Event {
            event_type,
            trace_id: &self.connection_id,
            account_id: &self.account_id,
            protocol: self.protocol,
            status: if line.failed { "Failure" } else { "Success" },
            connection_id: &self.connection_id,
            client_id: self.client_id.as_deref(),
            principal_id: self.principal_id.as_deref(),
            topic_name: line.topic_name,
            source_ip: &self.source_ip,
            source_port: self.source_port,
            domain_name: self.server_name.as_deref(),
            disconnect_reason: line.disconnect_reason,
            reason: line.reason,
            details: line.details,
        });
    }
}
