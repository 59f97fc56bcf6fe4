//! What a device presents to the server. No type here has `Debug`, because a user name can carry a token.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use percent_encoding::{percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

pub mod scheme;

pub use self::scheme::{Scheme, SchemeError, SchemeSettings};

/// The client id, user name and password of a CONNECT.
#[derive(Clone)]
pub struct Login {
    /// The client id.
    pub client_id: String,
    /// The user name, with the authorizer's parameter where one is needed ([`Authorizer::name_in`]). An empty one is not
    /// sent.
    pub user_name: String,
    /// The password. An empty one is not sent.
    pub password: Password,
}

impl Login {
    /// The user name before its `?`, and the parameters after it, decoded.
    pub(crate) fn without_parameters(&self) -> (&str, Vec<(String, String)>) {
        let (name, query) = self.user_name.split_once('?').unwrap_or((&self.user_name, ""));
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned())
        });
        (name, pairs.collect())
    }
}

/// A path with these parameters.
pub(crate) fn with_query(path: &str, parameters: &[(String, String)]) -> String {
    let mut target = path.to_owned();
    for (index, (name, value)) in parameters.iter().enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, scheme::PARAMETER_VALUE));
    }
    target
}

/// A password, any bytes. It is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// The password itself, to be sent or stored, and never to be shown.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// A copy for a packet. It is wiped too.
    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::from_owner(self.0.clone())
    }
}

impl From<Vec<u8>> for Password {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

/// The name of a custom authorizer: 1 to 128 of `[A-Za-z0-9_=,@-]` (AWS IoT API reference,
/// `CreateAuthorizer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorizer(String);

impl Authorizer {
    /// The user name that asks AWS IoT Core for this authorizer: with the parameter
    /// `x-amz-customauthorizer-name`, unless it names one already (AWS IoT Core developer guide, "Connecting
    /// to AWS IoT Core by using custom authentication").
    #[must_use]
    pub fn name_in(&self, user_name: &str) -> String {
        let query = user_name.split_once('?').map(|(_, query)| query);
        match query {
            Some(query) if query.split('&').any(|pair| pair.starts_with(PARAMETER)) => user_name.to_owned(),
            // A second `?` would become part of a value.
            Some("") => format!("{user_name}{PARAMETER}{}", self.0),
            Some(_) => format!("{user_name}&{PARAMETER}{}", self.0),
            None => format!("{user_name}?{PARAMETER}{}", self.0),
        }
    }
}

impl FromStr for Authorizer {
    type Err = AuthorizerError;

    fn from_str(text: &str) -> Result<Self, AuthorizerError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_=,@-".contains(&byte);
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AuthorizerError(text.to_owned()))
        }
    }
}

impl fmt::Display for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not an [`Authorizer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an authorizer's name: use 1 to 128 letters, digits and `_=,@-`")]
pub struct AuthorizerError(String);

const PARAMETER: &str = "x-amz-customauthorizer-name=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorizer_is_named_once() {
        let authorizer: Authorizer = "latchkey".parse().unwrap();
        let cases = [
            ("sht20", "sht20?x-amz-customauthorizer-name=latchkey"),
            ("", "?x-amz-customauthorizer-name=latchkey"),
            ("a&b", "a&b?x-amz-customauthorizer-name=latchkey"),
            ("a?", "a?x-amz-customauthorizer-name=latchkey"),
            ("a?k=v", "a?k=v&x-amz-customauthorizer-name=latchkey"),
            ("a?x-amz-customauthorizer-name=other", "a?x-amz-customauthorizer-name=other"),
            ("a?k=v&x-amz-customauthorizer-name=other", "a?k=v&x-amz-customauthorizer-name=other"),
        ];
        for (user_name, sent) in cases {
            assert_eq!(authorizer.name_in(user_name), sent);
        }
    }

    #[test]
    fn authorizer_names_are_checked() {
        for text in ["latchkey", "a", "A_=,@-9", &"x".repeat(128)] {
            assert_eq!(text.parse::<Authorizer>().unwrap().to_string(), text);
        }
        for text in ["", "a b", "a&b", "a?", "ä", &"x".repeat(129)] {
            assert!(text.parse::<Authorizer>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_packet_gets_the_same_bytes() {
        assert_eq!(Password::from(vec![0, 255, 7]).to_bytes(), &[0, 255, 7][..]);
        assert_eq!(Password::from("x").expose(), b"x");
    }
}
