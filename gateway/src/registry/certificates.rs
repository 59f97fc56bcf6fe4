//! Certificates in the registry's file.
//!
//! Source: developer guide, `x509-client-certs`; API reference, `API_RegisterCertificateWithoutCA`, `API_UpdateCertificate`,
//! `API_DeleteCertificate`.

use rusqlite::{Row, params};

use super::{
    Certificate, CertificateStatus, Kind, RegistryError, policies, principal, principal::Target,
    store::Tables,
};

/// The columns of a certificate, in the order of [`entry`].
const COLUMNS: &str = "id, pem, status, created_at, modified_at, version, mode, from_file";

/// A certificate as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEntry {
    /// AWS's `certificateId`.
    pub id: String,
    /// The certificate.
    pub pem: String,
    /// Its status.
    pub status: CertificateStatus,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was changed, in milliseconds since 1970.
    pub modified_at: i64,
    /// AWS's `customerVersion`: how often it was changed; 1 for a new one.
    pub version: i64,
    /// AWS's `certificateMode`.
    pub mode: String,
    /// Whether the settings file defines it.
    pub from_file: bool,
}

/// The place of a certificate in a list: when it was created, and its id.
pub type CertificatePosition = (i64, String);

/// Adds a certificate, as one that was registered without a CA or as one that the gateway's CA has issued.
///
/// # Errors
///
/// When it exists.
pub fn create(
    tables: &Tables<'_>,
    certificate: &Certificate,
    status: CertificateStatus,
    without_ca: bool,
) -> Result<(), RegistryError> {
    let id = certificate.id().as_str();
    if find(tables, id)?.is_some() {
        return Err(RegistryError::AlreadyExists {
            message: "The certificate is already provisioned or registered".to_owned(),
            id: id.to_string(),
            arn: tables.arn(Kind::Certificate, id),
        });
    }
    let mode = if without_ca { "SNI_ONLY" } else { "DEFAULT" };
    write(tables, certificate, status, mode, false)
}

/// The certificate with this id.
///
/// # Errors
///
/// When it does not exist.
pub fn get(tables: &Tables<'_>, id: &str) -> Result<CertificateEntry, RegistryError> {
    find(tables, id)?.ok_or_else(|| RegistryError::not_found(Kind::Certificate, id))
}

/// Changes a certificate's status.
///
/// # Errors
///
/// When it does not exist, or is of the settings file.
pub fn set_status(tables: &Tables<'_>, id: &str, status: CertificateStatus) -> Result<(), RegistryError> {
    tables.not_of_file(Kind::Certificate, id, get(tables, id)?.from_file)?;
    let update = "UPDATE certificate SET status = ?, modified_at = ?, version = version + 1 WHERE id = ?";
    tables.connection.prepare_cached(update)?.execute(params![status.to_string(), tables.now, id])?;
    Ok(())
}

/// Deletes a certificate. `force` deletes one that has policies, and never one that is attached to a Thing.
///
/// # Errors
///
/// When it does not exist, is of the settings file, is active, or is attached.
pub fn delete(tables: &Tables<'_>, id: &str, force: bool) -> Result<(), RegistryError> {
    let certificate = get(tables, id)?;
    tables.not_of_file(Kind::Certificate, id, certificate.from_file)?;
    if certificate.status == CertificateStatus::Active {
        return Err(RegistryError::CertificateState(format!(
            "Certificate must be deactivated (not ACTIVE) before deletion (id={id})"
        )));
    }
    let target = Target::Certificate(id.to_owned());
    let arn = target.arn(tables);
    if !principal::things_of(tables, &target, None, "", 1)?.is_empty() {
        return Err(RegistryError::DeleteConflict(format!(
            "Things must be detached before deletion (arn: {arn})"
        )));
    }
    if !force && !policies::of_target(tables, &arn, "", 1)?.is_empty() {
        return Err(RegistryError::DeleteConflict(format!(
            "Certificate policies must be detached before deletion (arn: {arn})"
        )));
    }
    tables.connection.prepare_cached("DELETE FROM policy_target WHERE target = ?")?.execute([arn])?;
    tables.connection.prepare_cached("DELETE FROM certificate WHERE id = ?")?.execute([id])?;
    Ok(())
}

/// Up to `limit` certificates after a position, in the order in which they were created or in the reverse one.
///
/// # Errors
///
/// When the file can't be read.
pub fn list(
    tables: &Tables<'_>,
    ascending: bool,
    after: Option<&CertificatePosition>,
    limit: usize,
) -> Result<Vec<CertificateEntry>, RegistryError> {
    let (than, order, begin) = if ascending { (">", "ASC", i64::MIN) } else { ("<", "DESC", i64::MAX) };
    let select = format!(
        "SELECT {COLUMNS} FROM certificate WHERE (created_at, id) {than} (?, ?) \
         ORDER BY created_at {order}, id {order} LIMIT ?"
    );
    let (created_at, id) = after.map_or((begin, ""), |(created_at, id)| (*created_at, id.as_str()));
    tables.rows(&select, params![created_at, id, limit], entry)
}

/// The certificate with this id, with its policies and the Things that it is attached to, as the doors need it.
///
/// # Errors
///
/// When the file can't be read, or what it holds is not a certificate or policy.
pub(super) fn usable(tables: &Tables<'_>, id: &str) -> Result<Option<Certificate>, RegistryError> {
    let Some(entry) = find(tables, id)? else { return Ok(None) };
    let certificate = Certificate::from_pem(&entry.pem);
    let mut certificate = certificate.map_err(|error| RegistryError::File(error.to_string()))?;
    let documents = policies::effective(tables, Some(id), None)?;
    let documents = documents.into_iter().map(|(_, document)| iot_policy::PolicyDocument::parse(&document));
    let documents = documents.collect::<Result<_, _>>();
    certificate.policies = documents.map_err(|error| RegistryError::File(error.to_string()))?;
    let target = Target::Certificate(id.to_owned());
    let things = principal::things_of(tables, &target, None, "", usize::from(u16::MAX))?;
    certificate.things = things.into_iter().map(|(thing, _)| thing).collect();
    certificate.status = entry.status;
    Ok(Some(certificate))
}

/// The certificate with this id, if it exists.
pub(super) fn find(tables: &Tables<'_>, id: &str) -> Result<Option<CertificateEntry>, RegistryError> {
    let select = format!("SELECT {COLUMNS} FROM certificate WHERE id = ?");
    tables.row(&select, [id], entry)
}

/// Writes a new certificate, or one of the settings file again.
pub(super) fn write(
    tables: &Tables<'_>,
    certificate: &Certificate,
    status: CertificateStatus,
    mode: &str,
    from_file: bool,
) -> Result<(), RegistryError> {
    let insert = "INSERT INTO certificate (id, pem, status, created_at, modified_at, version, mode, from_file) \
                  VALUES (?1, ?2, ?3, ?4, ?4, 1, ?5, ?6) ON CONFLICT (id) DO UPDATE SET status = ?3";
    let id = certificate.id().as_str().as_ref();
    let (pem, status) = (certificate.pem(), status.to_string());
    let mut insert = tables.connection.prepare_cached(insert)?;
    insert.execute(params![id, pem, status, tables.now, mode, from_file])?;
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<CertificateEntry> {
    let status = CertificateStatus::named(row.get_ref(2)?.as_str()?);
    Ok(CertificateEntry {
        id: row.get(0)?,
        pem: row.get(1)?,
        status: status.unwrap_or(CertificateStatus::Revoked),
        created_at: row.get(3)?,
        modified_at: row.get(4)?,
        version: row.get(5)?,
        mode: row.get(6)?,
        from_file: row.get(7)?,
    })
}
