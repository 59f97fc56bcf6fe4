//! From `cfg.toml` and the credentials file to a partition that the application accepts.

#![cfg(test)]

use std::fs;

use app::Configuration;
use app::configuration::Identity;
use app::configuration::partition::Key;
use configure::Entries;
use tempfile::TempDir;

const CREDENTIALS: &str = "device,client_id,user_name,password\nhall,hall,hall,s3cret\nattic,a,b,\"p,w\"\n";
const SETTINGS: &str = "host = \"iot.test\"\nport = 8443\nca = \"ca.pem\"\nssid = \"net\"\n";
const CA: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const ENCRYPTED: &str =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\ns3cret\n-----END ENCRYPTED PRIVATE KEY-----\n";

fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("cfg.toml", settings),
        ("credentials.csv", CREDENTIALS),
        ("ca.pem", CA),
        ("encrypted.pem", ENCRYPTED),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn entries(folder: &TempDir, device: &str) -> anyhow::Result<Entries> {
    let mut entries = Entries::read_settings(&folder.path().join("cfg.toml"))?;
    entries.read_credentials(&folder.path().join("credentials.csv"), device)?;
    Ok(entries)
}

#[test]
fn settings_and_credentials_make_a_partition() {
    let bytes = entries(&folder(SETTINGS), "attic").unwrap().to_partition().unwrap();
    let configuration = Configuration::parse(&bytes).unwrap();
    assert_eq!((configuration.endpoint.name, configuration.endpoint.port), ("iot.test", 8_443));
    assert_eq!(configuration.ca.to_str(), Ok(CA));
    assert!(configuration.wifi.is_some_and(|wifi| wifi.ssid == "net" && wifi.password.is_empty()));
    let Identity::Password { client_id, user_name, password } = configuration.identity else { panic!() };
    assert_eq!((client_id.as_str(), user_name.as_str(), password), ("a", "b", "p,w"));
}

#[test]
fn error_names_the_mistake_and_contains_no_secret() {
    let cases = [
        ("hosst = \"x\"", "hall", "the unknown key `hosst`"),
        ("host = 1.5", "hall", "`host` in"),
        ("host = \"x\"\nsecret = \"s3cret", "hall", "is not TOML at line 2"),
        ("ca = \"credentials.csv\"", "hall", "is not a PEM file with a certificate"),
        ("ca = \"none.pem\"", "hall", "none.pem` that `ca` names"),
        ("private_key = \"ca.pem\"", "hall", "is not a PEM file with a private key"),
        ("private_key = \"encrypted.pem\"", "hall", "openssl pkey"),
        (SETTINGS, "cellar", "has no device `cellar`; it has `hall`, `attic`"),
    ];
    for (settings, device, message) in cases {
        let error = format!("{:#}", entries(&folder(settings), device).err().unwrap());
        assert!(error.contains(message), "{error} without {message}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn device_in_two_rows_is_refused() {
    let folder = folder(SETTINGS);
    fs::write(folder.path().join("credentials.csv"), format!("{CREDENTIALS}hall,hall,hall,another\n"))
        .unwrap();
    let error = entries(&folder, "hall").err().unwrap().to_string();
    assert!(error.contains("has `hall` in lines 2 and 4"), "{error}");
    assert!(entries(&folder, "attic").is_ok());
}

#[test]
fn missing_entry_is_named_with_its_cure() {
    for (settings, message) in [
        ("host = \"iot.test\"", "no `user_name`; pass `--credentials"),
        ("client_id = \"a\"\nuser_name = \"a\"\nsecret = \"s\"", "no `host`; add it to the settings"),
    ] {
        let entries = Entries::read_settings(&folder(settings).path().join("cfg.toml")).unwrap();
        let error = entries.to_partition().unwrap_err().to_string();
        assert!(error.contains(message), "{error} without {message}");
    }
}

#[test]
fn entries_that_the_device_would_refuse_are_not_written() {
    let mut entries = entries(&folder(SETTINGS), "hall").unwrap();
    entries.set(Key::ClientId, "x".repeat(65));
    assert!(entries.to_partition().unwrap_err().to_string().contains("the client id has 65 bytes"));
    entries.set(Key::ClientId, "hall");
    entries.set(Key::Ca, CA.repeat(300));
    assert!(entries.to_partition().unwrap_err().to_string().contains("trust fewer roots"));
}

#[cfg(unix)]
#[test]
fn partition_is_readable_by_its_owner_only_also_if_an_older_file_was_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(SETTINGS);
    let out = folder.path().join("configuration.bin");
    fs::write(&out, "an older one").unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o644)).unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_latchkey-configure"))
        .current_dir(folder.path())
        .args(["--credentials", "credentials.csv", "--device", "hall"])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Configuration::parse(&fs::read(&out).unwrap()).is_ok());
}
