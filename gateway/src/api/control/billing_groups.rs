//! Billing groups, and the Things in them.
//!
//! Source: API reference, `API_CreateBillingGroup`, `API_DescribeBillingGroup`, `API_UpdateBillingGroup`,
//! `API_DeleteBillingGroup`, `API_ListBillingGroups`, `API_AddThingToBillingGroup`, `API_RemoveThingFromBillingGroup`,
//! `API_ListThingsInBillingGroup`.

use serde_json::json;

use super::thing_groups::group_and_thing;
use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, Members, required},
        page::Page,
        text::Text,
    },
    registry::{Kind, billing_groups, store::Tables},
};

/// The members that name a billing group.
const GROUP: (Kind, &str, &str) = (Kind::BillingGroup, "billingGroupName", "billingGroupArn");

/// The member with the properties.
const PROPERTIES: &str = "billingGroupProperties";

/// `CreateBillingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let members = input.members()?;
    let description = description(&members.structure(PROPERTIES)?.unwrap_or_default())?;
    let tags = members.tags()?.unwrap_or_default();
    let created = name.clone();
    let create =
        move |tables: &Tables<'_>| billing_groups::create(tables, &created, description.as_deref(), &tags);
    let id = api.registry.write(create).await?;
    let arn = api.arn(Kind::BillingGroup, &name);
    Ok(json!({"billingGroupName": name, "billingGroupArn": arn, "billingGroupId": id}).into())
}

/// `DescribeBillingGroup`.
///
/// # Errors
///
/// When the billing group does not exist.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let group = api.registry.read(|tables| billing_groups::get(tables, &name))?;
    Ok(json!({
        "billingGroupName": group.name,
        "billingGroupId": group.id,
        "billingGroupArn": api.arn(Kind::BillingGroup, &group.name),
        "version": group.version,
        "billingGroupProperties": with(json!({}), "billingGroupDescription", group.description),
        "billingGroupMetadata": {"creationDate": seconds(group.created_at)},
    })
    .into())
}

/// `UpdateBillingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let members = input.members()?;
    let description = description(&required(PROPERTIES, members.structure(PROPERTIES)?)?)?;
    let expected = members.integer("expectedVersion")?;
    let update =
        move |tables: &Tables<'_>| billing_groups::update(tables, &name, description.as_deref(), expected);
    let version = api.registry.write(update).await?;
    Ok(json!({"version": version}).into())
}

/// `DeleteBillingGroup`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let expected = input.query_number("expectedVersion")?;
    api.registry.write(move |tables| billing_groups::delete(tables, &name, expected)).await?;
    Ok(json!({}).into())
}

/// `ListBillingGroups`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListBillingGroups", "maxResults", 250, "nextToken")?;
    let prefix = input.query("namePrefixFilter", &Text::THING_NAME)?.unwrap_or_default();
    let found =
        api.registry.read(|tables| billing_groups::list(tables, &prefix, page.after_text(), page.limit()))?;
    let (found, token) = page.cut(found, |name| vec![name.clone()]);
    let groups = found
        .iter()
        .map(|name| json!({"groupName": name, "groupArn": api.arn(Kind::BillingGroup, name)}))
        .collect::<Vec<_>>();
    Ok(with(json!({"billingGroups": groups}), "nextToken", token).into())
}

/// `AddThingToBillingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn add(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (group, thing) = group_and_thing(api, &input.members()?, GROUP)?;
    api.registry.write(move |tables| billing_groups::add(tables, &group, &thing)).await?;
    Ok(json!({}).into())
}

/// `RemoveThingFromBillingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn remove(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (group, thing) = group_and_thing(api, &input.members()?, GROUP)?;
    api.registry.write(move |tables| billing_groups::remove(tables, &group, &thing)).await?;
    Ok(json!({}).into())
}

/// `ListThingsInBillingGroup`.
///
/// # Errors
///
/// When the billing group does not exist.
pub fn list_things(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let group = name(input)?;
    let page = Page::read(input, "ListThingsInBillingGroup", "maxResults", 250, "nextToken")?;
    let found = api
        .registry
        .read(|tables| billing_groups::members(tables, &group, page.after_text(), page.limit()))?;
    let (found, token) = page.cut(found, |name| vec![name.clone()]);
    Ok(with(json!({"things": found}), "nextToken", token).into())
}

fn name(input: &Input) -> Result<String, ApiError> {
    input.path("billingGroupName", &Text::THING_NAME)
}

/// The description in the member `billingGroupProperties`.
fn description(properties: &Members) -> Result<Option<String>, ApiError> {
    let description = properties.text("billingGroupDescription", &Text::DESCRIPTION);
    description.map_err(|error| error.inside(PROPERTIES))
}
