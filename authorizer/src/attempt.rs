//! A connect attempt, as the log and the metrics report it.

use std::{error::Error, sync::Arc, time::Duration};

use device_auth::{
    claim::IdentifiedRequest, client_id::ClientId, device_name::DeviceName, event::Event, record::Record,
    scheme::Scheme,
};
use lambda_runtime::Context;

use crate::{name_digest::NameDigest, store::Source};

/// What is known about an attempt besides its decision.
pub struct Attempt<'a> {
    /// Lambda's id of the invocation.
    pub request_id: &'a str,
    /// The id of the X-Ray trace.
    pub xray_trace_id: Option<&'a str>,
    /// IoT Core's id of the connection.
    pub connection_id: Option<&'a str>,
    /// Makes the digest of a name, for the log of a refusal. `None` without a key.
    pub name_digest: Option<&'a NameDigest>,
    /// The names that the device claims. `None` if the event has none in a valid form.
    pub identity: Option<ClaimedIdentity>,
    /// The time of the look-up.
    pub store_time: Duration,
    /// The time of the whole attempt.
    pub total_time: Duration,
    /// The source of the store's answer. `None` if there was no look-up.
    pub source: Option<Source>,
    /// The record, if the device has one that can be used.
    pub record: Option<Arc<Record>>,
    /// What is wrong with the device's record, or with the grant that its token names.
    pub record_error: Option<Arc<dyn Error + Send + Sync>>,
    /// Whether this is the first event of the process.
    pub cold_start: bool,
}

/// The names that a device claims, each in a valid form. None of them may be true.
pub struct ClaimedIdentity {
    /// The device's name.
    pub device: DeviceName,
    /// The client id. An HTTPS publish has none.
    pub client_id: Option<ClientId>,
    /// The scheme of the evidence.
    pub scheme: Scheme,
}

impl<'a> Attempt<'a> {
    /// A new attempt. The connection id is used only if it has the form of a UUID, because an event can contain anything.
    #[must_use]
    pub fn new(context: &'a Context, event: Option<&'a Event>, cold_start: bool) -> Self {
        let id = event.and_then(|event| event.connection_metadata.as_ref()?.id.as_deref());
        Self {
            request_id: &context.request_id,
            xray_trace_id: context.xray_trace_id.as_deref(),
            connection_id: id
                .filter(|id| id.len() <= 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')),
            name_digest: None,
            identity: None,
            store_time: Duration::ZERO,
            total_time: Duration::ZERO,
            source: None,
            record: None,
            record_error: None,
            cold_start,
        }
    }

    /// Notes the names that the device claims.
    pub fn identify(&mut self, request: &IdentifiedRequest<'_>) {
        self.identity = Some(ClaimedIdentity {
            device: request.claim.device.clone(),
            client_id: request.client_id.clone(),
            scheme: request.claim.evidence.scheme(),
        });
    }
}

/// Whole microseconds, as logs and metrics count time.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
