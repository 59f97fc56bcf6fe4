//! What the settings file defines, as it gets into the registry's file at each start.

use std::collections::BTreeSet;

use super::{FixedRegistry, Kind, RegistryError, Thing, store::Tables, things, things::ThingEntry};

/// Makes the entries of the settings file those that it has now.
///
/// # Errors
///
/// When an API call has made what the settings file defines, or the file can't be written.
pub(super) fn write(tables: &Tables<'_>, seed: &FixedRegistry) -> Result<(), RegistryError> {
    write_things(tables, seed)
}

fn write_things(tables: &Tables<'_>, seed: &FixedRegistry) -> Result<(), RegistryError> {
    let mut statement = tables.connection.prepare("SELECT name FROM thing WHERE from_file = 1")?;
    let earlier = statement.query_map([], |row| row.get(0))?.collect::<Result<BTreeSet<String>, _>>()?;
    for name in earlier.iter().filter(|name| !seed.things.contains_key(*name)) {
        tables.connection.execute("DELETE FROM thing_principal WHERE thing = ?", [name])?;
        tables.connection.execute("DELETE FROM thing WHERE name = ?", [name])?;
    }
    for thing in seed.things.values() {
        let Thing { name, type_name, attributes } = (**thing).clone();
        let existing = things::find(tables, &name)?;
        let new = ThingEntry {
            id: existing.as_ref().map_or_else(|| uuid::Uuid::new_v4().to_string(), |thing| thing.id.clone()),
            version: existing.as_ref().map_or(1, |thing| thing.version),
            name,
            type_name,
            attributes,
            from_file: true,
        };
        match existing {
            Some(thing) if !thing.from_file => return Err(tables.twice(Kind::Thing, &thing.name)),
            Some(thing) if thing == new => {}
            Some(thing) => things::write(tables, &ThingEntry { version: thing.version + 1, ..new })?,
            None => things::write(tables, &new)?,
        }
    }
    Ok(())
}
