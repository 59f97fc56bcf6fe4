//! The password against the record: the only place where a [`VerifiedDevice`] can come from.

pub mod argon2;
pub mod bcrypt;
pub mod budget;
pub mod estimate;
mod field;
pub mod pbkdf2;
pub mod salted_sha2;
pub mod verifier;
pub mod verifier_error;

use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable};

use crate::{
    credential::verifier::LiveVerifier, decision::DenyReason, device_name::DeviceName, record::Record,
    request::Password, store::Lookup, unix_time::UnixTime,
};

/// A device whose password was right and whose record lets it in now.
///
/// Its fields are private to this module: [`verify`] is the only source, and everything that grants
/// demands one.
#[derive(Debug)]
pub struct VerifiedDevice {
    name: DeviceName,
    record: Arc<Record>,
    verifier: usize,
}

impl VerifiedDevice {
    /// The device's name, now proven.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// The device's record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// When the password or the record runs out, whichever comes first.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        let verifier = self.record.verifiers.get(self.verifier).and_then(|verifier| verifier.expires_at);
        [verifier, self.record.not_after].into_iter().flatten().min()
    }

    /// Which of the record's verifiers matched, counted from 0.
    #[must_use]
    pub fn verifier(&self) -> usize {
        self.verifier
    }
}

/// Checks `password` against what the store knows of the device called `name`.
///
/// The password is checked before anything else and against every verifier, live or not, and for an unknown
/// device against a decoy's: so how long a refusal takes tells neither which devices exist nor how far
/// a guess came.
///
/// # Errors
///
/// The reason for the refusal.
pub fn verify(
    name: DeviceName,
    lookup: Lookup,
    password: &Password,
    now: UnixTime,
) -> Result<VerifiedDevice, DenyReason> {
    match lookup {
        Lookup::Unknown { decoy } => {
            let _same_work = matching(&decoy, password, now);
            Err(DenyReason::UnknownDevice)
        }
        Lookup::Found(record) => {
            let verifier = matching(&record.verifiers, password, now).ok_or(DenyReason::WrongPassword)?;
            in_force(&record, now)?;
            Ok(VerifiedDevice { name, record, verifier })
        }
    }
}

/// The index of a live verifier that matches, found without stopping early.
fn matching(verifiers: &[LiveVerifier], password: &Password, now: UnixTime) -> Option<usize> {
    let mut found = Choice::from(0);
    let mut index = 0_u64;
    for (at, candidate) in (0_u64..).zip(verifiers) {
        let live = Choice::from(u8::from(candidate.is_live(now)));
        let matches = candidate.verifier.matches(password.as_bytes()) & live;
        index.conditional_assign(&at, matches);
        found |= matches;
    }
    bool::from(found).then(|| usize::try_from(index).ok()).flatten()
}

fn in_force(record: &Record, now: UnixTime) -> Result<(), DenyReason> {
    if !record.enabled {
        return Err(DenyReason::DeviceDisabled);
    }
    if record.not_before.is_some_and(|from| now < from) {
        return Err(DenyReason::NotYetValid);
    }
    if record.not_after.is_some_and(|until| now >= until) {
        return Err(DenyReason::Expired);
    }
    Ok(())
}
