//! Where records are kept.

pub mod any;
#[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
pub mod aws;
pub mod cached;
pub mod claims;
pub mod deadline;
mod decoys;
pub mod default_verifier;
pub mod document;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod fault;
pub mod file;
pub mod loader;
pub mod location;
mod outage;
#[cfg(feature = "secrets-manager")]
pub mod secrets_manager;
pub mod settings;
mod single_flight;
mod vendor_secrets;

use std::{future::Future, sync::Arc};

pub use self::fault::{FaultKind, StoreFault};
use crate::{credential::verifier::LiveVerifier, device_name::DeviceName, record::Record};

/// A place that knows devices.
pub trait Store {
    /// What is known of the device called `name`.
    ///
    /// # Errors
    ///
    /// When the store can't tell. That is a fault, not a refusal; IoT Core lets nobody in either way.
    fn find(&self, name: &DeviceName) -> impl Future<Output = Result<Lookup, StoreFault>>;

    /// The same, and where the answer came from.
    ///
    /// # Errors
    ///
    /// As [`Store::find`].
    fn find_with_source(&self, name: &DeviceName) -> impl Future<Output = Result<Found, StoreFault>> {
        async { self.find(name).await.map(|lookup| Found { lookup, from: Source::Store }) }
    }

    /// The record of a device that has none, but for which a verified token vouches with a grant's name.
    ///
    /// # Errors
    ///
    /// Why such a device can't have that grant.
    fn vouched(&self, name: &DeviceName, grant: &str) -> Result<Arc<Record>, String>;
}

/// What a store knows of a name, and where that came from.
#[derive(Clone, Debug)]
pub struct Found {
    /// What is known.
    pub lookup: Lookup,
    /// Where that came from.
    pub from: Source,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The store was asked.
    Store,
    /// It was read before, and not long ago.
    Cache,
    /// It was read before, longer ago than it should have been, and the store does not answer.
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

/// What a store knows of one name.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The device's record.
    Found(Arc<Record>),
    /// No such device. The decoy's verifiers are checked all the same and the result thrown away, so that
    /// an unknown device costs the time of a wrong password.
    Unknown {
        /// Another record's verifiers, or the configured default; always the same ones for the same name.
        decoy: Arc<[LiveVerifier]>,
    },
}

impl<S: Store> Store for &S {
    fn find(&self, name: &DeviceName) -> impl Future<Output = Result<Lookup, StoreFault>> {
        S::find(self, name)
    }

    fn find_with_source(&self, name: &DeviceName) -> impl Future<Output = Result<Found, StoreFault>> {
        S::find_with_source(self, name)
    }

    fn vouched(&self, name: &DeviceName, grant: &str) -> Result<Arc<Record>, String> {
        S::vouched(self, name, grant)
    }
}
