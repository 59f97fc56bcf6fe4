//! Which client ids a verified device may have.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use credentials::{Secret, SignMethod, alibaba, tencent};
use device_auth::deny_reason::DenyReason;
use serde_json::{Value, json};

use super::attempt::{Attempts, connect, plain};

const PSK: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";
/// SHA-256 over the salt and `right`.
const RIGHT: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$";

pub(crate) fn alibaba_record(changes: &Value) -> Value {
    with(
        json!({"scheme": "alibaba", "secrets": [{"device_secret": plain("secret")}], "grant": "alibaba"}),
        changes,
    )
}

pub(crate) fn tencent_record(changes: &Value) -> Value {
    with(json!({"scheme": "tencent", "secrets": [{"psk": plain(PSK)}], "grant": "tencent"}), changes)
}

/// The record of a device whose password is `right`.
pub(crate) fn password_record(changes: &Value) -> Value {
    use sha2::{Digest as _, Sha256};
    let salt = (0..16).collect::<Vec<u8>>();
    let digest = Sha256::digest([salt.as_slice(), b"right"].concat());
    let verifier = format!("{RIGHT}{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(digest));
    with(json!({"scheme": "password", "verifiers": [{"verifier": verifier}], "grant": "own-topics"}), changes)
}

fn with(mut record: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

/// A CONNECT of an Alibaba device, signed with `secret` for the id before the `|`.
pub(crate) fn alibaba_connect(id: &str, device: &str, product: &str) -> Value {
    let identity = alibaba::Identity::new(id, device, product).unwrap();
    let device = alibaba::Device::new(identity).with_sign_method(SignMethod::HmacSha1);
    let password = device.sign(&Secret::try_from(&b"secret"[..]).unwrap());
    connect(&device.client_id().to_string(), &device.user_name().to_string(), password.as_str())
}

/// A CONNECT of a Tencent device that sends this client id.
pub(crate) fn tencent_connect(client_id: &str, product: &str, device: &str, expiry: u64) -> Value {
    let device = tencent::Device::new(tencent::Identity::new(product, device).unwrap(), "c", expiry).unwrap();
    let password = device.sign(&Secret::from_base64(PSK).unwrap(), tencent::SignMethod::HmacSha256);
    connect(client_id, &device.user_name().to_string(), password.as_str())
}

const NOT_ALLOWED: Result<(), DenyReason> = Err(DenyReason::ClientIdNotAllowed);

#[test]
fn alibaba_device_has_two_ids_of_its_own() {
    let attempts = Attempts::with(&json!({"dev&PK": alibaba_record(&json!({}))}));
    for (id, outcome) in [
        ("dev", Ok(())),
        ("PK.dev", Ok(())),
        ("dev&PK", NOT_ALLOWED),
        ("dev.PK", NOT_ALLOWED),
        ("PKdev", NOT_ALLOWED),
        ("PK", NOT_ALLOWED),
        ("DEV", NOT_ALLOWED),
        ("devi", NOT_ALLOWED),
        ("de", NOT_ALLOWED),
        ("PK.dev2", NOT_ALLOWED),
    ] {
        assert_eq!(attempts.outcome(&alibaba_connect(id, "dev", "PK")), outcome, "{id}");
    }
}

#[test]
fn list_of_client_ids_replaces_an_alibaba_devices_own_ids() {
    let ids = json!({"client_ids": ["12345", "lot-*"]});
    let attempts = Attempts::with(&json!({"dev&PK": alibaba_record(&ids)}));
    for (id, outcome) in [
        ("12345", Ok(())),
        ("lot-7", Ok(())),
        ("lot-", Ok(())),
        ("123456", NOT_ALLOWED),
        ("lot", NOT_ALLOWED),
        ("dev", NOT_ALLOWED),
        ("PK.dev", NOT_ALLOWED),
    ] {
        assert_eq!(attempts.outcome(&alibaba_connect(id, "dev", "PK")), outcome, "{id}");
    }
}

#[test]
fn device_token_is_bound_to_the_id_that_came_with_it() {
    let secrets = json!([{"device_token": plain("token"), "id": "t-1"}, {"device_secret": plain("secret")}]);
    let connwl = |id: &str| connect(&format!("{id}|securemode=-2,authType=connwl|"), "dev&PK", "token");
    let own = Attempts::with(&json!({"dev&PK": alibaba_record(&json!({"secrets": secrets}))}));
    let any = json!({"secrets": secrets, "client_ids": ["t-*", "dev"]});
    let any = Attempts::with(&json!({"dev&PK": alibaba_record(&any)}));
    for attempts in [own, any] {
        assert_eq!(attempts.outcome(&connwl("t-1")), Ok(()));
        for id in ["t-2", "dev", "t-1x", "PK.dev"] {
            assert_eq!(attempts.outcome(&connwl(id)), Err(DenyReason::WrongSignature), "{id}");
        }
        assert_eq!(attempts.outcome(&alibaba_connect("dev", "dev", "PK")), Ok(()));
    }
}

#[test]
fn tencent_device_has_the_id_of_its_user_name_or_a_listed_one() {
    let listed = tencent_record(&json!({"client_ids": ["old-17", "x-*"]}));
    let attempts =
        Attempts::with(&json!({"AB12CD34EFdev": tencent_record(&json!({})), "AB12CD34EFold": listed}));
    for (id, device, outcome) in [
        ("AB12CD34EFdev", "dev", Ok(())),
        ("dev", "dev", NOT_ALLOWED),
        ("AB12CD34EFdev2", "dev", NOT_ALLOWED),
        ("AB12CD34EFold", "dev", NOT_ALLOWED),
        ("old-17", "old", Ok(())),
        ("x-1", "old", Ok(())),
        ("AB12CD34EFold", "old", NOT_ALLOWED),
        ("AB12CD34EFdev", "old", NOT_ALLOWED),
    ] {
        let event = tencent_connect(id, "AB12CD34EF", device, 0);
        assert_eq!(attempts.outcome(&event), outcome, "{device} as {id}");
    }
}

#[test]
fn client_id_with_a_bar_never_reaches_the_check_of_a_password() {
    let record = password_record(&json!({"client_ids": ["p", "px*", "a"]}));
    let attempts = Attempts::with(&json!({"p": record, "p&PK": password_record(&json!({}))}));
    for (client_id, user_name, outcome) in [
        ("p", "p", Ok(())),
        ("p|", "p", Err(DenyReason::AlibabaUnclosed)),
        ("p||", "p", Err(DenyReason::AlibabaNoProductKey)),
        ("a|b", "p", Err(DenyReason::AlibabaUnclosed)),
        // The right password is not checked, because it is not a signature.
        ("p||", "p&PK", Err(DenyReason::SignatureNotHex)),
        ("|", "p&PK", Err(DenyReason::AlibabaUnclosed)),
    ] {
        assert_eq!(attempts.outcome(&connect(client_id, user_name, "right")), outcome, "{client_id}");
    }
    let signed = alibaba_connect("p", "p", "PK");
    assert_eq!(attempts.outcome(&signed), Err(DenyReason::SchemeMismatch));
}

#[test]
fn https_publish_is_limited_to_the_devices_name_wherever_its_credential_is() {
    let attempts = Attempts::with(&json!({
        "gate": password_record(&json!({"client_ids": ["other-*"]})),
        "token-1": {"scheme": "token", "grant": "own-topics"},
    }));
    let basic = format!("Basic {}", STANDARD.encode("gate:right"));
    for (http, token, device) in [
        (json!({"headers": {"authorization": basic}}), json!(null), "gate"),
        (json!({"queryString": "?username=gate&password=right"}), json!(null), "gate"),
        (json!({}), json!("token-1"), "token-1"),
    ] {
        let event = json!({"token": token, "signatureVerified": true, "protocolData": {"http": http}});
        let answer = attempts.decide(&event, 0).unwrap();
        let own =
            [format!("client/{device}"), format!("topic/{device}/*"), format!("topicfilter/{device}/*")];
        assert_eq!(super::attempt::resources(&answer), own);
    }
}
