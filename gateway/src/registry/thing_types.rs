//! Thing types in the registry's file.
//!
//! Source: developer guide, `thing-types`; API reference, `API_CreateThingType`, `API_DeprecateThingType`,
//! `API_DeleteThingType`.

use rusqlite::{Row, params};
use uuid::Uuid;

use super::{
    Kind, RegistryError,
    store::{Tables, from_json, to_json},
    tags::{self, Tags},
};

/// After a type is deprecated it can't be deleted for this long, in milliseconds.
const DELETABLE_AFTER_MILLIS: i64 = 5 * 60 * 1_000;
/// The attributes by which Things of a type can be searched, at most.
const MAX_SEARCHABLE_ATTRIBUTES: usize = 3;
/// The columns of a type, in the order of [`entry`].
const COLUMNS: &str = "name, id, description, searchable, created_at, deprecated_at";

/// A Thing type as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThingTypeEntry {
    /// Its name.
    pub name: String,
    /// AWS's `thingTypeId`.
    pub id: String,
    /// Its description.
    pub description: Option<String>,
    /// The attributes by which its Things can be searched.
    pub searchable: Vec<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was deprecated, in milliseconds since 1970, if it is.
    pub deprecated_at: Option<i64>,
}

/// Creates a type, and returns its id. One that exists with the same properties is a success too, and keeps its tags.
///
/// # Errors
///
/// When it exists with others, or has too many searchable attributes.
pub fn create(
    tables: &Tables<'_>,
    name: &str,
    description: Option<&str>,
    searchable: &[String],
    tags: &Tags,
) -> Result<String, RegistryError> {
    check_searchable(searchable)?;
    if let Some(existing) = find(tables, name)? {
        if existing.description.as_deref() == description && existing.searchable == searchable {
            return Ok(existing.id);
        }
        return Err(RegistryError::AlreadyExists {
            message: format!("Thing type {name} already exists in account with different properties"),
            id: existing.id,
            arn: tables.arn(Kind::ThingType, name),
        });
    }
    let id = Uuid::new_v4().to_string();
    let searchable = to_json(&searchable)?;
    let insert =
        "INSERT INTO thing_type (name, id, description, searchable, created_at) VALUES (?, ?, ?, ?, ?)";
    let mut insert = tables.connection.prepare_cached(insert)?;
    insert.execute(params![name, id, description, searchable, tables.now])?;
    tags::put(tables, Kind::ThingType, name, tags)?;
    Ok(id)
}

/// Changes a type's properties; those that are `None` stay *(guess: properties that the update does not name)*.
///
/// # Errors
///
/// When it does not exist, or would have too many searchable attributes.
pub fn update(
    tables: &Tables<'_>,
    name: &str,
    description: Option<&str>,
    searchable: Option<&[String]>,
) -> Result<(), RegistryError> {
    get(tables, name)?;
    check_searchable(searchable.unwrap_or_default())?;
    let searchable = searchable.map(|names| to_json(&names)).transpose()?;
    let update = "UPDATE thing_type SET description = ifnull(?, description), searchable = ifnull(?, searchable) WHERE name = ?";
    tables.connection.prepare_cached(update)?.execute(params![description, searchable, name])?;
    Ok(())
}

/// The type with this name.
///
/// # Errors
///
/// When it does not exist.
pub fn get(tables: &Tables<'_>, name: &str) -> Result<ThingTypeEntry, RegistryError> {
    find(tables, name)?.ok_or_else(|| RegistryError::not_found(Kind::ThingType, name))
}

/// Checks that a Thing can get this type.
///
/// # Errors
///
/// When it does not exist, or is deprecated.
pub(super) fn check_usable(tables: &Tables<'_>, name: &str) -> Result<(), RegistryError> {
    if get(tables, name)?.deprecated_at.is_some() {
        return Err(RegistryError::Invalid(format!(
            "Can not create new thing with deprecated thing type: {name}"
        )));
    }
    Ok(())
}

/// Deprecates a type, so that no Thing can get it, or undoes that.
///
/// # Errors
///
/// When it does not exist.
pub fn deprecate(tables: &Tables<'_>, name: &str, undo: bool) -> Result<(), RegistryError> {
    get(tables, name)?;
    let update = "UPDATE thing_type SET deprecated_at = CASE WHEN ?2 THEN NULL ELSE ifnull(deprecated_at, ?3) END \
                  WHERE name = ?1";
    tables.connection.prepare_cached(update)?.execute(params![name, undo, tables.now])?;
    Ok(())
}

/// Deletes a type.
///
/// # Errors
///
/// When it does not exist, was not deprecated five minutes ago, or has Things.
pub fn delete(tables: &Tables<'_>, name: &str) -> Result<(), RegistryError> {
    let deprecated = get(tables, name)?.deprecated_at;
    if deprecated.is_none_or(|deprecated| tables.now < deprecated.saturating_add(DELETABLE_AFTER_MILLIS)) {
        return Err(RegistryError::Invalid(format!(
            "Cannot delete thing type {name}: please deprecate it, wait for 5 minutes and retry"
        )));
    }
    let used = "SELECT EXISTS (SELECT 1 FROM thing WHERE type_name = ?)";
    if tables.connection.prepare_cached(used)?.query_row([name], |row| row.get(0))? {
        return Err(RegistryError::Invalid(format!("Cannot delete thing type {name}: it has things")));
    }
    tables.connection.prepare_cached("DELETE FROM thing_type WHERE name = ?")?.execute([name])?;
    tags::remove_all(tables, Kind::ThingType, name)
}

/// Up to `limit` types after this name, or the one with the name `only`.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    only: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<ThingTypeEntry>, RegistryError> {
    if let Some(only) = only {
        return Ok(find(tables, only)?.into_iter().collect());
    }
    let select = format!("SELECT {COLUMNS} FROM thing_type WHERE name > ? ORDER BY name LIMIT ?");
    tables.rows(&select, params![after, limit], entry)
}

/// Adds a type for Things of the settings file, unless it exists.
pub(super) fn ensure(tables: &Tables<'_>, name: &str) -> Result<(), RegistryError> {
    if find(tables, name)?.is_none() {
        create(tables, name, None, &[], &Tags::new())?;
    }
    Ok(())
}

fn check_searchable(names: &[String]) -> Result<(), RegistryError> {
    if names.len() > MAX_SEARCHABLE_ATTRIBUTES {
        return Err(RegistryError::Invalid(format!(
            "a thing type can have up to {MAX_SEARCHABLE_ATTRIBUTES} searchable attributes"
        )));
    }
    Ok(())
}

fn find(tables: &Tables<'_>, name: &str) -> Result<Option<ThingTypeEntry>, RegistryError> {
    let select = format!("SELECT {COLUMNS} FROM thing_type WHERE name = ?");
    tables.row(&select, [name], entry)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<ThingTypeEntry> {
    Ok(ThingTypeEntry {
        name: row.get(0)?,
        id: row.get(1)?,
        description: row.get(2)?,
        searchable: from_json(row, 3)?,
        created_at: row.get(4)?,
        deprecated_at: row.get(5)?,
    })
}
