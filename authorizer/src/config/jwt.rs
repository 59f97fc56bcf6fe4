//! Settings for JSON Web Tokens.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

#[cfg(feature = "jwks-url")]
use std::time::Duration;

use device_auth::jwt::{DEFAULT_DEVICE_CLAIM, Leeway, Rules};

use super::reader::{Reader, SettingError, number};
#[cfg(feature = "jwks-url")]
use crate::jwks_url::{JwksAddress, JwksTiming};

/// The keys that tokens are verified with: `pem:PATH`, `jwks:PATH` or the `https` URL of a JWKS. Without it no token is
/// accepted.
pub const JWT_KEYS: &str = "LATCHKEY_JWT_KEYS";
/// What a token's `iss` must be. It is not checked by default.
pub const JWT_ISSUER: &str = "LATCHKEY_JWT_ISSUER";
/// What a token's `aud` must be or contain. It is not checked by default.
pub const JWT_AUDIENCE: &str = "LATCHKEY_JWT_AUDIENCE";
/// By how much this clock may be slow against the issuer's, in seconds: 0 to 300.
pub const JWT_LEEWAY: &str = "LATCHKEY_JWT_LEEWAY_SECONDS";
/// The name of the claim with the device's name.
pub const JWT_DEVICE_CLAIM: &str = "LATCHKEY_JWT_DEVICE_CLAIM";
/// The name of the claim with the grant's name, which every token must then have.
pub const JWT_GRANT_CLAIM: &str = "LATCHKEY_JWT_GRANT_CLAIM";
/// The grants with which a token can stand in for a missing record, with commas between them. By default there is none.
pub const JWT_GRANTS: &str = "LATCHKEY_JWT_GRANTS";
/// For how long fetched keys are used, in seconds: 1 to 86,400.
pub const JWKS_MAX_AGE: &str = "LATCHKEY_JWKS_MAX_AGE_SECONDS";
/// The time limit of a fetch, in milliseconds: 1 to 3,000.
pub const JWKS_TIMEOUT: &str = "LATCHKEY_JWKS_TIMEOUT_MS";
/// The shortest time between two fetches for unknown keys, in seconds: 0 to 86,400.
pub const JWKS_REFETCH: &str = "LATCHKEY_JWKS_REFETCH_SECONDS";

/// How JSON Web Tokens are checked.
#[derive(Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// Where the keys are.
    pub keys: JwtKeys,
    /// What a token must say.
    pub rules: Rules,
}

/// Where the keys are.
#[derive(Debug, PartialEq, Eq)]
pub enum JwtKeys {
    /// One public key, in a PEM file.
    Pem(PathBuf),
    /// Keys by id, in a JWKS file.
    Jwks(PathBuf),
    /// Keys by id, fetched from a URL.
    #[cfg(feature = "jwks-url")]
    Url(JwksAddress, JwksTiming),
}

/// Reads the settings. `None` if no tokens are accepted, and after a mistake, which the reader collects.
pub(super) fn read(reader: &mut Reader, root: &Path) -> Option<JwtSettings> {
    let Some(keys) = reader.text(JWT_KEYS) else {
        let names = [JWT_ISSUER, JWT_AUDIENCE, JWT_LEEWAY, JWT_DEVICE_CLAIM, JWT_GRANT_CLAIM, JWT_GRANTS];
        refuse(reader, &names, &format!("has no effect without {JWT_KEYS}"));
        refuse(reader, &JWKS_NAMES, &format!("has no effect without {JWT_KEYS}"));
        return None;
    };
    if !keys.starts_with("http") {
        refuse(reader, &JWKS_NAMES, &format!("has no effect without a URL in {JWT_KEYS}"));
    }
    let text = |text: Option<&str>| match text {
        Some("") => Err(SettingError::new("is empty")),
        text => Ok(text.map(str::to_owned)),
    };
    let issuer = reader.parsed(JWT_ISSUER, text);
    let audience = reader.parsed(JWT_AUDIENCE, text);
    let leeway = reader.parsed_or(JWT_LEEWAY, Leeway::DEFAULT, |text| {
        Ok(Leeway::try_from(number::<u64>(text, "seconds")?)?)
    });
    let device_claim = reader.parsed(JWT_DEVICE_CLAIM, text);
    let grant_claim = reader.parsed(JWT_GRANT_CLAIM, text);
    if grant_claim == Some(None) {
        refuse(reader, &[JWT_GRANTS], &format!("has no effect without {JWT_GRANT_CLAIM}"));
    }
    let grants = reader.parsed_or(JWT_GRANTS, BTreeSet::new(), grants);
    let keys = keys_at(&keys, reader, root);
    let rules = Rules {
        issuer: issuer?,
        audience: audience?,
        leeway: leeway?,
        device_claim: device_claim?.unwrap_or_else(|| DEFAULT_DEVICE_CLAIM.to_owned()),
        grant_claim: grant_claim?,
        grants: grants?,
    };
    Some(JwtSettings { keys: keys?, rules })
}

const JWKS_NAMES: [&str; 3] = [JWKS_MAX_AGE, JWKS_TIMEOUT, JWKS_REFETCH];

/// Names of grants with commas between them. That they exist is checked when a token names one.
fn grants(text: &str) -> Result<BTreeSet<String>, SettingError> {
    let names = text.split(',').map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>();
    if names.contains("") {
        return Err(SettingError::new("is not a list of grants with commas between them: a name is empty"));
    }
    Ok(names)
}

/// Collects a mistake for each of these variables that is set.
fn refuse(reader: &mut Reader, names: &[&str], mistake: &str) {
    for name in names {
        reader.parsed(name, |text| text.map_or(Ok(()), |_| Err(SettingError::new(mistake))));
    }
}

fn keys_at(text: &str, reader: &mut Reader, root: &Path) -> Option<JwtKeys> {
    match text.split_once(':') {
        Some(("pem", path)) if !path.is_empty() => Some(JwtKeys::Pem(root.join(path))),
        Some(("jwks", path)) if !path.is_empty() => Some(JwtKeys::Jwks(root.join(path))),
        Some(("http" | "https", _)) => url(text, reader),
        // Not quoted, because the value may be the keys themselves.
        _ => reader.mistake(
            JWT_KEYS,
            "not a location of keys; it should read `pem:PATH`, `jwks:PATH` or `https://…`",
        ),
    }
}

#[cfg(feature = "jwks-url")]
fn url(text: &str, reader: &mut Reader) -> Option<JwtKeys> {
    let timing = JwksTiming::DEFAULT;
    let max_age = reader.parsed(JWKS_MAX_AGE, |text| within(text, 1..=86_400, "seconds"));
    let time_limit = reader.parsed(JWKS_TIMEOUT, |text| within(text, 1..=3_000, "milliseconds"));
    let refetch = reader.parsed(JWKS_REFETCH, |text| within(text, 0..=86_400, "seconds"));
    let address = text.parse::<JwksAddress>();
    let address = address.map_err(|error| reader.mistake::<()>(JWT_KEYS, &error.to_string())).ok();
    let timing = JwksTiming {
        max_age: max_age?.map_or(timing.max_age, Duration::from_secs),
        time_limit: time_limit?.map_or(timing.time_limit, Duration::from_millis),
        refetch_interval: refetch?.map_or(timing.refetch_interval, Duration::from_secs),
    };
    Some(JwtKeys::Url(address?, timing))
}

#[cfg(not(feature = "jwks-url"))]
fn url(_text: &str, reader: &mut Reader) -> Option<JwtKeys> {
    reader.mistake(
        JWT_KEYS,
        "this program was built without the feature `jwks-url`; build it with `--features jwks-url`, or use `jwks:PATH`",
    )
}

#[cfg(feature = "jwks-url")]
fn within(
    text: Option<&str>,
    range: std::ops::RangeInclusive<u64>,
    unit: &str,
) -> Result<Option<u64>, SettingError> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse::<u64>().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        SettingError::new(format!("`{text}` is not {} to {} {unit}", range.start(), range.end()))
    })
}
