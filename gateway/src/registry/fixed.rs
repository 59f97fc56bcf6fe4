//! A registry that stays as it was when the gateway started: what the settings file says.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use super::{Certificate, CertificateId, Registry, Thing};

/// Certificates and Things by their names.
#[derive(Clone, Debug, Default)]
pub struct FixedRegistry {
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
    things: BTreeMap<String, Arc<Thing>>,
}

/// Why entries can't stand beside each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two Things have one name.
    #[error("there are two things with the name `{0}`")]
    DuplicateThing(String),
    /// A certificate is there twice.
    #[error("the certificate {0} is there twice")]
    DuplicateCertificate(Arc<str>),
    /// A certificate is attached to a Thing that is not there.
    #[error("the certificate is attached to the thing `{0}`, which does not exist")]
    NoThing(String),
}

impl FixedRegistry {
    /// A registry with these entries.
    ///
    /// # Errors
    ///
    /// When two are the same, or one names another that is not there.
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
