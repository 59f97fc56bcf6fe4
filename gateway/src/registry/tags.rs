//! The tags of what can have them: Thing types, Thing groups, billing groups, policies, authorizers and domain configurations.
//!
//! Source: developer guide, `tagging-iot`; API reference, `API_TagResource`, `API_UntagResource` and
//! `API_ListTagsForResource`.

use std::collections::BTreeMap;

use iot_policy::limits::MAX_TAGS;
use rusqlite::params;

use super::{Kind, RegistryError, store::Tables};

/// Values by their keys.
pub type Tags = BTreeMap<String, String>;

/// Adds tags to an entry that exists. A tag whose key it has gets the new value.
///
/// # Errors
///
/// When it has too many then.
pub fn put(tables: &Tables<'_>, kind: Kind, name: &str, tags: &Tags) -> Result<(), RegistryError> {
    let insert = "INSERT OR REPLACE INTO tag (kind, resource, key, value) VALUES (?, ?, ?, ?)";
    let mut insert = tables.connection.prepare_cached(insert)?;
    for (key, value) in tags {
        insert.execute(params![kind.resource(), name, key, value])?;
    }
    let count = "SELECT count(*) FROM tag WHERE kind = ? AND resource = ?";
    let count = tables.row(count, [kind.resource(), name], |row| row.get::<_, usize>(0))?;
    if count.is_some_and(|count| count > MAX_TAGS) {
        return Err(RegistryError::Limit(format!("The {kind} {name} can have up to {MAX_TAGS} tags")));
    }
    Ok(())
}

/// Removes the tags with these keys. A key that there is not is a success too.
///
/// # Errors
///
/// When the file can't be written.
pub fn remove(tables: &Tables<'_>, kind: Kind, name: &str, keys: &[String]) -> Result<(), RegistryError> {
    let delete = "DELETE FROM tag WHERE kind = ? AND resource = ? AND key = ?";
    let mut delete = tables.connection.prepare_cached(delete)?;
    for key in keys {
        delete.execute([kind.resource(), name, key])?;
    }
    Ok(())
}

/// Removes all tags of an entry, which is deleted.
///
/// # Errors
///
/// When the file can't be written.
pub fn remove_all(tables: &Tables<'_>, kind: Kind, name: &str) -> Result<(), RegistryError> {
    let delete = "DELETE FROM tag WHERE kind = ? AND resource = ?";
    tables.connection.prepare_cached(delete)?.execute([kind.resource(), name])?;
    Ok(())
}

/// Up to `limit` tags of an entry after this key, with their values.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    kind: Kind,
    name: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, String)>, RegistryError> {
    let select =
        "SELECT key, value FROM tag WHERE kind = ? AND resource = ? AND key > ? ORDER BY key LIMIT ?";
    let parameters = params![kind.resource(), name, after, limit];
    tables.rows(select, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
}
