//! Tags.
//!
//! Source: developer guide, `tagging-iot`; API reference, `API_TagResource`, `API_UntagResource`,
//! `API_ListTagsForResource`.

use iot_policy::limits::MAX_TAGS;
use serde_json::json;

use super::{authorizers, domain_configurations};
use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::{Input, required},
        page::Page,
        text::Text,
    },
    registry::{
        self, Kind, RegistryError, billing_groups, policies, store::Tables, tags, thing_groups, thing_types,
    },
};

/// What can have tags, of what API calls can make here.
const KINDS: [Kind; 6] = [
    Kind::ThingType,
    Kind::ThingGroup,
    Kind::BillingGroup,
    Kind::Policy,
    Kind::Authorizer,
    Kind::DomainConfiguration,
];

/// `TagResource`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the resource does not exist, can't have tags or is of the settings file.
pub async fn tag(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let members = input.members()?;
    let arn = required("resourceArn", members.text("resourceArn", &Text::ANY)?)?;
    let new = required("tags", members.tags()?)?;
    let (kind, name) = resource(api, &arn)?;
    check_changeable(api, kind, &name)?;
    let put = move |tables: &Tables<'_>| {
        check(tables, kind, &name, true)?;
        tags::put(tables, kind, &name, &new)
    };
    api.registry.write(put).await?;
    Ok(json!({}).into())
}

/// `UntagResource`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the resource does not exist, can't have tags or is of the settings file.
pub async fn untag(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let members = input.members()?;
    let arn = required("resourceArn", members.text("resourceArn", &Text::ANY)?)?;
    let keys = required("tagKeys", members.texts("tagKeys", &Text::TAG_KEY)?)?;
    let (kind, name) = resource(api, &arn)?;
    check_changeable(api, kind, &name)?;
    let remove = move |tables: &Tables<'_>| {
        check(tables, kind, &name, true)?;
        tags::remove(tables, kind, &name, &keys)
    };
    api.registry.write(remove).await?;
    Ok(json!({}).into())
}

/// `ListTagsForResource`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the resource does not exist or can't have tags.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let arn = required("resourceArn", input.query("resourceArn", &Text::ANY)?)?;
    let page = Page::of_size(input, "ListTagsForResource", MAX_TAGS, "nextToken")?;
    let (kind, name) = resource(api, &arn)?;
    let found = api.registry.read(|tables| {
        check(tables, kind, &name, false)?;
        tags::list(tables, kind, &name, page.after_text(), page.limit())
    })?;
    let (found, token) = page.cut(found, |(key, _)| vec![key.clone()]);
    let found = found.into_iter().map(|(key, value)| json!({"Key": key, "Value": value}));
    Ok(with(json!({"tags": found.collect::<Vec<_>>()}), "nextToken", token).into())
}

/// The kind and the name of the resource with this ARN. If it is an authorizer or a domain configuration, it exists.
fn resource(api: &Api, arn: &str) -> Result<(Kind, String), ApiError> {
    let of_kind = |kind| Some((kind, arn.strip_prefix(&*api.arn(kind, ""))?));
    let Some((kind, name)) = KINDS.into_iter().find_map(of_kind) else {
        // *(guess: the ARN of something that can't have tags)*
        let kinds = KINDS.map(Kind::resource).join(", ");
        let message = format!("resourceArn has to be an ARN of this account, of one of: {kinds}");
        return Err(ApiError::invalid_request(message));
    };
    match kind {
        Kind::Authorizer => _ = authorizers::find_by_text(&api.shared.authorizers.current(), name)?,
        Kind::DomainConfiguration => {
            let (name, id) = name.split_once('/').unwrap_or((name, ""));
            let domains = api.shared.doors.domains();
            let domain = domains.find_by_name(name).filter(|domain| domain.definition.id == id);
            domain.ok_or_else(|| domain_configurations::not_found(name))?;
            return Ok((kind, name.to_owned()));
        }
        _ => {}
    }
    Ok((kind, name.to_owned()))
}

/// An error if it is an authorizer or a domain configuration that API calls don't change.
fn check_changeable(api: &Api, kind: Kind, name: &str) -> Result<(), ApiError> {
    match kind {
        Kind::Authorizer => {
            let set = api.shared.authorizers.current();
            let authorizer = authorizers::find_by_text(&set, name)?;
            authorizers::own(api, &set, &authorizer.name).map(drop)
        }
        Kind::DomainConfiguration => domain_configurations::own(api, name).map(drop),
        _ => Ok(()),
    }
}

/// Checks that a resource exists and, if it will change, that API calls can change it. An authorizer or domain configuration that
/// does not change need not be in the tables: [`resource`] has found it.
fn check(tables: &Tables<'_>, kind: Kind, name: &str, to_change: bool) -> Result<(), RegistryError> {
    match kind {
        Kind::ThingType => thing_types::get(tables, name).map(drop),
        Kind::ThingGroup => thing_groups::get(tables, name).map(drop),
        Kind::BillingGroup => billing_groups::get(tables, name).map(drop),
        Kind::Policy => {
            let from_file = policies::get(tables, name)?.from_file;
            tables.not_of_file(kind, name, to_change && from_file)
        }
        Kind::Authorizer if to_change => {
            let all = registry::authorizers::all(tables)?;
            exists(kind, name, all.iter().any(|(known, _)| known.as_str() == name))
        }
        Kind::DomainConfiguration if to_change => {
            let all = registry::domain_configurations::all(tables)?;
            exists(kind, name, all.iter().any(|(known, _)| known == name))
        }
        _ => Ok(()),
    }
}

fn exists(kind: Kind, name: &str, it_does: bool) -> Result<(), RegistryError> {
    if it_does { Ok(()) } else { Err(RegistryError::not_found(kind, name)) }
}
