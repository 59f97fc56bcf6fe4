//! Checks the client id against the record. Only this module makes a [`BoundDevice`].

use crate::{
    claim::Claim, client_id::ClientId, credential::VerifiedDevice, deny_reason::DenyReason, record::Record,
};

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

impl PersistentSession {
    /// Whether the device that makes this claim may have one.
    #[must_use]
    pub fn of(claim: &Claim<'_>, alibaba: AlibabaSessions) -> Self {
        let is_bound = claim.keeps_client_id() || alibaba == AlibabaSessions::AnyClientId;
        if is_bound { Self::AsGranted } else { Self::Never }
    }
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
    // A device's own name is not among the ids that its record lists, if it lists others.
    let is_allowed = client_id.as_ref().is_none_or(|id| record.allows(id));
    let client_id = client_id.unwrap_or_else(|| device.name().client_id().clone());
    check_id(record, &client_id, is_allowed)?;
    Ok(BoundDevice { device, client_id, session })
}

/// Checks that a record's device may connect with this client id.
///
/// # Errors
///
/// As [`bind`].
pub fn check(record: &Record, client_id: &ClientId) -> Result<(), DenyReason> {
    check_id(record, client_id, record.allows(client_id))
}

fn check_id(record: &Record, client_id: &ClientId, is_allowed: bool) -> Result<(), DenyReason> {
    if !is_allowed {
        Err(DenyReason::ClientIdNotAllowed)
    } else if record.grant.reserves("client_id", client_id.as_str()) {
        Err(DenyReason::ClientIdReserved)
    } else {
        Ok(())
    }
}
