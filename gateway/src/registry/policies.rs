//! Policies in the registry's file, their versions, and what they are attached to.
//!
//! Source: developer guide, `iot-policies` and `thing-groups`; API reference, `API_CreatePolicy`, `API_CreatePolicyVersion`,
//! `API_DeletePolicy`, `API_DeletePolicyVersion`, `API_AttachPolicy`.

use iot_policy::{
    PolicyDocument,
    limits::{MAX_POLICIES_OF_A_TARGET, MAX_POLICY_VERSIONS},
};
use rusqlite::params;

use super::{
    Kind, RegistryError, certificates,
    principal::Target,
    store::Tables,
    tags::{self, Tags},
    thing_groups,
};

/// A policy as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    /// Its name.
    pub name: String,
    /// The version that counts.
    pub default_version: i64,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was changed, in milliseconds since 1970.
    pub modified_at: i64,
    /// Whether the settings file defines it.
    pub from_file: bool,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its number.
    pub version: i64,
    /// Its document.
    pub document: String,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
}

/// Creates a policy with its first version.
///
/// # Errors
///
/// When it exists, or the document is malformed.
pub fn create(tables: &Tables<'_>, name: &str, document: &str, tags: &Tags) -> Result<(), RegistryError> {
    check_document(document)?;
    if find(tables, name)?.is_some() {
        return Err(RegistryError::AlreadyExists {
            message: format!("Policy {name} already exists"),
            id: name.to_owned(),
            arn: tables.arn(Kind::Policy, name),
        });
    }
    insert(tables, name, document, false)?;
    tags::put(tables, Kind::Policy, name, tags)
}

/// The policy with this name.
///
/// # Errors
///
/// When it does not exist.
pub fn get(tables: &Tables<'_>, name: &str) -> Result<PolicyEntry, RegistryError> {
    find(tables, name)?.ok_or_else(|| RegistryError::not_found(Kind::Policy, name))
}

/// A version of a policy, or its default version.
///
/// # Errors
///
/// When it does not exist.
pub fn version(
    tables: &Tables<'_>,
    name: &str,
    version: Option<i64>,
) -> Result<(PolicyEntry, PolicyVersion), RegistryError> {
    let policy = get(tables, name)?;
    let number = version.unwrap_or(policy.default_version);
    let select = "SELECT version, document, created_at FROM policy_version WHERE policy = ? AND version = ?";
    let version = tables.row(select, params![name, number], version_entry)?;
    let missing = || RegistryError::not_found(Kind::Policy, &format!("{name} version {number}"));
    Ok((policy, version.ok_or_else(missing)?))
}

/// All versions of a policy, the newest first; there are never many.
///
/// # Errors
///
/// When it does not exist.
pub fn versions(tables: &Tables<'_>, name: &str) -> Result<(PolicyEntry, Vec<PolicyVersion>), RegistryError> {
    let policy = get(tables, name)?;
    let select =
        "SELECT version, document, created_at FROM policy_version WHERE policy = ? ORDER BY version DESC";
    Ok((policy, tables.rows(select, [name], version_entry)?))
}

/// Creates a version, and returns its number.
///
/// # Errors
///
/// When the policy does not exist, is of the settings file or has too many versions, or the document is malformed.
pub fn create_version(
    tables: &Tables<'_>,
    name: &str,
    document: &str,
    set_as_default: bool,
) -> Result<i64, RegistryError> {
    check_document(document)?;
    let (policy, versions) = versions(tables, name)?;
    tables.not_of_file(Kind::Policy, name, policy.from_file)?;
    if versions.len() >= MAX_POLICY_VERSIONS {
        return Err(RegistryError::VersionsLimit(format!(
            "The policy {name} already has the maximum number of versions ({MAX_POLICY_VERSIONS})"
        )));
    }
    let update = "UPDATE policy SET last_version = last_version + 1, modified_at = ? WHERE name = ? \
                  RETURNING last_version";
    let mut statement = tables.connection.prepare_cached(update)?;
    let number = statement.query_row(params![tables.now, name], |row| row.get(0))?;
    let insert = "INSERT INTO policy_version (policy, version, document, created_at) VALUES (?, ?, ?, ?)";
    tables.connection.prepare_cached(insert)?.execute(params![name, number, document, tables.now])?;
    if set_as_default {
        set_default(tables, name, number)?;
    }
    Ok(number)
}

/// Makes a version the one that counts.
///
/// # Errors
///
/// When it does not exist, or the policy is of the settings file.
pub fn set_default(tables: &Tables<'_>, name: &str, number: i64) -> Result<(), RegistryError> {
    let (policy, _) = version(tables, name, Some(number))?;
    tables.not_of_file(Kind::Policy, name, policy.from_file)?;
    let update = "UPDATE policy SET default_version = ?, modified_at = ? WHERE name = ?";
    tables.connection.prepare_cached(update)?.execute(params![number, tables.now, name])?;
    Ok(())
}

/// Deletes a version.
///
/// # Errors
///
/// When it does not exist or is the default one, or the policy is of the settings file.
pub fn delete_version(tables: &Tables<'_>, name: &str, number: i64) -> Result<(), RegistryError> {
    let (policy, _) = version(tables, name, Some(number))?;
    tables.not_of_file(Kind::Policy, name, policy.from_file)?;
    if policy.default_version == number {
        return Err(RegistryError::DeleteConflict(format!(
            "Cannot delete the default version of the policy {name}"
        )));
    }
    let delete = "DELETE FROM policy_version WHERE policy = ? AND version = ?";
    tables.connection.prepare_cached(delete)?.execute(params![name, number])?;
    Ok(())
}

/// Deletes a policy.
///
/// # Errors
///
/// When it does not exist, is of the settings file, is attached, or has other versions than the default one.
pub fn delete(tables: &Tables<'_>, name: &str) -> Result<(), RegistryError> {
    let (policy, versions) = versions(tables, name)?;
    tables.not_of_file(Kind::Policy, name, policy.from_file)?;
    if !targets(tables, name, "", 1)?.is_empty() {
        return Err(RegistryError::DeleteConflict(format!(
            "The policy cannot be deleted as the policy is attached to one or more principals (name={name})"
        )));
    }
    if versions.len() > 1 {
        return Err(RegistryError::DeleteConflict(format!(
            "Cannot delete the policy because it has one or more policy versions attached to it (name={name})"
        )));
    }
    tables.connection.prepare_cached("DELETE FROM policy WHERE name = ?")?.execute([name])?;
    tags::remove_all(tables, Kind::Policy, name)
}

/// Up to `limit` names of policies after this name, or before it.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    ascending: bool,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    let select = if ascending {
        "SELECT name FROM policy WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2"
    } else {
        "SELECT name FROM policy WHERE ?1 IS NULL OR name < ?1 ORDER BY name DESC LIMIT ?2"
    };
    tables.rows(select, params![after, limit], |row| row.get(0))
}

/// Attaches a policy to a certificate, a Thing group or a Cognito identity. An attached one is a success too.
///
/// # Errors
///
/// When one of the two does not exist, the target is of the settings file, or it has too many policies.
pub fn attach(tables: &Tables<'_>, name: &str, target: &Target) -> Result<(), RegistryError> {
    get(tables, name)?;
    match target {
        Target::Certificate(id) => {
            tables.not_of_file(Kind::Certificate, id, certificates::get(tables, id)?.from_file)?;
        }
        Target::ThingGroup(group) => _ = thing_groups::get(tables, group)?,
        Target::Identity(_) => {}
    }
    let arn = target.arn(tables);
    let attached = of_target(tables, &arn, "", MAX_POLICIES_OF_A_TARGET + 1)?;
    if attached.iter().any(|attached| attached == name) {
        return Ok(());
    }
    if attached.len() >= MAX_POLICIES_OF_A_TARGET {
        return Err(RegistryError::Limit(format!(
            "The maximum number of policies ({MAX_POLICIES_OF_A_TARGET}) is already attached to {arn}"
        )));
    }
    let insert = "INSERT INTO policy_target (policy, target, from_file) VALUES (?, ?, 0)";
    tables.connection.prepare_cached(insert)?.execute([name, &arn])?;
    Ok(())
}

/// Detaches a policy, and returns whether it was attached.
///
/// # Errors
///
/// When the settings file attaches it.
pub fn detach(tables: &Tables<'_>, name: &str, target: &Target) -> Result<bool, RegistryError> {
    let arn = target.arn(tables);
    let select = "SELECT from_file FROM policy_target WHERE policy = ? AND target = ?";
    let found = tables.row(select, [name, &arn], |row| row.get(0))?;
    let Some(from_file) = found else { return Ok(false) };
    tables.not_of_file(Kind::Certificate, target.name(), from_file)?;
    let delete = "DELETE FROM policy_target WHERE policy = ? AND target = ?";
    tables.connection.prepare_cached(delete)?.execute([name, &arn])?;
    Ok(true)
}

/// Up to `limit` names of policies after this name that are attached to a target's ARN.
///
/// # Errors
///
/// When the file can't be read.
pub fn of_target(
    tables: &Tables<'_>,
    arn: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    let select = "SELECT policy FROM policy_target WHERE target = ? AND policy > ? ORDER BY policy LIMIT ?";
    tables.rows(select, params![arn, after, limit], |row| row.get(0))
}

/// The same for a target and, if it is a Thing group, the groups above it.
///
/// # Errors
///
/// When the file can't be read.
pub fn of_target_and_above(
    tables: &Tables<'_>,
    target: &Target,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    let mut found = of_target(tables, &target.arn(tables), after, limit)?;
    if let Target::ThingGroup(group) = target {
        for above in thing_groups::ancestors(tables, group)? {
            found.extend(of_target(tables, &tables.arn(Kind::ThingGroup, &above), after, limit)?);
        }
    }
    found.sort();
    found.dedup();
    found.truncate(limit);
    Ok(found)
}

/// Up to `limit` ARNs of targets after this one that a policy is attached to.
///
/// # Errors
///
/// When the policy does not exist.
pub fn targets(
    tables: &Tables<'_>,
    name: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, RegistryError> {
    get(tables, name)?;
    let select = "SELECT target FROM policy_target WHERE policy = ? AND target > ? ORDER BY target LIMIT ?";
    tables.rows(select, params![name, after, limit], |row| row.get(0))
}

/// The policies of a certificate, and those of the groups of a Thing that it is attached to, each once.
///
/// # Errors
///
/// When the file can't be read.
pub fn effective(
    tables: &Tables<'_>,
    certificate: Option<&str>,
    thing: Option<&str>,
) -> Result<Vec<(String, String)>, RegistryError> {
    let certificate = certificate.map(|id| tables.arn(Kind::Certificate, id));
    let mut targets = certificate.into_iter().collect::<Vec<_>>();
    if let Some(thing) = thing {
        for group in thing_groups::of_thing(tables, thing, "", usize::from(u16::MAX))? {
            let above = thing_groups::ancestors(tables, &group)?;
            targets
                .extend(above.into_iter().chain([group]).map(|group| tables.arn(Kind::ThingGroup, &group)));
        }
    }
    let mut names = Vec::new();
    for target in targets {
        for name in of_target(tables, &target, "", MAX_POLICIES_OF_A_TARGET)? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let document = |name: String| {
        let (_, version) = version(tables, &name, None)?;
        Ok((name, version.document))
    };
    names.into_iter().map(document).collect()
}

/// Inserts a policy with its first version.
pub(super) fn insert(
    tables: &Tables<'_>,
    name: &str,
    document: &str,
    from_file: bool,
) -> Result<(), RegistryError> {
    let policy = "INSERT INTO policy (name, default_version, last_version, created_at, modified_at, from_file) \
                  VALUES (?1, 1, 1, ?2, ?2, ?3)";
    tables.connection.prepare_cached(policy)?.execute(params![name, tables.now, from_file])?;
    let version = "INSERT INTO policy_version (policy, version, document, created_at) VALUES (?, 1, ?, ?)";
    tables.connection.prepare_cached(version)?.execute(params![name, document, tables.now])?;
    Ok(())
}

/// The policy with this name, if it exists.
pub(super) fn find(tables: &Tables<'_>, name: &str) -> Result<Option<PolicyEntry>, RegistryError> {
    let select =
        "SELECT name, default_version, created_at, modified_at, from_file FROM policy WHERE name = ?";
    tables.row(select, [name], |row| {
        Ok(PolicyEntry {
            name: row.get(0)?,
            default_version: row.get(1)?,
            created_at: row.get(2)?,
            modified_at: row.get(3)?,
            from_file: row.get(4)?,
        })
    })
}

fn version_entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<PolicyVersion> {
    Ok(PolicyVersion { version: row.get(0)?, document: row.get(1)?, created_at: row.get(2)? })
}

fn check_document(document: &str) -> Result<(), RegistryError> {
    PolicyDocument::parse(document)
        .map(drop)
        .map_err(|error| RegistryError::MalformedPolicy(format!("Policy document is malformed: {error}")))
}
