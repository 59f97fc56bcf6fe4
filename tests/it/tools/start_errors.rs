//! What `latchkey local` says if it can't start: the cause, which names the value and its place, and the cure.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use integration::{device_certificate::DeviceCertificate, programs::program, running::Running};
use tokio::process::Command;

/// A start that fails.
struct Case {
    what: &'static str,
    /// Makes the files in the folder in which the gateway starts.
    prepare: fn(&Path),
    flags: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    code: i32,
    cause: &'static str,
    cure: &'static str,
}

fn case(what: &'static str, cause: &'static str, cure: &'static str) -> Case {
    Case { what, prepare: |_| {}, flags: &[], variables: &[], code: 64, cause, cure }
}

/// Writes a file, with its folder.
fn write(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// Puts the CA's files there, of which the one is replaced afterwards.
fn authority(folder: &Path) {
    fs::create_dir(folder.join(".latchkey")).unwrap();
    DeviceCertificate::new("ca").write(&folder.join(".latchkey"), "ca");
}

fn settings(folder: &Path, text: &str) {
    write(folder, "latchkey.toml", text);
}

/// Runs `latchkey local` in a folder until it ends. Its output is one line, however the terminal would wrap it.
async fn start(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(program("latchkey"));
    command.current_dir(folder).args(["local", "--stop-with-stdin"]).args(flags);
    for port in ["--port", "--port-8883", "--port-8443", "--port-status", "--port-api"] {
        if !flags.contains(&port) {
            command.args([port, "0"]);
        }
    }
    for name in ["LATCHKEY_STORE", "LATCHKEY_DEVICES", "LATCHKEY_DATA_KEYS"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let mut running = Running::start(command);
    // One that starts nevertheless ends with its standard input.
    running.input(b"").await;
    let finished = running.finish().await;
    let text = finished.err() + &finished.out();
    (finished.code, text.split_whitespace().collect::<Vec<_>>().join(" "))
}

async fn check(cases: impl IntoIterator<Item = Case>) {
    for Case { what, prepare, flags, variables, code, cause, cure } in cases {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let (found, text) = start(folder.path(), flags, variables).await;
        println!("{what}: {text}");
        assert_eq!(found, Some(code), "{what}: {text}");
        assert!(text.contains(cause), "{what}, the cause: {text}");
        assert!(text.contains(cure), "{what}, the cure: {text}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--port-8883", "--port-8443", "--port-status", "--port-api"] {
        let (code, text) = start(folder.path(), &[flag, &port], &[]).await;
        assert_eq!(code, Some(64), "{flag}: {text}");
        assert!(text.contains(&format!("can't listen on 127.0.0.1:{port}: ")), "{flag}: {text}");
        let cure = format!("another program uses the port: stop it, or choose another port with `{flag}`");
        assert!(text.contains(&cure), "{flag}: {text}");
    }
}

#[tokio::test]
async fn an_address_a_name_and_an_account_that_are_none() {
    check([
        Case {
            // RFC 5737: no machine has it.
            flags: &["--listen", "203.0.113.9"],
            ..case(
                "an address of another machine",
                "can't listen on 203.0.113.9:0",
                "or on all with `--listen 0.0.0.0`",
            )
        },
        Case {
            flags: &["--name", "a b"],
            ..case("a name", "invalid value 'a b' for '--name <NAME>'", "such as `192.168.1.10`")
        },
        Case {
            flags: &["--region", "x y"],
            ..case("a region", "`x y` is not a region", "write one like `eu-west-1`")
        },
        Case {
            flags: &["--account", "12"],
            ..case("an account", "`12` is not an account", "write its 12 digits")
        },
        Case {
            flags: &["--port", "70000"],
            ..case("a port", "70000", "a number from 0 to 65535, or `off`; 0 chooses a free port")
        },
    ])
    .await;
}

#[tokio::test]
async fn files_of_the_ca_that_can_not_be_used() {
    const DELETE: &str = "or delete both and start again, and give your devices the new ca.pem";
    check([
        Case {
            prepare: |folder| write(folder, ".latchkey/ca.pem", "x"),
            ..case(
                "a certificate alone",
                "`.latchkey/ca.pem` is there without ca.key",
                "delete it and start again",
            )
        },
        Case {
            prepare: |folder| write(folder, ".latchkey/ca.key", "x"),
            ..case("a key alone", "`.latchkey/ca.key` is there without ca.pem", "delete it and start again")
        },
        Case {
            prepare: |folder| {
                authority(folder);
                write(folder, ".latchkey/ca.pem", "x");
            },
            ..case("no certificate", "`.latchkey/ca.pem` has no certificate in PEM form", DELETE)
        },
        Case {
            prepare: |folder| {
                authority(folder);
                write(folder, ".latchkey/ca.key", "x");
            },
            ..case("no key", "`.latchkey/ca.key` has no private key in PEM form", DELETE)
        },
        Case {
            prepare: |folder| {
                authority(folder);
                DeviceCertificate::new("ca").write(folder, "other");
                fs::rename(folder.join("other.key"), folder.join(".latchkey/ca.key")).unwrap();
            },
            ..case("another one's key", "`.latchkey/ca.key` is not the key of `.latchkey/ca.pem`", DELETE)
        },
    ])
    .await;
}

#[tokio::test]
async fn a_data_folder_and_its_files_that_can_not_be_used() {
    const DELETE: &str = "delete it and start the gateway again";
    const MOVE: &str = "or put back a copy of both";
    check([
        Case {
            prepare: |folder| write(folder, ".latchkey", ""),
            ..case("a file", "can't make the data folder `.latchkey`", "or name another folder with `--data`")
        },
        Case {
            prepare: |folder| fs::create_dir_all(folder.join(".latchkey/events.jsonl")).unwrap(),
            ..case("a log", "can't write the log `.latchkey/events.jsonl`", "remove the folder")
        },
        Case {
            prepare: |folder| write(folder, ".latchkey/broker.sqlite3", &"not SQLite, ".repeat(1_000)),
            ..case("sessions", "broker.sqlite3` is damaged", MOVE)
        },
        Case {
            prepare: |folder| write(folder, ".latchkey/registry.sqlite3", &"not SQLite, ".repeat(1_000)),
            ..case("a registry", "registry.sqlite3` is damaged", MOVE)
        },
        Case {
            prepare: |folder| private(folder, ".latchkey/console.json", "{\"token\": 1}"),
            ..case("a token", "console.json` is not what the gateway wrote", DELETE)
        },
        Case {
            prepare: |folder| private(folder, ".latchkey/api.json", "{}"),
            ..case("a key", "api.json` is not what the gateway wrote", DELETE)
        },
    ])
    .await;
}

/// Writes a file that only its owner can read.
fn private(folder: &Path, name: &str, text: &str) {
    write(folder, name, text);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[tokio::test]
async fn records_that_can_not_be_used() {
    check([
        Case {
            prepare: |folder| fs::create_dir_all(folder.join(".latchkey/devices.json")).unwrap(),
            ..case("a folder", "can't read the device records in `", "name a file with LATCHKEY_STORE")
        },
        Case {
            prepare: |folder| write(folder, ".latchkey/devices.json", "{\n"),
            ..case(
                "half a file",
                "devices.json` is not a file of device records: ",
                "put back a copy of the file",
            )
        },
        Case {
            prepare: |folder| write(folder, ".latchkey/devices.json", "{\"version\": 2, \"devices\": {}}"),
            ..case(
                "a later version",
                "the format's version is 2, and this program reads 1",
                "run a version that reads it",
            )
        },
        Case {
            flags: &["--devices", "no/such/devices.json"],
            ..case(
                "no folder",
                "can't make the devices file `",
                "make its folder, or name another file with `--devices`",
            )
        },
        Case {
            variables: &[("LATCHKEY_STORE", "redis:devices")],
            ..case("another store", "LATCHKEY_STORE: `redis:devices` is not a store", "`file:")
        },
        Case {
            variables: &[("LATCHKEY_DEVICES", "mine.json")],
            ..case(
                "an old variable",
                "LATCHKEY_DEVICES is now LATCHKEY_STORE",
                "set LATCHKEY_STORE=file:mine.json",
            )
        },
        Case {
            prepare: |folder| private(folder, ".latchkey/keyring.json", "{"),
            ..case("a keyring", "keyring.json`", "put back a copy")
        },
    ])
    .await;
}

#[tokio::test]
async fn a_settings_file_that_can_not_be_used() {
    check([
        Case {
            flags: &["--config", "mine.toml"],
            ..case("none", "can't read the settings file `mine.toml`: ", "`latchkey local init` writes one")
        },
        Case {
            prepare: |folder| fs::create_dir(folder.join("latchkey.toml")).unwrap(),
            ..case(
                "a folder",
                "can't read the settings file `latchkey.toml`: ",
                "name a file with `--config`",
            )
        },
        Case {
            prepare: |folder| fs::write(folder.join("latchkey.toml"), b"region = '\xff'").unwrap(),
            ..case("bytes", "can't read the settings file `latchkey.toml`: ", "it has to be text in UTF-8")
        },
        Case {
            prepare: |folder| settings(folder, "\n\nregion = "),
            ..case("no TOML", "the settings file `latchkey.toml`: line 3: ", "string values must be quoted")
        },
        Case {
            prepare: |folder| settings(folder, "nmae = 1"),
            ..case("an unknown key", "line 1: unknown field `nmae`", "expected one of `listen`, `names`")
        },
        Case {
            prepare: |folder| settings(folder, "region = 1"),
            ..case("another type", "line 1: `region`: it is a whole number", "should be a string")
        },
        Case {
            prepare: |folder| {
                settings(
                    folder,
                    "[[authorizer]]\nname = 'a'\nsigning = true\n[[certificate]]\nfile = 'no.pem'\n",
                );
            },
            ..case("two mistakes", "`signing = true` needs a `token_key_name`", "no.pem`: No such file")
        },
    ])
    .await;
}

#[tokio::test]
async fn a_function_that_can_not_be_started() {
    check([
        Case {
            flags: &["--authorizer", "./no-program"],
            ..case(
                "no program",
                "can't start the authorizer `./no-program`: ",
                "or name it with `--authorizer`",
            )
        },
        Case {
            prepare: |folder| write(folder, "app.py", "print(1)"),
            flags: &["--authorizer", "./app.py"],
            ..case("a script", "can't start the authorizer `./app.py`: ", "or the interpreter of a script")
        },
        Case {
            prepare: |folder| fs::create_dir(folder.join("app")).unwrap(),
            flags: &["--authorizer", "./app"],
            ..case("a folder", "can't start the authorizer `./app`: ", "name a program that you may execute")
        },
        Case {
            flags: &["--authorizer", "http://127.0.0.1:9000/x"],
            ..case("a URL", "it is a URL, not a program", "name it with `--invoke-url`")
        },
        Case {
            flags: &["--invoke-url", "http://example.com/2015-03-31/functions/a/invocations"],
            ..case("plain HTTP", "the events hold passwords", "use `https`, or forward a port")
        },
        Case {
            flags: &["--invoke-url", "function"],
            ..case("no URL", "`--invoke-url`: not an Invoke URL", "it should read `http://127.0.0.1:9000/")
        },
        Case {
            flags: &["--authorizer", "false"],
            code: 1,
            ..case(
                "another program",
                "it ended with exit status: 1 and wrote nothing",
                "set `runtime_api_path = false`",
            )
        },
        Case {
            flags: &["--function-env", "LATCHKEY_NO_SUCH=1"],
            ..case("a variable", "LATCHKEY_NO_SUCH", "its own lines above say why")
        },
    ])
    .await;
}
