//! The parts of a token before it is verified: its size, its three parts, its header (RFC 7515, section 7.1).

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use crate::unique_keys::unique_keys;

/// The most bytes of a token. Tokens of the well-known issuers have 1 to 3 KB. A longer token is not decoded.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A token with three parts and a readable header. Nothing in it is verified yet.
pub struct UnverifiedToken<'a> {
    header: Header,
    claims: Vec<u8>,
    signed: &'a str,
    signature: &'a str,
}

/// The header's members about the signature. All others are ignored.
pub(super) struct Header {
    /// `alg`, which is only compared with the key's own algorithm.
    pub(super) algorithm: Algorithm,
    /// `kid`.
    pub(super) key_id: Option<String>,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a token without trusting it.
    ///
    /// # Errors
    ///
    /// What is wrong with its size, its parts or its header.
    pub fn read(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::NotThreeParts)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotThreeParts)?;
        if claims.contains('.') {
            return Err(TokenError::NotThreeParts);
        }
        let header_bytes = decode(header)?;
        let claims = decode(claims)?;
        decode(signature)?;
        Ok(Self { header: Header::read(&header_bytes)?, claims, signed, signature })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The claims' bytes, which may not be JSON.
    pub(super) fn claims(&self) -> &[u8] {
        &self.claims
    }

    /// The text that the signature is over.
    pub(super) fn signed(&self) -> &str {
        self.signed
    }

    /// The signature in base64url.
    pub(super) fn signature(&self) -> &str {
        self.signature
    }
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, TokenError> {
        let header = JsonObject::read(bytes).ok_or(TokenError::Header)?;
        if header.get("crit").is_some() {
            return Err(TokenError::Critical);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(key_id)) => Some(key_id.clone()),
            Some(_) => return Err(TokenError::Header),
        };
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        Ok(Self { algorithm: algorithm.ok_or(TokenError::Algorithm)?, key_id })
    }
}

/// Padding, white space and trailing bits are refused: a token has one text form.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::NotBase64Url)
}

/// Declares [`TokenError`] once: each variant with its stable name, and with its explanation, which is also its row in
/// docs/authorizer.md.
macro_rules! token_errors {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $explanation:literal;)*) => {
        /// Why a token is refused. It has no part of the token.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum TokenError {
            $($(#[$doc])* $variant,)*
        }

        impl TokenError {
            /// Every reason, in the order in which a token meets them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name that logs and metrics carry.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The cause and the cure, for the log: `CAUSE; CURE`.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => $explanation,)*
                }
            }
        }
    };
}

token_errors! {
    /// The token is longer than [`MAX_TOKEN_BYTES`].
    TooLong => "jwt_too_long",
        "the token is longer than 8,192 bytes; make the issuer put fewer claims into it";
    /// The token is not three parts with two dots between them.
    NotThreeParts => "jwt_not_three_parts",
        "the token has not three parts with two dots; send the whole token, without `Bearer` in an MQTT \
         password; encrypted tokens are not supported";
    /// A part is not base64url without padding (RFC 7515, section 2).
    NotBase64Url => "jwt_not_base64url",
        "a part is not base64url without padding; send the token as the issuer gave it: no white space, no \
         line end";
    /// The header is not a JSON object, has a duplicate member, or its `kid` is not a string.
    Header => "jwt_header",
        "the header is not a JSON object, or has a duplicate member or a `kid` that is not a string; make \
         the issuer correct it";
    /// The header has `crit`: it demands an extension, and none is known here (RFC 7515, section 4.1.11).
    Critical => "jwt_critical",
        "the header requires an extension (`crit`); make the issuer leave it out; no extension is supported";
    /// The header's `alg` is not one of the four known ones, or not that of the key that `kid` names.
    Algorithm => "jwt_algorithm",
        "`alg` is not ES256, RS256, EdDSA or HS256, or not the key's algorithm; sign with the algorithm of \
         the configured key";
    /// The header has no `kid`, and several keys are configured.
    NoKeyId => "jwt_no_key_id",
        "the token has no `kid`, and there are several keys; make the issuer name the key";
    /// No key has the `kid` of the header.
    UnknownKey => "jwt_unknown_key",
        "no key has this `kid`; publish the key, or add it to the file; a new key at a URL is known after \
         at most `LATCHKEY_JWKS_REFETCH_SECONDS`";
    /// The signature is not the key's over this header and these claims.
    Signature => "jwt_signature",
        "the signature is not from this key; sign with the key whose public key is configured, and don't \
         change the token afterwards";
    /// The claims are not a JSON object, or have a duplicate member.
    Claims => "jwt_claims",
        "the claims are not a JSON object, or have a duplicate member; make the issuer correct them";
    /// `iss` is not the issuer that the settings name.
    Issuer => "jwt_issuer",
        "`iss` is not `LATCHKEY_JWT_ISSUER`; compare them byte for byte, a `/` at the end included";
    /// `aud` is neither the audience that the settings name nor a list with it.
    Audience => "jwt_audience",
        "`aud` is not `LATCHKEY_JWT_AUDIENCE`, nor a list of strings with it; ask the issuer for a token \
         for this audience";
    /// The claims have no `exp`: the token would never expire.
    NoExpiry => "jwt_no_expiry",
        "the token has no `exp`; make the issuer set one";
    /// `exp`, `nbf` or `iat` is not a number from 0 to 2^64 - 1.
    Time => "jwt_time",
        "`exp`, `nbf` or `iat` is not a number of seconds since 1970; use numbers, not strings";
    /// `exp` has passed.
    Expired => "jwt_expired",
        "`exp` has passed; get a new token, then connect";
    /// `exp` is earlier than AWS IoT Core could end the connection
    /// ([`iot_policy::limits::MIN_DISCONNECT_SECONDS`]).
    ExpiresTooSoon => "jwt_expires_too_soon",
        "fewer than 300 seconds are left, AWS's shortest connection; renew tokens earlier, and give them a \
         longer life";
    /// `nbf` is in the future by more than the leeway.
    NotYetValid => "jwt_not_yet_valid",
        "`nbf` is in the future by more than the leeway; correct the issuer's clock, or wait";
    /// `iat` is in the future by more than the leeway.
    IssuedAhead => "jwt_issued_ahead",
        "`iat` is in the future by more than the leeway; correct the issuer's clock, and use seconds, not \
         milliseconds";
    /// The claim that should name the device is absent or not a device name.
    DeviceClaim => "jwt_device_claim",
        "the device's claim is missing or not a device's name; name the claim in \
         `LATCHKEY_JWT_DEVICE_CLAIM`; a name has no `/`, space or `*`";
    /// The claim that should name the grant is absent, empty or not a string.
    GrantClaim => "jwt_grant_claim",
        "`LATCHKEY_JWT_GRANT_CLAIM` is set, and the token's claim is missing or not a string; make the \
         issuer set it";
}

/// A signature algorithm by its name in RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// `EdDSA` on Ed25519; Ed448 has the same name and is not supported.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// The algorithm with this name. Names are case-sensitive (RFC 7515, section 4.1.1).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            "EdDSA" => Some(Self::EdDsa),
            "HS256" => Some(Self::Hs256),
            _ => None,
        }
    }

    /// The name of the algorithm.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }
}

/// The members of a header or of a token's claims.
///
/// RFC 7515 and RFC 7519 let a parser choose between using the last one of two members with the same name and refusing
/// the token. Two parsers that choose differently see two different tokens, so a duplicate is refused.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct JsonObject(#[serde(deserialize_with = "unique_keys")] BTreeMap<String, Value>);

impl JsonObject {
    /// Reads the object that is all of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The member called `name`. A member that is `null` is a member too.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(token: &str) -> Option<TokenError> {
        UnverifiedToken::read(token).err()
    }

    fn with_header(json: &str) -> String {
        format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn token_has_three_parts_in_base64url() {
        let good = with_header(r#"{"alg":"ES256"}"#);
        assert_eq!(refusal(&good), None);
        for bad in ["", ".", "e30.e30", "e30", "e30.e30.AA.AA", "...."] {
            assert_eq!(refusal(bad), Some(TokenError::NotThreeParts), "{bad}");
        }
        for bad in ["e30=.e30.AA", "e30.e30 .AA", "e30.e30.AB", "e30.e30.A", "e30.+/A.AA", "é.e30.AA"] {
            assert_eq!(refusal(bad), Some(TokenError::NotBase64Url), "{bad}");
        }
    }

    #[test]
    fn longest_token_is_read_and_a_longer_one_refused() {
        let head = with_header(r#"{"alg":"ES256"}"#);
        let padded = |bytes: usize| {
            let text = format!("{head}{}", "A".repeat(bytes - head.len()));
            assert_eq!(text.len(), bytes);
            text
        };
        assert_ne!(refusal(&padded(MAX_TOKEN_BYTES)), Some(TokenError::TooLong));
        assert_eq!(refusal(&padded(MAX_TOKEN_BYTES + 1)), Some(TokenError::TooLong));
    }

    #[test]
    fn malformed_header_is_refused() {
        let table = [
            ("[]", Some(TokenError::Header)),
            (r#"{"alg":"ES256","alg":"ES256"}"#, Some(TokenError::Header)),
            (r#"{"alg":"ES256","kid":7}"#, Some(TokenError::Header)),
            (r#"{"alg":"ES256","kid":null}"#, Some(TokenError::Header)),
            (r#"{"alg":"ES256","crit":[]}"#, Some(TokenError::Critical)),
            (r#"{"alg":"ES256","crit":null}"#, Some(TokenError::Critical)),
            ("{}", Some(TokenError::Algorithm)),
            (r#"{"alg":["ES256"]}"#, Some(TokenError::Algorithm)),
            (r#"{"alg":"none"}"#, Some(TokenError::Algorithm)),
            (r#"{"alg":"ES256","kid":""}"#, None),
            (r#"{"alg":"ES256","jwk":{"kty":"oct"},"jku":"https://example.com","x5c":7,"x5u":null}"#, None),
        ];
        for (json, expected) in table {
            assert_eq!(refusal(&with_header(json)), expected, "{json}");
        }
    }

    #[test]
    fn algorithm_names_are_case_sensitive() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Hs256] {
            assert_eq!(Algorithm::named(algorithm.as_str()), Some(algorithm));
            assert_eq!(Algorithm::named(&algorithm.as_str().to_lowercase()), None);
        }
        for other in ["", "none", "None", "nOnE", "NONE", "HS384", "HS512", "ES384", "PS256", "RS1", " ES256"]
        {
            assert_eq!(Algorithm::named(other), None, "{other}");
        }
    }

    #[test]
    fn duplicate_member_is_refused() {
        for text in ["{}", r#" {"a": 1, "b": {"a": 2}} "#, r#"{"a": null, "A": null}"#] {
            assert!(JsonObject::read(text.as_bytes()).is_some(), "{text}");
        }
        let bad: [&[u8]; 9] = [
            b"",
            b"[]",
            b"\"a\"",
            b"null",
            b"{} {}",
            b"{\"a\": 1, \"a\": 1}",
            b"{\"a\": 1, \"\\u0061\": 1}",
            b"{\"a\": \xff}",
            b"\xef\xbb\xbf{}",
        ];
        for bytes in bad {
            assert!(JsonObject::read(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
