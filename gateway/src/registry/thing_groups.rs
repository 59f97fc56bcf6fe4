//! Thing groups in the registry's file, and the Things in them.
//!
//! Source: developer guide, `thing-groups`; general reference, "AWS IoT Core endpoints and quotas"; API reference,
//! `API_CreateThingGroup`, `API_DeleteThingGroup`, `API_AddThingToThingGroup`.

use std::collections::BTreeMap;

use iot_policy::limits::{MAX_GROUPS_OF_A_THING, MAX_THING_GROUP_DEPTH};
use rusqlite::{Row, named_params, params};
use uuid::Uuid;

use super::{
    Kind, RegistryError,
    store::{Tables, from_json, to_json},
    tags::{self, Tags},
    things::{self, AttributePayload, check_version},
};

/// The columns of a group, in the order of [`entry`].
const COLUMNS: &str = "name, id, parent, description, attributes, version, created_at";

/// A Thing group as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingGroupEntry {
    /// Its name.
    pub name: String,
    /// AWS's `thingGroupId`.
    pub id: String,
    /// The name of the group above it.
    pub parent: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its attributes, by name.
    pub attributes: BTreeMap<String, String>,
    /// How often it was changed; 1 for a new one.
    pub version: i64,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
}

/// What a group says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThingGroupProperties {
    /// Its description, or `None` to leave it.
    pub description: Option<String>,
    /// What becomes of its attributes, or `None` to leave them.
    pub attributes: Option<AttributePayload>,
}

/// Creates a group, and returns its id. One that exists with the same properties is a success too, and keeps its tags.
///
/// # Errors
///
/// When it exists with others, or its parent does not exist or is too deep.
pub fn create(
    tables: &Tables<'_>,
    name: &str,
    parent: Option<&str>,
    properties: ThingGroupProperties,
    tags: &Tags,
) -> Result<String, RegistryError> {
    let new = ThingGroupEntry {
        name: name.to_owned(),
        id: Uuid::new_v4().to_string(),
        parent: parent.map(str::to_owned),
        description: properties.description,
        attributes: properties.attributes.unwrap_or_default().applied_to(BTreeMap::new()),
        version: 1,
        created_at: tables.now,
    };
    if let Some(existing) = find(tables, name)? {
        let same = ThingGroupEntry {
            id: existing.id.clone(),
            version: existing.version,
            created_at: existing.created_at,
            ..new
        };
        if same == existing {
            return Ok(existing.id);
        }
        return Err(RegistryError::AlreadyExists {
            message: format!("Thing group {name} already exists in account with different properties"),
            id: existing.id,
            arn: tables.arn(Kind::ThingGroup, name),
        });
    }
    if let Some(parent) = parent {
        // The API model has no other exception for it.
        if find(tables, parent)?.is_none() {
            return Err(RegistryError::Invalid(format!("Parent thing group {parent} does not exist")));
        }
        if ancestors(tables, parent)?.len() + 2 > MAX_THING_GROUP_DEPTH {
            return Err(RegistryError::Invalid(format!(
                "thing groups can be {MAX_THING_GROUP_DEPTH} levels deep"
            )));
        }
    }
    let json = to_json(&new.attributes)?;
    let insert = "INSERT INTO thing_group (name, id, parent, description, attributes, version, created_at) \
                  VALUES (?, ?, ?, ?, ?, 1, ?)";
    let mut insert = tables.connection.prepare_cached(insert)?;
    insert.execute(params![name, new.id, new.parent, new.description, json, tables.now])?;
    tags::put(tables, Kind::ThingGroup, name, tags)?;
    Ok(new.id)
}

/// The group with this name.
///
/// # Errors
///
/// When it does not exist.
pub fn get(tables: &Tables<'_>, name: &str) -> Result<ThingGroupEntry, RegistryError> {
    find(tables, name)?.ok_or_else(|| RegistryError::not_found(Kind::ThingGroup, name))
}

/// The groups above a group, from the root down.
///
/// # Errors
///
/// When the file can't be read.
pub fn ancestors(tables: &Tables<'_>, name: &str) -> Result<Vec<String>, RegistryError> {
    let mut above = Vec::new();
    let mut group = find(tables, name)?;
    while let Some(parent) = group.and_then(|group| group.parent) {
        group = find(tables, &parent)?;
        above.insert(0, parent);
    }
    Ok(above)
}

/// Changes a group, and returns its new version.
///
/// # Errors
///
/// When it does not exist, or has another version.
pub fn update(
    tables: &Tables<'_>,
    name: &str,
    properties: ThingGroupProperties,
    expected_version: Option<i64>,
) -> Result<i64, RegistryError> {
    let mut group = get(tables, name)?;
    check_version("thing group", name, group.version, expected_version)?;
    if properties.description.is_some() {
        group.description = properties.description;
    }
    if let Some(payload) = properties.attributes {
        group.attributes = payload.applied_to(group.attributes);
    }
    let json = to_json(&group.attributes)?;
    let update =
        "UPDATE thing_group SET description = ?, attributes = ?, version = version + 1 WHERE name = ?";
    tables.connection.prepare_cached(update)?.execute(params![group.description, json, name])?;
    Ok(group.version + 1)
}

/// Deletes a group. One that does not exist is a success too.
///
/// # Errors
///
/// When it has another version, or has groups below it.
pub fn delete(tables: &Tables<'_>, name: &str, expected_version: Option<i64>) -> Result<(), RegistryError> {
    let Some(group) = find(tables, name)? else { return Ok(()) };
    check_version("thing group", name, group.version, expected_version)?;
    let children = "SELECT EXISTS (SELECT 1 FROM thing_group WHERE parent = ?)";
    if tables.connection.prepare_cached(children)?.query_row([name], |row| row.get(0))? {
        return Err(RegistryError::Invalid(format!(
            "Cannot delete thing group {name} when there are still child groups attached to it"
        )));
    }
    let target = tables.arn(Kind::ThingGroup, name);
    tables.connection.prepare_cached("DELETE FROM policy_target WHERE target = ?")?.execute([target])?;
    tables.connection.prepare_cached("DELETE FROM thing_group WHERE name = ?")?.execute([name])?;
    tags::remove_all(tables, Kind::ThingGroup, name)
}

/// Up to `limit` names of groups after this name that begin with `prefix`: those directly below `parent`, with `recursive` also
/// those below these, or all of them.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    parent: Option<&str>,
    recursive: bool,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    let from = match parent {
        None => "SELECT name FROM thing_group WHERE :parent IS NULL",
        Some(_) if recursive => {
            "WITH RECURSIVE below (name) AS (SELECT name FROM thing_group WHERE parent = :parent \
             UNION SELECT thing_group.name FROM thing_group JOIN below ON parent = below.name) \
             SELECT name FROM below WHERE true"
        }
        Some(_) => "SELECT name FROM thing_group WHERE parent = :parent",
    };
    let select = format!(
        "{from} AND name > :after AND name >= :prefix AND name < :prefix || char(1114111) ORDER BY name LIMIT :limit"
    );
    let parameters = named_params! {":parent": parent, ":after": after, ":prefix": prefix, ":limit": limit};
    tables.rows(&select, parameters, |row| row.get(0))
}

/// Puts a Thing into a group. One that is there is a success too.
///
/// # Errors
///
/// When one of the two does not exist, or the Thing is in too many groups, or in another one of the same hierarchy.
pub fn add(tables: &Tables<'_>, group: &str, thing: &str) -> Result<(), RegistryError> {
    get(tables, group)?;
    things::get(tables, thing)?;
    let groups = of_thing(tables, thing, "", MAX_GROUPS_OF_A_THING + 1)?;
    if groups.iter().any(|other| other == group) {
        return Ok(());
    }
    if groups.len() >= MAX_GROUPS_OF_A_THING {
        return Err(RegistryError::Invalid(format!(
            "a thing can be in up to {MAX_GROUPS_OF_A_THING} thing groups"
        )));
    }
    let root = root(tables, group)?;
    for other in groups {
        if self::root(tables, &other)? == root {
            return Err(RegistryError::Invalid(format!(
                "the thing {thing} is in the group {other} of the same hierarchy"
            )));
        }
    }
    let insert = "INSERT INTO group_member (thing_group, thing) VALUES (?, ?)";
    tables.connection.prepare_cached(insert)?.execute([group, thing])?;
    Ok(())
}

/// Takes a Thing out of a group. One that is not there is a success too.
///
/// # Errors
///
/// When one of the two does not exist.
pub fn remove(tables: &Tables<'_>, group: &str, thing: &str) -> Result<(), RegistryError> {
    get(tables, group)?;
    things::get(tables, thing)?;
    let delete = "DELETE FROM group_member WHERE thing_group = ? AND thing = ?";
    tables.connection.prepare_cached(delete)?.execute([group, thing])?;
    Ok(())
}

/// Up to `limit` names of Things after this name that are in a group, or also in the groups below it.
///
/// # Errors
///
/// When the group does not exist.
pub fn members(
    tables: &Tables<'_>,
    group: &str,
    recursive: bool,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    get(tables, group)?;
    let select = if recursive {
        "WITH RECURSIVE below (name) AS (SELECT ?1 UNION SELECT thing_group.name FROM thing_group JOIN below \
         ON parent = below.name) \
         SELECT DISTINCT thing FROM below JOIN group_member ON thing_group = below.name WHERE thing > ?2 \
         ORDER BY thing LIMIT ?3"
    } else {
        "SELECT thing FROM group_member WHERE thing_group = ?1 AND thing > ?2 ORDER BY thing LIMIT ?3"
    };
    tables.rows(select, params![group, after, limit], |row| row.get(0))
}

/// Up to `limit` names of groups after this name that a Thing is in.
///
/// # Errors
///
/// When the file can't be read.
pub fn of_thing(
    tables: &Tables<'_>,
    thing: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    let select = "SELECT thing_group FROM group_member WHERE thing = ? AND thing_group > ? ORDER BY thing_group LIMIT ?";
    tables.rows(select, params![thing, after, limit], |row| row.get(0))
}

fn root(tables: &Tables<'_>, group: &str) -> Result<String, RegistryError> {
    Ok(ancestors(tables, group)?.into_iter().next().unwrap_or_else(|| group.to_owned()))
}

fn find(tables: &Tables<'_>, name: &str) -> Result<Option<ThingGroupEntry>, RegistryError> {
    let select = format!("SELECT {COLUMNS} FROM thing_group WHERE name = ?");
    tables.row(&select, [name], entry)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<ThingGroupEntry> {
    Ok(ThingGroupEntry {
        name: row.get(0)?,
        id: row.get(1)?,
        parent: row.get(2)?,
        description: row.get(3)?,
        attributes: from_json(row, 4)?,
        version: row.get(5)?,
        created_at: row.get(6)?,
    })
}
