//! The domain configurations that API calls have made. The gateway has at most ten, in memory too: these rows are read once, when it
//! starts.

use super::{
    Kind, RegistryError,
    store::{Tables, to_json},
    tags,
};
use crate::door::definition::DomainDefinition;

/// All of them.
///
/// # Errors
///
/// When the file can't be read.
pub fn all(tables: &Tables<'_>) -> Result<Vec<(String, DomainDefinition)>, RegistryError> {
    let select = "SELECT name, definition FROM domain_configuration";
    let rows: Vec<(String, String)> = tables.rows(select, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let domain_configuration = |(name, definition): (String, String)| {
        let definition = serde_json::from_str(&definition).map_err(|_| {
            RegistryError::File(format!("the domain configuration `{}` can't be read", name.escape_debug()))
        })?;
        Ok((name, definition))
    };
    rows.into_iter().map(domain_configuration).collect()
}

/// Adds one, or replaces the one of its name.
///
/// # Errors
///
/// When the file can't be written.
pub fn put(tables: &Tables<'_>, name: &str, definition: &DomainDefinition) -> Result<(), RegistryError> {
    let definition = to_json(definition)?;
    let mut statement = tables
        .connection
        .prepare_cached("INSERT OR REPLACE INTO domain_configuration (name, definition) VALUES (?1, ?2)")?;
    statement.execute((name, definition))?;
    Ok(())
}

/// Removes one.
///
/// # Errors
///
/// When the file can't be written.
pub fn delete(tables: &Tables<'_>, name: &str) -> Result<(), RegistryError> {
    tables.connection.prepare_cached("DELETE FROM domain_configuration WHERE name = ?1")?.execute([name])?;
    tags::remove_all(tables, Kind::DomainConfiguration, name)
}
