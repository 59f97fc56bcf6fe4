//! Thing types.
//!
//! Source: API reference, `API_CreateThingType`, `API_UpdateThingType`, `API_DescribeThingType`, `API_ListThingTypes`, `API_DeprecateThingType`,
//! `API_DeleteThingType`.

use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, Members},
        page::Page,
        text::Text,
    },
    registry::{
        Kind,
        store::Tables,
        thing_types::{self, ThingTypeEntry},
    },
};

/// What `thingTypeProperties` sets: the description, and the searchable attributes.
type Properties = (Option<String>, Option<Vec<String>>);

/// `CreateThingType`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingTypeName", &Text::THING_NAME)?;
    let members = input.members()?;
    let (description, searchable) = properties(&members, "CreateThingType")?;
    let searchable = searchable.unwrap_or_default();
    let tags = members.tags()?.unwrap_or_default();
    let created = name.clone();
    let create = move |tables: &Tables<'_>| {
        thing_types::create(tables, &created, description.as_deref(), &searchable, &tags)
    };
    let id = api.registry.write(create).await?;
    let arn = api.arn(Kind::ThingType, &name);
    Ok(json!({"thingTypeName": name, "thingTypeArn": arn, "thingTypeId": id}).into())
}

/// `DescribeThingType`.
///
/// # Errors
///
/// When the type does not exist.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingTypeName", &Text::THING_NAME)?;
    let entry = api.registry.read(|tables| thing_types::get(tables, &name))?;
    let id = json!(entry.id);
    Ok(with(shown(api, &entry), "thingTypeId", Some(id)).into())
}

/// `UpdateThingType`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingTypeName", &Text::THING_NAME)?;
    let (description, searchable) = properties(&input.members()?, "UpdateThingType")?;
    let update = move |tables: &Tables<'_>| {
        thing_types::update(tables, &name, description.as_deref(), searchable.as_deref())
    };
    api.registry.write(update).await?;
    Ok(json!({}).into())
}

/// `ListThingTypes`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListThingTypes", "maxResults", 250, "nextToken")?;
    let only = input.query("thingTypeName", &Text::THING_NAME)?;
    let found = api
        .registry
        .read(|tables| thing_types::list(tables, only.as_deref(), page.after_text(), page.limit()))?;
    let (found, token) = page.cut(found, |entry| vec![entry.name.clone()]);
    let types = found.iter().map(|entry| shown(api, entry)).collect::<Vec<_>>();
    Ok(with(json!({"thingTypes": types}), "nextToken", token).into())
}

/// `DeprecateThingType`.
///
/// # Errors
///
/// When the type does not exist.
pub async fn deprecate(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingTypeName", &Text::THING_NAME)?;
    let undo = input.members()?.flag("undoDeprecate")?.unwrap_or(false);
    api.registry.write(move |tables| thing_types::deprecate(tables, &name, undo)).await?;
    Ok(json!({}).into())
}

/// `DeleteThingType`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingTypeName", &Text::THING_NAME)?;
    api.registry.write(move |tables| thing_types::delete(tables, &name)).await?;
    Ok(json!({}).into())
}

/// The description and the searchable attributes in the member `thingTypeProperties`.
fn properties(members: &Members, operation: &str) -> Result<Properties, ApiError> {
    let properties = members.structure("thingTypeProperties")?.unwrap_or_default();
    if properties.structure("mqtt5Configuration")?.is_some() {
        return Err(ApiError::not_implemented(&format!("{operation} with an mqtt5Configuration")));
    }
    let inside = |error: ApiError| error.inside("thingTypeProperties");
    Ok((
        properties.text("thingTypeDescription", &Text::DESCRIPTION).map_err(inside)?,
        properties.texts("searchableAttributes", &Text::ATTRIBUTE_NAME).map_err(inside)?,
    ))
}

fn shown(api: &Api, entry: &ThingTypeEntry) -> Value {
    let properties = json!({"searchableAttributes": entry.searchable});
    let metadata =
        json!({"deprecated": entry.deprecated_at.is_some(), "creationDate": seconds(entry.created_at)});
    json!({
        "thingTypeName": entry.name,
        "thingTypeArn": api.arn(Kind::ThingType, &entry.name),
        "thingTypeProperties": with(properties, "thingTypeDescription", entry.description.as_deref()),
        "thingTypeMetadata": with(metadata, "deprecationDate", entry.deprecated_at.map(seconds)),
    })
}
