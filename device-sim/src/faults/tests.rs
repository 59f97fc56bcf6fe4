use std::collections::BTreeSet;

use super::*;

fn shares(texts: &[&str]) -> Vec<FaultShare> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn assigned(seed: u64, count: usize, texts: &[&str]) -> Result<Vec<Option<DeviceFault>>, AssignError> {
    let devices: Vec<u64> = (0..count).map(|number| device_key(&format!("sht20-{number:04}"))).collect();
    assign(seed, &devices, &shares(texts), Transport::Mqtt, Scheme::Password)
}

fn with(faults: &[Option<DeviceFault>], fault: DeviceFault) -> BTreeSet<usize> {
    (0..faults.len()).filter(|index| faults[*index] == Some(fault)).collect()
}

#[test]
fn every_fault_is_in_the_list_with_its_name() {
    let listed = DeviceFault::ALL.map(DeviceFault::name);
    let values: Vec<String> = DeviceFault::value_variants()
        .iter()
        .map(|fault| fault.to_possible_value().unwrap().get_name().to_owned())
        .collect();
    assert_eq!(values, listed);
    let json = DeviceFault::ALL.map(|fault| serde_json::to_value(fault).unwrap());
    assert_eq!(json.map(|name| name.as_str().unwrap().replace('_', "-")), listed);
}

#[test]
fn shares_are_read_and_written_exactly() {
    let cases = [
        ("3%", Some((Share::Percent(3_000), 3))),
        ("0.5%", Some((Share::Percent(500), 1))),
        ("0.125%", Some((Share::Percent(125), 0))),
        ("100%", Some((Share::Percent(100_000), 100))),
        ("0%", Some((Share::Percent(0), 0))),
        ("7", Some((Share::Devices(7), 7))),
        ("100.001%", None),
        ("0.0005%", None),
        (".5%", None),
        ("5.%", None),
        ("-1%", None),
        ("+1", None),
        ("%", None),
        ("", None),
        ("3 %", None),
        ("half", None),
        ("4294967296%", None),
    ];
    for (text, share) in cases {
        let parsed = text.parse::<Share>().ok();
        assert_eq!(parsed.map(|share| (share, share.of(100))), share, "{text}");
        assert!(parsed.is_none_or(|share| share.to_string() == text), "{text}");
    }
}

#[test]
fn a_fault_needs_its_name_and_its_share() {
    let cases = [
        ("wrong-password", "write the fault and its share, such as `wrong-password=3%`"),
        (
            "wrong-pasword=3%",
            "there is no fault `wrong-pasword`: use one of wrong-password, wrong-client-id, ",
        ),
        ("twin=all", "`all` is not a share: write a percentage up to `100%`"),
    ];
    for (text, message) in cases {
        let error = text.parse::<FaultShare>().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn each_share_has_exactly_its_devices_and_no_device_two_faults() {
    let faults = assigned(7, 1_000, &["wrong-password=3%", "twin=20", "slow-link=0.5%"]).unwrap();
    assert_eq!(with(&faults, DeviceFault::WrongPassword).len(), 30);
    assert_eq!(with(&faults, DeviceFault::Twin).len(), 20);
    assert_eq!(with(&faults, DeviceFault::SlowLink).len(), 5);
    assert_eq!(faults.iter().flatten().count(), 55);
    let all = assigned(7, 10, &["twin=50%", "herd=50%"]).unwrap();
    assert!(all.iter().all(Option::is_some));
}

#[test]
fn the_seed_decides_which_devices_and_the_order_of_the_flags_does_not() {
    let texts = ["wrong-password=10%", "twin=10%"];
    let faults = assigned(7, 500, &texts).unwrap();
    assert_eq!(assigned(7, 500, &texts).unwrap(), faults);
    assert_eq!(assigned(7, 500, &["twin=10%", "wrong-password=10%"]).unwrap(), faults);
    let other = assigned(8, 500, &texts).unwrap();
    let both = with(&faults, DeviceFault::Twin).intersection(&with(&other, DeviceFault::Twin)).count();
    assert!(both < 20, "{both} of 50");
    // They are not the first ones, nor one after the other.
    let twins = with(&faults, DeviceFault::Twin);
    assert!(twins.iter().any(|index| *index < 250) && twins.iter().any(|index| *index >= 250), "{twins:?}");
}

#[test]
fn another_share_or_another_fault_changes_few() {
    let one = with(&assigned(7, 500, &["twin=10%"]).unwrap(), DeviceFault::Twin);
    let more = with(&assigned(7, 500, &["twin=12%"]).unwrap(), DeviceFault::Twin);
    assert!(one.is_subset(&more) && more.len() == 60);
    let besides = with(&assigned(7, 500, &["twin=10%", "herd=10%"]).unwrap(), DeviceFault::Twin);
    assert!(one.intersection(&besides).count() >= 40);
}

#[test]
fn impossible_shares_are_refused() {
    let cases = [
        (
            &["twin=60%", "herd=50%"][..],
            "the shares of `--fault` are 110 devices together, and the fleet has 100",
        ),
        (&["twin=101"], "the shares of `--fault` are 101 devices together, and the fleet has 100"),
        (&["twin=1%", "twin=2%"], "`--fault twin=…` is there twice"),
    ];
    for (texts, message) in cases {
        assert_eq!(assigned(1, 100, texts).unwrap_err().to_string(), message);
    }
    let ways = [
        ("twin=1", Transport::Https, Scheme::Password, "an HTTPS request has no client id"),
        ("wrong-client-id=1", Transport::Https, Scheme::Password, "an HTTPS request has no client id"),
        ("wrong-password=1", Transport::Mqtt, Scheme::Certificate, "a certificate has no password"),
    ];
    for (text, transport, scheme, why) in ways {
        let error =
            assign(1, &[device_key("a")], &shares(&[text]), transport, scheme).unwrap_err().to_string();
        assert!(error.ends_with(why), "{error}");
    }
}

#[test]
fn secrets_are_wrong_in_one_character_and_ids_are_others() {
    let spoilt = |password: &str, user_name: &str| {
        let mut login = Login {
            client_id: "a".to_owned(),
            user_name: user_name.to_owned(),
            password: Password::from(password),
        };
        DeviceFault::WrongPassword.spoil_login(&mut login);
        (String::from_utf8(login.password.expose().to_vec()).unwrap(), login.user_name)
    };
    let signature = "0123456789abcdef".repeat(4);
    let (tencent, _) = spoilt(&format!("{signature};hmacsha256"), "u");
    assert!(tencent.ends_with(";hmacsha256") && !tencent.starts_with(&signature), "{tencent}");
    assert_eq!(tencent.len(), signature.len() + 11);
    assert_eq!(spoilt("x", "u"), ("0".to_owned(), "u".to_owned()));
    assert_eq!(spoilt("0", "u"), ("1".to_owned(), "u".to_owned()));
    // A token's signature is in the user name.
    let token = format!(
        "?token=abc&x-amz-customauthorizer-signature={}&x-amz-customauthorizer-name=latchkey",
        "A".repeat(64)
    );
    let (password, user_name) = spoilt("", &token);
    assert_eq!(password, "");
    assert!(
        user_name != token && user_name.ends_with("&x-amz-customauthorizer-name=latchkey"),
        "{user_name}"
    );
    assert!(user_name.starts_with("?token=abc&x-amz-customauthorizer-signature=AAAA"), "{user_name}");
    for id in ["a".to_owned(), "x".repeat(128)] {
        let other = another(&id);
        assert!(other != id && device_core::ClientId::try_from(other.as_str()).is_ok(), "{other}");
    }
}

#[test]
fn the_list_has_the_faulty_devices_only() {
    let mut list = Vec::new();
    let devices = [("a", Some(DeviceFault::Twin)), ("b", None), ("c, d", Some(DeviceFault::SensorNack))];
    write_list(&mut list, devices).unwrap();
    assert_eq!(String::from_utf8(list).unwrap(), "device,fault\na,twin\n\"c, d\",sensor-nack\n");
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}
