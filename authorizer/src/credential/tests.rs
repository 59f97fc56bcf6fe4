//! A refusal's time: what is checked for it is as much as for the right credential.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::{Value, json};

use super::{matching::runs::counted, *};
use crate::{
    credential::{budget::FunctionMemory, verifier::Verifier},
    record::{FunctionSettings, Timers, Unsealing},
    request::Password,
    seal::Keyring,
    store::document::StoreDocument,
};

const NOW: UnixTime = UnixTime(1_700_000_000);

fn record(name: &str, record: &Value) -> Arc<Record> {
    let timers = Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
    let unsealing = Unsealing::With(Arc::new(Keyring::empty().allow_plain()));
    let settings = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
    let text = json!({"version": 1, "devices": {name: record}}).to_string();
    let records = StoreDocument::parse(&text).unwrap().records(settings).unwrap();
    Arc::clone(&records.by_name[name])
}

fn disabled(mut device: Value) -> Value {
    device["enabled"] = json!(false);
    device
}

/// What comes of a claim, and how often something was checked for it.
fn checked(name: &str, evidence: Evidence<'_>, lookup: Lookup) -> (Result<(), DenyReason>, u32) {
    let claim = Claim { device: name.try_into().unwrap(), evidence };
    counted::take();
    let outcome = verify(claim, None, lookup, FreshnessRules::default(), NOW).map(drop);
    (outcome, counted::take())
}

fn password(text: &str) -> Password {
    Password::try_from(text.as_bytes().to_vec()).unwrap()
}

fn plain(secret: &str) -> String {
    format!("$plain${}", STANDARD_NO_PAD.encode(secret))
}

#[test]
fn every_password_is_checked_as_often() {
    for count in [1, 2] {
        let verifier =
            |text: &str| json!({"verifier": String::from(Verifier::of_generated(text.as_bytes(), [7; 16]))});
        let verifiers = [verifier("right"), verifier("other")].into_iter().take(count).collect::<Vec<_>>();
        let device = json!({"scheme": "password", "verifiers": verifiers, "grant": "own-topics"});
        let known = record("dev", &device);
        let decoy = Arc::from(known.proof.verifiers());
        let off = Lookup::Found(record("dev", &disabled(device)));
        for (lookup, text, outcome) in [
            (Lookup::Found(Arc::clone(&known)), "right", Ok(())),
            (Lookup::Found(known), "wrong", Err(DenyReason::WrongPassword)),
            (off.clone(), "right", Err(DenyReason::DeviceDisabled)),
            (off, "wrong", Err(DenyReason::WrongPassword)),
            (Lookup::Unknown { decoy: Arc::clone(&decoy) }, "right", Err(DenyReason::UnknownDevice)),
            (Lookup::Unknown { decoy }, "wrong", Err(DenyReason::UnknownDevice)),
        ] {
            let seen = checked("dev", Evidence::Password(password(text)), lookup);
            assert_eq!(seen, (outcome, u32::try_from(count).unwrap()), "{text}");
        }
    }
}

/// Lookups of a device with one secret or two, and what a right signature comes to with each.
fn lookups(name: &str, devices: [Value; 2]) -> Vec<(Lookup, Result<(), DenyReason>)> {
    let mut lookups = vec![(Lookup::Unknown { decoy: Arc::from([]) }, Err(DenyReason::UnknownDevice))];
    for device in devices {
        lookups.push((Lookup::Found(record(name, &device)), Ok(())));
        lookups.push((Lookup::Found(record(name, &disabled(device))), Err(DenyReason::DeviceDisabled)));
    }
    lookups
}

#[test]
fn every_alibaba_signature_is_checked_twice() {
    let device =
        credentials::alibaba::Device::new(credentials::alibaba::Identity::new("dev", "dev", "PK").unwrap());
    let right = device.sign(&credentials::Secret::try_from(&b"secret"[..]).unwrap());
    let client_id = device.client_id().to_string();
    let presented = credentials::alibaba::Presented::parse(&client_id, "dev&PK").unwrap();
    let secrets = json!([{"device_secret": plain("secret")}, {"device_token": plain("t"), "id": "x"}]);
    let records = [json!([secrets[0]]), secrets]
        .map(|secrets| json!({"scheme": "alibaba", "secrets": secrets, "grant": "alibaba"}));
    for (lookup, outcome) in lookups("dev&PK", records) {
        let evidence = |text: &str| Evidence::Alibaba(presented, password(text));
        let unknown = matches!(lookup, Lookup::Unknown { .. });
        assert_eq!(checked("dev&PK", evidence(right.as_str()), lookup.clone()), (outcome, 2));
        let wrong = Err(if unknown { DenyReason::UnknownDevice } else { DenyReason::WrongSignature });
        assert_eq!(checked("dev&PK", evidence(&"0".repeat(64)), lookup), (wrong, 2));
    }
}

#[test]
fn every_tencent_signature_is_checked_twice() {
    const PSK: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";
    let identity = credentials::tencent::Identity::new("AB12CD34EF", "dev").unwrap();
    let device = credentials::tencent::Device::new(identity, "c", u64::MAX).unwrap();
    let psk = credentials::Secret::from_base64(PSK).unwrap();
    let right = device.sign(&psk, credentials::tencent::SignMethod::HmacSha1);
    let user_name = device.user_name().to_string();
    let presented = credentials::tencent::Presented::parse(&user_name).unwrap();
    let secrets = json!([{"psk": plain(PSK)}, {"psk": plain("BwAJAA==")}]);
    let records = [json!([secrets[0]]), secrets]
        .map(|secrets| json!({"scheme": "tencent", "secrets": secrets, "grant": "tencent"}));
    for (lookup, outcome) in lookups("AB12CD34EFdev", records) {
        let evidence = |text: &str| Evidence::Tencent(presented, password(text));
        let unknown = matches!(lookup, Lookup::Unknown { .. });
        assert_eq!(checked("AB12CD34EFdev", evidence(right.as_str()), lookup.clone()), (outcome, 2));
        let wrong = Err(if unknown { DenyReason::UnknownDevice } else { DenyReason::WrongSignature });
        let zeros = format!("{};hmacsha1", "0".repeat(40));
        assert_eq!(checked("AB12CD34EFdev", evidence(&zeros), lookup), (wrong, 2));
    }
}
