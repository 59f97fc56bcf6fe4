//! Tokens of another implementation, each reason for a refusal, and properties of any text.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure here is the test's failure")]

use std::collections::BTreeSet;

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use device_auth::{
    jwt::{self, Leeway, Rules, VerifiedToken, keys::Keys, token::TokenError},
    time::UnixTime,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_000_000_000;
const ALGORITHMS: [&str; 4] = ["ES256", "RS256", "EdDSA", "HS256"];

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/jwt/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn token(name: &str) -> String {
    fixture(&format!("{name}.jwt")).trim_end().to_owned()
}

fn jwks() -> Keys {
    Keys::from_jwks(&fixture("keys.jwks.json")).unwrap_or_else(|error| panic!("{error}"))
}

fn pem(name: &str) -> Keys {
    Keys::from_pem(&fixture(&format!("{name}.pem"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn rules() -> Rules {
    Rules {
        issuer: Some("https://issuer.example".to_owned()),
        audience: Some("latchkey".to_owned()),
        leeway: Leeway::DEFAULT,
        device_claim: "sub".to_owned(),
        grant_claim: Some("grant".to_owned()),
        grants: BTreeSet::new(),
    }
}

fn verify(token: &str, keys: &Keys) -> Result<VerifiedToken, TokenError> {
    jwt::verify(token, keys, &rules(), UnixTime(NOW))
}

fn refusal(token: &str, keys: &Keys) -> Option<TokenError> {
    verify(token, keys).err()
}

/// An issuer with its own key. It signs any text.
struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn jwk(&self, kid: &str) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
    }

    fn keys(&self) -> Keys {
        Keys::from_jwks(&json!({"keys": [self.jwk("k")]}).to_string())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn say(&self, claims: &str) -> String {
        self.sign(r#"{"alg":"EdDSA","kid":"k"}"#, claims)
    }
}

/// Valid claims with one of them replaced, or removed if it is null.
fn claims(name: &str, value: Value) -> String {
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "latchkey", "sub": "sht20", "grant": "own-topics",
        "iat": NOW, "nbf": NOW, "exp": NOW + 3_600,
    });
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.to_owned(), value),
    };
    claims.to_string()
}

#[test]
fn tokens_of_another_implementation_are_accepted() {
    for name in ALGORITHMS {
        let verified = verify(&token(name), &jwks()).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        assert_eq!(verified.device().as_str(), "sht20", "{name}");
        assert_eq!(verified.grant(), Some("own-topics"), "{name}");
        assert_eq!(verified.expires_at(), UnixTime(NOW + 100 * 86_400), "{name}");
    }
}

#[test]
fn one_pem_key_verifies_tokens_with_and_without_kid() {
    for (name, algorithm) in
        [("ES256", "ES256"), ("RS256", "RS256"), ("RS256.pkcs1", "RS256"), ("EdDSA", "EdDSA")]
    {
        let keys = pem(name);
        for other in ALGORITHMS {
            let expected = (other != algorithm).then_some(TokenError::Algorithm);
            assert_eq!(refusal(&token(other), &keys), expected, "{name} {other}");
            assert_eq!(refusal(&token(&format!("{other}-without-kid")), &keys), expected, "{name} {other}");
        }
    }
}

#[test]
fn token_without_kid_needs_a_single_key() {
    let document = serde_json::from_str::<Value>(&fixture("keys.jwks.json")).unwrap();
    for (at, name) in ALGORITHMS.iter().enumerate() {
        let anonymous = token(&format!("{name}-without-kid"));
        assert_eq!(refusal(&anonymous, &jwks()), Some(TokenError::NoKeyId), "{name}");
        let only = Keys::from_jwks(&json!({"keys": [document["keys"][at]]}).to_string()).ok().unwrap();
        assert_eq!(refusal(&anonymous, &only), None, "{name}");
        let next = ALGORITHMS[(at + 1) % ALGORITHMS.len()];
        assert_eq!(refusal(&token(next), &only), Some(TokenError::UnknownKey), "{name}");
    }
}

#[test]
fn every_refusal_has_a_case() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let two = json!({"keys": [issuer.jwk("k"), Issuer::new().jwk("l")]}).to_string();
    let two = Keys::from_jwks(&two).ok().unwrap();
    let good = claims("sub", json!("sht20"));
    let said = |name, value| issuer.say(&claims(name, value));
    let signed = issuer.say(&good);
    let head = |header| issuer.sign(header, &good);
    let table = [
        (TokenError::TooLong, issuer.say(&claims("x", json!("x".repeat(9_000))))),
        (TokenError::NotThreeParts, format!("{signed}.")),
        (TokenError::NotThreeParts, signed.replacen('.', "", 1)),
        (TokenError::NotBase64Url, format!("{signed}=")),
        (TokenError::Header, head("[]")),
        (TokenError::Header, head(r#"{"alg":"EdDSA","kid":"k","kid":"k"}"#)),
        (TokenError::Critical, head(r#"{"alg":"EdDSA","kid":"k","crit":["exp"]}"#)),
        (TokenError::Algorithm, head(r#"{"kid":"k"}"#)),
        (TokenError::Algorithm, head(r#"{"alg":"ES256","kid":"k"}"#)),
        (TokenError::UnknownKey, head(r#"{"alg":"EdDSA","kid":"K"}"#)),
        (TokenError::Signature, Issuer::new().say(&good)),
        (TokenError::Signature, format!("{}.", signed.rsplit_once('.').unwrap().0)),
        (TokenError::Claims, issuer.say("7")),
        (TokenError::Claims, issuer.say("not JSON")),
        (TokenError::Claims, issuer.say(r#"{"sub":"a","sub":"sht20"}"#)),
        (TokenError::Issuer, said("iss", json!("https://issuer.example/"))),
        (TokenError::Audience, said("aud", json!(["other"]))),
        (TokenError::NoExpiry, said("exp", Value::Null)),
        (TokenError::Time, said("exp", json!("2000000000"))),
        (TokenError::Time, said("nbf", json!(-1))),
        (TokenError::Time, said("iat", json!([0]))),
        (TokenError::Expired, said("exp", json!(NOW))),
        (TokenError::ExpiresTooSoon, said("exp", json!(NOW + 299))),
        (TokenError::NotYetValid, said("nbf", json!(NOW + 61))),
        (TokenError::IssuedAhead, said("iat", json!(NOW + 61))),
        (TokenError::DeviceClaim, said("sub", json!("*"))),
        (TokenError::DeviceClaim, said("sub", Value::Null)),
        (TokenError::GrantClaim, said("grant", json!(["own-topics"]))),
        (TokenError::GrantClaim, said("grant", Value::Null)),
    ];
    let mut met = BTreeSet::new();
    for (expected, token) in table {
        assert_eq!(refusal(&token, &keys), Some(expected), "{token}");
        met.insert(expected.as_str());
    }
    assert_eq!(refusal(&head(r#"{"alg":"EdDSA"}"#), &two), Some(TokenError::NoKeyId));
    met.insert(TokenError::NoKeyId.as_str());
    assert_eq!(refusal(&signed, &keys), None);
    assert_eq!(met, TokenError::ALL.iter().map(|refusal| refusal.as_str()).collect());
}

#[test]
fn names_of_refusals_are_unique() {
    let names = TokenError::ALL.iter().map(|refusal| refusal.as_str()).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), TokenError::ALL.len());
    for name in names {
        assert!(
            name.starts_with("jwt_") && !name.contains(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '_'))
        );
    }
}

#[test]
fn token_needs_300_more_seconds() {
    let issuer = Issuer::new();
    for (left, expected) in
        [(0, Some(TokenError::Expired)), (299, Some(TokenError::ExpiresTooSoon)), (300, None), (301, None)]
    {
        let token = issuer.say(&claims("exp", json!(NOW + left)));
        assert_eq!(refusal(&token, &issuer.keys()), expected, "{left}");
    }
}

#[test]
fn public_key_is_not_a_secret_for_hs256() {
    let confused = token("confused");
    assert_eq!(refusal(&confused, &jwks()), Some(TokenError::Algorithm));
    assert_eq!(refusal(&confused, &pem("RS256")), Some(TokenError::Algorithm));
    let signed = confused.rsplit_once('.').unwrap().0;
    for secret in [fixture("RS256.pem").trim_end().as_bytes(), fixture("RS256.pem").as_bytes()] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(refusal(&token, &jwks()), Some(TokenError::Algorithm));
    }
}

#[test]
fn unsigned_token_is_refused_in_every_spelling_of_none() {
    let issuer = Issuer::new();
    for name in ["none", "None", "nOnE", "NONE", ""] {
        for kid in [r#","kid":"k""#, ""] {
            let token = issuer.sign(&format!(r#"{{"alg":"{name}"{kid}}}"#), &claims("sub", json!("sht20")));
            let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
            for token in [token, unsigned] {
                assert_eq!(refusal(&token, &issuer.keys()), Some(TokenError::Algorithm), "{name}");
            }
        }
    }
}

#[test]
fn keys_in_the_header_are_not_used() {
    let (issuer, intruder) = (Issuer::new(), Issuer::new());
    let jwk = intruder.jwk("k");
    for header in [
        json!({"alg": "EdDSA", "kid": "k", "jwk": jwk}),
        json!({"alg": "EdDSA", "jwk": jwk, "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/", "x5c": []}),
    ] {
        let good = claims("sub", json!("sht20"));
        assert_eq!(
            refusal(&intruder.sign(&header.to_string(), &good), &issuer.keys()),
            Some(TokenError::Signature)
        );
        assert_eq!(refusal(&issuer.sign(&header.to_string(), &good), &issuer.keys()), None);
    }
}

#[test]
fn claims_are_not_read_before_the_signature() {
    let (issuer, intruder) = (Issuer::new(), Issuer::new());
    for bad in ["not JSON", "{}", r#"{"exp":0}"#] {
        assert_eq!(refusal(&intruder.say(bad), &issuer.keys()), Some(TokenError::Signature), "{bad}");
    }
}

#[test]
fn ten_megabytes_are_refused_by_length() {
    let text = "A".repeat(10 * 1024 * 1024);
    assert_eq!(refusal(&text, &jwks()), Some(TokenError::TooLong));
    assert_eq!(refusal(&".".repeat(text.len()), &jwks()), Some(TokenError::TooLong));
}

#[test]
fn rules_that_are_not_set_accept_anything() {
    let issuer = Issuer::new();
    let rules = Rules {
        issuer: None,
        audience: None,
        leeway: Leeway::try_from(0).unwrap(),
        device_claim: "https://example.com/device".to_owned(),
        grant_claim: None,
        grants: BTreeSet::new(),
    };
    let exp = NOW + 300;
    let token =
        issuer.say(&format!(r#"{{"https://example.com/device":"d","exp":{exp},"grant":7,"aud":7,"iss":7}}"#));
    let verified = jwt::verify(&token, &issuer.keys(), &rules, UnixTime(NOW)).unwrap();
    assert_eq!((verified.device().as_str(), verified.grant()), ("d", None));
}

proptest! {
    #[test]
    fn flipped_bit_anywhere_is_refused(algorithm in 0..4_usize, part in 0..3_usize, at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let token = token(ALGORITHMS[algorithm]);
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect::<Vec<_>>();
        let at = at.index(parts[part].len());
        parts[part][at] ^= 1 << bit;
        let changed = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".");
        prop_assert!(verify(&changed, &jwks()).is_err());
    }

    #[test]
    fn other_character_anywhere_is_refused(algorithm in 0..4_usize, at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_.=+/ -]") {
        let token = token(ALGORITHMS[algorithm]);
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &other);
        prop_assert_eq!(verify(&changed, &jwks()).is_ok(), changed == token);
    }

    #[test]
    fn any_text_is_refused(text in any::<String>(), parts in "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}") {
        prop_assert!(verify(&text, &jwks()).is_err());
        prop_assert!(verify(&parts, &jwks()).is_err());
    }

    #[test]
    fn any_signed_claims_are_handled(claims in "\\{\"(exp|nbf|sub|aud)\":[-0-9.e\"a\\[\\]]{0,20}\\}") {
        let issuer = Issuer::new();
        prop_assert!(verify(&issuer.say(&claims), &issuer.keys()).is_err());
    }
}
