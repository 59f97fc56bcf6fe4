//! Records in a file or in a secret, which are collected and written at the end of a run.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use device_auth::{
    device_name::DeviceName,
    grant::GrantDefinition,
    store::document::{RecordDocument, StoreDocument},
    verifier::Verifier,
};

use crate::record_store::{
    Stored,
    whole::{Missing, WholeStore},
};

/// The records that were read, and those to be written.
pub(crate) struct Whole {
    store: WholeStore,
    read: StoreDocument,
    new: Mutex<BTreeMap<DeviceName, RecordDocument>>,
}

impl Whole {
    pub(super) async fn open(store: WholeStore) -> anyhow::Result<Self> {
        let read = store.read(Missing::IsEmpty).await?;
        Ok(Self { store, read, new: Mutex::default() })
    }

    pub(super) fn document(&self) -> &StoreDocument {
        &self.read
    }

    /// Checks that there is room for new records next to those that exist.
    pub(super) fn check_room(&self, new: &BTreeMap<DeviceName, RecordDocument>) -> anyhow::Result<()> {
        let mut document = self.read.clone();
        insert(&mut document, new);
        self.store.check_room(&document)
    }

    pub(super) fn find(&self, name: &DeviceName) -> Option<Vec<Verifier>> {
        let record = self.read.devices.get(name)?;
        Some(record.verifiers.iter().map(|live| live.verifier.clone()).collect())
    }

    /// Compares a device's record, as it was read, with another one.
    pub(super) fn compare(&self, name: &DeviceName, record: &RecordDocument) -> Stored {
        match self.read.devices.get(name) {
            None => Stored::Absent,
            Some(found) if are_equal(found, record) => Stored::Equal,
            Some(_) => Stored::Different,
        }
    }

    pub(super) fn keep(&self, name: DeviceName, record: RecordDocument) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(name, record);
    }

    /// Adds the records that are new to those that the store has now. It returns the devices whose records others wrote
    /// meanwhile.
    pub(super) async fn finish(
        self,
        grants: BTreeMap<String, GrantDefinition>,
    ) -> anyhow::Result<Vec<DeviceName>> {
        let Self { store, new, .. } = self;
        let new = new.into_inner().unwrap_or_else(PoisonError::into_inner);
        if new.is_empty() {
            return Ok(Vec::new());
        }
        store
            .update(Missing::IsEmpty, |document| {
                let conflicts = insert(document, &new);
                add_grants(document, &grants);
                Ok(conflicts)
            })
            .await
    }
}

/// Adds the records of devices that have none, and returns the devices that have another one. An equal record is our
/// own, from a write whose answer was lost.
fn insert(document: &mut StoreDocument, new: &BTreeMap<DeviceName, RecordDocument>) -> Vec<DeviceName> {
    let mut conflicts = Vec::new();
    for (name, record) in new {
        match document.devices.get(name) {
            None => _ = document.devices.insert(name.clone(), record.clone()),
            Some(found) if are_equal(found, record) => {}
            Some(_) => conflicts.push(name.clone()),
        }
    }
    conflicts
}

/// Adds grants that the store does not have.
fn add_grants(document: &mut StoreDocument, grants: &BTreeMap<String, GrantDefinition>) {
    for (name, grant) in grants {
        document.grants.entry(name.clone()).or_insert_with(|| grant.clone());
    }
}

fn are_equal(one: &RecordDocument, other: &RecordDocument) -> bool {
    matches!((serde_json::to_value(one), serde_json::to_value(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use device_auth::{scheme::Scheme, verifier::LiveVerifier};

    use super::*;

    fn record(salt: u8) -> RecordDocument {
        let verifier = Verifier::of_generated(b"x", [salt; 16]);
        let verifiers = vec![LiveVerifier { verifier, expires_at: None }];
        RecordDocument { verifiers, ..RecordDocument::new(Scheme::Password, "sht20".to_owned()) }
    }

    #[test]
    fn another_record_of_a_device_is_a_conflict_and_an_equal_one_is_not() {
        let name = |text: &str| DeviceName::try_from(text).unwrap();
        let mut document = StoreDocument::empty();
        document.devices.extend([(name("a"), record(1)), (name("b"), record(2))]);
        let new = BTreeMap::from([(name("a"), record(1)), (name("b"), record(3)), (name("c"), record(4))]);
        assert_eq!(insert(&mut document, &new), [name("b")]);
        let salted = |it: &str| String::from(document.devices[&name(it)].verifiers[0].verifier.clone());
        let expected = |salt| String::from(record(salt).verifiers[0].verifier.clone());
        assert_eq!(["a", "b", "c"].map(salted), [1, 2, 4].map(expected));
    }
}
