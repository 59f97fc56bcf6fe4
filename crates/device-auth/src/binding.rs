//! Checks the client id against the record. Only this module makes a [`BoundDevice`].

use crate::{client_id::ClientId, credential::VerifiedDevice, deny_reason::DenyReason};

/// Whether a client may have a session that outlives its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersistentSession {
    /// If the grant allows it.
    AsGranted,
    /// Never: with each new client id, one credential would leave another session.
    Never,
}

/// Which Alibaba devices may have persistent sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlibabaSessions {
    /// Those whose client id has nothing that the device chooses freely.
    KeptClientIds,
    /// All. One credential can then leave any number of sessions.
    AnyClientId,
}

/// A verified device together with a client id that its record allows. Only such a pair gets a policy.
#[derive(Debug)]
pub struct BoundDevice {
    device: VerifiedDevice,
    client_id: ClientId,
    session: PersistentSession,
}

impl BoundDevice {
    /// The device.
    #[must_use]
    pub fn device(&self) -> &VerifiedDevice {
        &self.device
    }

    /// The client id.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Whether the client may have a persistent session.
    #[must_use]
    pub fn session(&self) -> PersistentSession {
        self.session
    }
}

/// Binds `client_id` to the device. Without one, as in an HTTPS publish, the device's own name is used:
/// it belongs to the device, whatever ids its record allows.
///
/// # Errors
///
/// The reason for the refusal: no rule of the record allows the id, or a grant has the id as a literal level in the place
/// of `{client_id}`.
pub fn bind(
    device: VerifiedDevice,
    client_id: Option<ClientId>,
    session: PersistentSession,
) -> Result<BoundDevice, DenyReason> {
    let record = device.record();
    let client_id = match client_id {
        Some(id) if !record.allows(&id) => return Err(DenyReason::ClientIdNotAllowed),
        Some(id) => id,
        None => device.name().client_id().clone(),
    };
    if record.grant.reserves("client_id", client_id.as_str()) {
        return Err(DenyReason::ClientIdReserved);
    }
    Ok(BoundDevice { device, client_id, session })
}
