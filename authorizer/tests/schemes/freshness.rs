//! Signatures and tokens that expire while their device is connected.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use credentials::{Secret, alibaba};
use device_auth::{
    credential::FreshnessRules,
    deny_reason::DenyReason,
    jwt::{DEFAULT_DEVICE_CLAIM, Leeway, Rules, keys::Keys, token::TokenError},
};
use serde_json::{Value, json};

use super::{
    attempt::{Attempts, connect},
    binding::{alibaba_connect, alibaba_record, tencent_connect, tencent_record},
};

const NOW: u64 = 1_700_000_000;

/// Refresh and disconnect.
fn timers(attempts: &Attempts, event: &Value, now: u64) -> Result<(u64, u64), DenyReason> {
    let answer = attempts.decide(event, now)?;
    let seconds = |field: &str| answer[field].as_u64().unwrap();
    Ok((seconds("refreshAfterInSeconds"), seconds("disconnectAfterInSeconds")))
}

fn signed_at(milliseconds: u64) -> Value {
    let device = alibaba::Device::new(alibaba::Identity::new("dev", "dev", "PK").unwrap());
    let device = device.with_timestamp(milliseconds);
    let password = device.sign(&Secret::try_from(&b"secret"[..]).unwrap());
    connect(&device.client_id().to_string(), "dev&PK", password.as_str())
}

fn alibaba(window: Option<u64>) -> Attempts {
    let freshness = FreshnessRules { alibaba_window: window, tencent_expiry: true };
    Attempts { freshness, ..Attempts::with(&json!({"dev&PK": alibaba_record(&json!({}))})) }
}

#[test]
fn alibaba_window_limits_the_refresh() {
    let event = signed_at(NOW * 1_000);
    let attempts = alibaba(Some(1_000));
    for (now, outcome) in [
        (NOW, Ok((1_000, 86_400))),
        (NOW + 600, Ok((400, 86_400))),
        (NOW + 701, Ok((300, 86_400))),
        (NOW + 1_000, Ok((300, 86_400))),
        (NOW + 1_001, Err(DenyReason::TimestampStale)),
        (NOW + 90_000, Err(DenyReason::TimestampStale)),
        (NOW - 1_000, Ok((2_000, 86_400))),
        (NOW - 1_001, Err(DenyReason::TimestampAhead)),
    ] {
        assert_eq!(timers(&attempts, &event, now), outcome, "{now}");
    }
    assert_eq!(timers(&alibaba(Some(60)), &event, NOW), Ok((300, 86_400)));
    assert_eq!(timers(&alibaba(Some(100_000)), &event, NOW), Ok((3_600, 86_400)));
}

#[test]
fn alibaba_signature_does_not_expire_without_a_window() {
    for now in [0, NOW, u64::MAX] {
        assert_eq!(timers(&alibaba(None), &signed_at(NOW * 1_000), now), Ok((3_600, 86_400)));
    }
    let unsigned = alibaba_connect("dev", "dev", "PK");
    assert_eq!(timers(&alibaba(None), &unsigned, NOW), Ok((3_600, 86_400)));
    assert_eq!(timers(&alibaba(Some(300)), &unsigned, NOW), Err(DenyReason::TimestampAbsent));
}

#[test]
fn tencent_expiry_limits_the_refresh() {
    let attempts = |tencent_expiry| Attempts {
        freshness: FreshnessRules { alibaba_window: None, tencent_expiry },
        ..Attempts::with(&json!({"AB12CD34EFdev": tencent_record(&json!({}))}))
    };
    for expiry in [NOW + 1_000, (NOW + 1_000) * 1_000 + 999] {
        let event = tencent_connect("AB12CD34EFdev", "AB12CD34EF", "dev", expiry);
        for (now, outcome) in [
            (NOW - 86_400, Ok((3_600, 86_400))),
            (NOW, Ok((1_000, 86_400))),
            (NOW + 999, Ok((300, 86_400))),
            (NOW + 1_000, Err(DenyReason::SignatureExpired)),
            (NOW + 90_000, Err(DenyReason::SignatureExpired)),
        ] {
            assert_eq!(timers(&attempts(true), &event, now), outcome, "{now}");
            assert_eq!(timers(&attempts(false), &event, now), Ok((3_600, 86_400)), "{now}");
        }
    }
}

#[test]
fn expiry_of_a_secret_limits_the_refresh() {
    let secrets = |expires_at: u64| {
        let mut record = alibaba_record(&json!({}));
        record["secrets"][0]["expires_at"] = json!(expires_at);
        Attempts::with(&json!({"dev&PK": record}))
    };
    let event = alibaba_connect("dev", "dev", "PK");
    assert_eq!(timers(&secrets(NOW + 1_000), &event, NOW), Ok((1_000, 86_400)));
    assert_eq!(timers(&secrets(NOW + 1), &event, NOW), Ok((300, 86_400)));
    assert_eq!(timers(&secrets(NOW), &event, NOW), Err(DenyReason::WrongSignature));
}

#[test]
fn expiry_of_a_token_limits_refresh_and_connection() {
    let secret = [7; 32];
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret), "alg": "HS256"});
    let rules = Rules {
        issuer: None,
        audience: None,
        leeway: Leeway::DEFAULT,
        device_claim: DEFAULT_DEVICE_CLAIM.to_owned(),
        grant_claim: None,
        grants: BTreeSet::new(),
    };
    let attempts = Attempts {
        jwt: Some((Keys::from_jwks(&json!({"keys": [jwk]}).to_string()).unwrap(), rules)),
        ..Attempts::with(&json!({"dev": {"scheme": "jwt", "grant": "own-topics"}}))
    };
    let parts = [json!({"alg": "HS256"}), json!({"sub": "dev", "exp": NOW + 1_000})];
    let text = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), text.as_bytes());
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    for (now, outcome) in [
        (NOW - 100_000, Ok((3_600, 86_400))),
        (NOW - 9_000, Ok((3_600, 10_000))),
        (NOW, Ok((1_000, 1_000))),
        (NOW + 700, Ok((300, 300))),
        (NOW + 701, Err(TokenError::ExpiresTooSoon.into())),
        (NOW + 1_000, Err(TokenError::Expired.into())),
    ] {
        assert_eq!(timers(&attempts, &connect("dev", "dev", &token), now), outcome, "{now}");
    }
}
