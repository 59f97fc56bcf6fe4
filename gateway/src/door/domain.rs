//! Domain configurations, by the server name that a client asks for (SNI).
//!
//! Source: AWS IoT Core developer guide, `iot-custom-endpoints-configurable`; API reference,
//! `API_CreateDomainConfiguration`.

use std::{collections::BTreeMap, sync::Arc};

use super::{route::Access, tls::Tls};
use crate::custom_auth::authorizer::AuthorizerName;

/// A domain configuration.
pub struct Domain {
    /// `domainConfigurationName`.
    pub name: String,
    /// `domainConfigurationStatus`.
    pub status: DomainStatus,
    /// The protocol of its connections, and how their clients authenticate.
    pub access: Access,
    /// The authorizer of clients that name none.
    pub default_authorizer: Option<AuthorizerName>,
    /// `allowAuthorizerOverride`: whether a client may name another authorizer than the default one.
    pub allow_authorizer_override: bool,
    /// The TLS configurations with its certificate.
    pub tls: Tls,
}

/// Whether clients can connect to a domain configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainStatus {
    /// They can.
    Enabled,
    /// Their handshakes are refused.
    Disabled,
}

/// The domain configurations of a gateway.
pub struct Domains {
    by_server_name: BTreeMap<String, Arc<Domain>>,
    /// For clients that send no server name.
    default: Arc<Domain>,
}

/// Two domain configurations have the same server name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server name `{0}` belongs to two domain configurations")]
pub struct DuplicateServerName(String);

impl Domains {
    /// The default domain configuration for `names`, and others by their server names. Names ignore case.
    ///
    /// # Errors
    ///
    /// When two have the same name.
    pub fn new(
        default: Domain,
        names: &[String],
        others: Vec<(String, Domain)>,
    ) -> Result<Self, DuplicateServerName> {
        let default = Arc::new(default);
        let mut by_server_name: BTreeMap<_, _> =
            names.iter().map(|name| (name.to_ascii_lowercase(), Arc::clone(&default))).collect();
        for (name, domain) in others {
            let name = name.to_ascii_lowercase();
            if by_server_name.insert(name.clone(), Arc::new(domain)).is_some() {
                return Err(DuplicateServerName(name));
            }
        }
        Ok(Self { by_server_name, default })
    }

    /// The domain configuration for a client that asks for this name, in lower case, or for none.
    #[must_use]
    pub fn find(&self, server_name: Option<&str>) -> Option<&Arc<Domain>> {
        match server_name {
            Some(name) => self.by_server_name.get(name),
            None => Some(&self.default),
        }
    }
}
