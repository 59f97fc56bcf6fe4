//! Verifiers for names that don't exist, so that they cost the time of names that do.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{
    credential::verifier::{LiveVerifier, Verifier},
    device_name::DeviceName,
    record::Record,
};

/// The records' verifiers on a ring. A name meets those that follow its own digest.
///
/// A place on the ring is a digest of verifiers, which nobody outside knows. A record that comes or goes changes
/// the decoy of those names alone that are next to it: a name can't be told to be unknown by its time's changing
/// whenever the store does.
pub(super) struct Decoys {
    ring: BTreeMap<[u8; 32], Arc<[LiveVerifier]>>,
    /// For a store without records: of a secret that nobody has.
    only: Arc<[LiveVerifier]>,
}

impl Decoys {
    /// The decoys that these records make.
    pub(super) fn new<'r>(records: impl Iterator<Item = &'r Arc<Record>>) -> Self {
        let with_password = records.map(|record| record.proof.verifiers()).filter(|some| !some.is_empty());
        let place = |verifiers: &[LiveVerifier]| (digest_of(verifiers), Arc::from(verifiers));
        let only = Verifier::of_generated(b"nobody has this", [0; 16]);
        let only = Arc::from([LiveVerifier { verifier: only, expires_at: None }]);
        Self { ring: with_password.map(place).collect(), only }
    }

    /// The verifiers that a name without a record is checked against.
    pub(super) fn of(&self, name: &DeviceName) -> Arc<[LiveVerifier]> {
        let place: [u8; 32] = Sha256::digest(name.as_str().as_bytes()).into();
        let next = self.ring.range(place..).next().or_else(|| self.ring.iter().next());
        Arc::clone(next.map_or(&self.only, |(_, verifiers)| verifiers))
    }
}

fn digest_of(verifiers: &[LiveVerifier]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for candidate in verifiers {
        digest.update(String::from(candidate.verifier.clone()));
    }
    digest.finalize().into()
}
