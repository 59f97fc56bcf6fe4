//! The claims of a token with a valid signature.

use std::{collections::BTreeSet, time::Duration};

use iot_policy::limits::MIN_DISCONNECT_SECONDS;
use serde_json::{Number, Value};

use super::token::{JsonObject, TokenError};
use crate::{device_name::DeviceName, time::UnixTime};

/// A token's claims.
pub(super) struct Claims(JsonObject);

impl Claims {
    /// Reads the claims of a token with a valid signature.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, TokenError> {
        JsonObject::read(bytes).map(Self).ok_or(TokenError::Claims)
    }

    pub(super) fn check_issuer(&self, expected: Option<&str>) -> Result<(), TokenError> {
        let fits = expected.is_none_or(|expected| self.text("iss") == Some(expected));
        if fits { Ok(()) } else { Err(TokenError::Issuer) }
    }

    pub(super) fn check_audience(&self, expected: Option<&str>) -> Result<(), TokenError> {
        let Some(expected) = expected else { return Ok(()) };
        let fits = match self.0.get("aud") {
            Some(Value::String(audience)) => audience == expected,
            Some(Value::Array(audiences)) => {
                audiences.iter().all(Value::is_string)
                    && audiences.iter().any(|audience| audience.as_str() == Some(expected))
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(TokenError::Audience) }
    }

    /// The end of the token, if the token is valid now and for as long as the shortest connection.
    ///
    /// The leeway does not apply to `exp`: AWS can't end a connection sooner than [`MIN_DISCONNECT_SECONDS`], so a token
    /// must have at least that much time left.
    pub(super) fn check_times(&self, leeway: Leeway, now: UnixTime) -> Result<UnixTime, TokenError> {
        let expires = self.time("exp", f64::floor)?.ok_or(TokenError::NoExpiry)?;
        let not_before = self.time("nbf", f64::ceil)?;
        let issued = self.time("iat", f64::floor)?;
        if expires <= now.0 {
            return Err(TokenError::Expired);
        }
        if expires - now.0 < u64::from(MIN_DISCONNECT_SECONDS) {
            return Err(TokenError::ExpiresTooSoon);
        }
        let latest = now.0.saturating_add(leeway.seconds());
        if not_before.is_some_and(|not_before| not_before > latest) {
            return Err(TokenError::NotYetValid);
        }
        if issued.is_some_and(|issued| issued > latest) {
            return Err(TokenError::IssuedAhead);
        }
        Ok(UnixTime(expires))
    }

    pub(super) fn device(&self, claim: &str) -> Result<DeviceName, TokenError> {
        self.text(claim).and_then(|name| DeviceName::try_from(name).ok()).ok_or(TokenError::DeviceClaim)
    }

    pub(super) fn grant(&self, claim: &str) -> Result<String, TokenError> {
        let name = self.text(claim).filter(|name| !name.is_empty());
        name.map(str::to_owned).ok_or(TokenError::GrantClaim)
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim).and_then(Value::as_str)
    }

    /// A `NumericDate` (RFC 7519, section 2), which may have a fraction; `round` makes it a whole second.
    fn time(&self, claim: &str, round: fn(f64) -> f64) -> Result<Option<u64>, TokenError> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(Value::Number(number)) => seconds(number, round).map(Some).ok_or(TokenError::Time),
            Some(_) => Err(TokenError::Time),
        }
    }
}

fn seconds(number: &Number, round: fn(f64) -> f64) -> Option<u64> {
    number.as_u64().or_else(|| {
        let number = number.as_f64().filter(|number| *number >= 0.0)?;
        Some(Duration::try_from_secs_f64(round(number)).ok()?.as_secs())
    })
}

/// What a token must say, from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What `iss` must be, byte for byte. `None` accepts any.
    pub issuer: Option<String>,
    /// What `aud` must be or contain, byte for byte. `None` accepts any, also tokens for another application of the same
    /// issuer.
    pub audience: Option<String>,
    /// By how much this clock may be slow against the issuer's.
    pub leeway: Leeway,
    /// The claim that names the device.
    pub device_claim: String,
    /// The claim that names the grant. With `Some`, a token without that claim is refused.
    pub grant_claim: Option<String>,
    /// The grants with which a token can stand in for a missing record. The issuer decides which device gets which of
    /// them, so a grant that is not for every device of the issuer must not be here.
    pub grants: BTreeSet<String>,
}

/// The claim that names the device unless the settings name another.
pub const DEFAULT_DEVICE_CLAIM: &str = "sub";

/// Seconds by which this clock may be slow against the issuer's, 0 to 300: `nbf` and `iat` may be that far in the future.
/// The leeway does not extend `exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway(u64);

/// Too many seconds for a [`Leeway`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} seconds: a leeway is at most {max}", max = Leeway::MAX_SECONDS)]
pub struct LeewayError(u64);

impl Leeway {
    /// The greatest leeway. A clock with a greater error should be set.
    pub const MAX_SECONDS: u64 = 300;
    /// One minute, which most issuers recommend.
    pub const DEFAULT: Self = Self(60);

    /// The seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Leeway {
    type Error = LeewayError;

    fn try_from(seconds: u64) -> Result<Self, LeewayError> {
        if seconds <= Self::MAX_SECONDS { Ok(Self(seconds)) } else { Err(LeewayError(seconds)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    fn claims(json: &str) -> Claims {
        Claims::read(json.as_bytes()).unwrap_or_else(|_| panic!("{json}"))
    }

    fn times(json: &str) -> Result<u64, TokenError> {
        claims(json).check_times(Leeway::DEFAULT, UnixTime(NOW)).map(|time| time.0)
    }

    #[test]
    fn times_are_checked_to_the_second() {
        let table = [
            ("{}", Err(TokenError::NoExpiry)),
            (r#"{"exp":999999}"#, Err(TokenError::Expired)),
            (r#"{"exp":1000000}"#, Err(TokenError::Expired)),
            (r#"{"exp":1000000.9}"#, Err(TokenError::Expired)),
            (r#"{"exp":1000001}"#, Err(TokenError::ExpiresTooSoon)),
            (r#"{"exp":1000299}"#, Err(TokenError::ExpiresTooSoon)),
            (r#"{"exp":1000299.9}"#, Err(TokenError::ExpiresTooSoon)),
            (r#"{"exp":1000300}"#, Ok(1_000_300)),
            (r#"{"exp":1000301}"#, Ok(1_000_301)),
            (r#"{"exp":1.0003e6}"#, Ok(1_000_300)),
            (r#"{"exp":18446744073709551615}"#, Ok(u64::MAX)),
            (r#"{"exp":1000300,"nbf":1000060}"#, Ok(1_000_300)),
            (r#"{"exp":1000300,"nbf":1000060.1}"#, Err(TokenError::NotYetValid)),
            (r#"{"exp":1000300,"nbf":1000061}"#, Err(TokenError::NotYetValid)),
            (r#"{"exp":1000300,"iat":1000060.9}"#, Ok(1_000_300)),
            (r#"{"exp":1000300,"iat":1000061}"#, Err(TokenError::IssuedAhead)),
            (r#"{"exp":1000300,"nbf":0,"iat":-0}"#, Ok(1_000_300)),
        ];
        for (json, expected) in table {
            assert_eq!(times(json), expected, "{json}");
        }
    }

    #[test]
    fn time_is_a_number_of_seconds_since_1970() {
        for name in ["exp", "nbf", "iat"] {
            let others = if name == "exp" { "" } else { r#","exp":2000000"# };
            for value in [
                "\"2000000\"",
                "null",
                "true",
                "[2000000]",
                "{}",
                "-1",
                "-0.5",
                "18446744073709551616",
                "1e300",
            ] {
                assert_eq!(
                    times(&format!(r#"{{"{name}":{value}{others}}}"#)),
                    Err(TokenError::Time),
                    "{name} {value}"
                );
            }
        }
    }

    #[test]
    fn leeway_does_not_extend_the_expiry() {
        for leeway in [0, 60, 300] {
            let leeway = Leeway::try_from(leeway).unwrap();
            let check = |json| claims(json).check_times(leeway, UnixTime(NOW)).err();
            assert_eq!(check(r#"{"exp":1000000}"#), Some(TokenError::Expired));
            assert_eq!(check(r#"{"exp":1000299}"#), Some(TokenError::ExpiresTooSoon));
        }
    }

    #[test]
    fn greatest_times_do_not_overflow() {
        let check = |now| {
            claims(r#"{"exp":18446744073709551615,"nbf":1}"#).check_times(Leeway::DEFAULT, UnixTime(now))
        };
        assert_eq!(check(u64::MAX).err(), Some(TokenError::Expired));
        assert_eq!(check(u64::MAX - 300).ok(), Some(UnixTime(u64::MAX)));
        assert_eq!(check(0).ok(), Some(UnixTime(u64::MAX)));
    }

    #[test]
    fn audience_is_the_string_or_in_the_list() {
        let table = [
            (r#"{"aud":"a"}"#, true),
            (r#"{"aud":["b","a"]}"#, true),
            (r#"{"aud":"A"}"#, false),
            (r#"{"aud":"a "}"#, false),
            (r#"{"aud":["b"]}"#, false),
            (r#"{"aud":[]}"#, false),
            (r#"{"aud":["a",7]}"#, false),
            (r#"{"aud":{"a":"a"}}"#, false),
            (r#"{"aud":null}"#, false),
            ("{}", false),
        ];
        for (json, fits) in table {
            assert_eq!(claims(json).check_audience(Some("a")).is_ok(), fits, "{json}");
            assert_eq!(claims(json).check_audience(None), Ok(()), "{json}");
        }
    }

    #[test]
    fn issuer_is_compared_byte_for_byte() {
        for (json, fits) in [
            (r#"{"iss":"https://a"}"#, true),
            (r#"{"iss":"https://a/"}"#, false),
            (r#"{"iss":["https://a"]}"#, false),
            ("{}", false),
        ] {
            assert_eq!(claims(json).check_issuer(Some("https://a")).is_ok(), fits, "{json}");
            assert_eq!(claims(json).check_issuer(None), Ok(()), "{json}");
        }
    }

    #[test]
    fn device_and_grant_are_strings() {
        let good = claims(r#"{"sub":"sht20","custom:grant":"own-topics"}"#);
        assert_eq!(good.device("sub").unwrap().as_str(), "sht20");
        assert_eq!(good.grant("custom:grant").as_deref(), Ok("own-topics"));
        for json in ["{}", r#"{"a":7}"#, r#"{"a":null}"#, r#"{"a":""}"#, r#"{"a":["b"]}"#] {
            assert_eq!(claims(json).device("a"), Err(TokenError::DeviceClaim), "{json}");
            assert_eq!(claims(json).grant("a"), Err(TokenError::GrantClaim), "{json}");
        }
        for name in ["*", "a/b", "auth0|a b", "${iot:ClientId}"] {
            let json = format!(r#"{{"a":"{name}"}}"#);
            assert_eq!(claims(&json).device("a"), Err(TokenError::DeviceClaim), "{json}");
        }
    }

    #[test]
    fn leeway_is_at_most_300_seconds() {
        for seconds in [0, 60, 300] {
            assert_eq!(Leeway::try_from(seconds).map(Leeway::seconds), Ok(seconds));
        }
        for seconds in [301, u64::MAX] {
            let error = Leeway::try_from(seconds).unwrap_err();
            assert_eq!(error.to_string(), format!("{seconds} seconds: a leeway is at most 300"));
        }
    }
}
