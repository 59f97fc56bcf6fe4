//! Things and the principals that they are attached to.
//!
//! Source: API reference, `API_AttachThingPrincipal`, `API_DetachThingPrincipal`, `API_ListThingPrincipals`,
//! `API_ListPrincipalThings`, and the second versions of the two lists.

use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::{Input, constraint_error, required},
        page::Page,
        text::Text,
    },
    registry::{
        principal::{self, Attachment, Target},
        store::Tables,
    },
};

/// `AttachThingPrincipal`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn attach(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (thing, text) = (input.path("thingName", &Text::THING_NAME)?, principal(input)?);
    let attachment = attachment(input)?.unwrap_or_default();
    let attach = move |tables: &Tables<'_>| {
        principal::attach(tables, &thing, &Target::read(tables, &text)?, attachment)
    };
    api.registry.write(attach).await?;
    Ok(json!({}).into())
}

/// `DetachThingPrincipal`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn detach(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (thing, text) = (input.path("thingName", &Text::THING_NAME)?, principal(input)?);
    let detach = move |tables: &Tables<'_>| principal::detach(tables, &thing, &Target::read(tables, &text)?);
    api.registry.write(detach).await?;
    Ok(json!({}).into())
}

/// `ListThingPrincipals`.
///
/// # Errors
///
/// When the Thing does not exist.
pub fn list_of_thing(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (found, token) = of_thing(api, input, "ListThingPrincipals")?;
    let principals = found.into_iter().map(|(principal, _)| principal).collect::<Vec<_>>();
    Ok(with(json!({"principals": principals}), "nextToken", token).into())
}

/// `ListThingPrincipalsV2`.
///
/// # Errors
///
/// When the Thing does not exist.
pub fn list_of_thing_with_type(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (found, token) = of_thing(api, input, "ListThingPrincipalsV2")?;
    Ok(with(json!({"thingPrincipalObjects": typed(found, "principal")}), "nextToken", token).into())
}

/// `ListPrincipalThings`.
///
/// # Errors
///
/// When the principal does not exist.
pub fn list_things(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (found, token) = things_of(api, input, "ListPrincipalThings")?;
    let things = found.into_iter().map(|(thing, _)| thing).collect::<Vec<_>>();
    Ok(with(json!({"things": things}), "nextToken", token).into())
}

/// `ListPrincipalThingsV2`.
///
/// # Errors
///
/// When the principal does not exist.
pub fn list_things_with_type(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (found, token) = things_of(api, input, "ListPrincipalThingsV2")?;
    Ok(with(json!({"principalThingObjects": typed(found, "thingName")}), "nextToken", token).into())
}

/// Names with how they are attached, and the next page's token.
type Attached = (Vec<(String, String)>, Option<String>);

fn of_thing(api: &Api, input: &Input, operation: &'static str) -> Result<Attached, ApiError> {
    let thing = input.path("thingName", &Text::THING_NAME)?;
    let page = Page::read(input, operation, "maxResults", 250, "nextToken")?;
    let only = attachment(input)?.map(Attachment::as_str);
    let found = api
        .registry
        .read(|tables| principal::of_thing(tables, &thing, only, page.after_text(), page.limit()))?;
    Ok(page.cut(found, |(principal, _)| vec![principal.clone()]))
}

fn things_of(api: &Api, input: &Input, operation: &'static str) -> Result<Attached, ApiError> {
    let text = principal(input)?;
    let page = Page::read(input, operation, "maxResults", 250, "nextToken")?;
    let only = attachment(input)?.map(Attachment::as_str);
    let found = api.registry.read(|tables| {
        let principal = Target::read(tables, &text)?;
        principal::things_of(tables, &principal, only, page.after_text(), page.limit())
    })?;
    Ok(page.cut(found, |(thing, _)| vec![thing.clone()]))
}

fn typed(found: Vec<(String, String)>, member: &str) -> Vec<Value> {
    let typed = found.into_iter().map(|(name, kind)| json!({member: name, "thingPrincipalType": kind}));
    typed.collect()
}

fn principal(input: &Input) -> Result<String, ApiError> {
    required("principal", input.header("x-amzn-principal", "principal", &Text::ANY)?)
}

fn attachment(input: &Input) -> Result<Option<Attachment>, ApiError> {
    let Some(text) = input.query("thingPrincipalType", &Text::ANY)? else { return Ok(None) };
    let constraint = "Member must satisfy enum value set: [EXCLUSIVE_THING, NON_EXCLUSIVE_THING]";
    let attachment = Attachment::named(&text);
    attachment.map(Some).ok_or_else(|| constraint_error("thingPrincipalType", constraint))
}
