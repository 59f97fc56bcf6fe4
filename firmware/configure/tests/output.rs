//! What `latchkey-configure` prints: no secret, and no character that changes what a terminal shows.

#![cfg(test)]
#![cfg(unix)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::Command;

const SECRET: &str = "Pw3mR8sD1yHcJ6uE";
const WIFI_PASSWORD: &str = "Wf7kQ2zN9pLxT4vB";
const SETTINGS: &str =
    "host = \"iot.test\"\nca = \"ca.pem\"\nssid = \"net\"\nwifi_password = \"Wf7kQ2zN9pLxT4vB\"\n";
const CA: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// Texts that would forge, hide or turn a part of the output.
const HOSTILE: [&str; 8] = [
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "\r\nFORGED",
    "\n  FORGED",
    "\u{9b}31m\u{85}",
    "\u{202e}elbane\u{2066}",
    "\u{200b}\u{2060}\u{feff}\u{ad}",
    "\u{2028}FORGED\u{2029}",
    "\u{e0041}\u{fe0f}\u{3164}",
];

/// Runs the program in a folder, and returns its exit code with all that it printed.
fn run(folder: &Path, arguments: &[&OsStr]) -> (Option<i32>, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-configure"));
    let output = command.current_dir(folder).args(arguments).output().unwrap();
    (output.status.code(), [output.stdout, output.stderr].concat())
}

/// A string as TOML writes it, every character escaped.
fn quoted(text: &str) -> String {
    let escapes = text.chars().map(|character| format!("\\U{:08x}", u32::from(character)));
    format!("\"{}\"", escapes.collect::<Vec<_>>().concat())
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn no_secret_is_printed() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let base64 = key.lines().filter(|line| !line.starts_with("--")).collect::<String>();
    let rows = |password: &str| format!("device,client_id,user_name,password\nhall,hall,hall,{password}\n");
    let line = |name: &str, value: &str| format!("{SETTINGS}{name} = {}\n", quoted(value));
    let broken_row = rows(SECRET) + SECRET + ",b\n";
    let twice = rows(SECRET) + &format!("hall,hall,hall,{SECRET}\n");
    let long = format!("{SECRET}{}", "x".repeat(1_100));
    // Settings, credentials, the exit code, and a part of what is printed.
    let cases = [
        (SETTINGS.to_owned(), rows(SECRET), 0, "wrote `configuration.bin`"),
        (SETTINGS.to_owned(), rows(&long), 64, "`secret` in the configuration can't be used"),
        (SETTINGS.to_owned(), broken_row, 64, "line 3 of `credentials.csv`"),
        (SETTINGS.to_owned(), twice, 64, "in lines 2 and 3"),
        (SETTINGS.to_owned(), rows(SECRET).replace("password", "secret"), 64, "has no column `password`"),
        (SETTINGS.to_owned(), rows(SECRET).replace("\nhall", "\nattic"), 64, "it has `attic`"),
        (line("secrett", SECRET), rows(SECRET), 64, "the unknown key `secrett`"),
        (format!("{SETTINGS}secret = {SECRET}\n"), rows(SECRET), 64, "is not TOML at line 5"),
        (format!("{SETTINGS}secret = \"{SECRET}\n"), rows(SECRET), 64, "is not TOML at line 5"),
        (
            format!("{SETTINGS}secret = [\"{SECRET}\"]\n"),
            rows(SECRET),
            64,
            "is neither a string nor an integer",
        ),
        (line("wifi_password", WIFI_PASSWORD), rows(SECRET), 64, "once for each key"),
        (
            SETTINGS.replace(WIFI_PASSWORD, &WIFI_PASSWORD.repeat(4)),
            rows(SECRET),
            64,
            "use 8 to 63 characters",
        ),
        (line("private_key", &key), rows(SECRET), 64, "`private_key` has PEM text"),
        (line("private_key", &base64), rows(SECRET), 64, "that `private_key` names"),
        (line("private_key", SECRET), rows(SECRET), 64, "that `private_key` names"),
        (line("scheme", "tencent"), rows(SECRET), 64, "no `product_id`"),
        (line("scheme", SECRET), rows(SECRET), 64, "`scheme` in the configuration can't be used"),
    ];
    for (settings, credentials, code, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, "ca.pem", CA);
        write(folder, "cfg.toml", &settings);
        write(folder, "credentials.csv", &credentials);
        let arguments = ["--credentials", "credentials.csv", "--device", "hall"].map(OsStr::new);
        let (found, printed) = run(folder, &arguments);
        let printed = String::from_utf8(printed).unwrap();
        assert!(found == Some(code) && printed.contains(expected), "{found:?}, {printed} without {expected}");
        for secret in [SECRET, WIFI_PASSWORD, base64.get(..16).unwrap(), base64.get(64..80).unwrap()] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}

#[test]
fn text_of_arguments_and_files_is_escaped() {
    for hostile in HOSTILE {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let quoted = quoted(hostile);
        write(folder, "ca.pem", CA);
        write(folder, "cfg.toml", SETTINGS);
        write(folder, "key.toml", &format!("{SETTINGS}{quoted} = \"x\"\n"));
        write(folder, "file.toml", &SETTINGS.replace("\"ca.pem\"", &quoted));
        write(
            folder,
            "id.toml",
            &format!("{SETTINGS}client_id = {quoted}\nuser_name = \"x\"\nsecret = \"x\"\n"),
        );
        let row = hostile.replace('"', "\"\"");
        write(
            folder,
            "rows.csv",
            &format!("device,client_id,user_name,password\n\"{row}\",b,c,d\nhall,hall,hall,p\n"),
        );
        let not_utf8 = OsString::from_vec([&b"--\xff\x1b"[..], hostile.as_bytes()].concat());
        let (hostile, out) = (OsStr::new(hostile), OsString::from(format!("out{hostile}")));
        let of = |arguments: &[&'static str]| arguments.iter().copied().map(OsStr::new).collect::<Vec<_>>();
        let rows = of(&["--credentials", "rows.csv", "--device"]);
        let cases: [Vec<&OsStr>; 11] = [
            vec![hostile],
            vec![&not_utf8],
            vec![OsStr::new("--settings"), hostile],
            of(&["--settings", "key.toml"]),
            of(&["--settings", "file.toml"]),
            of(&["--settings", "id.toml"]),
            [&rows[..], &[hostile]].concat(),
            [&rows[..], &[OsStr::new("cellar")]].concat(),
            [&rows[..], &[OsStr::new("hall"), OsStr::new("--out"), &out]].concat(),
            [&rows[..], &[OsStr::new("hall"), OsStr::new("--out"), OsStr::from_bytes(b"no-folder/\x1b[2J")]]
                .concat(),
            vec![OsStr::new("--credentials"), hostile, OsStr::new("--device"), hostile],
        ];
        for arguments in cases {
            let (_, printed) = run(folder, &arguments);
            let printed = String::from_utf8(printed).unwrap();
            assert!(!printed.is_empty(), "{arguments:?}");
            let raw = |character| cli::output::is_unprintable(character) && character != '\n';
            assert!(!printed.contains(raw), "{arguments:?}: {printed:?}");
            assert!(
                !printed.lines().any(|line| line.trim_start().starts_with("FORGED")),
                "{arguments:?}: {printed}"
            );
        }
    }
}
