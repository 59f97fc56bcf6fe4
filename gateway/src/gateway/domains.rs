//! The domain configurations, with their certificates.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::{
    certificate::{self, Authority},
    custom_auth::{authorizers::Authorizers, name::AuthorizerName},
    door::{
        domain::{Domain, Domains},
        route::Access,
        tls::Tls,
    },
    registry::Registry,
    settings::{DomainSettings, Settings},
};

/// AWS's name for the domain configuration that nobody made.
const DEFAULT: &str = "iot:Data-ATS";

pub(super) fn read(
    settings: &Settings,
    authority: &Authority,
    registry: &Arc<dyn Registry>,
    authorizers: &Authorizers,
) -> anyhow::Result<Domains> {
    let default = Domain {
        name: DEFAULT.to_owned(),
        access: Access::BY_TABLE,
        default_authorizer: None,
        allow_authorizer_override: true,
        tls: Tls::new(authority.issue(&settings.names)?, Arc::clone(registry))?,
    };
    let others = settings.domains.iter().map(|domain| {
        let made = one(domain, authority, registry, authorizers);
        let made = made.with_context(|| format!("the domain configuration `{}`", domain.name))?;
        anyhow::Ok((domain.server_name.clone(), made))
    });
    Ok(Domains::new(default, &settings.names, others.collect::<Result<_, _>>()?)?)
}

fn one(
    settings: &DomainSettings,
    authority: &Authority,
    registry: &Arc<dyn Registry>,
    authorizers: &Authorizers,
) -> anyhow::Result<Domain> {
    check(settings.default_authorizer.as_ref(), authorizers)?;
    let key = match &settings.certificate {
        Some((certificate, key)) => certificate::read(certificate, key)?,
        None => authority.issue(std::slice::from_ref(&settings.server_name))?,
    };
    Ok(Domain {
        name: settings.name.clone(),
        access: settings.access,
        default_authorizer: settings.default_authorizer.clone(),
        allow_authorizer_override: settings.allow_authorizer_override,
        tls: Tls::new(key, Arc::clone(registry))?,
    })
}

fn check(default: Option<&AuthorizerName>, authorizers: &Authorizers) -> anyhow::Result<()> {
    match default {
        Some(name) if !authorizers.has(name) => bail!("its default authorizer `{name}` does not exist"),
        _ => Ok(()),
    }
}
