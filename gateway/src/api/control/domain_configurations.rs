//! Domain configurations.
//!
//! Source: API reference, `API_CreateDomainConfiguration`, `API_UpdateDomainConfiguration` and their neighbours.

use std::sync::Arc;

use iot_policy::limits::MAX_DOMAIN_CONFIGURATIONS;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, Members, constraint_error},
        page::Page,
        text::Text,
    },
    door::{
        definition::DomainDefinition,
        domain::{Domain, DomainStatus, Origin},
        route::{ApplicationProtocol, AuthenticationType, UnsupportedPair},
    },
    registry::{
        Kind, RegistryError, domain_configurations,
        store::Tables,
        tags::{self, Tags},
    },
};

/// The ARN of a certificate; its form is checked by itself.
const CERTIFICATE_ARN: Text = Text { min: 1, max: 2048, ..Text::ANY };
const SERVICES: [&str; 3] = ["DATA", "CREDENTIAL_PROVIDER", "JOBS"];
const NAME: Text = Text { min: 1, max: 128, pattern: r"[\w.:-]+" };

/// `CreateDomainConfiguration`. Without a `domainName` the gateway gives one under `localhost`.
///
/// # Errors
///
/// When AWS does not accept it, or there is one of its name.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    if name.contains(':') {
        let pattern = r"Member must satisfy regular expression pattern: [\w.-]+";
        return Err(constraint_error("domainConfigurationName", pattern));
    }
    let members = input.members()?;
    match members.text("serviceType", &Text::ANY)?.as_deref() {
        None | Some("DATA") => {}
        Some(other) => {
            return Err(ApiError::not_implemented(&format!(
                "CreateDomainConfiguration of service type {other}"
            )));
        }
    }
    // It proves that the name is the account's, which is not checked here.
    let proof = members.text("validationCertificateArn", &CERTIFICATE_ARN)?;
    let domain_name = members.text("domainName", &Text { min: 1, max: 253, ..Text::ANY })?;
    let id = Uuid::new_v4().simple().to_string().chars().take(5).collect::<String>();
    let (is_customer_managed, now) = (domain_name.is_some(), api.millis(api.shared.clock.now()));
    let server_name = domain_name.unwrap_or_else(|| format!("{id}.localhost")).to_ascii_lowercase();
    let definition = DomainDefinition {
        id,
        certificate_arns: members.texts("serverCertificateArns", &CERTIFICATE_ARN)?.unwrap_or_default(),
        ..DomainDefinition::new(server_name, is_customer_managed, now)
    };
    if definition.is_customer_managed
        && !matches!(ServerName::try_from(definition.server_name.as_str()), Ok(ServerName::DnsName(_)))
    {
        return Err(ApiError::invalid_request("domainName has to be a host name"));
    }
    let arns = definition.certificate_arns.iter().chain(&proof);
    if arns.into_iter().any(|arn| !(arn.starts_with("arn:aws") && arn.contains(":acm:"))) {
        return Err(constraint_error("serverCertificateArns", "Member must be the ARN of a certificate"));
    }
    let definition = Changes::read(&members)?.applied_to(definition)?;
    let tags = members.tags()?.unwrap_or_default();
    let _one_at_a_time = api.shared.doors.begin_change().await;
    let domains = api.shared.doors.domains();
    if let Some(existing) = domains.find_by_name(&name) {
        let arn = arn(api, &name, &existing.definition);
        return Err(ApiError::already_exists(
            format!("Domain configuration {name} already exists"),
            &name,
            &arn,
        ));
    }
    if domains.all().filter(|domain| domain.origin != Origin::Account).count() >= MAX_DOMAIN_CONFIGURATIONS {
        let message = format!("at most {MAX_DOMAIN_CONFIGURATIONS} domain configurations are possible");
        return Err(ApiError::limit_exceeded(message));
    }
    put(api, name, definition, tags).await
}

/// `UpdateDomainConfiguration`.
///
/// # Errors
///
/// When AWS does not accept the change, or there is none of this name.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (name, members) = (name(input)?, input.members()?);
    let without_config = members.flag("removeAuthorizerConfig")?.unwrap_or_default();
    let status = members.text("domainConfigurationStatus", &Text::ANY)?;
    let status = one_of::<DomainStatus>("domainConfigurationStatus", status)?;
    let changes = Changes::read(&members)?;
    let _one_at_a_time = api.shared.doors.begin_change().await;
    let mut definition = own(api, &name)?;
    if without_config {
        (definition.default_authorizer, definition.allow_authorizer_override) = (None, true);
    }
    if let Some(status) = status.filter(|status| *status != definition.status) {
        definition.status_changed_at = api.millis(api.shared.clock.now());
        definition.status = status;
    }
    let definition = changes.applied_to(definition)?;
    put(api, name, definition, Tags::new()).await
}

/// `DescribeDomainConfiguration`.
///
/// # Errors
///
/// When there is none of this name.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let domains = api.shared.doors.domains();
    let domain = domains.find_by_name(&name).ok_or_else(|| not_found(&name))?;
    let definition = &domain.definition;
    let certificates = definition.certificate_arns.iter();
    let certificates =
        certificates.map(|arn| json!({"serverCertificateArn": arn, "serverCertificateStatus": "VALID"}));
    let answer = json!({
        "domainConfigurationName": name, "domainConfigurationArn": arn(api, &name, definition),
        "domainName": definition.server_name, "domainConfigurationStatus": definition.status, "serviceType": "DATA",
        "serverCertificates": certificates.collect::<Vec<_>>(), "authenticationType": definition.authentication_type,
        "applicationProtocol": definition.application_protocol,
        "tlsConfig": {"securityPolicy": definition.security_policy},
        "lastStatusChangeDate": seconds(definition.status_changed_at),
        "domainType": match domain.origin {
            Origin::Account => "AWS_MANAGED",
            _ if definition.is_customer_managed => "CUSTOMER_MANAGED",
            _ => "ENDPOINT",
        },
    });
    let config = definition.default_authorizer.as_ref().map(|default| {
        let allow = definition.allow_authorizer_override;
        json!({"defaultAuthorizerName": default, "allowAuthorizerOverride": allow})
    });
    Ok(with(answer, "authorizerConfig", config).into())
}

/// `DeleteDomainConfiguration`. One that is ENABLED is not deleted (measured).
///
/// # Errors
///
/// When there is none of this name, or it is ENABLED.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let _one_at_a_time = api.shared.doors.begin_change().await;
    if own(api, &name)?.status == DomainStatus::Enabled {
        let message = format!("Domain configuration {name} is ENABLED: disable it first");
        return Err(ApiError::invalid_request(message));
    }
    let deleted = name.clone();
    api.registry.write(move |tables| domain_configurations::delete(tables, &deleted)).await?;
    api.shared.doors.replace((*api.shared.doors.domains()).clone().without(&name));
    Ok(json!({}).into())
}

/// `ListDomainConfigurations`, in the order of the names.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListDomainConfigurations", "pageSize", 250, "marker")?;
    let service = input.query("serviceType", &Text::ANY)?;
    if service.as_deref().is_some_and(|service| !SERVICES.contains(&service)) {
        return Err(constraint_error("serviceType", "Member must satisfy enum value set"));
    }
    let domains = api.shared.doors.domains();
    // The gateway has configurations of one service type.
    let all = domains.all().filter(|_| service.as_deref().is_none_or(|service| service == "DATA"));
    let mut all = all.collect::<Vec<_>>();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let begin = match page.after.as_deref() {
        Some([last]) => all.partition_point(|domain| domain.name <= *last),
        _ => 0,
    };
    let found = all.into_iter().skip(begin).take(page.limit()).collect();
    let (listed, token) = page.cut(found, |last: &&Arc<Domain>| vec![last.name.clone()]);
    let summaries = listed.iter().map(|domain| {
        json!({
            "domainConfigurationName": domain.name, "serviceType": "DATA",
            "domainConfigurationArn": arn(api, &domain.name, &domain.definition),
        })
    });
    let summaries = summaries.collect::<Vec<_>>();
    Ok(with(json!({"domainConfigurations": summaries}), "nextMarker", token).into())
}

/// Writes a domain configuration into the file, and then puts it in force: the next handshake is served by it.
async fn put(api: &Api, name: String, definition: DomainDefinition, tags: Tags) -> Result<Answer, ApiError> {
    let doors = &api.shared.doors;
    let domain = doors.issue(name.clone(), definition.clone()).map_err(|error| {
        tracing::error!(%error, "a domain configuration has no certificate");
        ApiError::internal_failure()
    })?;
    let answer =
        json!({"domainConfigurationName": name, "domainConfigurationArn": arn(api, &name, &definition)});
    let domains = (*doors.domains()).clone().with(domain);
    let domains = domains.map_err(|error| ApiError::invalid_request(error.to_string()))?;
    let put = move |tables: &Tables<'_>| {
        domain_configurations::put(tables, &name, &definition)?;
        tags::put(tables, Kind::DomainConfiguration, &name, &tags)
    };
    api.registry.write(put).await?;
    doors.replace(domains);
    Ok(answer.into())
}

/// What both a creation and an update can set.
struct Changes {
    /// The default authorizer, and whether a client may name another one.
    authorizer_config: Option<(Option<String>, Option<bool>)>,
    authentication_type: Option<AuthenticationType>,
    application_protocol: Option<ApplicationProtocol>,
    security_policy: Option<String>,
}

impl Changes {
    fn read(members: &Members) -> Result<Self, ApiError> {
        let authorizer_config = members.structure("authorizerConfig")?.map(|config| {
            let name = config.text("defaultAuthorizerName", &Text::AUTHORIZER_NAME);
            Ok((name?, config.flag("allowAuthorizerOverride")?))
        });
        let authorizer_config =
            authorizer_config.transpose().map_err(|error: ApiError| error.inside("authorizerConfig"))?;
        let authentication_type = members.text("authenticationType", &Text::ANY)?;
        let application_protocol = members.text("applicationProtocol", &Text::ANY)?;
        let tls = members.structure("tlsConfig")?.unwrap_or_default();
        let security_policy = tls.text("securityPolicy", &Text { max: 128, ..Text::ANY });
        for config in ["serverCertificateConfig", "clientCertificateConfig"] {
            if members.structure(config)?.is_some() {
                return Err(ApiError::not_implemented(&format!("A domain configuration with {config}")));
            }
        }
        if authentication_type.as_deref() == Some("AWS_SIGV4") {
            return Err(ApiError::not_implemented("A domain configuration of AWS_SIGV4"));
        }
        Ok(Self {
            authorizer_config,
            authentication_type: one_of("authenticationType", authentication_type)?,
            application_protocol: one_of("applicationProtocol", application_protocol)?,
            security_policy: security_policy.map_err(|error| error.inside("tlsConfig"))?,
        })
    }

    fn applied_to(self, mut definition: DomainDefinition) -> Result<DomainDefinition, ApiError> {
        if let Some((default, allow)) = self.authorizer_config {
            // *(guess: an authorizer configuration without `allowAuthorizerOverride`)*
            definition.allow_authorizer_override = allow.unwrap_or(default.is_none());
            definition.default_authorizer = default;
        }
        let earlier = (definition.authentication_type, definition.application_protocol);
        definition.authentication_type = self.authentication_type.unwrap_or(earlier.0);
        definition.application_protocol = self.application_protocol.unwrap_or(earlier.1);
        if let Some(policy) = self.security_policy {
            definition.security_policy = policy;
        }
        match definition.access() {
            Ok(_) => Ok(definition),
            Err(UnsupportedPair(authentication, protocol)) => {
                let message = format!(
                    "authenticationType {authentication} does not go with applicationProtocol {protocol}"
                );
                Err(ApiError::invalid_request(message))
            }
        }
    }
}

/// A word of an enumeration, if the member is there.
fn one_of<T: serde::de::DeserializeOwned>(member: &str, text: Option<String>) -> Result<Option<T>, ApiError> {
    text.map(|text| serde_json::from_value(Value::from(text)))
        .transpose()
        .map_err(|_| constraint_error(member, "Member must satisfy enum value set"))
}

fn name(input: &Input) -> Result<String, ApiError> {
    input.path("domainConfigurationName", &NAME)
}

/// The definition of one that an API call has made.
pub(super) fn own(api: &Api, name: &str) -> Result<DomainDefinition, ApiError> {
    let domains = api.shared.doors.domains();
    let domain = domains.find_by_name(name).ok_or_else(|| not_found(name))?;
    match domain.origin {
        Origin::Api => Ok(domain.definition.clone()),
        Origin::Account => Err(ApiError::invalid_request(format!(
            "the gateway does not change the domain configuration {name}"
        ))),
        Origin::Settings => {
            let (name, path) = (name.to_owned(), api.registry.settings_file().to_owned());
            Err(RegistryError::OfSettingsFile { kind: Kind::DomainConfiguration, name, path }.into())
        }
    }
}

pub(super) fn not_found(name: &str) -> ApiError {
    ApiError::not_found(format!("Domain configuration {name} not found"))
}

fn arn(api: &Api, name: &str, definition: &DomainDefinition) -> String {
    api.arn(Kind::DomainConfiguration, &format!("{name}/{}", definition.id))
}
