//! Keys that are accepted, and the errors for those that are not.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is the test's failure"
)]

use device_auth::jwt::{
    keys::Keys,
    keys::{KeyError, KeysError},
};
use serde_json::{Value, json};

/// 32 bytes in base64url: a secret that no message may contain.
const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI";

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/jwt/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn published(name: &str) -> Value {
    let document = serde_json::from_str::<Value>(&fixture("keys.jwks.json")).unwrap();
    let keys = document["keys"].as_array().unwrap();
    keys.iter().find(|key| key["kid"] == name).unwrap().clone()
}

fn with(name: &str, member: &str, value: Value) -> Value {
    let mut key = published(name);
    key[member] = value;
    key
}

fn without(name: &str, member: &str) -> Value {
    let mut key = published(name);
    key.as_object_mut().unwrap().remove(member);
    key
}

fn jwks(keys: &[Value]) -> Result<usize, KeysError> {
    Keys::from_jwks(&json!({"keys": keys}).to_string()).map(|keys| keys.count())
}

#[test]
fn pem_file_is_one_public_key() {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let private = key.signing_key.serialize_pem();
    let public = fixture("ES256.pem");
    let table = [
        (public.clone(), None),
        (format!("a note\n{public}and another"), None),
        (public.replace('\n', "\r\n"), None),
        (String::new(), Some(KeysError::NoPem)),
        ("ak71PoQP7Ugrf2CmeO8dL2".to_owned(), Some(KeysError::NoPem)),
        (private.clone(), Some(KeysError::PrivatePem)),
        (format!("{public}{private}"), Some(KeysError::PrivatePem)),
        (private.replace("PRIVATE KEY", "EC PRIVATE KEY"), Some(KeysError::PrivatePem)),
        (private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), Some(KeysError::PrivatePem)),
        ("-----BEGIN RSA PRIVATE KEY-----\ndamaged".to_owned(), Some(KeysError::PrivatePem)),
        (key.cert.pem(), Some(KeysError::Certificate)),
        (public.replace("PUBLIC KEY", "EC PARAMETERS"), Some(KeysError::OtherPem)),
        (format!("{public}{}", fixture("RS256.pem")), Some(KeysError::SeveralPem(2))),
        (fixture("P-384.pem"), Some(KeysError::Key(KeyError::UnknownType))),
        (fixture("RSA-1024.pem"), Some(KeysError::Key(KeyError::RsaBits(1_024)))),
        (public.replace("PUBLIC KEY", "RSA PUBLIC KEY"), Some(KeysError::Key(KeyError::Invalid))),
        (
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
            Some(KeysError::Key(KeyError::UnknownType)),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(Keys::from_pem(&text).err(), expected, "{text}");
    }
}

#[test]
fn jwks_file_is_a_list_of_usable_keys() {
    let at = |position, error| Err(KeysError::Jwk { position, error });
    let secret = |k: &str| json!({"kty": "oct", "k": k, "kid": "s"});
    let small: Value = serde_json::from_str(&fixture("RSA-1024.jwks.json")).unwrap();
    let modulus = published("RS256")["n"].as_str().unwrap().to_owned();
    let table = [
        (vec![published("ES256"), published("RS256"), published("EdDSA"), published("HS256")], Ok(4)),
        (vec![without("ES256", "kid")], Ok(1)),
        (vec![without("ES256", "alg")], Ok(1)),
        (vec![with("ES256", "x5c", json!(["whatever"]))], Ok(1)),
        (vec![secret(SECRET)], Ok(1)),
        (vec![], Err(KeysError::NoKeys)),
        (vec![published("ES256"), without("RS256", "kid")], at(2, KeyError::NoId)),
        (vec![published("ES256"), with("RS256", "kid", json!("ES256"))], at(2, KeyError::SameId)),
        (vec![json!(7)], at(1, KeyError::Members)),
        (vec![json!(["EC"])], at(1, KeyError::Members)),
        (vec![with("ES256", "kid", json!(7))], at(1, KeyError::Members)),
        (vec![without("ES256", "y")], at(1, KeyError::Members)),
        (vec![without("RS256", "e")], at(1, KeyError::Members)),
        (vec![json!({"kty": "oct"})], at(1, KeyError::Members)),
        (vec![with("ES256", "x", json!("+/=="))], at(1, KeyError::NotBase64Url)),
        (vec![secret(&format!("{SECRET}="))], at(1, KeyError::NotBase64Url)),
        (vec![secret("c2hvcnQ")], at(1, KeyError::ShortSecret(5))),
        (vec![secret("")], at(1, KeyError::ShortSecret(0))),
        (vec![with("ES256", "kty", json!("ec"))], at(1, KeyError::UnknownType)),
        (vec![with("ES256", "crv", json!("P-384"))], at(1, KeyError::UnknownType)),
        (vec![with("EdDSA", "crv", json!("X25519"))], at(1, KeyError::UnknownType)),
        (vec![with("ES256", "x", json!(SECRET))], at(1, KeyError::Invalid)),
        (vec![with("EdDSA", "x", json!("AAAA"))], at(1, KeyError::Invalid)),
        (vec![with("RS256", "e", json!("AQ"))], at(1, KeyError::Invalid)),
        (vec![with("RS256", "n", json!(""))], at(1, KeyError::Invalid)),
        (vec![small["keys"][0].clone()], at(1, KeyError::RsaBits(1_024))),
        (vec![with("RS256", "n", json!(format!("AAAA{modulus}")))], Ok(1)),
        (vec![with("ES256", "d", json!(SECRET))], at(1, KeyError::Private)),
        (vec![with("RS256", "d", json!(SECRET))], at(1, KeyError::Private)),
        (vec![with("ES256", "use", json!("enc"))], at(1, KeyError::OtherUse)),
        (vec![with("RS256", "key_ops", json!(["encrypt"]))], at(1, KeyError::OtherUse)),
        (vec![with("ES256", "alg", json!("ES384"))], at(1, KeyError::OtherAlgorithm)),
        (vec![with("RS256", "alg", json!("PS256"))], at(1, KeyError::OtherAlgorithm)),
        (vec![with("RS256", "alg", json!("HS256"))], at(1, KeyError::OtherAlgorithm)),
        (vec![with("HS256", "alg", json!("none"))], at(1, KeyError::OtherAlgorithm)),
    ];
    for (keys, expected) in table {
        assert_eq!(jwks(&keys), expected, "{keys:?}");
    }
}

#[test]
fn malformed_jwks_is_reported_by_its_place() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}}"#,
        r#"[[{"kty":"oct"}]]"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        let error = Keys::from_jwks(text).err();
        assert!(matches!(error, Some(KeysError::NotJwks { .. })), "{text}: {error:?}");
    }
    let duplicate = r#"{"keys":[{"kty":"oct","k":"AAAA","k":"AAAA"}]}"#;
    assert_eq!(
        Keys::from_jwks(duplicate).err(),
        Some(KeysError::Jwk { position: 1, error: KeyError::Members })
    );
}

#[test]
fn no_message_has_a_secret() {
    let texts = [
        format!(r#"{{"keys":"{SECRET}"}}"#),
        format!(r#"{{"keys":["{SECRET}"]}}"#),
        format!(r#"{{"keys":[{{"kty":"{SECRET}"}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":["{SECRET}"]}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":"{SECRET}","alg":"{SECRET}"}}]}}"#),
        format!(r#"{{"keys":[{{"kty":"oct","k":"{SECRET}","use":"{SECRET}"}}]}}"#),
        SECRET.to_owned(),
    ];
    for text in texts {
        for error in [Keys::from_jwks(&text).err().unwrap(), Keys::from_pem(&text).err().unwrap()] {
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
        }
    }
}
