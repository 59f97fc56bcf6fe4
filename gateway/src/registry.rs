//! The registry: certificates, their policies, and the Things that they are attached to.
//!
//! Source: AWS IoT Core developer guide, `x509-client-certs`, `thing-registry` and `iot-policies`. The doors for client
//! certificates ask it; where the answers come from is behind [`Registry`].

pub mod certificate;
pub mod fixed;

use std::{collections::BTreeMap, sync::Arc};

pub use self::certificate::{Certificate, CertificateId, CertificateStatus};

/// What the doors ask.
pub trait Registry: Send + Sync {
    /// The certificate with this id, whatever its status.
    fn certificate(&self, id: &CertificateId) -> Option<Arc<Certificate>>;

    /// The Thing with this name.
    fn thing(&self, name: &str) -> Option<Arc<Thing>>;
}

/// A Thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Its name.
    pub name: String,
    /// The name of its type, if it has one.
    pub type_name: Option<String>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}
