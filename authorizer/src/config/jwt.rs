//! Settings about JSON Web Tokens.

use std::path::{Path, PathBuf};

#[cfg(feature = "jwks-url")]
use std::time::Duration;

use device_auth::jwt::{DEFAULT_DEVICE_CLAIM, Leeway, Rules};

use super::reader::{Reader, SettingError, number};
#[cfg(feature = "jwks-url")]
use crate::jwks_url::{JwksAddress, JwksTiming};

/// The keys that tokens are checked with: `pem:PATH`, `jwks:PATH` or the `https` URL of a JWKS. Without it there are no
/// tokens.
pub const JWT_KEYS: &str = "LATCHKEY_JWT_KEYS";
/// What a token's `iss` must be; not checked if absent.
pub const JWT_ISSUER: &str = "LATCHKEY_JWT_ISSUER";
/// What a token's `aud` must be or hold; not checked if absent.
pub const JWT_AUDIENCE: &str = "LATCHKEY_JWT_AUDIENCE";
/// By how much this clock may be behind the issuer's, in seconds: 0 to 300.
pub const JWT_LEEWAY: &str = "LATCHKEY_JWT_LEEWAY_SECONDS";
/// The claim that is the device.
pub const JWT_DEVICE_CLAIM: &str = "LATCHKEY_JWT_DEVICE_CLAIM";
/// The claim that is the grant. With it a token can stand in for a record; without it a device needs one.
pub const JWT_GRANT_CLAIM: &str = "LATCHKEY_JWT_GRANT_CLAIM";
/// For how long fetched keys are good, in seconds: 1 to 86,400.
pub const JWKS_MAX_AGE: &str = "LATCHKEY_JWKS_MAX_AGE_SECONDS";
/// How long a fetch may take, in milliseconds: 1 to 3,000.
pub const JWKS_TIMEOUT: &str = "LATCHKEY_JWKS_TIMEOUT_MS";
/// How long after a fetch for an unknown key the next one may follow, in seconds.
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

/// Reads the settings; `None` where there are to be no tokens, and after a mistake, which the reader has noted.
pub(super) fn read(reader: &mut Reader, root: &Path) -> Option<JwtSettings> {
    let Some(keys) = reader.text(JWT_KEYS) else {
        let names = [JWT_ISSUER, JWT_AUDIENCE, JWT_LEEWAY, JWT_DEVICE_CLAIM, JWT_GRANT_CLAIM];
        useless(reader, &names, &format!("means nothing without {JWT_KEYS}"));
        useless(reader, &JWKS_NAMES, &format!("means nothing without {JWT_KEYS}"));
        return None;
    };
    if !keys.starts_with("http") {
        useless(reader, &JWKS_NAMES, &format!("means nothing without a URL in {JWT_KEYS}"));
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
    let keys = keys_at(&keys, reader, root);
    let rules = Rules {
        issuer: issuer?,
        audience: audience?,
        leeway: leeway?,
        device_claim: device_claim?.unwrap_or_else(|| DEFAULT_DEVICE_CLAIM.to_owned()),
        grant_claim: grant_claim?,
    };
    Some(JwtSettings { keys: keys?, rules })
}

const JWKS_NAMES: [&str; 3] = [JWKS_MAX_AGE, JWKS_TIMEOUT, JWKS_REFETCH];

/// Notes each of these variables that is set as a mistake.
fn useless(reader: &mut Reader, names: &[&str], why: &str) {
    for name in names {
        reader.parsed(name, |text| text.map_or(Ok(()), |_| Err(SettingError::new(why))));
    }
}

fn keys_at(text: &str, reader: &mut Reader, root: &Path) -> Option<JwtKeys> {
    match text.split_once(':') {
        Some(("pem", path)) if !path.is_empty() => Some(JwtKeys::Pem(root.join(path))),
        Some(("jwks", path)) if !path.is_empty() => Some(JwtKeys::Jwks(root.join(path))),
        Some(("http" | "https", _)) => url(text, reader),
        // Not quoted: somebody may have put the keys themselves there.
        _ => reader
            .mistake(JWT_KEYS, "it names no keys; it should read `pem:PATH`, `jwks:PATH` or `https://…`"),
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
        "this program was built without the feature `jwks-url`; build it with it, or use `jwks:PATH`",
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
