//! Records of vendors' devices that are refused when they are loaded, with their errors.

use serde_json::json;

use super::{
    attempt::{load, load_with, plain},
    binding::{alibaba_record, password_record, tencent_record},
};

fn fault(devices: &serde_json::Value) -> String {
    load(devices).err().expect("it loads")
}

#[test]
fn same_device_name_in_two_products_needs_qualified_ids() {
    let record = alibaba_record(&json!({}));
    let error = fault(&json!({"dev&PK1": record, "dev&PK2": record}));
    assert_eq!(
        error,
        "devices `dev&PK1` and `dev&PK2` may both use client ids that `dev|*` and `dev|*` cover; each id may belong to \
         one device only: list others in `client_ids`"
    );
    let qualified = |id: &str| alibaba_record(&json!({"client_ids": [id]}));
    assert!(load(&json!({"dev&PK1": qualified("PK1.dev"), "dev&PK2": qualified("PK2.dev")})).is_ok());
    assert!(load(&json!({"dev&PK1": qualified("PK1.dev"), "dev&PK2": record})).is_ok());
    let tencent = tencent_record(&json!({}));
    assert!(load(&json!({"AB12CD34EFdev": tencent, "GH12CD34EFdev": tencent})).is_ok());
}

#[test]
fn rule_of_another_device_covers_no_alibaba_id() {
    let alibaba = alibaba_record(&json!({"client_ids": ["dev"]}));
    let by_token = json!({"secrets": [{"device_token": plain("t"), "id": "tok"}]});
    for (rule, why) in [
        ("d*", "each id may belong to one device only"),
        ("dev*", "each id may belong to one device only"),
        ("dev|*", "has a `|`"),
        ("dev|securemode=2|", "has a `|`"),
        ("dev|securemode*", "has a `|`"),
        ("dev||", "has a `|`"),
    ] {
        let error =
            fault(&json!({"dev&PK": alibaba, "roamer": password_record(&json!({"client_ids": [rule]}))}));
        assert!(error.contains(why), "{rule}: {error}");
    }
    let error = fault(&json!({"dev&PK": alibaba_record(&json!({"client_ids": ["dev|"]}))}));
    assert!(error.contains("an id is the text before it"), "{error}");
    let roamer = password_record(&json!({"client_ids": ["to*"]}));
    let error = fault(&json!({"dev&PK": alibaba_record(&by_token), "roamer": roamer}));
    assert!(error.contains("`tok|*`"), "{error}");
    // Without its parameters an id is not the Alibaba device's.
    let exact = password_record(&json!({"client_ids": ["dev", "devi*"]}));
    assert!(load(&json!({"dev&PK": alibaba, "roamer": exact})).is_ok());
}

#[test]
fn conflict_of_token_ids_is_found_without_opening_secrets() {
    use device_auth::{
        record::{FunctionSettings, Unsealing},
        store::document::StoreDocument,
        time::Timers,
        verifier::budget::FunctionMemory,
    };
    let by_token = |id: &str| alibaba_record(&json!({"secrets": [{"device_token": plain("t"), "id": id}]}));
    let text =
        json!({"version": 1, "devices": {"a&PK": by_token("tok"), "b&PK": by_token("tok")}}).to_string();
    let timers = Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
    let settings =
        FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed };
    let error = StoreDocument::parse(&text).unwrap().records(settings).err().expect("it loads").to_string();
    assert!(error.contains("`tok|*`"), "{error}");
}

#[test]
fn product_is_not_a_client_id() {
    for (devices, part) in [
        (
            json!({"dev&PK": alibaba_record(&json!({})), "PK": password_record(&json!({}))}),
            "device `PK` may use the client id `PK`, which is the `product` of device `dev&PK`",
        ),
        (
            json!({"dev&PK": alibaba_record(&json!({})), "roamer": password_record(&json!({"client_ids": ["P*"]}))}),
            "device `roamer` may use the client id `PK`, which is the `product` of device `dev&PK`",
        ),
        (
            json!({"AB12CD34EFd": tencent_record(&json!({})), "x": password_record(&json!({"client_ids": ["AB12CD34EF"]}))}),
            "device `x` may use the client id `AB12CD34EF`, which is the `product` of device `AB12CD34EFd`",
        ),
    ] {
        assert_eq!(fault(&devices), part);
    }
}

#[test]
fn vendors_device_name_needs_its_product_in_topics() {
    let grants = json!({
        "bare": {"publish": ["fleet/{device}/up"]}, "with-product": {"publish": ["fleet/{product}/{device}/up"]},
        "heard": {"publish": ["{product}/{device}/up"], "subscribe": ["all/{device}"]},
    });
    let with = |grant: &str| json!({"dev&PK": alibaba_record(&json!({"grant": grant}))});
    for grant in ["bare", "heard"] {
        let error = load_with(&with(grant), &grants).err().expect("it loads");
        assert!(error.contains("`{device}` without `{product}`"), "{error}");
        let tencent = json!({"AB12CD34EFdev": tencent_record(&json!({"grant": grant}))});
        assert!(load_with(&tencent, &grants).is_err());
    }
    assert!(load_with(&with("with-product"), &grants).is_ok());
    // Elsewhere a device's name is its own.
    let plain = json!({"dev": password_record(&json!({"grant": "bare"}))});
    assert!(load_with(&plain, &grants).is_ok());
    let error = load_with(&json!({"dev": password_record(&json!({"grant": "with-product"}))}), &grants)
        .err()
        .unwrap();
    assert!(error.contains("placeholder `{product}`"), "{error}");
}

#[test]
fn a_record_has_what_its_scheme_asks_for() {
    let sealed = json!([{"device_secret": plain("s")}]);
    for (name, record, part) in [
        ("dev", alibaba_record(&json!({})), "is called `deviceName&productKey`"),
        ("dev&P-K", alibaba_record(&json!({})), "product key"),
        ("short", tencent_record(&json!({})), "is called by its product id and device name"),
        ("dev&PK", alibaba_record(&json!({"secrets": []})), "`secrets` has 0 entries"),
        ("dev&PK", alibaba_record(&json!({"secrets": [{"psk": plain("s")}]})), "has `device_secret`, or"),
        (
            "dev&PK",
            alibaba_record(&json!({"secrets": [{"device_token": plain("s")}]})),
            "has `device_secret`, or",
        ),
        (
            "dev&PK",
            alibaba_record(&json!({"verifiers": password_record(&json!({}))["verifiers"]})),
            "`verifiers` is not for",
        ),
        ("AB12CD34EFd", tencent_record(&json!({"secrets": sealed})), "has `psk` and nothing else"),
        ("AB12CD34EFd", tencent_record(&json!({"secrets": [{"psk": plain("not base64")}]})), "base64"),
        ("p", password_record(&json!({"secrets": sealed})), "`secrets` is not for the scheme `password`"),
        ("t", json!({"scheme": "token", "grant": "own-topics", "secrets": sealed}), "`secrets` is not for"),
        ("p", password_record(&json!({"certificates": ["00"]})), "64 hex digits"),
        ("p", password_record(&json!({"parameters": {"product": "x"}})), "`product` can't be a parameter"),
    ] {
        let error = fault(&json!({name: record}));
        assert!(error.contains(part), "{name}: {error}");
    }
}
