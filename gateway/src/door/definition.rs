//! A domain configuration as AWS's API defines it: what `CreateDomainConfiguration` accepts.
//!
//! Source: API reference, `API_CreateDomainConfiguration` and `API_UpdateDomainConfiguration`.

use serde::{Deserialize, Serialize};

use super::{
    domain::DomainStatus,
    route::{Access, ApplicationProtocol, AuthenticationType, UnsupportedPair},
};
use crate::custom_auth::authorizer::AuthorizerName;

/// What a domain configuration is, apart from its name. It is also the form in which the registry's file has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct DomainDefinition {
    /// `domainName`, or the name that the gateway gave it: the server name (SNI) of its clients.
    pub server_name: String,
    /// Whether the caller brought the name.
    pub is_customer_managed: bool,
    /// The last part of the ARN.
    pub id: String,
    /// `domainConfigurationStatus`.
    pub status: DomainStatus,
    /// `authenticationType`.
    pub authentication_type: AuthenticationType,
    /// `applicationProtocol`.
    pub application_protocol: ApplicationProtocol,
    /// `authorizerConfig.defaultAuthorizerName`.
    pub default_authorizer: Option<String>,
    /// `authorizerConfig.allowAuthorizerOverride`: whether a client may name another authorizer than the default one.
    pub allow_authorizer_override: bool,
    /// `serverCertificateArns`. The gateway's own CA issues the certificate all the same.
    pub certificate_arns: Vec<String>,
    /// `tlsConfig.securityPolicy`, which changes nothing here.
    pub security_policy: String,
    /// `lastStatusChangeDate`, in milliseconds since 1970.
    pub status_changed_at: i64,
}

/// The TLS policy of a domain configuration that names none (measured).
const SECURITY_POLICY: &str = "IoTSecurityPolicy_TLS13_1_2_2022_10";
/// The last part of the ARN of those that no call has made.
const FIXED_ID: &str = "local";

impl DomainDefinition {
    /// The definition in which everything has its default.
    #[must_use]
    pub fn new(server_name: String, is_customer_managed: bool, status_changed_at: i64) -> Self {
        Self {
            server_name,
            is_customer_managed,
            id: FIXED_ID.to_owned(),
            status: DomainStatus::Enabled,
            authentication_type: AuthenticationType::Default,
            application_protocol: ApplicationProtocol::Default,
            default_authorizer: None,
            allow_authorizer_override: true,
            certificate_arns: Vec::new(),
            security_policy: SECURITY_POLICY.to_owned(),
            status_changed_at,
        }
    }

    /// The access of its clients.
    ///
    /// # Errors
    ///
    /// When AWS does not accept the pair.
    pub fn access(&self) -> Result<Access, UnsupportedPair> {
        Access::new(self.authentication_type, self.application_protocol)
    }

    /// The authorizer of clients that name none.
    #[must_use]
    pub fn default_authorizer(&self) -> Option<AuthorizerName> {
        AuthorizerName::try_from(self.default_authorizer.as_deref()?).ok()
    }
}
