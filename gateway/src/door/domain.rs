//! Domain configurations, by the server name that a client asks for (SNI).
//!
//! Source: AWS IoT Core developer guide, `iot-custom-endpoints-configurable`; API reference,
//! `API_CreateDomainConfiguration`.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{definition::DomainDefinition, route::Access, tls::Tls};
use crate::{certificate::Authority, custom_auth::authorizer::AuthorizerName, registry::Registry};

/// AWS's name for the domain configuration that every account has.
pub const ACCOUNT_DOMAIN: &str = "iot:Data-ATS";

/// A domain configuration.
pub struct Domain {
    /// `domainConfigurationName`.
    pub name: String,
    /// Who defined it.
    pub origin: Origin,
    /// Its definition, as the API describes it.
    pub definition: DomainDefinition,
    /// The protocol of its connections, and how their clients authenticate.
    pub access: Access,
    /// The authorizer of clients that name none.
    pub default_authorizer: Option<AuthorizerName>,
    /// The TLS configurations with its certificate.
    pub tls: Tls,
}

/// Who defined a domain configuration. API calls change only their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// AWS: every account has it.
    Account,
    /// The settings.
    Settings,
    /// An API call.
    Api,
}

/// Whether clients can connect to a domain configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DomainStatus {
    /// They can.
    #[default]
    Enabled,
    /// Their handshakes are refused.
    Disabled,
}

/// The domain configurations of a gateway. They are replaced as a whole.
#[derive(Clone)]
pub struct Domains {
    by_server_name: BTreeMap<String, Arc<Domain>>,
    /// For clients that send no server name.
    default: Arc<Domain>,
}

impl Domain {
    /// The domain configuration of an API call.
    ///
    /// # Errors
    ///
    /// When a certificate can't have its server name, or AWS does not accept its access.
    pub fn of_api(
        name: String,
        definition: DomainDefinition,
        authority: &Authority,
        registry: &Arc<dyn Registry>,
    ) -> anyhow::Result<Self> {
        let key = authority.issue(std::slice::from_ref(&definition.server_name))?;
        Ok(Self {
            name,
            origin: Origin::Api,
            access: definition.access()?,
            default_authorizer: definition.default_authorizer(),
            tls: Tls::new(key, Arc::clone(registry))?,
            definition,
        })
    }
}

/// Two domain configurations have the same server name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server name `{0}` belongs to two domain configurations")]
pub struct DuplicateServerName(String);

impl Domains {
    /// The account's domain configuration, for these names. Names ignore case.
    #[must_use]
    pub fn new(default: Domain, names: &[String]) -> Self {
        let default = Arc::new(default);
        let names = names.iter().map(|name| (name.to_ascii_lowercase(), Arc::clone(&default)));
        Self { by_server_name: names.collect(), default }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Domain>> {
        let own = self.by_server_name.values().filter(|domain| domain.origin != Origin::Account);
        [&self.default].into_iter().chain(own)
    }

    /// The one with this name.
    #[must_use]
    pub fn find_by_name(&self, name: &str) -> Option<&Arc<Domain>> {
        self.all().find(|domain| domain.name == name)
    }

    /// These, with this one in the place of one of its name.
    ///
    /// # Errors
    ///
    /// When another one has its server name.
    pub fn with(self, domain: Domain) -> Result<Self, DuplicateServerName> {
        let mut domains = self.without(&domain.name);
        let server_name = domain.definition.server_name.to_ascii_lowercase();
        if domains.by_server_name.contains_key(&server_name) {
            return Err(DuplicateServerName(server_name));
        }
        domains.by_server_name.insert(server_name, Arc::new(domain));
        Ok(domains)
    }

    /// These without the one of this name, unless it is the account's.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.by_server_name.retain(|_, domain| domain.origin == Origin::Account || domain.name != name);
        self
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
