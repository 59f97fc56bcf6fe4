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
    let client_id = match client_id {
        Some(id) => {
            check(record, &id)?;
            id
        }
        None => {
            let id = device.name().client_id().clone();
            check_reserved(record, &id)?;
            id
        }
    };
    Ok(BoundDevice { device, client_id, session })
}

/// Checks that a record's device may connect with this client id.
///
/// # Errors
///
/// As [`bind`].
pub fn check(record: &Record, client_id: &ClientId) -> Result<(), DenyReason> {
    if record.allows(client_id) {
        check_reserved(record, client_id)
    } else {
        Err(DenyReason::ClientIdNotAllowed)
    }
}

fn check_reserved(record: &Record, client_id: &ClientId) -> Result<(), DenyReason> {
    if record.grant.reserves("client_id", client_id.as_str()) {
        return Err(DenyReason::ClientIdReserved);
    }
    Ok(())
}
