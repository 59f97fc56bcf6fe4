//! The log: one `decision` line for each attempt, as JSON on standard output.
//!
//! Nothing that a device sent gets into it but a device name and a client id whose shape was checked.

use std::time::Duration;

use lambda_runtime::Context;
use tracing::{Level, Subscriber};
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::Registry};

use crate::{
    client_id::ClientId,
    decision::{Decision, Outcome},
    device_name::DeviceName,
    document::PolicyDocument,
    event::Event,
    handler::Fault,
    response::Response,
    scheme::Scheme,
    store::Source,
};

/// What ties a line to the attempt.
pub struct Attempt<'a> {
    request_id: &'a str,
    /// The trace that Lambda's tracing and the logs are joined by.
    xray_trace: Option<&'a str>,
    connection_id: Option<&'a str>,
}

/// How an attempt went through the function.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// How long it took in the store.
    pub store: Duration,
    /// How long it took altogether.
    pub total: Duration,
    /// Where the store's answer came from, if it was asked.
    pub source: Option<Source>,
    /// Whether it is the process's first.
    pub cold_start: bool,
}

/// Writes log lines to `writer`, standard output in the function itself.
///
/// `level` holds for this crate's own lines; libraries stay at `WARN`, because `lambda_runtime` at `TRACE`
/// writes the whole event, password included.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let levels = Targets::new().with_default(Level::WARN).with_target("authorizer", level);
    Registry::default().with(lines.with_writer(writer)).with(levels)
}

/// Writes the line of a decided attempt.
pub fn decision(attempt: &Attempt<'_>, decision: &Decision, run: Run) {
    let (allowed, reason) = match &decision.outcome {
        Outcome::Allow(allowed) => (Some(allowed), None),
        Outcome::Deny(reason) => (None, Some(reason.as_str())),
    };
    let documents = allowed.map(|allowed| match &allowed.response {
        Response::Allow(grant) => grant.policy_documents(),
        Response::Deny(_) => &[],
    });
    // A password that was typed where the user name goes looks like a name that nobody knows.
    let known = decision.device.as_ref().filter(|_| reason != Some("unknown_device"));
    // Made for every refusal: the answer waits for the line, and must not come later for a name that nobody knows.
    let digest = decision.device.as_ref().filter(|_| reason.is_some()).map(short_digest);
    tracing::info!(
        target: "authorizer::decision",
        event = "decision",
        outcome = if allowed.is_some() { "allow" } else { "deny" },
        reason,
        device = known.map(DeviceName::as_str),
        device_digest = digest.filter(|_| known.is_none()),
        client_id = decision.client_id.as_ref().map(ClientId::as_str),
        scheme = decision.scheme.map(Scheme::as_str),
        grant = allowed.map(|allowed| allowed.grant.as_str()),
        verifier = allowed.and_then(|allowed| allowed.verifier),
        documents = documents.map(<[_]>::len),
        document_characters = documents.map(|all| all.iter().map(PolicyDocument::characters).sum::<usize>()),
        cache = run.source.map(Source::as_str),
        cold_start = run.cold_start,
        store_us = micros(run.store),
        total_us = micros(run.total),
        connection_id = attempt.connection_id,
        request_id = attempt.request_id,
        xray_trace_id = attempt.xray_trace,
    );
}

/// Writes the line of an attempt that could not be decided.
pub fn fault(attempt: &Attempt<'_>, fault: &Fault, run: Run) {
    tracing::error!(
        target: "authorizer::decision",
        event = "decision",
        outcome = "fault",
        error_type = fault.error_type(),
        error = %fault,
        cache = run.source.map(Source::as_str),
        cold_start = run.cold_start,
        store_us = micros(run.store),
        total_us = micros(run.total),
        connection_id = attempt.connection_id,
        request_id = attempt.request_id,
        xray_trace_id = attempt.xray_trace,
    );
}

impl<'a> Attempt<'a> {
    /// Takes the connection id only if it looks like one: the field is IoT Core's, but an event can hold anything.
    #[must_use]
    pub fn new(context: &'a Context, event: Option<&'a Event>) -> Self {
        let id = event.and_then(|event| event.connection_metadata.as_ref()?.id.as_deref());
        let plain = |id: &&str| id.len() <= 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let Context { request_id, xray_trace_id, .. } = context;
        Self { request_id, xray_trace: xray_trace_id.as_deref(), connection_id: id.filter(plain) }
    }
}

/// Enough of the principal to recognise a name that comes again.
fn short_digest(name: &DeviceName) -> String {
    let mut digest = name.principal_id();
    digest.truncate(16);
    digest
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
