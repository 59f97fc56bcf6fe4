//! Cases that can't stand in a file: tokens that end within minutes of now, or that are very long.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use authorizer::{
    handler::Handler,
    jwt::{JwtVerification, KeySource},
    store::file::FileStore,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use device_auth::jwt::keys::Keys;
use integration::captured_log;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json, value::RawValue};

use super::{FUNCTION_ARN, context, function, refusal};

/// The reasons that are met here.
pub(super) const REASONS: [&str; 3] = ["jwt_expires_too_soon", "jwt_too_long", "record_unusable"];

/// A key that is generated for one test, and a function that takes its tokens.
struct Issuer {
    key: KeyPair,
    function: Handler<FileStore>,
}

impl Issuer {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.der_bytes());
        let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}).to_string();
        let keys = KeySource::Fixed(Arc::new(Keys::from_jwks(&jwks).unwrap()));
        let jwt = Some(JwtVerification { keys, rules: function::rules() });
        Self { key, function: Handler { jwt, ..Handler::new(function::store()) } }
    }

    fn sign(&self, claims: &Value) -> String {
        let [header, claims] =
            [&json!({"alg": "EdDSA"}), claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    /// The answer, and the line in the log.
    async fn answer(&self, claims: &Value) -> (Value, Value) {
        let log = captured_log::of_this_thread();
        let mqtt = json!({"clientId": "jwt-1"});
        let event = json!({"token": self.sign(claims), "protocolData": {"mqtt": mqtt}}).to_string();
        let event = RawValue::from_string(event).unwrap();
        let answer = self.function.handle(&event, &context(FUNCTION_ARN)).await.unwrap();
        (serde_json::to_value(answer).unwrap(), log.take_lines().remove(0))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_token_must_outlive_the_shortest_connection() {
    let issuer = Issuer::new();
    for left in [1, 60, 299] {
        let (answer, line) = issuer.answer(&json!({"sub": "jwt-1", "exp": now() + left})).await;
        assert_eq!((answer, &line["reason"]), (refusal(), &json!(REASONS[0])), "{left}");
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let issuer = Issuer::new();
    // The clock moves on between here and there, by a minute at the most.
    for left in [361, 3_600, 86_400] {
        let (answer, _) = issuer.answer(&json!({"sub": "jwt-1", "exp": now() + left})).await;
        for (timer, longest) in
            [("disconnectAfterInSeconds", left), ("refreshAfterInSeconds", left.min(3_600))]
        {
            let seconds = answer[timer].as_u64().unwrap();
            assert!(seconds <= longest && seconds + 60 >= longest, "{timer} {seconds} of {left}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_parsed() {
    let issuer = Issuer::new();
    let claims = json!({"sub": "jwt-1", "exp": now() + 3_600, "x": "x".repeat(8_192)});
    let (answer, line) = issuer.answer(&claims).await;
    assert_eq!((answer, &line["reason"]), (refusal(), &json!(REASONS[1])));
}

#[tokio::test]
async fn unusable_record_is_refused_with_its_error_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devices.json");
    let record = json!({"scheme": "token", "grant": "none"});
    std::fs::write(&path, json!({"version": 1, "devices": {"gate": record}}).to_string()).unwrap();
    let function = function::over(&path);
    let log = captured_log::of_this_thread();
    let event =
        json!({"token": "gate", "signatureVerified": true, "protocolData": {"mqtt": {"clientId": "gate"}}});
    let event = RawValue::from_string(event.to_string()).unwrap();
    let answer = function.handle(&event, &context(FUNCTION_ARN)).await.unwrap();
    assert_eq!(serde_json::to_value(answer).unwrap(), refusal());
    let lines = log.take_lines();
    let decision = lines.iter().find(|line| line["event"] == "decision").unwrap();
    assert_eq!((&decision["reason"], &decision["device"]), (&json!(REASONS[2]), &json!("gate")));
    assert!(
        decision["error"].as_str().unwrap().starts_with("device `gate`: grant `none` does not exist"),
        "{decision}"
    );
}
