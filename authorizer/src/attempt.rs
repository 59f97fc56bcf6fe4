//! One attempt as the log and the metrics see it.

use std::time::Duration;

use device_auth::{claim::IdentifiedRequest, client_id::ClientId, device_name::DeviceName, scheme::Scheme};
use lambda_runtime::Context;

use crate::{event::Event, store::Source};

/// Who asked, and how the attempt went through the function.
pub struct Attempt<'a> {
    /// Lambda's id of the invocation.
    pub request_id: &'a str,
    /// The trace that joins Lambda's tracing and the logs.
    pub xray_trace_id: Option<&'a str>,
    /// IoT Core's id of the connection.
    pub connection_id: Option<&'a str>,
    /// What the device says it is, once that has the right shape; it is not proof of anything.
    pub identity: Option<Identity>,
    /// How long the store took.
    pub store_time: Duration,
    /// How long everything took.
    pub total_time: Duration,
    /// Where the store's answer came from, if it was asked.
    pub source: Option<Source>,
    /// Whether it is the process's first.
    pub cold_start: bool,
}

/// The names that a device presents, each of the right shape.
pub struct Identity {
    /// The device's name.
    pub device: DeviceName,
    /// The client id; an HTTPS publish has none.
    pub client_id: Option<ClientId>,
    /// The scheme whose shape was presented.
    pub scheme: Scheme,
}

impl<'a> Attempt<'a> {
    /// An attempt that begins. The connection id is used only if it looks like one: the field is IoT Core's, but an
    /// event can hold anything.
    #[must_use]
    pub fn new(context: &'a Context, event: Option<&'a Event>, cold_start: bool) -> Self {
        let id = event.and_then(|event| event.connection_metadata.as_ref()?.id.as_deref());
        Self {
            request_id: &context.request_id,
            xray_trace_id: context.xray_trace_id.as_deref(),
            connection_id: id
                .filter(|id| id.len() <= 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')),
            identity: None,
            store_time: Duration::ZERO,
            total_time: Duration::ZERO,
            source: None,
            cold_start,
        }
    }

    /// Notes who asks.
    pub fn identify(&mut self, request: &IdentifiedRequest<'_>) {
        self.identity = Some(Identity {
            device: request.claim.device.clone(),
            client_id: request.client_id.clone(),
            scheme: request.claim.evidence.scheme(),
        });
    }
}

impl Identity {
    /// The client id, if there is one.
    #[must_use]
    pub fn client_id(&self) -> Option<&ClientId> {
        self.client_id.as_ref()
    }
}

/// Whole microseconds, as logs and metrics count time.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
