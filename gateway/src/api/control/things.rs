//! Things.
//!
//! Source: API reference, `API_CreateThing`, `API_DescribeThing`, `API_UpdateThing`, `API_DeleteThing`, `API_ListThings`.

use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::{Input, Members},
        page::Page,
        text::Text,
    },
    registry::{
        Kind,
        store::Tables,
        things::{self, AttributePayload, ThingEntry, ThingFilter, ThingUpdate},
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
    let billing_group = members.text("billingGroupName", &Text::THING_NAME)?;
    let attributes = attribute_payload(&members)?.unwrap_or_default();
    let created = name.clone();
    let create = move |tables: &Tables<'_>| {
        things::create(tables, &created, type_name.as_deref(), attributes, billing_group.as_deref())
    };
    let id = api.registry.write(create).await?;
    let arn = api.arn(Kind::Thing, &name);
    Ok(json!({"thingName": name, "thingArn": arn, "thingId": id}).into())
}

/// `DescribeThing`.
///
/// # Errors
///
/// When the Thing does not exist.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let thing = api.registry.read(|tables| things::get(tables, &name))?;
    let answer = json!({
        // The name is the default client id too.
        "defaultClientId": thing.name, "thingName": thing.name, "thingId": thing.id,
        "thingArn": api.arn(Kind::Thing, &thing.name), "attributes": thing.attributes, "version": thing.version,
    });
    let answer = with(answer, "billingGroupName", thing.billing_group);
    Ok(with(answer, "thingTypeName", thing.type_name).into())
}

/// `UpdateThing`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let members = input.members()?;
    let update = ThingUpdate {
        attributes: attribute_payload(&members)?,
        type_name: members.text("thingTypeName", &Text::THING_NAME)?,
        remove_type: members.flag("removeThingType")?.unwrap_or(false),
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
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
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
    let token = last.map(|(value, thing)| page.next_token(&[&value, &thing]));
    Ok(with(json!({"things": things}), "nextToken", token).into())
}

fn listed(api: &Api, thing: ThingEntry) -> Value {
    let entry = json!({
        "thingName": thing.name, "thingArn": api.arn(Kind::Thing, &thing.name), "attributes": thing.attributes,
        "version": thing.version,
    });
    with(entry, "thingTypeName", thing.type_name)
}

/// The member `attributePayload`.
pub(super) fn attribute_payload(members: &Members) -> Result<Option<AttributePayload>, ApiError> {
    let Some(payload) = members.structure("attributePayload")? else { return Ok(None) };
    let attributes = payload.map("attributes", &Text::ATTRIBUTE_NAME, &Text::ATTRIBUTE_VALUE)?;
    let attributes = attributes.unwrap_or_default().into_iter().collect();
    Ok(Some(AttributePayload { attributes, merge: payload.flag("merge")?.unwrap_or(false) }))
}
