//! The records' side of a device. What a record holds already is never overwritten.

mod table;
mod whole;

use std::path::Path;

use aws_config::SdkConfig;
use device_auth::{
    device_name::DeviceName,
    grant::Grants,
    store::{
        document::{RecordDocument, StoreDocument},
        loader::RecordLoader,
    },
    verifier::Verifier,
};
use device_sim::Password;

use self::{table::Table, whole::Whole};
use super::{device::Device, trouble::Trouble};
use crate::store_file::{StoreFile, any_function};
use crate::store_place::StorePlace;

/// Where records go.
pub(super) enum Records {
    /// A table takes each record when it is made.
    Table(Table),
    /// A file and a secret are written as a whole, in the end.
    Whole(Whole),
}

/// What a record that is there says about passwords.
pub(super) struct Existing(Vec<Verifier>);

impl Existing {
    /// Whether this password lets the device in.
    pub(super) fn takes(&self, password: &Password) -> bool {
        self.0.iter().any(|verifier| verifier.matches(password.expose()).into())
    }
}

impl Records {
    /// Reads what there is. A table is asked once, to find out whether it can be.
    pub(super) async fn open(place: &StorePlace, aws: &SdkConfig) -> anyhow::Result<Self> {
        Ok(match place {
            StorePlace::Table(table) => Self::Table(Table::open(aws, table).await?),
            StorePlace::File(path) => Self::Whole(Whole::in_file(path)?),
            StorePlace::Secret(secret) => Self::Whole(Whole::in_secret(aws, secret).await?),
        })
    }

    /// Finds out whether the authorizer would take records with these grants, and whether there is room for them, before
    /// any is made. A table has none
    /// of its own: `grants` is the file that the function has them from.
    pub(super) fn check(&self, devices: &[Device], grants: Option<&Path>) -> anyhow::Result<()> {
        let document = match (self, grants) {
            (Self::Table(_), Some(path)) => StoreFile::read(path)?,
            (Self::Table(_), None) => StoreDocument::empty(),
            (Self::Whole(whole), _) => whole.document().clone(),
        };
        let grants = Grants::new(document.grants).map_err(anyhow::Error::msg)?;
        let loader = RecordLoader::new(grants, any_function()?);
        let stand_in = Verifier::of_generated(&[], [0; 16]);
        for device in devices {
            loader.load(&device.name, record(device, stand_in.clone())).map_err(anyhow::Error::msg)?;
        }
        let all = devices.iter().map(|device| (device.name.clone(), record(device, stand_in.clone())));
        match self {
            Self::Table(_) => Ok(()),
            Self::Whole(whole) => whole.check_room(all.collect()),
        }
    }

    pub(super) async fn find(&self, name: &DeviceName) -> anyhow::Result<Option<Existing>> {
        match self {
            Self::Table(table) => table.find(name).await.map(|found| found.map(Existing)),
            Self::Whole(whole) => Ok(whole.find(name).map(Existing)),
        }
    }

    /// Writes a record where there is none.
    pub(super) async fn write(&self, device: &Device, verifier: Verifier) -> Result<(), Trouble> {
        let record = record(device, verifier);
        match self {
            Self::Table(table) => table.put(&device.name, &record).await,
            Self::Whole(whole) => {
                whole.keep(device.name.clone(), record);
                Ok(())
            }
        }
    }

    /// Writes what is written as a whole. Records of somebody else that came meanwhile stay; their names come back.
    pub(super) async fn finish(self) -> anyhow::Result<Vec<DeviceName>> {
        match self {
            Self::Table(_) => Ok(Vec::new()),
            Self::Whole(whole) => whole.finish().await,
        }
    }
}

fn record(device: &Device, verifier: Verifier) -> RecordDocument {
    let live = device_auth::verifier::LiveVerifier { verifier, expires_at: None };
    let scheme = device_auth::scheme::Scheme::Password;
    RecordDocument { verifiers: vec![live], ..RecordDocument::new(scheme, device.grant.clone()) }
}
