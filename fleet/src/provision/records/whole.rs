//! Records in a file or in a secret, which is written as a whole.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{Client, config::Builder};
use device_auth::{
    device_name::DeviceName,
    grant::GrantDefinition,
    location::SecretId,
    store::document::{RecordDocument, StoreDocument},
    verifier::Verifier,
};

use super::super::device::Stored;
use crate::{
    aws::{call_error, has_code, patient},
    store_file::{StoreFile, any_function},
};

/// Secrets Manager's limit (API reference, `PutSecretValue`).
const MAX_SECRET_BYTES: usize = 65_536;

/// The records that were read, and those to be written.
pub(crate) struct Whole {
    target: Target,
    read: StoreDocument,
    new: Mutex<BTreeMap<DeviceName, RecordDocument>>,
}

/// Where the records are written.
enum Target {
    File(PathBuf),
    Secret(Client, SecretId),
}

impl Whole {
    pub(super) fn in_file(path: &Path) -> anyhow::Result<Self> {
        let read = StoreFile::open(path)?.document().clone();
        Ok(Self { target: Target::File(path.to_owned()), read, new: Mutex::default() })
    }

    pub(super) async fn in_secret(aws: &SdkConfig, secret: &SecretId) -> anyhow::Result<Self> {
        let config = Builder::from(aws).retry_partition(patient()).build();
        let client = Client::from_conf(config);
        let read = read(&client, secret).await?;
        Ok(Self { target: Target::Secret(client, secret.clone()), read, new: Mutex::default() })
    }

    pub(super) fn document(&self) -> &StoreDocument {
        &self.read
    }

    /// Checks that there is room for new records next to those that exist.
    pub(super) fn check_room(&self, new: BTreeMap<DeviceName, RecordDocument>) -> anyhow::Result<()> {
        let Target::Secret(..) = self.target else { return Ok(()) };
        let mut document = self.read.clone();
        insert(&mut document, new);
        secret_text(&document).map(drop)
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

    /// Reads the records again, because others may have written meanwhile, and adds those that are new. It returns the
    /// devices whose records others wrote.
    pub(super) async fn finish(
        self,
        grants: BTreeMap<String, GrantDefinition>,
    ) -> anyhow::Result<Vec<DeviceName>> {
        let Self { target, new, .. } = self;
        let new = new.into_inner().unwrap_or_else(PoisonError::into_inner);
        if new.is_empty() {
            return Ok(Vec::new());
        }
        match target {
            Target::File(path) => {
                let mut file = StoreFile::open(&path)?;
                let conflicts = insert(file.document_mut(), new);
                add_grants(file.document_mut(), grants);
                file.save().map(|()| conflicts)
            }
            Target::Secret(client, secret) => {
                let mut document = read(&client, &secret).await?;
                let conflicts = insert(&mut document, new);
                add_grants(&mut document, grants);
                write(&client, &secret, &document).await.map(|()| conflicts)
            }
        }
    }
}

/// Adds the records of devices that have none, and returns the devices that have another one. An equal record is our
/// own, from a write whose answer was lost.
fn insert(document: &mut StoreDocument, new: BTreeMap<DeviceName, RecordDocument>) -> Vec<DeviceName> {
    let mut conflicts = Vec::new();
    for (name, record) in new {
        match document.devices.get(&name) {
            None => _ = document.devices.insert(name, record),
            Some(found) if are_equal(found, &record) => {}
            Some(_) => conflicts.push(name),
        }
    }
    conflicts
}

/// Adds grants that the store does not have.
fn add_grants(document: &mut StoreDocument, grants: BTreeMap<String, GrantDefinition>) {
    for (name, grant) in grants {
        document.grants.entry(name).or_insert(grant);
    }
}

fn are_equal(one: &RecordDocument, other: &RecordDocument) -> bool {
    matches!((serde_json::to_value(one), serde_json::to_value(other)), (Ok(one), Ok(other)) if one == other)
}

/// The text of a secret, if it is not too long.
fn secret_text(document: &StoreDocument) -> anyhow::Result<String> {
    let text = serde_json::to_string(document)?;
    anyhow::ensure!(
        text.len() <= MAX_SECRET_BYTES,
        "the records have {} bytes, and a secret has room for {MAX_SECRET_BYTES}: use a table for this number of devices \
         (`records` in the stage's settings)",
        text.len()
    );
    Ok(text)
}

async fn read(client: &Client, secret: &SecretId) -> anyhow::Result<StoreDocument> {
    let found = client.get_secret_value().secret_id(secret.as_str()).send().await;
    let found = found.map_err(|error| {
        if has_code(&error, "ResourceNotFoundException") {
            anyhow::anyhow!(
                "there is no secret `{secret}` with a value: `make deploy` makes it, or name another with `--store`"
            )
        } else {
            call_error(&error, "secretsmanager:GetSecretValue")
        }
    })?;
    let text = found.secret_string().with_context(|| format!("the secret `{secret}` is binary"))?;
    StoreDocument::parse(text)
        .with_context(|| format!("the secret `{secret}` is not a records file; docs/stores.md shows one"))
}

async fn write(client: &Client, secret: &SecretId, document: &StoreDocument) -> anyhow::Result<()> {
    document.clone().records(any_function()?)?;
    let text = secret_text(document)?;
    let put = client.put_secret_value().secret_id(secret.as_str()).secret_string(text).send().await;
    put.map(drop).map_err(|error| call_error(&error, "secretsmanager:PutSecretValue"))
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
        assert_eq!(insert(&mut document, new), [name("b")]);
        let salted = |it: &str| String::from(document.devices[&name(it)].verifiers[0].verifier.clone());
        let expected = |salt| String::from(record(salt).verifiers[0].verifier.clone());
        assert_eq!(["a", "b", "c"].map(salted), [1, 2, 4].map(expected));
    }
}
