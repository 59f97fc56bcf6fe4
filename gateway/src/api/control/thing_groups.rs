//! Thing groups, and the Things in them.
//!
//! Source: API reference, `API_CreateThingGroup`, `API_DescribeThingGroup`, `API_UpdateThingGroup`, `API_DeleteThingGroup`,
//! `API_ListThingGroups`, `API_AddThingToThingGroup`, `API_RemoveThingFromThingGroup`, `API_ListThingsInThingGroup`,
//! `API_ListThingGroupsForThing`, `API_UpdateThingGroupsForThing`.

use serde_json::{Value, json};

use super::things::attribute_payload;
use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, Members, required},
        page::Page,
        text::Text,
    },
    registry::{
        Kind,
        store::Tables,
        thing_groups::{self, ThingGroupProperties},
        things::get as get_thing,
    },
};

/// The members that name a Thing group.
const GROUP: (Kind, &str, &str) = (Kind::ThingGroup, "thingGroupName", "thingGroupArn");

/// `CreateThingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingGroupName", &Text::THING_NAME)?;
    let members = input.members()?;
    let parent = members.text("parentGroupName", &Text::THING_NAME)?;
    let properties = properties(&members)?.unwrap_or_default();
    let tags = members.tags()?.unwrap_or_default();
    let created = name.clone();
    let create = move |tables: &Tables<'_>| {
        thing_groups::create(tables, &created, parent.as_deref(), properties, &tags)
    };
    let id = api.registry.write(create).await?;
    let arn = api.arn(Kind::ThingGroup, &name);
    Ok(json!({"thingGroupName": name, "thingGroupArn": arn, "thingGroupId": id}).into())
}

/// `DescribeThingGroup`.
///
/// # Errors
///
/// When the group does not exist.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingGroupName", &Text::THING_NAME)?;
    let (group, above) = api
        .registry
        .read(|tables| Ok((thing_groups::get(tables, &name)?, thing_groups::ancestors(tables, &name)?)))?;
    let properties = json!({"attributePayload": {"attributes": group.attributes}});
    let above = above.iter().map(|name| name_and_arn(api, name)).collect::<Vec<_>>();
    let metadata = json!({"creationDate": seconds(group.created_at), "rootToParentThingGroups": above});
    Ok(json!({
        "thingGroupName": group.name,
        "thingGroupId": group.id,
        "thingGroupArn": api.arn(Kind::ThingGroup, &group.name),
        "version": group.version,
        "thingGroupProperties": with(properties, "thingGroupDescription", group.description),
        "thingGroupMetadata": with(metadata, "parentGroupName", group.parent),
    })
    .into())
}

/// `UpdateThingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingGroupName", &Text::THING_NAME)?;
    let members = input.members()?;
    let properties = required("thingGroupProperties", properties(&members)?)?;
    let expected = members.integer("expectedVersion")?;
    let update = move |tables: &Tables<'_>| thing_groups::update(tables, &name, properties, expected);
    let version = api.registry.write(update).await?;
    Ok(json!({"version": version}).into())
}

/// `DeleteThingGroup`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingGroupName", &Text::THING_NAME)?;
    let expected = input.query_number("expectedVersion")?;
    api.registry.write(move |tables| thing_groups::delete(tables, &name, expected)).await?;
    Ok(json!({}).into())
}

/// `ListThingGroups`. With a parent, the groups directly below it are listed, and with `recursive` also those below these.
///
/// # Errors
///
/// When a member does not meet its constraints, or the parent does not exist.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListThingGroups", "maxResults", 250, "nextToken")?;
    let parent = input.query("parentGroup", &Text::THING_NAME)?;
    let prefix = input.query("namePrefixFilter", &Text::THING_NAME)?.unwrap_or_default();
    let recursive = input.query_flag("recursive")?;
    let found = api.registry.read(|tables| {
        if let Some(parent) = &parent {
            thing_groups::get(tables, parent)?;
        }
        let (after, limit) = (page.after_text(), page.limit());
        thing_groups::list(tables, parent.as_deref(), recursive, &prefix, after, limit)
    })?;
    Ok(groups(api, &page, found))
}

/// `AddThingToThingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn add(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let members = input.members()?;
    // There are no dynamic groups that it could override.
    members.flag("overrideDynamicGroups")?;
    let (group, thing) = group_and_thing(api, &members, GROUP)?;
    api.registry.write(move |tables| thing_groups::add(tables, &group, &thing)).await?;
    Ok(json!({}).into())
}

/// `RemoveThingFromThingGroup`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn remove(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (group, thing) = group_and_thing(api, &input.members()?, GROUP)?;
    api.registry.write(move |tables| thing_groups::remove(tables, &group, &thing)).await?;
    Ok(json!({}).into())
}

/// `UpdateThingGroupsForThing`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses; then no group is changed.
pub async fn update_for_thing(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let members = input.members()?;
    let removed = members.texts("thingGroupsToRemove", &Text::THING_NAME)?.unwrap_or_default();
    let added = members.texts("thingGroupsToAdd", &Text::THING_NAME)?.unwrap_or_default();
    // There are no dynamic groups that it could override.
    members.flag("overrideDynamicGroups")?;
    let thing = required("thingName", members.text("thingName", &Text::THING_NAME)?)?;
    let update = move |tables: &Tables<'_>| {
        removed.iter().try_for_each(|group| thing_groups::remove(tables, group, &thing))?;
        added.iter().try_for_each(|group| thing_groups::add(tables, group, &thing))
    };
    api.registry.write(update).await?;
    Ok(json!({}).into())
}

/// `ListThingsInThingGroup`.
///
/// # Errors
///
/// When the group does not exist.
pub fn list_things(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let group = input.path("thingGroupName", &Text::THING_NAME)?;
    let page = Page::read(input, "ListThingsInThingGroup", "maxResults", 250, "nextToken")?;
    let recursive = input.query_flag("recursive")?;
    let found = api
        .registry
        .read(|tables| thing_groups::members(tables, &group, recursive, page.after_text(), page.limit()))?;
    let (found, token) = page.cut(found, |name| vec![name.clone()]);
    Ok(with(json!({"things": found}), "nextToken", token).into())
}

/// `ListThingGroupsForThing`.
///
/// # Errors
///
/// When the Thing does not exist.
pub fn list_for_thing(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let thing = input.path("thingName", &Text::THING_NAME)?;
    let page = Page::read(input, "ListThingGroupsForThing", "maxResults", 250, "nextToken")?;
    let found = api.registry.read(|tables| {
        get_thing(tables, &thing)?;
        thing_groups::of_thing(tables, &thing, page.after_text(), page.limit())
    })?;
    Ok(groups(api, &page, found))
}

fn groups(api: &Api, page: &Page, found: Vec<String>) -> Answer {
    let (found, token) = page.cut(found, |name| vec![name.clone()]);
    let groups = found.iter().map(|name| name_and_arn(api, name)).collect::<Vec<_>>();
    with(json!({"thingGroups": groups}), "nextToken", token).into()
}

fn name_and_arn(api: &Api, name: &str) -> Value {
    json!({"groupName": name, "groupArn": api.arn(Kind::ThingGroup, name)})
}

/// What the members of these names say of a group of this kind, and `thingName` and `thingArn` of a Thing: by name or by ARN.
pub(super) fn group_and_thing(
    api: &Api,
    members: &Members,
    group: (Kind, &str, &str),
) -> Result<(String, String), ApiError> {
    let thing = (Kind::Thing, "thingName", "thingArn");
    // All are read before one is missed, so that a member of another type is reported as such.
    let read = |(_, name, arn): (Kind, &str, &str)| {
        Ok::<_, ApiError>((members.text(name, &Text::THING_NAME)?, members.text(arn, &Text::ANY)?))
    };
    let (of_group, of_thing) = (read(group)?, read(thing)?);
    Ok((named(api, group, of_group)?, named(api, thing, of_thing)?))
}

/// The name that the members of these names say: as it is, or in an ARN.
fn named(
    api: &Api,
    (kind, name, arn): (Kind, &str, &str),
    (by_name, by_arn): (Option<String>, Option<String>),
) -> Result<String, ApiError> {
    let of_arn = by_arn.as_deref().map(|text| text.strip_prefix(&*api.arn(kind, "")));
    match (by_name, of_arn) {
        (Some(named), None) => Ok(named),
        (Some(named), Some(Some(of_arn))) if named == of_arn => Ok(named),
        (None, Some(Some(of_arn))) => {
            Text::THING_NAME.check(arn, of_arn)?;
            Ok(of_arn.to_owned())
        }
        (None, None) => required(name, None),
        _ => Err(ApiError::invalid_request(format!(
            "{arn} is not an ARN of this account, or not that of {name}"
        ))),
    }
}

/// The members `thingGroupProperties`.
fn properties(members: &Members) -> Result<Option<ThingGroupProperties>, ApiError> {
    let Some(properties) = members.structure("thingGroupProperties")? else { return Ok(None) };
    Ok(Some(ThingGroupProperties {
        attributes: attribute_payload(&properties)?,
        description: properties.text("thingGroupDescription", &Text::DESCRIPTION)?,
    }))
}
