//! What a client says about the authorizer that it wants: its name, a token and the token's signature.
//!
//! Source: AWS IoT Core developer guide, `custom-auth`.

use std::fmt;

use iot_policy::limits::{MAX_TOKEN_LENGTH, MAX_TOKEN_SIGNATURE_LENGTH, is_token_key_name};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

const NAME: &str = "x-amz-customauthorizer-name";
const SIGNATURE: &str = "x-amz-customauthorizer-signature";
/// The number of letters in which a misspelt name of AWS's parameter differs from it.
const MISSPELT_LETTERS: usize = 4;

/// The parameters of one connection: from the MQTT user name, the query string and the HTTP headers. A duplicate is
/// refused *(guess: a duplicate name, token or signature)*. They have no `Debug`, because tokens are among them.
#[derive(Clone, Default)]
pub struct Parameters<'a> {
    queries: Vec<&'a str>,
    headers: Vec<(&'a str, &'a str)>,
}

/// The name of the parameter or header that carries an authorizer's token, `[a-zA-Z0-9_-]{1,128}` without AWS's own
/// prefix `x-amz-`: a parameter of AWS's would have two meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeyName(String);

/// A text that can't be a token key name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token key name has 1 to 128 of `A-Z a-z 0-9 _ -`, and does not begin with `x-amz-`")]
pub struct InvalidTokenKeyName;

/// A parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The authorizer's name.
    Name,
    /// The token.
    Token,
    /// The token's signature.
    Signature,
}

/// Why a parameter can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// It is a duplicate.
    #[error("{0} is there more than once")]
    Duplicate(Parameter),
    /// Its percent-encoding does not decode to UTF-8.
    #[error("{0} is not UTF-8 after percent-decoding")]
    NotText(Parameter),
    /// It is longer than AWS accepts.
    #[error("{0} is longer than {1} characters")]
    TooLong(Parameter, usize),
    /// It is absent, and the authorizer needs it.
    #[error("{0} is absent, and the authorizer has signing enabled")]
    Absent(Parameter),
    /// The signature is not base64.
    #[error("{} is not base64, URL-encoded: a `+` has to be sent as `%2B`", Parameter::Signature)]
    NotBase64,
}

impl<'a> Parameters<'a> {
    /// Adds the parameters of an MQTT user name: everything after the first `?`. A second `?` becomes part of the value
    /// that it is in, so an authorizer of that name does not exist: AWS does not call a function then either.
    #[must_use]
    pub fn with_user_name(self, user_name: &'a str) -> Self {
        match user_name.split_once('?') {
            Some((_, query)) => self.with_query(query),
            None => self,
        }
    }

    /// Adds the parameters of a query string, without its `?`.
    #[must_use]
    pub fn with_query(mut self, query: &'a str) -> Self {
        self.queries.push(query);
        self
    }

    /// Adds the parameters in HTTP headers. Their names ignore case, and their values are not decoded.
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(super) fn authorizer(&self) -> Result<Option<Zeroizing<String>>, ParameterError> {
        self.one(Parameter::Name, NAME)
    }

    /// The token; an empty one counts as absent.
    pub(super) fn token(&self, key: &TokenKeyName) -> Result<Option<Zeroizing<String>>, ParameterError> {
        let token = self.one(Parameter::Token, key.as_str())?;
        within(token, Parameter::Token, MAX_TOKEN_LENGTH)
    }

    /// The signature as base64; an empty one counts as absent.
    pub(super) fn signature(&self) -> Result<Option<Zeroizing<String>>, ParameterError> {
        // A `+` may be a space to AWS *(guess: a `+` that was not URL-encoded)*.
        if self.in_query(SIGNATURE).any(|value| value.contains('+')) {
            return Err(ParameterError::NotBase64);
        }
        let signature = self.one(Parameter::Signature, SIGNATURE)?;
        within(signature, Parameter::Signature, MAX_TOKEN_SIGNATURE_LENGTH)
    }

    /// The name of a parameter or header that looks as if it should have named the authorizer. It has plain characters only.
    pub(super) fn misspelt_name(&self) -> Option<String> {
        let pairs = self.queries.iter().flat_map(|query| query.split('&'));
        let names = pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
        let headers = self.headers.iter().map(|(name, _)| *name);
        names.chain(headers).find(|name| is_misspelt_name(name)).map(str::to_owned)
    }

    fn one(&self, parameter: Parameter, name: &str) -> Result<Option<Zeroizing<String>>, ParameterError> {
        let decode = |value| {
            let text =
                percent_decode_str(value).decode_utf8().map_err(|_| ParameterError::NotText(parameter))?;
            Ok(Zeroizing::new(text.into_owned()))
        };
        let in_headers = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let in_headers = in_headers.map(|(_, value)| Ok(Zeroizing::new((*value).to_owned())));
        let mut values = self.in_query(name).map(decode).chain(in_headers);
        let value = values.next().transpose()?;
        if values.next().is_some() { Err(ParameterError::Duplicate(parameter)) } else { Ok(value) }
    }

    fn in_query(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let pairs = self.queries.iter().flat_map(|query| query.split('&'));
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }
}

impl TokenKeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for TokenKeyName {
    type Error = InvalidTokenKeyName;

    fn try_from(text: &str) -> Result<Self, InvalidTokenKeyName> {
        let reserved = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"));
        if is_token_key_name(text) && !reserved {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTokenKeyName)
        }
    }
}

/// Whether a name differs from [`NAME`] by its case, its hyphens or a few letters.
fn is_misspelt_name(text: &str) -> bool {
    let letters = |text: &str| {
        let plain = text.bytes().filter(u8::is_ascii_alphanumeric);
        plain.map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>()
    };
    let is_name = text.len() <= 2 * NAME.len()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    is_name && edit_distance(&letters(text), &letters(NAME)) <= MISSPELT_LETTERS
}

/// The number of letters to add, to remove or to replace.
fn edit_distance(one: &[u8], other: &[u8]) -> usize {
    let mut distances = (0..=other.len()).collect::<Vec<_>>();
    for (row, letter) in one.iter().enumerate() {
        let (mut diagonal, mut left) = (row, row + 1);
        for (above, other) in distances.iter_mut().skip(1).zip(other) {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = *above;
            left = replaced.min(diagonal + 1).min(left + 1);
            *above = left;
        }
        if let Some(first) = distances.first_mut() {
            *first = row + 1;
        }
    }
    distances.last().copied().unwrap_or_default()
}

fn within(
    value: Option<Zeroizing<String>>,
    parameter: Parameter,
    limit: usize,
) -> Result<Option<Zeroizing<String>>, ParameterError> {
    match value {
        Some(value) if value.len() > limit => Err(ParameterError::TooLong(parameter, limit)),
        value => Ok(value.filter(|value| !value.is_empty())),
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "`x-amz-customauthorizer-name`",
            Self::Token => "the token",
            Self::Signature => "`x-amz-customauthorizer-signature`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(
        value: Result<Option<Zeroizing<String>>, ParameterError>,
    ) -> Result<Option<String>, ParameterError> {
        value.map(|value| value.map(|value| value.to_string()))
    }

    #[test]
    fn authorizer_is_named_after_the_first_question_mark() {
        for (user_name, name) in [
            ("dev", None),
            ("dev?", None),
            ("dev?SDK=Python", None),
            ("dev?x-amz-customauthorizer-name=latchkey", Some("latchkey")),
            ("dev?SDK=Python&x-amz-customauthorizer-name=a=b&Platform=x", Some("a=b")),
            ("dev?x-amz-customauthorizer-name=a%3Db%40c", Some("a=b@c")),
            ("dev?x-amz-customauthorizer-name=latchkey?SDK=Java", Some("latchkey?SDK=Java")),
            ("dev?x-amz-customauthorizer-name=", Some("")),
            ("dev?X-AMZ-CUSTOMAUTHORIZER-NAME=latchkey", None),
        ] {
            assert_eq!(
                text(Parameters::default().with_user_name(user_name).authorizer()),
                Ok(name.map(str::to_owned)),
                "{user_name}"
            );
        }
    }

    #[test]
    fn misspelt_name_of_the_authorizers_parameter_is_found() {
        for (query, misspelt) in [
            ("x-amz-customauthorizername=a", Some("x-amz-customauthorizername")),
            ("SDK=x&X-Amz-CustomAuthorizer-Name=a", Some("X-Amz-CustomAuthorizer-Name")),
            ("x-amz-custom-authorizer-name=a", Some("x-amz-custom-authorizer-name")),
            ("x_amz_customauthorizer_name=a", Some("x_amz_customauthorizer_name")),
            ("x-amzn-customauthorizer-name=a", Some("x-amzn-customauthorizer-name")),
            ("x-amz-customauthoriser-name=a", Some("x-amz-customauthoriser-name")),
            ("x-amz-customauthorizer=a", Some("x-amz-customauthorizer")),
            ("x-amz-customauthorizer-name", Some("x-amz-customauthorizer-name")),
            ("x-amz-customauthorizer-signature=a", None),
            ("x-amz-customauthorizer-n\u{1b}ame=a", None),
            ("name=a&token=b&SDK=c", None),
            ("", None),
        ] {
            let found = Parameters::default().with_query(query).misspelt_name();
            assert_eq!(found.as_deref(), misspelt, "{query}");
        }
        let headers = [("sec-websocket-key", "a"), ("X-Amz-CustomAuthorizerName", "b")];
        let found = Parameters::default().with_headers(headers).misspelt_name();
        assert_eq!(found.as_deref(), Some("X-Amz-CustomAuthorizerName"));
    }

    #[test]
    fn letters_to_change_are_counted() {
        for (one, other, distance) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("abc", "axc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(one.as_bytes(), other.as_bytes()), distance, "{one} {other}");
        }
    }

    #[test]
    fn token_key_name_has_only_the_characters_that_aws_accepts_and_not_its_prefix() {
        for (text, accepted) in [
            ("TokenKeyName", true),
            ("latchkey", true),
            ("x-amz", true),
            ("x-amz-customauthorizer-name", false),
            ("X-Amz-", false),
            ("a=b,c@d-e_f", false),
            ("", false),
            ("a?b", false),
            ("é", false),
            (&"a".repeat(129), false),
        ] {
            assert_eq!(TokenKeyName::try_from(text).is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn value_is_decoded_and_limited_in_length() {
        let key = TokenKeyName::try_from("key").unwrap();
        let token = |query: &str| text(Parameters::default().with_query(query).token(&key));
        let some = |value: &str| Ok(Some(value.to_owned()));
        assert_eq!(token("key=a%2Fb+c%3d"), some("a/b+c="));
        assert_eq!(token("key="), Ok(None));
        assert_eq!(token("Key=a"), Ok(None));
        assert_eq!(token("key=a&key=a"), Err(ParameterError::Duplicate(Parameter::Token)));
        assert_eq!(token("key=%ff"), Err(ParameterError::NotText(Parameter::Token)));
        let longest = "t".repeat(6_144);
        assert_eq!(token(&format!("key={longest}")), some(&longest));
        assert_eq!(token(&format!("key={longest}t")), Err(ParameterError::TooLong(Parameter::Token, 6_144)));

        let signature = |value: &str| {
            text(
                Parameters::default()
                    .with_query(&format!("x-amz-customauthorizer-signature={value}"))
                    .signature(),
            )
        };
        assert_eq!(signature("a%2Bb%2F%3D"), some("a+b/="));
        assert_eq!(signature("a+b"), Err(ParameterError::NotBase64));
        let longest = "s".repeat(2_560);
        assert_eq!(signature(&longest), some(&longest));
        assert_eq!(
            signature(&format!("{longest}s")),
            Err(ParameterError::TooLong(Parameter::Signature, 2_560))
        );
    }

    #[test]
    fn header_ignores_case_and_is_not_decoded_and_duplicates_the_query() {
        let headers = [("X-Amz-CustomAuthorizer-Signature", "a+b%2B")];
        let signature =
            |query| text(Parameters::default().with_query(query).with_headers(headers).signature());
        assert_eq!(signature(""), Ok(Some("a+b%2B".to_owned())));
        assert_eq!(
            signature("x-amz-customauthorizer-signature=a"),
            Err(ParameterError::Duplicate(Parameter::Signature))
        );
    }
}
