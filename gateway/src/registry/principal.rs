//! What a policy is attached to, and what a Thing is attached to.
//!
//! Source: API reference, `API_AttachPolicy` and `API_AttachThingPrincipal`.

use rusqlite::params;

use super::{Kind, RegistryError, certificates, store::Tables, things};

/// What a policy can be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The certificate with this id.
    Certificate(String),
    /// The Thing group with this name.
    ThingGroup(String),
    /// A Cognito identity, such as `us-east-1:UUID`, which the gateway knows nothing of.
    Identity(String),
}

/// How a principal is attached to a Thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachment {
    /// It may be attached to others.
    #[default]
    NonExclusive,
    /// It is attached to no other Thing.
    Exclusive,
}

impl Target {
    /// Reads an ARN of this account, or a Cognito identity's id.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn read(tables: &Tables<'_>, text: &str) -> Result<Self, RegistryError> {
        let of_kind = |kind: Kind| text.strip_prefix(&*tables.arn(kind, "")).filter(|name| !name.is_empty());
        if let Some(id) = of_kind(Kind::Certificate) {
            return Ok(Self::Certificate(id.to_ascii_lowercase()));
        }
        if let Some(name) = of_kind(Kind::ThingGroup) {
            return Ok(Self::ThingGroup(name.to_owned()));
        }
        match text.split_once(':') {
            Some((region, id)) if region == tables.account.region && uuid::Uuid::try_parse(id).is_ok() => {
                Ok(Self::Identity(text.to_owned()))
            }
            _ => Err(RegistryError::Invalid(
                "Invalid principal or target: an ARN of this account and region is needed".to_owned(),
            )),
        }
    }

    /// The ARN, or the identity's id.
    #[must_use]
    pub fn arn(&self, tables: &Tables<'_>) -> String {
        match self {
            Self::Certificate(id) => tables.arn(Kind::Certificate, id),
            Self::ThingGroup(name) => tables.arn(Kind::ThingGroup, name),
            Self::Identity(id) => id.clone(),
        }
    }

    /// The id or name.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Self::Certificate(name) | Self::ThingGroup(name) | Self::Identity(name)) = self;
        name
    }
}

impl Attachment {
    /// The one that AWS's `thingPrincipalType` calls so.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        [Self::NonExclusive, Self::Exclusive].into_iter().find(|attachment| attachment.as_str() == text)
    }

    /// AWS's `thingPrincipalType`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NonExclusive => "NON_EXCLUSIVE_THING",
            Self::Exclusive => "EXCLUSIVE_THING",
        }
    }
}

/// Attaches a principal to a Thing. One that is attached is a success too.
///
/// # Errors
///
/// When one of the two does not exist, the certificate is of the settings file, or the principal is or would be attached to another
/// Thing although one of the attachments is exclusive.
pub fn attach(
    tables: &Tables<'_>,
    thing: &str,
    principal: &Target,
    attachment: Attachment,
) -> Result<(), RegistryError> {
    things::get(tables, thing)?;
    check(tables, principal)?;
    let arn = principal.arn(tables);
    let others = "SELECT count(*), ifnull(max(type = 'EXCLUSIVE_THING'), 0) FROM \
                  (SELECT type FROM thing_principal WHERE principal = ? AND thing <> ? LIMIT 2)";
    let others: (i64, bool) = tables
        .connection
        .prepare_cached(others)?
        .query_row([&*arn, thing], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if others.1 || others.0 > 0 && attachment == Attachment::Exclusive {
        return Err(RegistryError::Invalid(format!(
            "the principal {arn} is attached to another thing, and one of the two attachments is exclusive"
        )));
    }
    let insert = "INSERT INTO thing_principal (thing, principal, type, from_file) VALUES (?1, ?2, ?3, 0) \
                  ON CONFLICT DO UPDATE SET type = ?3";
    tables.connection.prepare_cached(insert)?.execute(params![thing, arn, attachment.as_str()])?;
    Ok(())
}

/// Detaches a principal from a Thing.
///
/// # Errors
///
/// When it is not attached, or the settings file attaches it.
pub fn detach(tables: &Tables<'_>, thing: &str, principal: &Target) -> Result<(), RegistryError> {
    things::get(tables, thing)?;
    let arn = principal.arn(tables);
    let select = "SELECT from_file FROM thing_principal WHERE thing = ? AND principal = ?";
    let found = tables.row(select, [thing, &arn], |row| row.get(0))?;
    let Some(from_file) = found else {
        return Err(RegistryError::not_found(Kind::Certificate, principal.name()));
    };
    tables.not_of_file(Kind::Certificate, principal.name(), from_file)?;
    let delete = "DELETE FROM thing_principal WHERE thing = ? AND principal = ?";
    tables.connection.prepare_cached(delete)?.execute([thing, &arn])?;
    Ok(())
}

/// Up to `limit` principals of a Thing after this one, with how they are attached.
///
/// # Errors
///
/// When the Thing does not exist.
pub fn of_thing(
    tables: &Tables<'_>,
    thing: &str,
    only: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, String)>, RegistryError> {
    things::get(tables, thing)?;
    let select = "SELECT principal, type FROM thing_principal WHERE thing = ?1 AND principal > ?2 \
                  AND (?3 IS NULL OR type = ?3) ORDER BY principal LIMIT ?4";
    tables.rows(select, params![thing, after, only, limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Up to `limit` names of Things after this one that a principal is attached to, with how.
///
/// # Errors
///
/// When the certificate does not exist.
pub fn things_of(
    tables: &Tables<'_>,
    principal: &Target,
    only: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, String)>, RegistryError> {
    if let Target::Certificate(id) = principal {
        certificates::get(tables, id)?;
    }
    let select = "SELECT thing, type FROM thing_principal WHERE principal = ?1 AND thing > ?2 \
                  AND (?3 IS NULL OR type = ?3) ORDER BY thing LIMIT ?4";
    let parameters = params![principal.arn(tables), after, only, limit];
    tables.rows(select, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
}

fn check(tables: &Tables<'_>, principal: &Target) -> Result<(), RegistryError> {
    match principal {
        Target::Certificate(id) => {
            tables.not_of_file(Kind::Certificate, id, certificates::get(tables, id)?.from_file)
        }
        Target::Identity(_) => Ok(()),
        Target::ThingGroup(_) => Err(RegistryError::Invalid(
            "Invalid principal: a thing group can't be attached to a thing".to_owned(),
        )),
    }
}
