//! Things.
//!
//! Source: API reference, `API_CreateThing`, `API_DescribeThing`, `API_UpdateThing`, `API_DeleteThing`, `API_ListThings`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::Answer,
        error::ApiError,
        input::{Input, Members},
        page::Page,
        text::Text,
    },
    registry::{
        Kind,
        things::{self, ThingEntry, ThingFilter, ThingUpdate},
    },
};

/// `CreateThing`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let members = input.members()?;
    let type_name = members.text("thingTypeName", &Text::THING_NAME)?;
    if members.text("billingGroupName", &Text::THING_NAME)?.is_some() {
        return Err(ApiError::not_implemented("CreateThing with a billing group"));
    }
    let attributes = attributes(&members)?.map(|(attributes, _)| attributes).unwrap_or_default();
    let created = name.clone();
    let id = api
        .registry
        .write(move |tables| things::create(tables, &created, type_name.as_deref(), attributes))
        .await?;
    let arn = api.arn(Kind::Thing, &name);
    Ok(json!({"thingName": name, "thingArn": arn, "thingId": id}).into())
}

/// `DescribeThing`.
///
/// # Errors
///
/// When the Thing does not exist.
pub async fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let thing = api.registry.read(|tables| things::get(tables, &name))?;
    let mut answer = json!({
        // The name is the default client id too.
        "defaultClientId": thing.name, "thingName": thing.name, "thingId": thing.id,
        "thingArn": api.arn(Kind::Thing, &thing.name), "attributes": thing.attributes, "version": thing.version,
    });
    set_type(&mut answer, thing.type_name);
    Ok(answer.into())
}

/// `UpdateThing`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let members = input.members()?;
    let (attributes, merge) = attributes(&members)?.unzip();
    let update = ThingUpdate {
        type_name: members.text("thingTypeName", &Text::THING_NAME)?,
        remove_type: members.flag("removeThingType")?.unwrap_or(false),
        attributes,
        merge: merge.unwrap_or(false),
        expected_version: members.integer("expectedVersion")?,
    };
    api.registry.write(move |tables| things::update(tables, &name, update)).await?;
    Ok(json!({}).into())
}

/// `DeleteThing`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let expected = input.query_number("expectedVersion")?;
    api.registry.write(move |tables| things::delete(tables, &name, expected)).await?;
    Ok(json!({}).into())
}

/// `ListThings`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub async fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListThings", "maxResults", 250, "nextToken")?;
    let name = input.query("attributeName", &Text::ATTRIBUTE_NAME)?;
    let value = input.query("attributeValue", &Text::ATTRIBUTE_VALUE)?;
    let filter = ThingFilter {
        attribute: match (name, value) {
            (Some(name), value) => Some((name, value.unwrap_or_default())),
            (None, Some(_)) => return Err(ApiError::invalid_request("attributeValue needs attributeName")),
            (None, None) => None,
        },
        value_is_prefix: input.query_flag("usePrefixAttributeValue")?,
        type_name: input.query("thingTypeName", &Text::THING_NAME)?,
    };
    let after = match page.after.as_deref() {
        Some([value, thing]) => (value.clone(), thing.clone()),
        _ => Default::default(),
    };
    let (found, last) = api.registry.read(|tables| things::list(tables, &filter, &after, page.size))?;
    let things = found.into_iter().map(|thing| listed(api, thing)).collect::<Vec<_>>();
    let mut answer = json!({"things": things});
    if let (Some((value, thing)), Some(members)) = (last, answer.as_object_mut()) {
        members.insert("nextToken".to_owned(), json!(page.next_token(&[&value, &thing])));
    }
    Ok(answer.into())
}

fn listed(api: &Api, thing: ThingEntry) -> Value {
    let mut entry = json!({
        "thingName": thing.name, "thingArn": api.arn(Kind::Thing, &thing.name), "attributes": thing.attributes,
        "version": thing.version,
    });
    set_type(&mut entry, thing.type_name);
    entry
}

/// A Thing without a type has no member for it.
fn set_type(answer: &mut Value, type_name: Option<String>) {
    if let (Some(type_name), Some(members)) = (type_name, answer.as_object_mut()) {
        members.insert("thingTypeName".to_owned(), json!(type_name));
    }
}

/// The attributes of an `attributePayload`, and whether they are merged with the others.
fn attributes(members: &Members) -> Result<Option<(BTreeMap<String, String>, bool)>, ApiError> {
    let Some(payload) = members.structure("attributePayload")? else { return Ok(None) };
    let attributes = payload.map("attributes", &Text::ATTRIBUTE_NAME, &Text::ATTRIBUTE_VALUE)?;
    let merge = payload.flag("merge")?.unwrap_or(false);
    Ok(Some((attributes.unwrap_or_default().into_iter().collect(), merge)))
}
