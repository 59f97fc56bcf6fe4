//! A table `[[domain]]` of the settings file: a domain configuration.

use std::path::{Path, PathBuf};

use anyhow::bail;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use crate::{
    custom_auth::authorizer::AuthorizerName,
    door::{
        domain::DomainStatus,
        route::{Access, ApplicationProtocol, AuthenticationType},
    },
    settings::DomainSettings,
};

/// A table `[[domain]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainTable {
    pub(super) name: String,
    #[serde(default)]
    status: DomainStatus,
    server_name: String,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authentication_type: Option<AuthenticationTypeName>,
    application_protocol: Option<ApplicationProtocol>,
    default_authorizer: Option<String>,
    allow_authorizer_override: Option<bool>,
}

/// AWS's names of the authentication types.
#[derive(Clone, Copy, Deserialize)]
enum AuthenticationTypeName {
    #[serde(rename = "DEFAULT")]
    Default,
    #[serde(rename = "CUSTOM_AUTH")]
    CustomAuth,
    #[serde(rename = "CUSTOM_AUTH_X509")]
    CustomAuthX509,
    #[serde(rename = "AWS_X509")]
    AwsX509,
    #[serde(rename = "AWS_SIGV4")]
    AwsSigV4,
}

impl DomainTable {
    /// The domain configuration that the table describes. Paths are relative to `folder`.
    pub(super) fn settings(self, folder: &Path) -> anyhow::Result<DomainSettings> {
        if !matches!(ServerName::try_from(self.server_name.as_str()), Ok(ServerName::DnsName(_))) {
            bail!("`server_name` has to be a host name, such as `iot.example.com`");
        }
        let certificate = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((folder.join(certificate), folder.join(key))),
            (None, None) => None,
            _ => bail!("`certificate` and `key` need each other"),
        };
        let default_authorizer =
            self.default_authorizer.as_deref().map(AuthorizerName::try_from).transpose()?;
        if default_authorizer.is_none() && self.allow_authorizer_override == Some(false) {
            bail!("`allow_authorizer_override = false` needs a `default_authorizer`");
        }
        Ok(DomainSettings {
            name: self.name,
            status: self.status,
            server_name: self.server_name,
            certificate,
            access: access(self.authentication_type, self.application_protocol)?,
            default_authorizer,
            allow_authorizer_override: self.allow_authorizer_override.unwrap_or(true),
        })
    }
}

fn access(
    authentication: Option<AuthenticationTypeName>,
    protocol: Option<ApplicationProtocol>,
) -> anyhow::Result<Access> {
    let authentication = match authentication.unwrap_or(AuthenticationTypeName::Default) {
        AuthenticationTypeName::Default => AuthenticationType::Default,
        AuthenticationTypeName::CustomAuth => AuthenticationType::CustomAuth,
        AuthenticationTypeName::CustomAuthX509 => AuthenticationType::CustomAuthX509,
        AuthenticationTypeName::AwsX509 => AuthenticationType::AwsX509,
        AuthenticationTypeName::AwsSigV4 => bail!("this gateway does not support AWS_SIGV4"),
    };
    Ok(Access::new(authentication, protocol.unwrap_or(ApplicationProtocol::Default))?)
}
