//! The registry: certificates, their policies, and the Things that they are attached to.
//!
//! Source: AWS IoT Core developer guide, `x509-client-certs`, `thing-registry` and `iot-policies`. The doors for client
//! certificates ask it through [`Registry`]; API calls change it through [`store`]. The modules of each kind of entry are
//! functions on the [`store`]'s tables, and know no HTTP.

pub mod authorizers;
pub mod billing_groups;
pub mod certificate;
pub mod certificates;
pub mod domain_configurations;
pub mod error;
pub mod policies;
pub mod principal;
mod seed;
pub mod store;
pub mod tags;
pub mod thing_groups;
pub mod thing_types;
pub mod things;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use iot_policy::PolicyDocument;

pub use self::{
    certificate::{Certificate, CertificateId, CertificateStatus},
    error::RegistryError,
};

/// Looks up certificates and Things, without waiting for a call that changes them.
pub trait Registry: Send + Sync {
    /// The certificate with this id, whatever its status.
    fn certificate(&self, id: &CertificateId) -> Option<Arc<Certificate>>;

    /// The Thing with this name.
    fn thing(&self, name: &str) -> Option<Arc<Thing>>;

    /// The policies of the groups that the Thing with this name is in, and of the groups above them.
    fn group_policies(&self, thing: &str) -> Vec<PolicyDocument>;
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

/// The kinds of entries that have ARNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Thing.
    Thing,
    /// A Thing type.
    ThingType,
    /// A Thing group.
    ThingGroup,
    /// A billing group.
    BillingGroup,
    /// A policy.
    Policy,
    /// A certificate.
    Certificate,
    /// An authorizer.
    Authorizer,
    /// A domain configuration.
    DomainConfiguration,
}

impl Thing {
    /// The Thing as policies can name it.
    #[must_use]
    pub fn in_policies(&self) -> iot_policy::Thing {
        let mut seen = iot_policy::Thing::new(&self.name);
        if let Some(type_name) = &self.type_name {
            seen = seen.with_type_name(type_name);
        }
        self.attributes.iter().fold(seen, |seen, (name, value)| seen.with_attribute(name, value))
    }
}

/// A registry that stays as the settings file describes it when the gateway starts.
#[derive(Clone, Debug, Default)]
pub struct FixedRegistry {
    certificates: BTreeMap<CertificateId, Arc<Certificate>>,
    things: BTreeMap<String, Arc<Thing>>,
    /// The text of each policy, by its name.
    policies: BTreeMap<String, String>,
    /// The names of each certificate's policies.
    attached: BTreeMap<CertificateId, Vec<String>>,
}

/// Entries of the settings file that contradict each other.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
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
    pub fn new(things: Vec<Thing>, certificates: Vec<Certificate>) -> Result<Self, EntryError> {
        let mut registry = Self::default();
        for thing in things {
            match registry.things.entry(thing.name.clone()) {
                Entry::Vacant(place) => _ = place.insert(Arc::new(thing)),
                Entry::Occupied(_) => return Err(EntryError::DuplicateThing(thing.name)),
            }
        }
        for certificate in certificates {
            if let Some(name) = certificate.things.iter().find(|name| !registry.things.contains_key(*name)) {
                return Err(EntryError::NoThing(name.clone()));
            }
            match registry.certificates.entry(certificate.id().clone()) {
                Entry::Vacant(place) => _ = place.insert(Arc::new(certificate)),
                Entry::Occupied(place) => {
                    return Err(EntryError::DuplicateCertificate(Arc::clone(place.key().as_str())));
                }
            }
        }
        Ok(registry)
    }

    /// The same registry with the policies' texts by their names, and the names of each certificate's policies, which API calls
    /// show.
    #[must_use]
    pub fn with_policies(
        self,
        policies: BTreeMap<String, String>,
        attached: BTreeMap<CertificateId, Vec<String>>,
    ) -> Self {
        Self { policies, attached, ..self }
    }
}

impl Registry for FixedRegistry {
    fn certificate(&self, id: &CertificateId) -> Option<Arc<Certificate>> {
        self.certificates.get(id).cloned()
    }

    fn thing(&self, name: &str) -> Option<Arc<Thing>> {
        self.things.get(name).cloned()
    }

    /// The settings file has no groups.
    fn group_policies(&self, _: &str) -> Vec<PolicyDocument> {
        Vec::new()
    }
}

impl Kind {
    /// What comes before the name in an ARN's resource.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Thing => "thing",
            Self::ThingType => "thingtype",
            Self::ThingGroup => "thinggroup",
            Self::BillingGroup => "billinggroup",
            Self::Policy => "policy",
            Self::Certificate => "cert",
            Self::Authorizer => "authorizer",
            Self::DomainConfiguration => "domainconfiguration",
        }
    }
}

/// As AWS's messages call them.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thing => "Thing",
            Self::ThingType => "Thing Type",
            Self::ThingGroup => "Thing group",
            Self::BillingGroup => "Billing group",
            Self::Policy => "Policy",
            Self::Certificate => "Certificate",
            Self::Authorizer => "authorizer",
            Self::DomainConfiguration => "domain configuration",
        })
    }
}
