//! The authorizers that API calls have made, and the default one that an API call has set. The gateway has at most a hundred, in
//! memory too: these rows are read once, when it starts.

use super::{
    Kind, RegistryError,
    store::{Tables, to_json},
    tags,
};
use crate::custom_auth::{authorizer::AuthorizerName, definition::Definition};

/// All authorizers.
///
/// # Errors
///
/// When the file can't be read.
pub fn all(tables: &Tables<'_>) -> Result<Vec<(AuthorizerName, Definition)>, RegistryError> {
    let select = "SELECT name, definition FROM authorizer";
    let rows: Vec<(String, String)> = tables.rows(select, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let authorizer = |(name, definition): (String, String)| {
        let damaged =
            || RegistryError::File(format!("the authorizer `{}` can't be read", name.escape_debug()));
        let definition = serde_json::from_str(&definition).map_err(|_| damaged())?;
        Ok((AuthorizerName::try_from(name.as_str()).map_err(|_| damaged())?, definition))
    };
    rows.into_iter().map(authorizer).collect()
}

/// Adds an authorizer, or replaces the one of its name.
///
/// # Errors
///
/// When the file can't be written.
pub fn put(tables: &Tables<'_>, name: &AuthorizerName, definition: &Definition) -> Result<(), RegistryError> {
    let definition = to_json(definition)?;
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
    tags::remove_all(tables, Kind::Authorizer, name.as_str())
}

/// The default authorizer.
///
/// # Errors
///
/// When the file can't be read.
pub fn default(tables: &Tables<'_>) -> Result<Option<AuthorizerName>, RegistryError> {
    let name: Option<String> = tables.row("SELECT name FROM default_authorizer", [], |row| row.get(0))?;
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
