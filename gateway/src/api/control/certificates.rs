//! Certificates.
//!
//! Source: API reference, `API_CreateKeysAndCertificate`, `API_CreateCertificateFromCsr`, `API_RegisterCertificateWithoutCA`,
//! `API_DescribeCertificate`, `API_UpdateCertificate`, `API_DeleteCertificate`, `API_ListCertificates`.

use std::sync::Arc;

use serde_json::json;

use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, constraint_error, required},
        page::Page,
        text::Text,
    },
    registry::{
        Certificate, CertificateStatus, Kind, RegistryError, certificates, certificates::CertificateEntry,
        store::Tables,
    },
};

/// The statuses that the API model has; only the first three can be set.
const STATUSES: [&str; 6] =
    ["ACTIVE", "INACTIVE", "REVOKED", "PENDING_TRANSFER", "REGISTER_INACTIVE", "PENDING_ACTIVATION"];

/// `CreateKeysAndCertificate`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn create_keys(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let status = status_of(input.query_flag("setAsActive")?);
    let authority = Arc::clone(&api.authority);
    // An RSA key takes the processor for tens of milliseconds.
    let issued = tokio::task::spawn_blocking(move || authority.issue_device()).await;
    let (pem, key) = issued.map_err(anyhow::Error::from).flatten().map_err(|error| {
        tracing::error!(%error, "can't issue a certificate");
        ApiError::internal_failure()
    })?;
    let id = add(api, &pem, status, false).await?;
    let keys = json!({"PublicKey": key.public_key_pem(), "PrivateKey": key.serialize_pem()});
    Ok(with(created(api, &id, Some(pem)), "keyPair", Some(keys)).into())
}

/// `CreateCertificateFromCsr`.
///
/// # Errors
///
/// When a member does not meet its constraints, the request can't be used, or the registry refuses.
pub async fn create_from_request(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let status = status_of(input.query_flag("setAsActive")?);
    let request = input.members()?.text("certificateSigningRequest", &Text::SIGNING_REQUEST)?;
    let request = required("certificateSigningRequest", request)?;
    let pem = api.authority.issue_for_request(&request);
    let pem = pem.map_err(|_| ApiError::invalid_request("The certificate signing request can't be used"))?;
    let id = add(api, &pem, status, false).await?;
    Ok(created(api, &id, Some(pem)).into())
}

/// `RegisterCertificateWithoutCA`. Without a status the certificate is inactive *(guess: the status of a certificate that is
/// registered without one)*.
///
/// # Errors
///
/// When a member does not meet its constraints, the certificate can't be used, or the registry refuses.
pub async fn register_without_ca(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let members = input.members()?;
    let pem = required("certificatePem", members.text("certificatePem", &Text::CERTIFICATE_PEM)?)?;
    let status = members.text("status", &Text::ANY)?;
    let status =
        status.as_deref().map_or(Ok(CertificateStatus::Inactive), |text| status_named("status", text))?;
    let id = add(api, &pem, status, true).await?;
    Ok(created(api, &id, None).into())
}

/// `DescribeCertificate`.
///
/// # Errors
///
/// When the certificate does not exist.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let id = id(input)?;
    let entry = api.registry.read(|tables| certificates::get(tables, &id))?;
    let parsed = Certificate::from_pem(&entry.pem).map_err(|_| ApiError::internal_failure())?;
    let (not_before, not_after) = parsed.validity();
    Ok(json!({"certificateDescription": {
        "certificateArn": api.arn(Kind::Certificate, &entry.id),
        "certificateId": entry.id,
        "status": entry.status.to_string(),
        "certificatePem": entry.pem,
        "ownedBy": api.shared.settings.account.id,
        "creationDate": seconds(entry.created_at),
        "lastModifiedDate": seconds(entry.modified_at),
        "customerVersion": entry.version,
        "transferData": {},
        "generationId": format!("{}-{}", entry.id, entry.version),
        "validity": {"notBefore": not_before, "notAfter": not_after},
        "certificateMode": entry.mode,
    }})
    .into())
}

/// `UpdateCertificate`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let id = id(input)?;
    let status = required("newStatus", input.query("newStatus", &Text::ANY)?)?;
    let status = status_named("newStatus", &status)?;
    api.registry.write(move |tables| certificates::set_status(tables, &id, status)).await?;
    Ok(json!({}).into())
}

/// `DeleteCertificate`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let id = id(input)?;
    let force = input.query_flag("forceDelete")?;
    api.registry.write(move |tables| certificates::delete(tables, &id, force)).await?;
    Ok(json!({}).into())
}

/// `ListCertificates`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListCertificates", "pageSize", 250, "marker")?;
    let ascending = input.query_flag("isAscendingOrder")?;
    let after = match page.after.as_deref() {
        Some([created_at, id]) => created_at.parse().ok().map(|created_at| (created_at, id.clone())),
        _ => None,
    };
    let found =
        api.registry.read(|tables| certificates::list(tables, ascending, after.as_ref(), page.limit()))?;
    let position = |entry: &CertificateEntry| vec![entry.created_at.to_string(), entry.id.clone()];
    let (found, token) = page.cut(found, position);
    let certificates = found.iter().map(|entry| {
        json!({
            "certificateArn": api.arn(Kind::Certificate, &entry.id),
            "certificateId": entry.id,
            "status": entry.status.to_string(),
            "certificateMode": entry.mode,
            "creationDate": seconds(entry.created_at),
        })
    });
    Ok(with(json!({"certificates": certificates.collect::<Vec<_>>()}), "nextMarker", token).into())
}

async fn add(api: &Api, pem: &str, status: CertificateStatus, without_ca: bool) -> Result<String, ApiError> {
    let certificate = Certificate::from_pem(pem).map_err(|error| {
        let mut refused = ApiError::invalid_request(format!("The certificate can't be used: {error}"));
        refused.name = "CertificateValidationException";
        refused
    })?;
    let id = certificate.id().as_str().to_string();
    let create = move |tables: &Tables<'_>| certificates::create(tables, &certificate, status, without_ca);
    api.registry.write(create).await?;
    Ok(id)
}

fn created(api: &Api, id: &str, pem: Option<String>) -> serde_json::Value {
    let answer = json!({"certificateArn": api.arn(Kind::Certificate, id), "certificateId": id});
    with(answer, "certificatePem", pem)
}

fn id(input: &Input) -> Result<String, ApiError> {
    Ok(input.path("certificateId", &Text::CERTIFICATE_ID)?.to_ascii_lowercase())
}

fn status_of(active: bool) -> CertificateStatus {
    if active { CertificateStatus::Active } else { CertificateStatus::Inactive }
}

fn status_named(member: &str, text: &str) -> Result<CertificateStatus, ApiError> {
    match CertificateStatus::named(text) {
        Some(status) => Ok(status),
        None if STATUSES.contains(&text) => {
            Err(RegistryError::CertificateState(format!("A certificate can't be given the status {text}"))
                .into())
        }
        None => {
            let constraint = format!("Member must satisfy enum value set: [{}]", STATUSES.join(", "));
            Err(constraint_error(member, &constraint))
        }
    }
}
