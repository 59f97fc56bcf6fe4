//! Each record by itself, before all of them together.

use std::collections::BTreeMap;

use device_auth::{
    grant::{GrantDefinition, Grants},
    store::{document::RecordDocument, loader::RecordLoader},
    verifier::Verifier,
};

use super::{Draft, hash};
use crate::store_file::any_function;

/// Says of a record what the authorizer would.
pub(super) struct Checker {
    loader: RecordLoader,
    /// In place of a hash that is not made yet.
    stand_in: Verifier,
}

impl Checker {
    pub(super) fn new(grants: &BTreeMap<String, GrantDefinition>) -> anyhow::Result<Self> {
        let grants = Grants::new(grants.clone())?;
        let stand_in = Verifier::of_generated(&[], [0; 16]);
        Ok(Self { loader: RecordLoader::new(grants, any_function()?), stand_in })
    }

    /// # Errors
    ///
    /// What is wrong, without the device's name: the line stands for it.
    pub(super) fn check(&self, draft: &Draft) -> anyhow::Result<()> {
        let Draft { name, record, password } = draft;
        let mut verifiers = record.verifiers.clone();
        verifiers.extend(password.as_ref().map(|_| hash::live(self.stand_in.clone())));
        let record = RecordDocument { verifiers, ..record.clone() };
        self.loader.load(name, record).map(drop).map_err(|invalid| invalid.error.into())
    }
}
