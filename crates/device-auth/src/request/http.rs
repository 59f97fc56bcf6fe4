//! An HTTPS publish. It has no client id, so its policy has the device's name instead.

use crate::{
    claim::{Evidence, Password},
    deny_reason::DenyReason,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::identification::{EventToken, Identification, device, identity};
use crate::event::HttpData;

/// A credential in a header or in the query string.
enum HttpCredential {
    /// `Authorization: Basic`, or the parameters `username` and `password`.
    Password(Zeroizing<String>, Password),
    /// `Authorization: Bearer`, or the parameter `access_token` (RFC 6750).
    Bearer(Zeroizing<String>),
}

/// Reads the one credential of a request. Two are refused, because they may name different devices. The token under the
/// authorizer's token key name does not count as one, because a signed request must have it.
pub(super) fn read<'e>(http: &'e HttpData, token: &EventToken<'e>) -> Result<Identification<'e>, DenyReason> {
    let mut credentials = [authorization(http)?, parameters(http)?].into_iter().flatten();
    match (credentials.next(), credentials.next()) {
        (Some(credential), None) => credential.identification(token.jwt),
        (Some(_), Some(_)) => Err(DenyReason::HttpCredentialsTwice),
        (None, _) => token.identification(None).unwrap_or(Err(DenyReason::NoHttpCredentials)),
    }
}

impl HttpCredential {
    fn identification<'e>(self, jwt: bool) -> Result<Identification<'e>, DenyReason> {
        match self {
            Self::Bearer(_) if !jwt => Err(DenyReason::JwtNotConfigured),
            Self::Bearer(token) => Ok(Identification::Jwt { token, user_name: None }),
            Self::Password(user_name, password) => {
                let name = identity(&user_name)?.ok_or(DenyReason::NoUserName)?;
                Ok(Identification::claim(device(name)?, Evidence::Password(password)))
            }
        }
    }
}

/// The `Authorization` header. Its name may be in any case.
fn authorization(http: &HttpData) -> Result<Option<HttpCredential>, DenyReason> {
    let headers = http.headers.iter().flatten();
    let mut values = headers.filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some((_, value)), None) => value,
        (Some(_), Some(_)) => return Err(DenyReason::HttpCredentialsTwice),
    };
    let (scheme, rest) = value.split_once(' ').ok_or(DenyReason::AuthorizationInvalid)?;
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("basic") {
        basic(rest).map(Some)
    } else if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        Ok(Some(HttpCredential::Bearer(Zeroizing::new(rest.to_owned()))))
    } else {
        Err(DenyReason::AuthorizationInvalid)
    }
}

/// RFC 7617: user name and password in base64, separated by the first `:`.
fn basic(encoded: &str) -> Result<HttpCredential, DenyReason> {
    let decoded = STANDARD.decode(encoded).map_err(|_| DenyReason::AuthorizationInvalid)?;
    let decoded = Zeroizing::new(decoded);
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or(DenyReason::AuthorizationInvalid)?;
    let (user_name, rest) = decoded.split_at(colon);
    let user_name = std::str::from_utf8(user_name).map_err(|_| DenyReason::UserNameInvalid)?;
    let password = rest.get(1..).unwrap_or_default().to_vec();
    Ok(HttpCredential::Password(Zeroizing::new(user_name.to_owned()), Password::try_from(password)?))
}

fn parameters(http: &HttpData) -> Result<Option<HttpCredential>, DenyReason> {
    let query = http.query_string.as_ref().map_or("", |query| query.strip_prefix('?').unwrap_or(query));
    let (user_name, password) = (parameter(query, "username")?, parameter(query, "password")?);
    let bearer = parameter(query, "access_token")?.map(HttpCredential::Bearer);
    let named = match (user_name, password) {
        (None, None) => return Ok(bearer),
        (None, Some(_)) => return Err(DenyReason::NoUserName),
        (Some(_), None) => return Err(DenyReason::NoPassword),
        (Some(user_name), Some(password)) => {
            HttpCredential::Password(user_name, Password::try_from(password.as_bytes().to_vec())?)
        }
    };
    if bearer.is_some() { Err(DenyReason::HttpCredentialsTwice) } else { Ok(Some(named)) }
}

/// The value of the parameter called `name`, decoded.
fn parameter(query: &str, name: &str) -> Result<Option<Zeroizing<String>>, DenyReason> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(DenyReason::HttpCredentialsTwice),
        (value, None) => Ok(value.map(|(_, value)| Zeroizing::new(value.into_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::claim::Claim;

    use super::*;
    use crate::{
        event::{Event, ProtocolData},
        request::{ConnectRequest, EventRequirements},
    };

    const JWT: &str = "eyJh.eyJz.c2ln";

    /// What was read, as a text. The tokens of these tests are not secret.
    fn read(
        headers: &[(&str, &str)],
        query: &str,
        token: Option<&str>,
        verified: bool,
    ) -> Result<String, DenyReason> {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned())));
        let http = HttpData {
            headers: Some(headers.collect::<BTreeMap<_, _>>()),
            query_string: Some(Zeroizing::new(query.to_owned())),
        };
        let event = Event {
            token: token.map(|token| Zeroizing::new(token.to_owned())),
            signature_verified: Some(verified),
            protocol_data: Some(ProtocolData { http: Some(http), ..ProtocolData::default() }),
            connection_metadata: None,
        };
        let request = ConnectRequest::read(&event, EventRequirements { signature: false, jwt: true })?;
        assert!(request.client_id.is_none());
        Ok(match request.identification {
            Identification::Jwt { token, .. } => format!("jwt {}", token.as_str()),
            Identification::Claim(Claim { device, evidence }) => match evidence {
                Evidence::Password(password) => {
                    format!("password {device} {}", String::from_utf8_lossy(password.as_bytes()))
                }
                other => format!("{} {device}", other.scheme().as_str()),
            },
        })
    }

    #[test]
    fn credential_may_be_in_any_one_place() {
        let bearer = format!("Bearer {JWT}");
        let cases = [
            // printf 'sht20:pa:ss' | base64
            (("Authorization", "Basic c2h0MjA6cGE6c3M="), "", None, "password sht20 pa:ss"),
            (("authorization", "basic c2h0MjA6cGE6c3M="), "?x=y", None, "password sht20 pa:ss"),
            (("AUTHORIZATION", bearer.as_str()), "", None, "jwt eyJh.eyJz.c2ln"),
            (("x", "y"), "?username=sht20&password=p%26a%2Bs+s", None, "password sht20 p&a+s s"),
            (("x", "y"), "username=sht20&password=p", None, "password sht20 p"),
            (("x", "y"), "?access_token=eyJh.eyJz.c2ln", None, "jwt eyJh.eyJz.c2ln"),
            (("x", "y"), "", Some(JWT), "jwt eyJh.eyJz.c2ln"),
            (("x", "y"), "", Some("sht20"), "token sht20"),
            // A signed request has the token besides its credential.
            (("Authorization", "Basic c2h0MjA6cA=="), "", Some("sht21"), "password sht20 p"),
        ];
        for (header, query, token, expected) in cases {
            assert_eq!(read(&[header], query, token, true).as_deref(), Ok(expected), "{header:?} {query}");
        }
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let cases = [
            (vec![], "", DenyReason::NoHttpCredentials),
            (vec![("Authorization", "Basic")], "", DenyReason::AuthorizationInvalid),
            (vec![("Authorization", "Basic !")], "", DenyReason::AuthorizationInvalid),
            // printf sht20 | base64
            (vec![("Authorization", "Basic c2h0MjA=")], "", DenyReason::AuthorizationInvalid),
            (vec![("Authorization", "Bearer ")], "", DenyReason::AuthorizationInvalid),
            (vec![("Authorization", "Digest x")], "", DenyReason::AuthorizationInvalid),
            // printf 'sht20:' | base64, then ':p', then '\xff:p'
            (vec![("Authorization", "Basic c2h0MjA6")], "", DenyReason::NoPassword),
            (vec![("Authorization", "Basic OnA=")], "", DenyReason::NoUserName),
            (vec![("Authorization", "Basic /zpw")], "", DenyReason::UserNameInvalid),
            (
                vec![("Authorization", "Basic c2h0MjA6cA=="), ("authorization", "Bearer x")],
                "",
                DenyReason::HttpCredentialsTwice,
            ),
            (
                vec![("Authorization", "Basic c2h0MjA6cA==")],
                "?username=a&password=b",
                DenyReason::HttpCredentialsTwice,
            ),
            (vec![], "?username=a&username=b&password=c", DenyReason::HttpCredentialsTwice),
            (vec![], "?username=a&password=b&access_token=c", DenyReason::HttpCredentialsTwice),
            (vec![], "?username=a", DenyReason::NoPassword),
            (vec![], "?password=a", DenyReason::NoUserName),
            (vec![], "?username=%00&password=a", DenyReason::UserNameInvalid),
        ];
        for (headers, query, reason) in cases {
            assert_eq!(read(&headers, query, None, false), Err(reason), "{headers:?} {query}");
        }
        assert_eq!(read(&[], "", Some("sht20"), false), Err(DenyReason::TokenNotVerified));
        assert_eq!(read(&[], "", Some("sht/20"), true), Err(DenyReason::TokenInvalid));
    }
}
