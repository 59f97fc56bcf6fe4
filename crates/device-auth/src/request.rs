//! A connect attempt, parsed from the event.

mod http;
mod identification;
mod mqtt;

use crate::{certificate::Certificate, client_id::ClientId, deny_reason::DenyReason};

use self::identification::EventToken;
pub use self::identification::Identification;
use crate::event::Event;

/// A connect attempt with parts in a valid form. Nothing in it is verified yet.
pub struct ConnectRequest<'e> {
    /// How the request names its device.
    pub identification: Identification<'e>,
    /// The client id that the device asks for. An HTTPS publish has none.
    pub client_id: Option<ClientId>,
    /// The client's certificate, where the endpoint asks for one.
    pub certificate: Option<Certificate<'e>>,
}

/// What the function's settings require of every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventRequirements {
    /// Whether IoT Core must have checked the token's signature.
    pub signature: bool,
    /// Whether a text with the form of a JSON Web Token is one.
    pub jwt: bool,
}

impl<'e> ConnectRequest<'e> {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// The reason for the first part that is missing or malformed.
    pub fn read(event: &'e Event, requirements: EventRequirements) -> Result<Self, DenyReason> {
        if requirements.signature && event.signature_verified != Some(true) {
            return Err(DenyReason::SignatureNotVerified);
        }
        let data = event.protocol_data.as_ref().ok_or(DenyReason::NoProtocolData)?;
        let tls = data.tls.as_ref();
        let certificate = Certificate::read(
            tls.and_then(|tls| tls.x509_certificate_pem.as_deref()),
            tls.and_then(|tls| tls.principal_id.as_deref()),
        )?;
        let token = EventToken { event, jwt: requirements.jwt };
        let (identification, client_id) = match (&data.mqtt, &data.http) {
            (Some(mqtt), _) => mqtt::read(mqtt, &token)?,
            (None, Some(http)) => (http::read(http, &token)?, None),
            (None, None) => return Err(DenyReason::NoProtocolData),
        };
        Ok(Self { identification, client_id, certificate })
    }
}
