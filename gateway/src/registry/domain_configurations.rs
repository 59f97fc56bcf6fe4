//! The domain configurations that API calls have made. The gateway has at most ten, in memory too: these rows are read once, when it
//! starts.

use super::{RegistryError, store::Tables};
use crate::door::definition::DomainDefinition;

/// All of them.
///
/// # Errors
///
/// When the file can't be read.
pub fn all(tables: &Tables<'_>) -> Result<Vec<(String, DomainDefinition)>, RegistryError> {
    let mut statement =
        tables.connection.prepare_cached("SELECT name, definition FROM domain_configuration")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (name, definition) = row?;
        let definition = serde_json::from_str(&definition).map_err(|_| {
            RegistryError::File(format!("the domain configuration `{}` can't be read", name.escape_debug()))
        })?;
        all.push((name, definition));
    }
    Ok(all)
}

/// Adds one, or replaces the one of its name.
///
/// # Errors
///
/// When the file can't be written.
pub fn put(tables: &Tables<'_>, name: &str, definition: &DomainDefinition) -> Result<(), RegistryError> {
    let definition =
        serde_json::to_string(definition).map_err(|error| RegistryError::File(error.to_string()))?;
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
    Ok(())
}
