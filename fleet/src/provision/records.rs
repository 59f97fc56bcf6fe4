//! The records of the devices. A record that exists is never overwritten.

mod whole;

use std::{collections::BTreeMap, path::Path};

use aws_config::SdkConfig;
use device_auth::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    location::StoreLocation,
    store::{
        document::{RecordDocument, StoreDocument},
        loader::RecordLoader,
    },
    verifier::Verifier,
};
use device_sim::Password;

use self::whole::Whole;
use super::device::Device;
use crate::{
    record_store::{Stored, WriteError, indexed, table::Table, whole::WholeStore},
    store_file::any_function,
};

/// The store of the records.
pub(crate) enum Records {
    /// A table, to which each record is written when it is made.
    Table(Box<Table>),
    /// A file or a secret, which is written as a whole at the end.
    Whole(Whole),
}

/// The verifiers of a record that exists.
pub(super) struct Existing(Vec<Verifier>);

impl Existing {
    /// Whether this password lets the device in.
    pub(super) fn accepts(&self, password: &Password) -> bool {
        self.0.iter().any(|verifier| verifier.matches(password.expose()).into())
    }
}

impl Records {
    /// Opens a store. A file and a secret are read, a table is called once to find out whether it can be read. `grants` is
    /// the file with the grants of a table's function.
    pub(crate) async fn open(
        store: &StoreLocation,
        aws: &SdkConfig,
        grants: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let whole = match store {
            StoreLocation::DynamoDb(table) => {
                return Ok(Self::Table(Box::new(Table::open(aws, table, grants).await?)));
            }
            StoreLocation::File(path) => WholeStore::File(path.clone()),
            StoreLocation::Indexed(path) => return Err(indexed::read_only(path)),
            StoreLocation::SecretsManager(secret) => WholeStore::secret(aws, secret),
        };
        Whole::open(whole).await.map(Self::Whole)
    }

    /// Checks, before any record is made, that the authorizer would accept records with these grants, and that the store
    /// has room for them.
    pub(super) fn check<D: Iterator<Item = anyhow::Result<Device>>>(
        &self,
        devices: impl Fn() -> anyhow::Result<D>,
    ) -> anyhow::Result<()> {
        let document = self.document();
        let grants = Grants::new(document.grants)?;
        let loader = RecordLoader::new(grants, any_function()?);
        let placeholder = Verifier::of_generated(&[], [0; 16]);
        for device in devices()? {
            let device = device?;
            loader.load(&device.name, record(&device, placeholder.clone()))?;
        }
        match self {
            Self::Table(_) => Ok(()),
            Self::Whole(whole) => {
                let all = devices()?.map(|device| {
                    let device = device?;
                    Ok((device.name.clone(), record(&device, placeholder.clone())))
                });
                whole.check_room(&all.collect::<anyhow::Result<_>>()?)
            }
        }
    }

    pub(super) async fn find(&self, name: &DeviceName) -> anyhow::Result<Option<Existing>> {
        match self {
            Self::Table(table) => table.find(name).await.map(|found| found.map(Existing)),
            Self::Whole(whole) => Ok(whole.find(name).map(Existing)),
        }
    }

    /// Writes the record of a device that has none.
    pub(super) async fn write(&self, device: &Device, verifier: Verifier) -> Result<(), WriteError> {
        self.put(&device.name, &record(device, verifier)).await
    }

    /// Writes a record, if the device has none.
    pub(crate) async fn put(&self, name: &DeviceName, record: &RecordDocument) -> Result<(), WriteError> {
        match self {
            Self::Table(table) => table.insert(name, record).await,
            Self::Whole(whole) => {
                whole.keep(name.clone(), record.clone());
                Ok(())
            }
        }
    }

    /// Compares a device's record in the store with another one.
    pub(crate) async fn compare(
        &self,
        name: &DeviceName,
        record: &RecordDocument,
    ) -> Result<Stored, WriteError> {
        match self {
            Self::Table(table) => Ok(table.compare(name, record).await?),
            Self::Whole(whole) => Ok(whole.compare(name, record)),
        }
    }

    /// The grants and the records that were read. A table's records are not at hand.
    pub(crate) fn document(&self) -> StoreDocument {
        match self {
            Self::Table(table) => {
                StoreDocument { grants: table.own_grants().clone(), ..StoreDocument::empty() }
            }
            Self::Whole(whole) => whole.document().clone(),
        }
    }

    /// Writes a file or a secret, with grants that it does not have. Records that somebody else wrote meanwhile stay, and
    /// their names are returned.
    pub(crate) async fn finish(
        self,
        grants: BTreeMap<String, GrantDefinition>,
    ) -> anyhow::Result<Vec<DeviceName>> {
        match self {
            Self::Table(_) => Ok(Vec::new()),
            Self::Whole(whole) => whole.finish(grants).await,
        }
    }
}

fn record(device: &Device, verifier: Verifier) -> RecordDocument {
    let live = device_auth::verifier::LiveVerifier { verifier, expires_at: None };
    let scheme = device_auth::scheme::Scheme::Password;
    RecordDocument { verifiers: vec![live], ..RecordDocument::new(scheme, device.grant.clone()) }
}
