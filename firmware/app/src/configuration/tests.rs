//! Configurations that are accepted, and more that are refused.

use super::*;

const CA: (Key, &str) = (Key::Ca, "-----BEGIN CERTIFICATE-----");

fn partition(entries: &[(Key, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    partition::encode(entries.iter().copied(), &mut bytes).unwrap();
    bytes
}

fn device<'a>(more: &[(Key, &'a str)]) -> Vec<(Key, &'a str)> {
    let mut entries = more.to_vec();
    entries.extend([
        (Key::Host, "iot.test"),
        (Key::ClientId, "sht20"),
        (Key::UserName, "sht20"),
        (Key::Secret, "c2VjcmV0"),
        CA,
    ]);
    entries
}

fn error_of(entries: &[(Key, &str)]) -> std::string::String {
    Configuration::parse(&partition(entries)).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn minimal_configuration_has_defaults() {
    let bytes = partition(&device(&[]));
    let configuration = Configuration::parse(&bytes).unwrap();
    let Endpoint { name, port, address, alpn, .. } = configuration.endpoint;
    assert_eq!((name, port, address, alpn), ("iot.test", 443, None, true));
    assert_eq!(configuration.time, TimeServer { host: "pool.ntp.org", port: 123 });
    assert_eq!(configuration.interval, Duration::from_secs(60));
    assert!(configuration.wifi.is_none() && configuration.will_topic.is_none());
    assert_eq!(configuration.ca.to_str(), Ok(CA.1));
    let Identity::Password { client_id, user_name, password } = configuration.identity else { panic!() };
    assert_eq!((client_id.as_str(), user_name.as_str(), password), ("sht20", "sht20", "c2VjcmV0"));
}

#[test]
fn alpn_is_off_only_where_the_configuration_says_so() {
    for (value, alpn) in [("on", Some(true)), ("off", Some(false)), ("no", None), ("OFF", None)] {
        let bytes = partition(&device(&[(Key::Alpn, value)]));
        let parsed = Configuration::parse(&bytes);
        assert_eq!(parsed.map(|configuration| configuration.endpoint.alpn).ok(), alpn, "{value}");
    }
    let error = error_of(&device(&[(Key::Alpn, "no")]));
    assert_eq!(error, "`alpn` in the configuration can't be used: use `on`, or `off` for a bridge");
}

#[test]
fn bytes_after_the_entries_are_ignored() {
    let mut bytes = partition(&device(&[]));
    bytes.extend([0xff; 500]);
    assert!(Configuration::parse(&bytes).is_ok());
}

#[test]
fn authorizer_is_appended_to_the_user_name() {
    for (user_name, sent) in [
        ("sht20", "sht20?x-amz-customauthorizer-name=latchkey"),
        ("a?k=v", "a?k=v&x-amz-customauthorizer-name=latchkey"),
    ] {
        let bytes = partition(&device(&[(Key::UserName, user_name), (Key::Authorizer, "latchkey")]));
        let Identity::Password { user_name, .. } = Configuration::parse(&bytes).unwrap().identity else {
            panic!()
        };
        assert_eq!(user_name, sent);
    }
}

#[test]
fn damaged_partition_is_refused() {
    let good = partition(&device(&[]));
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut long = good.clone();
    long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let cases = [
        (vec![], PartitionError::Absent),
        (vec![0xff; 4_096], PartitionError::Absent),
        (good[..12].to_vec(), PartitionError::Incomplete),
        (good[..good.len() - 1].to_vec(), PartitionError::Incomplete),
        (long, PartitionError::Incomplete),
        (changed, PartitionError::Checksum),
    ];
    for (bytes, error) in cases {
        assert_eq!(Configuration::parse(&bytes).err(), Some(ConfigurationError::Partition(error)));
    }
}

#[test]
fn flipped_bits_do_not_panic() {
    let good = partition(&device(&[]));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            let body = bytes[partition::HEADER_LEN..].to_vec();
            bytes[12..16].copy_from_slice(&partition::CHECKSUM.checksum(&body).to_le_bytes());
            _ = Configuration::parse(&bytes);
        }
    }
}

#[test]
fn error_names_the_entry() {
    let long = "x".repeat(65);
    let cases: [(&[(Key, &str)], &str); 11] = [
        (&[], "the configuration has no `host`"),
        (&[(Key::Host, "h")], "the configuration has no `user_name`"),
        (&device(&[(Key::Port, "65536")]), "`port` in the configuration can't be used: use a whole number"),
        (
            &device(&[(Key::Address, "iot.test")]),
            "`address` in the configuration can't be used: use an IP address",
        ),
        (
            &device(&[(Key::Interval, "0")]),
            "`interval_seconds` in the configuration can't be used: use 1 to 900",
        ),
        (&device(&[(Key::Scheme, "magic")]), "`scheme` in the configuration can't be used: use `password`,"),
        (
            &device(&[(Key::ClientId, "a/b")]),
            "`client_id` in the configuration can't be used: the client id contains '/'",
        ),
        (
            &device(&[(Key::ClientId, &long)]),
            "the client id has 65 bytes, the firmware can send 64; give the device a shorter",
        ),
        (&device(&[(Key::Ssid, &long)]), "`ssid` in the configuration can't be used: use 1 to 32 bytes"),
        (&device(&[(Key::Scheme, "certificate")]), "the configuration has no `certificate`"),
        (&device(&[(Key::Scheme, "tencent")]), "the configuration has no `product_id`"),
    ];
    for (entries, message) in cases {
        let error = error_of(entries);
        assert!(error.starts_with(message), "{error} instead of {message}");
    }
}

#[test]
fn values_that_the_mqtt_client_or_the_radio_would_refuse_are_refused() {
    let [of_64, of_128, of_129, of_1_024, of_1_025] =
        [64, 128, 129, 1_024, 1_025].map(|length| "x".repeat(length));
    let cases: [(&[(Key, &str)], &str); 9] = [
        (&[(Key::Secret, &of_1_025)], "`secret` in the configuration can't be used: use at most 1,024 bytes"),
        (
            &[(Key::WillTopic, &of_129)],
            "`will_topic` in the configuration can't be used: use at most 128 bytes",
        ),
        (
            &[(Key::WillTopic, "sensor/+/gone")],
            "`will_topic` in the configuration can't be used: use a topic",
        ),
        (&[(Key::WillTopic, "sensor/#")], "`will_topic` in the configuration can't be used: use a topic"),
        (&[(Key::WillTopic, "$aws/things")], "`will_topic` in the configuration can't be used: use a topic"),
        (&[(Key::Ssid, "net"), (Key::WifiPassword, "1234567")], "`wifi_password` in the configuration can't"),
        (&[(Key::Ssid, "net"), (Key::WifiPassword, &of_64)], "`wifi_password` in the configuration can't"),
        (&[(Key::Ssid, "net"), (Key::WifiPassword, "12345678")], ""),
        (&[(Key::Secret, &of_1_024), (Key::WillTopic, &of_128)], ""),
    ];
    for (entries, message) in cases {
        let error = error_of(&device(entries));
        assert!(
            error.starts_with(message) && error.is_empty() == message.is_empty(),
            "{error} instead of {message}"
        );
    }
}

#[test]
fn vendor_scheme_refuses_an_authorizer_and_an_unusable_client_id() {
    let vendor = |scheme: &'static str, more: &[(Key, &'static str)]| {
        let mut entries = vec![
            (Key::Scheme, scheme),
            (Key::DeviceName, "hall"),
            (Key::ProductKey, "a1ExampleKey"),
            (Key::ProductId, "AB12CD34EF"),
        ];
        entries.extend(more);
        error_of(&device(&entries))
    };
    for scheme in ["alibaba", "tencent"] {
        assert_eq!(vendor(scheme, &[]), "");
        let error = vendor(scheme, &[(Key::Authorizer, "latchkey")]);
        assert!(
            error.starts_with("`authorizer` in the configuration can't be used: leave it out"),
            "{error}"
        );
    }
    let error = vendor("alibaba", &[(Key::ClientId, "a/b")]);
    assert!(error.starts_with("`client_id` in the configuration can't be used: "), "{error}");
}

#[test]
fn alibaba_client_id_has_at_most_64_bytes() {
    let device_of = |id: &'static str| {
        device(&[
            (Key::Scheme, "alibaba"),
            (Key::ClientId, id),
            (Key::DeviceName, "hall"),
            (Key::ProductKey, "a1ExampleKey"),
        ])
    };
    let bytes = partition(&device_of("twenty-eight-bytes-of-an-id."));
    let Identity::Alibaba { device, .. } = Configuration::parse(&bytes).unwrap().identity else { panic!() };
    assert_eq!(device.client_id().to_string().len(), 64);
    let error = error_of(&device_of("twenty-nine-bytes-of-an-id.s."));
    assert_eq!(error, "the client id has 65 bytes, the firmware can send 64; give the device a shorter one");
}

#[test]
fn tencent_secret_is_base64_and_its_method_is_not_md5() {
    let tencent = |secret: &'static str, method: &'static str| {
        device(&[
            (Key::Scheme, "tencent"),
            (Key::ProductId, "AB12CD34EF"),
            (Key::DeviceName, "sht20_01"),
            (Key::Secret, secret),
            (Key::SignMethod, method),
        ])
    };
    assert_eq!(error_of(&tencent("c2VjcmV0", "hmacsha1")), "");
    assert!(error_of(&tencent("no base64", "hmacsha1")).contains("not standard base64"));
    assert!(error_of(&tencent("c2VjcmV0", "hmacmd5")).contains("use `hmacsha256` or `hmacsha1`"));
}

#[test]
fn checksum_is_that_of_ethernet_and_zip() {
    assert_eq!(partition::CHECKSUM.checksum(b"123456789"), 0xcbf4_3926);
}

#[test]
fn every_key_has_its_own_number() {
    let numbers: Vec<u8> = Key::ALL.iter().map(|key| key.number()).collect();
    assert_eq!(numbers, (1..=22).collect::<Vec<u8>>());
}

#[test]
fn entries_that_do_not_fit_are_not_encoded() {
    let encode = |value: &str| {
        partition::encode([(Key::Ca, value)].into_iter(), &mut Vec::new()).map_err(|error| error.to_string())
    };
    let room = partition::MAX_LEN - partition::HEADER_LEN - 4;
    assert_eq!(encode(&"x".repeat(room)), Ok(()));
    let too_large = "the configuration has 16385 bytes, and the partition 16384; trust fewer roots";
    assert_eq!(encode(&"x".repeat(room + 1)), Err(too_large.to_owned()));
    assert_eq!(encode(&"x".repeat(65_536)), Err("`ca` has more than 65,535 bytes".to_owned()));
}
