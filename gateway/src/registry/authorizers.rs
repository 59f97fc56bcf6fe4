//! The authorizers that API calls have made, and the default one that an API call has set. The gateway has at most a hundred, in
//! memory too: these rows are read once, when it starts.

use rusqlite::OptionalExtension as _;

use super::{RegistryError, store::Tables};
use crate::custom_auth::{authorizer::AuthorizerName, definition::Definition};

/// All authorizers.
///
/// # Errors
///
/// When the file can't be read.
pub fn all(tables: &Tables<'_>) -> Result<Vec<(AuthorizerName, Definition)>, RegistryError> {
    let mut statement = tables.connection.prepare_cached("SELECT name, definition FROM authorizer")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (name, definition) = row?;
        let damaged =
            || RegistryError::File(format!("the authorizer `{}` can't be read", name.escape_debug()));
        let definition = serde_json::from_str(&definition).map_err(|_| damaged())?;
        all.push((AuthorizerName::try_from(name.as_str()).map_err(|_| damaged())?, definition));
    }
    Ok(all)
}

/// Adds an authorizer, or replaces the one of its name.
///
/// # Errors
///
/// When the file can't be written.
pub fn put(tables: &Tables<'_>, name: &AuthorizerName, definition: &Definition) -> Result<(), RegistryError> {
    let definition =
        serde_json::to_string(definition).map_err(|error| RegistryError::File(error.to_string()))?;
    let mut statement = tables
        .connection
        .prepare_cached("INSERT OR REPLACE INTO authorizer (name, definition) VALUES (?1, ?2)")?;
    statement.execute((name.as_str(), definition))?;
    Ok(())
}

/// Removes an authorizer.
///
/// # Errors
///
/// When the file can't be written.
pub fn delete(tables: &Tables<'_>, name: &AuthorizerName) -> Result<(), RegistryError> {
    tables.connection.prepare_cached("DELETE FROM authorizer WHERE name = ?1")?.execute([name.as_str()])?;
    Ok(())
}

/// The default authorizer.
///
/// # Errors
///
/// When the file can't be read.
pub fn default(tables: &Tables<'_>) -> Result<Option<AuthorizerName>, RegistryError> {
    let mut statement = tables.connection.prepare_cached("SELECT name FROM default_authorizer")?;
    let name = statement.query_row([], |row| row.get::<_, String>(0)).optional()?;
    Ok(name.and_then(|name| AuthorizerName::try_from(name.as_str()).ok()))
}

/// Sets the default authorizer, or removes it.
///
/// # Errors
///
/// When the file can't be written.
pub fn set_default(tables: &Tables<'_>, name: Option<&AuthorizerName>) -> Result<(), RegistryError> {
    tables.connection.prepare_cached("DELETE FROM default_authorizer")?.execute([])?;
    if let Some(name) = name {
        let mut statement =
            tables.connection.prepare_cached("INSERT INTO default_authorizer (one, name) VALUES (1, ?1)")?;
        statement.execute([name.as_str()])?;
    }
    Ok(())
}
