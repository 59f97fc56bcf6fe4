//! Where records are kept.

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

use std::{future::Future, sync::Arc};

use device_auth::{device_name::DeviceName, record::Record, store::Lookup};

use crate::fault::StoreFault;

/// A place that knows devices.
pub trait Store {
    /// Looks up the device called `name`.
    ///
    /// # Errors
    ///
    /// When the store can't tell. That is a fault, not a refusal; IoT Core lets nobody in either way.
    fn look_up(&self, name: &DeviceName) -> impl Future<Output = Result<Found, StoreFault>>;

    /// The record of a device without one, made from a verified token that names a grant; `None` if the device can't
    /// have that grant.
    fn record_from_token(&self, name: &DeviceName, grant: &str) -> Option<Arc<Record>>;
}

/// A store's answer, and where it came from.
#[derive(Clone, Debug)]
pub struct Found {
    /// The answer.
    pub lookup: Lookup,
    /// Where it came from.
    pub source: Source,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The store itself.
    Store,
    /// The cache, where it was put not long ago.
    Cache,
    /// The cache, where it has been longer than it should, because the store does not answer.
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

impl Found {
    /// An answer of the store itself.
    #[must_use]
    pub fn in_store(lookup: Lookup) -> Self {
        Self { lookup, source: Source::Store }
    }
}

impl<S: Store> Store for &S {
    fn look_up(&self, name: &DeviceName) -> impl Future<Output = Result<Found, StoreFault>> {
        S::look_up(self, name)
    }

    fn record_from_token(&self, name: &DeviceName, grant: &str) -> Option<Arc<Record>> {
        S::record_from_token(self, name, grant)
    }
}
