//! What the settings file defines, as it gets into the registry's file at each start.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{
    FixedRegistry, Kind, RegistryError, Thing, certificates, policies,
    principal::{Attachment, Target},
    store::Tables,
    thing_types, things,
    things::ThingEntry,
};

/// Makes the entries of the settings file those that it has now.
///
/// # Errors
///
/// When an API call has made what the settings file defines, or the file can't be written.
pub(super) fn write(tables: &Tables<'_>, seed: &FixedRegistry) -> Result<(), RegistryError> {
    // Attachments are written again as a whole; the rows that they name stay, so that those of API calls stay too.
    tables.connection.execute("DELETE FROM policy_target WHERE from_file = 1", [])?;
    tables.connection.execute("DELETE FROM thing_principal WHERE from_file = 1", [])?;
    write_things(tables, seed)?;
    write_policies(tables, seed)?;
    write_certificates(tables, seed)
}

fn write_things(tables: &Tables<'_>, seed: &FixedRegistry) -> Result<(), RegistryError> {
    let earlier = names(tables, "SELECT name FROM thing WHERE from_file = 1")?;
    for name in earlier.iter().filter(|name| !seed.things.contains_key(*name)) {
        tables.connection.execute("DELETE FROM thing_principal WHERE thing = ?", [name])?;
        tables.connection.execute("DELETE FROM thing WHERE name = ?", [name])?;
    }
    for thing in seed.things.values() {
        let Thing { name, type_name, attributes } = (**thing).clone();
        if let Some(type_name) = &type_name {
            thing_types::ensure(tables, type_name)?;
        }
        let existing = things::find(tables, &name)?;
        let new = ThingEntry {
            id: existing.as_ref().map_or_else(|| uuid::Uuid::new_v4().to_string(), |thing| thing.id.clone()),
            version: existing.as_ref().map_or(1, |thing| thing.version),
            name,
            type_name,
            attributes,
            billing_group: existing.as_ref().and_then(|thing| thing.billing_group.clone()),
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

fn write_policies(tables: &Tables<'_>, seed: &FixedRegistry) -> Result<(), RegistryError> {
    let earlier = names(tables, "SELECT name FROM policy WHERE from_file = 1")?;
    for name in earlier.iter().filter(|name| !seed.policies.contains_key(*name)) {
        tables.connection.execute("DELETE FROM policy_target WHERE policy = ?", [name])?;
        tables.connection.execute("DELETE FROM policy WHERE name = ?", [name])?;
    }
    for (name, document) in &seed.policies {
        match policies::find(tables, name)? {
            Some(policy) if !policy.from_file => return Err(tables.twice(Kind::Policy, name)),
            Some(_) => {
                let update = "UPDATE policy_version SET document = ?, created_at = ? WHERE policy = ? AND document <> ?1";
                tables.connection.execute(update, params![document, tables.now, name])?;
            }
            None => policies::insert(tables, name, document, true)?,
        }
    }
    Ok(())
}

fn write_certificates(tables: &Tables<'_>, seed: &FixedRegistry) -> Result<(), RegistryError> {
    let earlier = names(tables, "SELECT id FROM certificate WHERE from_file = 1")?;
    for id in earlier
        .iter()
        .filter(|id| !seed.certificates.keys().any(|known| known.as_str().as_ref() == id.as_str()))
    {
        let arn = tables.arn(Kind::Certificate, id);
        tables.connection.execute("DELETE FROM policy_target WHERE target = ?", [&arn])?;
        tables.connection.execute("DELETE FROM thing_principal WHERE principal = ?", [&arn])?;
        tables.connection.execute("DELETE FROM certificate WHERE id = ?", [id])?;
    }
    for (id, certificate) in &seed.certificates {
        if certificates::find(tables, id.as_str())?.is_some_and(|existing| !existing.from_file) {
            return Err(tables.twice(Kind::Certificate, id.as_str()));
        }
        certificates::write(tables, certificate, certificate.status, "SNI_ONLY", true)?;
        let arn = Target::Certificate(id.as_str().to_string()).arn(tables);
        for policy in seed.attached.get(id).into_iter().flatten() {
            let insert = "INSERT OR IGNORE INTO policy_target (policy, target, from_file) VALUES (?, ?, 1)";
            tables.connection.execute(insert, [policy, &arn])?;
        }
        for thing in &certificate.things {
            let insert = "INSERT OR IGNORE INTO thing_principal (thing, principal, type, from_file) VALUES (?, ?, ?, 1)";
            tables.connection.execute(insert, [thing, &arn, Attachment::NonExclusive.as_str()])?;
        }
    }
    Ok(())
}

fn names(tables: &Tables<'_>, select: &str) -> Result<BTreeSet<String>, RegistryError> {
    Ok(tables.rows(select, [], |row| row.get(0))?.into_iter().collect())
}
