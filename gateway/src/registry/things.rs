//! Things in the registry's file.
//!
//! Source: API reference, `API_CreateThing`, `API_UpdateThing`, `API_DeleteThing` and `API_ListThings`.

use std::collections::BTreeMap;

use iot_policy::limits::{MAX_THING_ATTRIBUTES, MAX_THING_ATTRIBUTES_WITH_TYPE};
use rusqlite::{Row, named_params, params};
use uuid::Uuid;

use super::{
    Kind, RegistryError, Thing, billing_groups,
    store::{Tables, from_json, to_json},
    thing_types,
};

/// A Thing as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingEntry {
    /// Its name.
    pub name: String,
    /// AWS's `thingId`.
    pub id: String,
    /// The name of its type.
    pub type_name: Option<String>,
    /// Its attributes, by name.
    pub attributes: BTreeMap<String, String>,
    /// The name of its billing group.
    pub billing_group: Option<String>,
    /// How often it was changed; 1 for a new one.
    pub version: i64,
    /// Whether the settings file defines it.
    pub from_file: bool,
}

/// AWS's `attributePayload`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributePayload {
    /// Attributes, by name. One with an empty value is removed.
    pub attributes: BTreeMap<String, String>,
    /// Whether the other attributes stay.
    pub merge: bool,
}

/// What `UpdateThing` changes.
#[derive(Clone, Debug, Default)]
pub struct ThingUpdate {
    /// Another type, or `None` to leave it.
    pub type_name: Option<String>,
    /// Whether the Thing has no type any more.
    pub remove_type: bool,
    /// What becomes of its attributes, or `None` to leave them.
    pub attributes: Option<AttributePayload>,
    /// The version that the Thing must have.
    pub expected_version: Option<i64>,
}

/// Which Things are listed.
#[derive(Clone, Debug, Default)]
pub struct ThingFilter {
    /// Those with this attribute, and with this value of it.
    pub attribute: Option<(String, String)>,
    /// Whether the value is only the beginning of theirs.
    pub value_is_prefix: bool,
    /// Those of this type.
    pub type_name: Option<String>,
}

/// The columns of a Thing, in the order of [`entry`].
const COLUMNS: &str = "thing.name, id, type_name, attributes, version, from_file, billing_group";

/// The place of a Thing in a list: the attribute's value where Things are listed by one, and the Thing's name.
pub type ThingPosition = (String, String);

/// Attributes that a page of Things by attribute looks at, if not all are of the type that is asked for.
const MAX_ROWS: usize = 1_000;

/// Creates a Thing, and returns its id. A Thing that exists with the same type, attributes and billing group is a success too.
///
/// # Errors
///
/// When it exists with others, or has too many attributes, or its type or billing group does not exist.
pub fn create(
    tables: &Tables<'_>,
    name: &str,
    type_name: Option<&str>,
    attributes: AttributePayload,
    billing_group: Option<&str>,
) -> Result<String, RegistryError> {
    let attributes = attributes.applied_to(BTreeMap::new());
    check_attributes(&attributes, type_name)?;
    if let Some(thing) = find(tables, name)? {
        let same_group = thing.billing_group.as_deref() == billing_group;
        if same_group && thing.type_name.as_deref() == type_name && thing.attributes == attributes {
            return Ok(thing.id);
        }
        return Err(RegistryError::AlreadyExists {
            message: format!("Thing {name} already exists in account with different attributes"),
            id: thing.id,
            arn: tables.arn(Kind::Thing, name),
        });
    }
    if let Some(type_name) = type_name {
        thing_types::check_usable(tables, type_name)?;
    }
    if let Some(billing_group) = billing_group {
        billing_groups::get(tables, billing_group)?;
    }
    let entry = ThingEntry {
        name: name.to_owned(),
        id: Uuid::new_v4().to_string(),
        type_name: type_name.map(str::to_owned),
        attributes,
        billing_group: billing_group.map(str::to_owned),
        version: 1,
        from_file: false,
    };
    write(tables, &entry)?;
    Ok(entry.id)
}

/// The Thing with this name.
///
/// # Errors
///
/// When the file can't be read.
pub fn find(tables: &Tables<'_>, name: &str) -> Result<Option<ThingEntry>, RegistryError> {
    let select = format!("SELECT {COLUMNS} FROM thing WHERE name = ?");
    tables.row(&select, [name], entry)
}

/// The Thing with this name, which has to exist.
///
/// # Errors
///
/// When it does not.
pub fn get(tables: &Tables<'_>, name: &str) -> Result<ThingEntry, RegistryError> {
    find(tables, name)?.ok_or_else(|| RegistryError::not_found(Kind::Thing, name))
}

/// Changes a Thing.
///
/// # Errors
///
/// When it does not exist, has another version, is of the settings file, or would have too many attributes.
pub fn update(tables: &Tables<'_>, name: &str, update: ThingUpdate) -> Result<(), RegistryError> {
    let mut thing = get(tables, name)?;
    tables.not_of_file(Kind::Thing, name, thing.from_file)?;
    check_version("thing", name, thing.version, update.expected_version)?;
    if update.remove_type {
        thing.type_name = None;
    } else if let Some(type_name) = update.type_name {
        thing_types::check_usable(tables, &type_name)?;
        thing.type_name = Some(type_name);
    }
    if let Some(payload) = update.attributes {
        thing.attributes = payload.applied_to(thing.attributes);
    }
    check_attributes(&thing.attributes, thing.type_name.as_deref())?;
    thing.version += 1;
    write(tables, &thing)
}

/// Deletes a Thing. One that does not exist is a success too.
///
/// # Errors
///
/// When it has another version, is of the settings file, or is attached to a certificate.
pub fn delete(tables: &Tables<'_>, name: &str, expected_version: Option<i64>) -> Result<(), RegistryError> {
    let Some(thing) = find(tables, name)? else { return Ok(()) };
    tables.not_of_file(Kind::Thing, name, thing.from_file)?;
    check_version("thing", name, thing.version, expected_version)?;
    let mut attached =
        tables.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM thing_principal WHERE thing = ?)")?;
    if attached.query_row([name], |row| row.get(0))? {
        return Err(RegistryError::Invalid(format!(
            "Cannot delete. Thing {name} is still attached to one or more principals"
        )));
    }
    tables.connection.prepare_cached("DELETE FROM thing WHERE name = ?")?.execute([name])?;
    Ok(())
}

/// Up to `limit` Things after a position, and the position of the last row that was looked at, if there may be more.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    filter: &ThingFilter,
    after: &ThingPosition,
    limit: usize,
) -> Result<(Vec<ThingEntry>, Option<ThingPosition>), RegistryError> {
    let Some((attribute, value)) = &filter.attribute else {
        return list_by_name(tables, filter.type_name.as_deref(), &after.1, limit);
    };
    let select = format!(
        "SELECT {COLUMNS}, value FROM thing_attribute JOIN thing ON thing.name = thing \
         WHERE thing_attribute.name = :attribute AND value >= :value AND (value, thing) > (:after_value, :after_thing) \
         ORDER BY value, thing"
    );
    let mut statement = tables.connection.prepare_cached(&select)?;
    let mut rows = statement.query(named_params! {
        ":attribute": attribute, ":value": value, ":after_value": after.0, ":after_thing": after.1,
    })?;
    let (mut found, mut last) = (Vec::new(), None);
    for _ in 0..MAX_ROWS {
        let Some(row) = rows.next()? else { return Ok((found, None)) };
        let its_value = row.get::<_, String>("value")?;
        if its_value != *value && !(filter.value_is_prefix && its_value.starts_with(value)) {
            return Ok((found, None));
        }
        if found.len() == limit {
            return Ok((found, last));
        }
        let thing = entry(row)?;
        last = Some((its_value, thing.name.clone()));
        if filter.type_name.is_none() || filter.type_name == thing.type_name {
            found.push(thing);
        }
    }
    Ok((found, last))
}

fn list_by_name(
    tables: &Tables<'_>,
    type_name: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<(Vec<ThingEntry>, Option<ThingPosition>), RegistryError> {
    let of_type = if type_name.is_some() { "type_name = :type AND " } else { ":type IS NULL AND " };
    let select =
        format!("SELECT {COLUMNS} FROM thing WHERE {of_type} name > :after ORDER BY name LIMIT :limit");
    let parameters = named_params! {":type": type_name, ":after": after, ":limit": limit.saturating_add(1)};
    let mut found = tables.rows(&select, parameters, entry)?;
    if found.len() <= limit {
        return Ok((found, None));
    }
    found.truncate(limit);
    let last = found.last().map(|thing| (String::new(), thing.name.clone()));
    Ok((found, last))
}

/// Writes a new Thing, or an existing one again.
///
/// # Errors
///
/// When the file can't be written.
pub(super) fn write(tables: &Tables<'_>, thing: &ThingEntry) -> Result<(), RegistryError> {
    let ThingEntry { name, id, type_name, attributes, version, from_file, billing_group } = thing;
    let json = to_json(attributes)?;
    let connection = tables.connection;
    let insert = "INSERT INTO thing (name, id, type_name, attributes, version, from_file, billing_group) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO UPDATE SET \
                  type_name = ?3, attributes = ?4, version = ?5, from_file = ?6, billing_group = ?7";
    let values = params![name, id, type_name, json, version, from_file, billing_group];
    connection.prepare_cached(insert)?.execute(values)?;
    if *version > 1 || *from_file {
        connection.prepare_cached("DELETE FROM thing_attribute WHERE thing = ?")?.execute([name])?;
    }
    let mut insert =
        connection.prepare_cached("INSERT INTO thing_attribute (name, value, thing) VALUES (?, ?, ?)")?;
    for (attribute, value) in attributes {
        insert.execute([attribute, value, name])?;
    }
    Ok(())
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<ThingEntry> {
    Ok(ThingEntry {
        name: row.get(0)?,
        id: row.get(1)?,
        type_name: row.get(2)?,
        attributes: from_json(row, 3)?,
        version: row.get(4)?,
        from_file: row.get(5)?,
        billing_group: row.get(6)?,
    })
}

impl AttributePayload {
    /// What it makes of attributes. An empty value removes an attribute (`API_AttributePayload`).
    pub(super) fn applied_to(self, mut attributes: BTreeMap<String, String>) -> BTreeMap<String, String> {
        if !self.merge {
            attributes.clear();
        }
        attributes.extend(self.attributes);
        attributes.retain(|_, value| !value.is_empty());
        attributes
    }
}

fn check_attributes(
    attributes: &BTreeMap<String, String>,
    type_name: Option<&str>,
) -> Result<(), RegistryError> {
    let max = if type_name.is_some() { MAX_THING_ATTRIBUTES_WITH_TYPE } else { MAX_THING_ATTRIBUTES };
    if attributes.len() > max {
        return Err(RegistryError::Invalid(format!(
            "a thing can have up to {max} attributes, or {MAX_THING_ATTRIBUTES_WITH_TYPE} with a thing type"
        )));
    }
    Ok(())
}

/// Checks the version of a thing or thing group.
pub(super) fn check_version(
    kind: &str,
    name: &str,
    version: i64,
    expected: Option<i64>,
) -> Result<(), RegistryError> {
    match expected.filter(|expected| *expected != version) {
        Some(expected) => Err(RegistryError::VersionConflict(format!(
            "The version for {kind} {name} is {version}, and not {expected}"
        ))),
        None => Ok(()),
    }
}

impl From<ThingEntry> for Thing {
    fn from(entry: ThingEntry) -> Self {
        let ThingEntry { name, type_name, attributes, .. } = entry;
        Self { name, type_name, attributes }
    }
}
