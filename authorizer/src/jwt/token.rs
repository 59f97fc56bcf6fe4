//! A token's shape: its size, its three parts, its header (RFC 7515, section 7.1).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{algorithm::Algorithm, json_object::JsonObject, refusal::Refusal};

/// Bytes of a token, at most. Tokens of the well-known issuers have 1 to 3 KB; nothing longer is even decoded.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A token with the right shape. Nothing in it is verified yet.
pub(super) struct Token<'a> {
    header: Header,
    claims: Vec<u8>,
    signed: &'a str,
    signature: &'a str,
}

/// What a header says about how the token is signed. Everything else in it is passed over.
pub(super) struct Header {
    /// `alg`, held against the key's own algorithm and not used otherwise.
    pub(super) algorithm: Algorithm,
    /// `kid`.
    pub(super) key_id: Option<String>,
}

impl<'a> Token<'a> {
    /// Reads a token without trusting it.
    pub(super) fn read(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Refusal::NotThreeParts)?;
        let (header, claims) = signed.split_once('.').ok_or(Refusal::NotThreeParts)?;
        if claims.contains('.') {
            return Err(Refusal::NotThreeParts);
        }
        let header_bytes = decode(header)?;
        let claims = decode(claims)?;
        decode(signature)?;
        Ok(Self { header: Header::read(&header_bytes)?, claims, signed, signature })
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The claims' JSON, if it is JSON.
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
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let header = JsonObject::read(bytes).ok_or(Refusal::Header)?;
        if header.get("crit").is_some() {
            return Err(Refusal::Critical);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(key_id)) => Some(key_id.clone()),
            Some(_) => return Err(Refusal::Header),
        };
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named);
        Ok(Self { algorithm: algorithm.ok_or(Refusal::Algorithm)?, key_id })
    }
}

/// Padding, white space and bits left over are refused: a token has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::NotBase64Url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(token: &str) -> Option<Refusal> {
        Token::read(token).err()
    }

    fn with_header(json: &str) -> String {
        format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn three_parts_in_base64url() {
        let good = with_header(r#"{"alg":"ES256"}"#);
        assert_eq!(refusal(&good), None);
        for bad in ["", ".", "e30.e30", "e30", "e30.e30.AA.AA", "...."] {
            assert_eq!(refusal(bad), Some(Refusal::NotThreeParts), "{bad}");
        }
        for bad in ["e30=.e30.AA", "e30.e30 .AA", "e30.e30.AB", "e30.e30.A", "e30.+/A.AA", "é.e30.AA"] {
            assert_eq!(refusal(bad), Some(Refusal::NotBase64Url), "{bad}");
        }
    }

    #[test]
    fn the_longest_token_is_read_and_a_longer_one_is_not() {
        let head = with_header(r#"{"alg":"ES256"}"#);
        let padded = |bytes: usize| {
            let text = format!("{head}{}", "A".repeat(bytes - head.len()));
            assert_eq!(text.len(), bytes);
            text
        };
        assert_ne!(refusal(&padded(MAX_TOKEN_BYTES)), Some(Refusal::TooLong));
        assert_eq!(refusal(&padded(MAX_TOKEN_BYTES + 1)), Some(Refusal::TooLong));
    }

    #[test]
    fn headers() {
        let table = [
            ("[]", Some(Refusal::Header)),
            (r#"{"alg":"ES256","alg":"ES256"}"#, Some(Refusal::Header)),
            (r#"{"alg":"ES256","kid":7}"#, Some(Refusal::Header)),
            (r#"{"alg":"ES256","kid":null}"#, Some(Refusal::Header)),
            (r#"{"alg":"ES256","crit":[]}"#, Some(Refusal::Critical)),
            (r#"{"alg":"ES256","crit":null}"#, Some(Refusal::Critical)),
            ("{}", Some(Refusal::Algorithm)),
            (r#"{"alg":["ES256"]}"#, Some(Refusal::Algorithm)),
            (r#"{"alg":"none"}"#, Some(Refusal::Algorithm)),
            (r#"{"alg":"ES256","kid":""}"#, None),
            (r#"{"alg":"ES256","jwk":{"kty":"oct"},"jku":"https://example.com","x5c":7,"x5u":null}"#, None),
        ];
        for (json, expected) in table {
            assert_eq!(refusal(&with_header(json)), expected, "{json}");
        }
    }
}
