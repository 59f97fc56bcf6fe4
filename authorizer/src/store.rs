//! Stores: where the function looks a device's record up.

pub mod any;
#[cfg(any(feature = "dynamodb", feature = "secrets-manager"))]
pub mod aws;
pub mod cached;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod file;
#[cfg(feature = "secrets-manager")]
pub mod secrets_manager;
mod single_flight;

use std::future::Future;

use device_auth::{device_name::DeviceName, store::Lookup};

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
    /// The cache, after its time, because the store does not answer.
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
}
