//! A whole store as it was read at one moment, ready for look-ups.

use std::sync::Arc;

use super::{Lookup, decoys::Decoys, error::InvalidRecord, loader::Records};
use crate::device_name::DeviceName;

/// The records of a store that is read as a whole, and the decoys for names without a record.
pub struct Snapshot {
    records: Records,
    decoys: Decoys,
}

impl Snapshot {
    /// The snapshot of these records.
    #[must_use]
    pub fn new(records: Records) -> Self {
        let decoys = Decoys::new(records.by_name.values());
        Self { records, decoys }
    }

    /// Looks up the device called `name`. `token_grant` is the grant that the device's verified JSON Web Token names: the
    /// token then stands in for a missing record, if the device can have that grant.
    #[must_use]
    pub fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Lookup {
        // For a name with a record too, so that the time does not show which names have one.
        let decoy = self.decoys.of(name);
        if let Some(record) = self.records.by_name.get(name) {
            return Lookup::Found(Arc::clone(record));
        }
        if let Some(record) = self.records.unusable.get(name) {
            return Lookup::Unusable { error: Arc::<InvalidRecord>::clone(&record.error), decoy };
        }
        match token_grant.map(|grant| self.records.record_from_token(name, grant)) {
            Some(Ok(record)) => Lookup::Found(Arc::new(record)),
            Some(Err(error)) => Lookup::UnusableGrant { error: Arc::new(error), decoy },
            None => Lookup::Unknown { decoy },
        }
    }
}
