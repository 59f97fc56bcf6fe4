//! Stores: where the function looks a device's record up.

pub mod any;
#[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
pub mod aws;
pub mod cached;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod file;
mod followed;
pub mod indexed;
#[cfg(feature = "secrets-manager")]
pub mod secrets_manager;
mod single_flight;

use std::future::Future;

use device_auth::{
    device_name::DeviceName,
    grant::Grants,
    store::{Lookup, loader::Records},
};

use crate::fault::StoreFault;

/// A store of device records.
pub trait Store {
    /// Looks up the device called `name`. `token_grant` is the grant that the device's verified JSON Web Token names: in a
    /// store that is read as a whole, the token then stands in for a missing record.
    ///
    /// # Errors
    ///
    /// When the store gives no usable answer. That is a fault, not a refusal; IoT Core lets nobody in either way.
    fn look_up(
        &self,
        name: &DeviceName,
        token_grant: Option<&str>,
    ) -> impl Future<Output = Result<StoreAnswer, StoreFault>>;

    /// Reads again what records are made with, grants and keyring, if that has changed. A store that does so at each look-up
    /// has nothing to do here.
    fn refresh(&self) -> impl Future<Output = Edition> {
        async { Edition::default() }
    }
}

/// Which grants and keyring records are made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    /// Differs from that of every edition before it. Records of another edition are not used any more.
    pub version: u64,
    /// Whether the grants or the keyring can't be used as they are now, so that older ones stay in force.
    pub is_stale: bool,
}

/// A store's answer, and where it came from.
#[derive(Clone, Debug)]
pub struct StoreAnswer {
    /// What the store knows of the device.
    pub lookup: Lookup,
    /// Where it came from.
    pub source: Source,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The store itself.
    Store,
    /// The cache, within its time.
    Cache,
    /// What was read earlier, because the store does not answer, or its records, grants or keyring can't be used as they are
    /// now.
    Stale,
}

impl Source {
    /// The fixed name under which logs count it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "miss",
            Self::Cache => "hit",
            Self::Stale => "stale",
        }
    }
}

impl StoreAnswer {
    /// An answer of the store itself.
    #[must_use]
    pub fn from_store(lookup: Lookup) -> Self {
        Self { lookup, source: Source::Store }
    }
}

impl<S: Store> Store for &S {
    fn look_up(
        &self,
        name: &DeviceName,
        token_grant: Option<&str>,
    ) -> impl Future<Output = Result<StoreAnswer, StoreFault>> {
        S::look_up(self, name, token_grant)
    }

    fn refresh(&self) -> impl Future<Output = Edition> {
        S::refresh(self)
    }
}

/// Writes the error line of a look-up that is answered from older records, because the store's present ones can't be used.
fn report_stale(fault: &StoreFault) {
    tracing::error!(
        target: "authorizer::store",
        event = "records_not_usable",
        kind = fault.kind().as_str(),
        error = %fault,
        "the records, the grants or the keyring can't be used as they are now; the last usable ones stay in force"
    );
}

/// Writes a line for each topic of a grant that allows nothing, because it has a wildcard of MQTT. The grant stays in force:
/// nobody gets more by it, and an error here would refuse every device.
fn report_wildcards(grants: &Grants) {
    for grant in grants.all() {
        for wildcard in grant.definition().literal_wildcards(grant.name()) {
            tracing::warn!(
                target: "authorizer::store",
                event = "grant_has_a_wildcard",
                error = %wildcard,
                "a topic of a grant allows nothing"
            );
        }
    }
}

/// Writes a line for each record that can't be used, when the records are read.
fn report_unusable(records: &Records) {
    report_wildcards(records.loader.grants());
    for (device, record) in &records.unusable {
        report_unusable_record(device, &record.error);
    }
}

fn report_unusable_record(device: &DeviceName, error: &dyn std::fmt::Display) {
    tracing::error!(
        target: "authorizer::store",
        event = "record_not_usable",
        device = device.as_str(),
        error = %error,
        "the record can't be used; its device is refused"
    );
}
