//! What the serial log must not contain, however a connection fails: the password, a vendor's secret, the signature that is
//! made with it, the private key, and the Wi-Fi network's password.

use app::Configuration;
use app::configuration::Identity;
use app::configuration::partition::Key;
use rcgen::SanType;

use crate::device::{Device, entries};
use crate::time_server;
use crate::tls_server::{End, Signer, Version, serve, serve_until};

const WIFI_PASSWORD: &str = "Wf7kQ2zN9pLxT4vB";
const PASSWORD: &str = "Pw3mR8sD1yHcJ6uE";
const DEVICE_SECRET: &str = "Ds5gK0wX2nVbZ8qA";
const PSK: &str = "UHNrLW9mLWEtVGVuY2VudC1kZXZpY2U=";
const DECODED_PSK: &str = "Psk-of-a-Tencent-device";

/// How much of a secret is too much to be printed.
const PIECE_BYTES: usize = 8;

/// A device, and what of it nobody may read.
struct Planted {
    settings: Vec<(Key, String)>,
    secrets: Vec<Vec<u8>>,
}

/// A device of each scheme.
fn devices() -> Vec<Planted> {
    let holder = Signer::root();
    let key = holder.key_pem();
    let mut secrets = vec![holder.private_scalar()];
    secrets.extend(key.lines().filter(|line| !line.starts_with("--")).map(|line| line.as_bytes().to_vec()));
    let certificate = [
        (Key::Scheme, "certificate".to_owned()),
        (Key::Certificate, holder.pem()),
        (Key::PrivateKey, key.clone()),
    ];
    let settings =
        |settings: &[(Key, &str)]| settings.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let bytes = |secrets: &[&str]| secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
    vec![
        Planted { settings: settings(&[(Key::Secret, PASSWORD)]), secrets: bytes(&[PASSWORD]) },
        Planted {
            settings: settings(&[
                (Key::Scheme, "alibaba"),
                (Key::ClientId, "hall"),
                (Key::DeviceName, "hall"),
                (Key::ProductKey, "a1ExampleKey"),
                (Key::Secret, DEVICE_SECRET),
            ]),
            secrets: bytes(&[DEVICE_SECRET]),
        },
        Planted {
            settings: settings(&[
                (Key::Scheme, "tencent"),
                (Key::ProductId, "AB12CD34EF"),
                (Key::DeviceName, "hall"),
                (Key::Secret, PSK),
            ]),
            secrets: bytes(&[PSK, DECODED_PSK]),
        },
        Planted { settings: certificate.to_vec(), secrets },
    ]
}

/// The forms in which a log or mbedtls's dumps write bytes.
fn forms(piece: &[u8]) -> Vec<String> {
    let each = |separator: &str, digits: fn(&u8) -> String| {
        piece.iter().map(digits).collect::<Vec<_>>().join(separator)
    };
    let mut forms = vec![
        each("", |byte| format!("{byte:02x}")),
        each(" ", |byte| format!("{byte:02x}")),
        each(", ", u8::to_string),
    ];
    forms.extend(str::from_utf8(piece).ok().map(str::to_ascii_lowercase));
    forms
}

/// The form in which the secret, or a piece of it, is in the text, if it is.
fn found(secret: &[u8], text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    secret.windows(PIECE_BYTES).flat_map(forms).find(|form| text.contains(form))
}

#[test]
fn search_finds_a_secret_in_each_form() {
    for form in forms(PASSWORD.as_bytes()) {
        assert!(found(PASSWORD.as_bytes(), &format!("INFO  x{form}y")).is_some(), "{form}");
    }
    assert!(found(PASSWORD.as_bytes(), &format!("{:02X?}", PASSWORD.as_bytes()).replace(',', "")).is_some());
    assert_eq!(found(PASSWORD.as_bytes(), DEVICE_SECRET), None);
}

#[test]
fn no_secret_is_printed_however_a_connection_fails() {
    let (root, other) = (Signer::root(), Signer::root());
    let leaf = root.leaf(|_| {});
    let elsewhere = root.leaf(|params| {
        params.subject_alt_names = vec![SanType::DnsName("elsewhere.test".try_into().unwrap())];
    });
    let alpn = ["mqtt", "x-amzn-mqtt-ca"];
    let servers = [
        (serve(&leaf, &[&root], &alpn, Version::V12), &other, "does not chain to `ca`"),
        (serve(&leaf, &[&root], &alpn, Version::V13), &other, "does not chain to `ca`"),
        (serve(&elsewhere, &[], &alpn, Version::V13), &root, "is for another name than `host`"),
        (serve(&leaf, &[], &["http/1.1"], Version::V13), &root, "(alert 120)"),
        (serve_until(&leaf, End::Hello), &root, "the connection was closed during the handshake"),
        (serve_until(&leaf, End::Flight), &root, "the connection was closed during the handshake"),
        (serve_until(&leaf, End::Alert(42)), &root, "alert 42"),
        (serve_until(&leaf, End::PlainText), &root, "tls: "),
        (serve_until(&leaf, End::Connect), &root, "mqtt: "),
    ];
    for Planted { settings, secrets } in devices() {
        for (port, trusted, expected) in &servers {
            let folder = tempfile::tempdir().unwrap();
            let mut entries = entries(*port, time_server::correct(), &trusted.pem());
            entries.set(Key::Ssid, "the network");
            entries.set(Key::WifiPassword, WIFI_PASSWORD);
            for (key, value) in &settings {
                entries.set(*key, value.clone());
            }
            let bytes = entries.to_partition().unwrap();
            let mut hidden = secrets.clone();
            hidden.push(WIFI_PASSWORD.into());
            if let Identity::Alibaba { device, secret } = Configuration::parse(&bytes).unwrap().identity {
                hidden.push(device.sign(&secret).as_bytes().to_vec());
            }
            let mut device = Device::start(folder.path(), &entries);
            let line = device.wait_for_line("ERROR");
            assert!(line.contains(expected), "{line} without {expected}");
            device.wait_for_line("before the next attempt");
            for secret in &hidden {
                assert_eq!(found(secret, device.printed()), None, "{}", device.printed());
            }
        }
    }
}

/// The key of the configuration is damaged, so the device can't use it.
#[test]
fn no_secret_is_printed_of_a_key_that_can_not_be_used() {
    let holder = Signer::root();
    let key = holder.key_pem();
    let damaged = key.replacen(key.lines().nth(2).unwrap(), "", 1);
    let folder = tempfile::tempdir().unwrap();
    let mut entries = entries(1, time_server::correct(), &Signer::root().pem());
    for (name, value) in
        [(Key::Scheme, "certificate"), (Key::Certificate, &holder.pem()), (Key::PrivateKey, &damaged)]
    {
        entries.set(name, value);
    }
    let mut device = Device::start(folder.path(), &entries);
    let line = device.wait_for_line("ERROR");
    assert!(line.contains("`private_key` in the configuration is not a PEM key"), "{line}");
    for line in key.lines().filter(|line| !line.starts_with("--")) {
        assert_eq!(found(line.as_bytes(), device.printed()), None, "{}", device.printed());
    }
}
