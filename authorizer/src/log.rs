//! The log: one `decision` line for each attempt, as JSON on standard output.
//!
//! The only texts of a device in it are its name and its client id, after the check of their form.

use std::borrow::Cow;

use device_auth::{
    client_id::ClientId,
    decision::{Allowed, Stop},
    deny_reason::DenyReason,
    device_name::DeviceName,
    policy::PolicyDocument,
    scheme::Scheme,
};
use tracing::{Level, Subscriber};
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::Registry};

use crate::{
    attempt::{Attempt, micros},
    fault::FunctionFault,
    store::Source,
};

/// Writes log lines to `writer`. The function uses standard output.
///
/// `level` applies to this crate's own lines. Libraries stay at `WARN`, because `lambda_runtime` at `TRACE` writes the whole
/// event with the password.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let levels = Targets::new().with_default(Level::WARN).with_target("authorizer", level);
    Registry::default().with(lines.with_writer(writer)).with(levels)
}

/// Writes the line of an attempt.
pub fn attempt(attempt: &Attempt<'_>, decided: &Result<Allowed, Stop<FunctionFault>>) {
    match decided {
        Ok(allowed) => decision(attempt, Ok(allowed)),
        Err(Stop::Deny(reason)) => decision(attempt, Err(*reason)),
        Err(Stop::Fault(error)) => fault(attempt, error),
    }
}

fn decision(attempt: &Attempt<'_>, decided: Result<&Allowed, DenyReason>) {
    let (allowed, reason) = (decided.ok(), decided.err());
    let identity = attempt.identity.as_ref();
    let device = identity.map(|identity| &identity.device);
    // An unknown name may be a password that was typed in the wrong field.
    let known = device.filter(|_| reason != Some(DenyReason::UnknownDevice));
    // Computed for every refusal, so that the time of the answer does not show an unknown name.
    let digest = attempt.name_digest.zip(device).filter(|_| reason.is_some());
    let digest = digest.map(|(digest, name)| digest.of(name));
    let documents = allowed.map(|allowed| allowed.documents.as_slice());
    tracing::info!(
        target: "authorizer::decision",
        event = "decision",
        outcome = if allowed.is_some() { "allow" } else { "deny" },
        reason = reason.map(DenyReason::as_str),
        explanation = reason.map(|reason| explanation(reason, attempt)).as_deref(),
        error = attempt.record_error.as_ref().map(tracing::field::display),
        device = known.map(DeviceName::as_str),
        device_digest = digest.filter(|_| known.is_none()),
        client_id = identity.and_then(|identity| identity.client_id.as_ref()).map(ClientId::as_str),
        scheme = identity.map(|identity| identity.scheme).map(Scheme::as_str),
        grant = allowed.map(|allowed| allowed.grant.as_str()),
        verifier = allowed.and_then(|allowed| allowed.verifier),
        documents = documents.map(<[_]>::len),
        document_characters = documents.map(|all| all.iter().map(PolicyDocument::characters).sum::<usize>()),
        cache = attempt.source.map(Source::as_str),
        cold_start = attempt.cold_start,
        store_us = micros(attempt.store_time),
        total_us = micros(attempt.total_time),
        connection_id = attempt.connection_id,
        request_id = attempt.request_id,
        xray_trace_id = attempt.xray_trace_id,
    );
}

/// The cause and the cure of a refusal. A device whose client id is not allowed has proved its name, so its record may be
/// quoted.
fn explanation(reason: DenyReason, attempt: &Attempt<'_>) -> Cow<'static, str> {
    match &attempt.record {
        Some(record) if reason == DenyReason::ClientIdNotAllowed => {
            format!("{}; the record allows {}", reason.explanation(), record.allowed_ids()).into()
        }
        _ => reason.explanation().into(),
    }
}

fn fault(attempt: &Attempt<'_>, fault: &FunctionFault) {
    tracing::error!(
        target: "authorizer::decision",
        event = "decision",
        outcome = "fault",
        error_type = fault.error_type(),
        error = %fault,
        cache = attempt.source.map(Source::as_str),
        cold_start = attempt.cold_start,
        store_us = micros(attempt.store_time),
        total_us = micros(attempt.total_time),
        connection_id = attempt.connection_id,
        request_id = attempt.request_id,
        xray_trace_id = attempt.xray_trace_id,
    );
}
