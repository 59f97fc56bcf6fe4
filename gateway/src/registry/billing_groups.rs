//! Billing groups in the registry's file, and the Things in them.
//!
//! Source: developer guide, `tagging-iot-billing-groups`; API reference, `API_CreateBillingGroup`, `API_UpdateBillingGroup`,
//! `API_DeleteBillingGroup`, `API_AddThingToBillingGroup`.

use rusqlite::{Row, named_params, params};
use uuid::Uuid;

use super::{
    Kind, RegistryError,
    store::Tables,
    tags::{self, Tags},
    things::{self, check_version},
};

/// A billing group as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingGroupEntry {
    /// Its name.
    pub name: String,
    /// AWS's `billingGroupId`.
    pub id: String,
    /// Its description.
    pub description: Option<String>,
    /// How often it was changed; 1 for a new one.
    pub version: i64,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
}

/// Creates a billing group, and returns its id. One that exists with the same description is a success too, and keeps its tags.
///
/// # Errors
///
/// When it exists with another description.
pub fn create(
    tables: &Tables<'_>,
    name: &str,
    description: Option<&str>,
    tags: &Tags,
) -> Result<String, RegistryError> {
    if let Some(existing) = find(tables, name)? {
        if existing.description.as_deref() == description {
            return Ok(existing.id);
        }
        return Err(RegistryError::AlreadyExists {
            message: format!("Billing group {name} already exists in account with different properties"),
            id: existing.id,
            arn: tables.arn(Kind::BillingGroup, name),
        });
    }
    let id = Uuid::new_v4().to_string();
    let insert =
        "INSERT INTO billing_group (name, id, description, version, created_at) VALUES (?, ?, ?, 1, ?)";
    tables.connection.prepare_cached(insert)?.execute(params![name, id, description, tables.now])?;
    tags::put(tables, Kind::BillingGroup, name, tags)?;
    Ok(id)
}

/// The billing group with this name.
///
/// # Errors
///
/// When it does not exist.
pub fn get(tables: &Tables<'_>, name: &str) -> Result<BillingGroupEntry, RegistryError> {
    find(tables, name)?.ok_or_else(|| RegistryError::not_found(Kind::BillingGroup, name))
}

/// Changes a billing group, and returns its new version. Without a description, that stays.
///
/// # Errors
///
/// When it does not exist, or has another version.
pub fn update(
    tables: &Tables<'_>,
    name: &str,
    description: Option<&str>,
    expected_version: Option<i64>,
) -> Result<i64, RegistryError> {
    let group = get(tables, name)?;
    check_version("billing group", name, group.version, expected_version)?;
    let update =
        "UPDATE billing_group SET description = ifnull(?, description), version = version + 1 WHERE name = ?";
    tables.connection.prepare_cached(update)?.execute(params![description, name])?;
    Ok(group.version + 1)
}

/// Deletes a billing group; its Things are in none after that. One that does not exist is a success too *(guess: a billing group
/// that has Things, or that does not exist)*.
///
/// # Errors
///
/// When it has another version.
pub fn delete(tables: &Tables<'_>, name: &str, expected_version: Option<i64>) -> Result<(), RegistryError> {
    let Some(group) = find(tables, name)? else { return Ok(()) };
    check_version("billing group", name, group.version, expected_version)?;
    tables.connection.prepare_cached("DELETE FROM billing_group WHERE name = ?")?.execute([name])?;
    tags::remove_all(tables, Kind::BillingGroup, name)
}

/// Up to `limit` names of billing groups after this name that begin with `prefix`.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    let select = "SELECT name FROM billing_group WHERE name > :after AND name >= :prefix \
                  AND name < :prefix || char(1114111) ORDER BY name LIMIT :limit";
    let parameters = named_params! {":after": after, ":prefix": prefix, ":limit": limit};
    tables.rows(select, parameters, |row| row.get(0))
}

/// Puts a Thing into a billing group. One that is there is a success too.
///
/// # Errors
///
/// When one of the two does not exist, or the Thing is in another billing group *(guess: a Thing that is in another billing
/// group)*.
pub fn add(tables: &Tables<'_>, group: &str, thing: &str) -> Result<(), RegistryError> {
    get(tables, group)?;
    match things::get(tables, thing)?.billing_group {
        Some(other) if other == group => Ok(()),
        Some(other) => Err(RegistryError::Invalid(format!(
            "the thing {thing} is in the billing group {other}, and can be in one: remove it there first"
        ))),
        None => {
            let update = "UPDATE thing SET billing_group = ? WHERE name = ?";
            tables.connection.prepare_cached(update)?.execute([group, thing])?;
            Ok(())
        }
    }
}

/// Takes a Thing out of a billing group. One that is not there is a success too.
///
/// # Errors
///
/// When one of the two does not exist.
pub fn remove(tables: &Tables<'_>, group: &str, thing: &str) -> Result<(), RegistryError> {
    get(tables, group)?;
    things::get(tables, thing)?;
    let update = "UPDATE thing SET billing_group = NULL WHERE name = ? AND billing_group = ?";
    tables.connection.prepare_cached(update)?.execute([thing, group])?;
    Ok(())
}

/// Up to `limit` names of Things after this name that are in a billing group.
///
/// # Errors
///
/// When the billing group does not exist.
pub fn members(
    tables: &Tables<'_>,
    group: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    get(tables, group)?;
    let select = "SELECT name FROM thing WHERE billing_group = ? AND name > ? ORDER BY name LIMIT ?";
    tables.rows(select, params![group, after, limit], |row| row.get(0))
}

fn find(tables: &Tables<'_>, name: &str) -> Result<Option<BillingGroupEntry>, RegistryError> {
    let select = "SELECT name, id, description, version, created_at FROM billing_group WHERE name = ?";
    tables.row(select, [name], entry)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<BillingGroupEntry> {
    Ok(BillingGroupEntry {
        name: row.get(0)?,
        id: row.get(1)?,
        description: row.get(2)?,
        version: row.get(3)?,
        created_at: row.get(4)?,
    })
}
