//! The registry: certificates, their policies, and the Things that they are attached to.
//!
//! Source: AWS IoT Core developer guide, `x509-client-certs`, `thing-registry` and `iot-policies`. The doors for client
//! certificates ask it through [`Registry`].

pub mod certificate;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

pub use self::certificate::{Certificate, CertificateId, CertificateStatus};

/// Looks up certificates and Things, without IO.
pub trait Registry: Send + Sync {
    /// The certificate with this id, whatever its status.
    fn certificate(&self, id: &CertificateId) -> Option<Arc<Certificate>>;

    /// The Thing with this name.
    fn thing(&self, name: &str) -> Option<Arc<Thing>>;
}

/// A Thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// The Thing's name.
    pub name: String,
    /// The name of the Thing's type, if it has one.
    pub type_name: Option<String>,
    /// The Thing's attributes, by name.
    pub attributes: BTreeMap<String, String>,
}

/// A registry that stays as the settings file describes it when the gateway starts.
#[derive(Clone, Debug, Default)]
pub struct FixedRegistry {
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
    things: BTreeMap<String, Arc<Thing>>,
}

/// Entries that contradict each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two Things have the same name.
    #[error("there are two things with the name `{0}`")]
    DuplicateThing(String),
    /// Two entries are for the same certificate.
    #[error("the certificate {0} has two entries: remove one")]
    DuplicateCertificate(Arc<str>),
    /// A certificate is attached to a Thing that does not exist.
    #[error("the certificate is attached to the thing `{0}`, which does not exist")]
    NoThing(String),
}

impl FixedRegistry {
    /// A registry with these entries.
    ///
    /// # Errors
    ///
    /// When two entries are the same, or one names a Thing that does not exist.
    pub fn new(things: Vec<Thing>, certificates: Vec<Certificate>) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for thing in things {
            match registry.things.entry(thing.name.clone()) {
                Entry::Vacant(place) => _ = place.insert(Arc::new(thing)),
                Entry::Occupied(_) => return Err(RegistryError::DuplicateThing(thing.name)),
            }
        }
        for certificate in certificates {
            if let Some(name) = certificate.things.iter().find(|name| !registry.things.contains_key(*name)) {
                return Err(RegistryError::NoThing(name.clone()));
            }
            match registry.certificates.entry(certificate.id().clone()) {
                Entry::Vacant(place) => _ = place.insert(Arc::new(certificate)),
                Entry::Occupied(place) => {
                    return Err(RegistryError::DuplicateCertificate(Arc::clone(place.key().as_str())));
                }
            }
        }
        Ok(registry)
    }
}

impl Registry for FixedRegistry {
    fn certificate(&self, id: &CertificateId) -> Option<Arc<Certificate>> {
        self.certificates.get(id).cloned()
    }

    fn thing(&self, name: &str) -> Option<Arc<Thing>> {
        self.things.get(name).cloned()
    }
}
