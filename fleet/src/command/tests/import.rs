//! Devices of a file.

use super::*;

const PSK: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";

fn with_key() -> Folder {
    let folder = Folder::new();
    folder.sealing(&["keys", "new", "k"], "").unwrap();
    folder
}

impl Folder {
    fn import(&self, text: &str, words: &[&str]) -> anyhow::Result<String> {
        let file = self.file("import.csv");
        fs::write(&file, text).unwrap();
        self.sealing(&[&["import", file.to_str().unwrap()], words].concat(), "")
    }

    fn import_refusal(&self, text: &str, words: &[&str]) -> String {
        format!("{:#}", self.import(text, words).unwrap_err())
    }
}

#[test]
fn an_export_that_a_spreadsheet_has_changed_is_read() {
    let folder = with_key();
    let text = "\u{feff}ProductKey;Notes;\"Device Name\";DEVICESECRET;Client_IDs\r\n\
                a1Key;\"cellar; left\r\nand right\";d1;\"se\"\"cret\";\r\n\
                \r\n;;;;\r\n\
                a1Key;;\"d2\"; secret2 ;d2 x-*\r\n";
    let printed = folder.import(text, &["--scheme", "alibaba"]).unwrap();
    assert!(
        printed.starts_with("imported 2 devices, skipped 0\nsecrets    sealed under the key `k` of /"),
        "{printed}"
    );
    assert_eq!(folder.opened("d1&a1Key"), ["se\"cret"]);
    assert_eq!(folder.opened("d2&a1Key"), ["secret2"]);
    let store = serde_json::from_str::<Value>(&folder.store()).unwrap();
    let second = &store["devices"]["d2&a1Key"];
    assert_eq!((&second["client_ids"], &second["grant"]), (&json!(["d2", "x-*"]), &json!("alibaba")));
    assert!(store["devices"]["d1&a1Key"].get("client_ids").is_none());
    for (header, more) in [
        ("ProductID,DeviceName,DevicePsk\nAB12CD34EF,", &[][..]),
        ("devicename,psk\n", &["--product", "AB12CD34EF"]),
    ] {
        let text = format!("{header}d{},{PSK}", more.len());
        let printed = folder.import(&text, &[&["--scheme", "tencent", "--json"], more].concat()).unwrap();
        assert_eq!(printed, "{\"imported\":1,\"key\":\"k\",\"skipped\":0}\n");
        assert_eq!(folder.opened(&format!("AB12CD34EFd{}", more.len())), [PSK]);
    }
    assert!(folder.is_used());
}

#[test]
fn bad_rows_are_all_named_and_none_is_written() {
    let folder = with_key();
    folder.sealing(&["add", "d0&k", "--scheme", "alibaba", "--secret-stdin"], "x").unwrap();
    let before = folder.store();
    let text = "DeviceName,DeviceSecret,ProductKey\r\n\
                good,hunter2,k\r\n\
                bad name,hunter2,k\r\n\
                ,hunter2,k\r\n\
                d3,,k\r\n\
                d4,hunter2 hunter2,k\r\n\
                d5,hunter2\r\n\
                d0,hunter2,k\r\n\
                good,hunter2,k\r\n\
                d6,\"hunter2\"hunter2,k\r\n\
                bad name,hunter2,k\r\n\
                d7,\"hunter2,k\r\n";
    let message = folder.import_refusal(text, &["--scheme", "alibaba"]);
    for part in [
        "import.csv` has 10 bad rows\n",
        "  lines 3, 11: the device name has something other than letters, digits and `-_@.:` at byte 3\n",
        "  line 4: `DeviceName` is empty\n",
        "  line 5: `DeviceSecret` is empty\n",
        "  line 6: the secret has white space in it\n",
        "  line 7: it has 2 fields, the header has 3\n",
        "  line 8: the device has a record already; `--skip-existing` leaves it unchanged\n",
        "  line 9: a duplicate of line 2; `--skip-existing` uses the first\n",
        "  line 10: a field goes on after its closing quote\n",
        "  line 12: a quote opens here that nothing closes\n",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(message.ends_with("\n  nothing was imported") && !message.contains("hunter2"), "{message}");
    assert_eq!(folder.store(), before);
}

#[test]
fn an_error_of_all_rows_is_one_line_and_a_conflict_names_both_devices() {
    let folder = with_key();
    let header = "DeviceName,DeviceSecret,ProductKey\n";
    let rows = "d,s,k1\nd,s,k2\n";
    let message =
        folder.import_refusal(&format!("{header}{rows}"), &["--scheme", "alibaba", "--grant", "none"]);
    assert!(message.contains("2 bad rows\n  lines 2-3: grant `none` does not exist"), "{message}");
    let message = folder.import_refusal(&format!("{header}{rows}"), &["--scheme", "alibaba"]);
    assert!(message.contains("nothing was imported: devices `d&k1` and `d&k2`"), "{message}");
    assert!(!folder.file("devices.json").exists());
    let apart = "DeviceName,DeviceSecret,ProductKey,client_ids\nd,s,k1,k1.d\nd,s,k2,k2.d\n";
    folder.import(apart, &["--scheme", "alibaba"]).unwrap();
}

#[test]
fn skip_existing_skips_known_devices() {
    let folder = with_key();
    let words = ["--scheme", "alibaba", "--skip-existing"];
    let text = "DeviceName,DeviceSecret,ProductKey\nd1,one,k\nd1,other,k\n";
    assert!(folder.import(text, &words).unwrap().starts_with("imported 1 device, skipped 1\n"));
    let text = "DeviceName,DeviceSecret,ProductKey\nd1,other,k\nd2,two,k\n";
    assert!(folder.import(text, &words).unwrap().starts_with("imported 1 device, skipped 1\n"));
    let before = folder.store();
    assert!(folder.import(text, &words).unwrap().starts_with("imported 0 devices, skipped 2\n"));
    assert_eq!(
        (folder.opened("d1&k"), folder.opened("d2&k")),
        (vec!["one".to_owned()], vec!["two".to_owned()])
    );
    assert_eq!(folder.store(), before);
}

#[test]
fn a_wrong_header_is_refused_and_not_repeated() {
    let folder = with_key();
    let cases: [(&[&str], &str, &str); 12] = [
        (&["--scheme", "alibaba"], "", "it is empty"),
        (
            &["--scheme", "alibaba"],
            "d,hunter2,k\n",
            "its first line is the header, and has no column `ProductKey`; `--product`",
        ),
        (&["--scheme", "alibaba", "--product", "k"], "d,hunter2\n", "no column `DeviceName`"),
        (&["--scheme", "alibaba", "--product", "k"], "DeviceName,key\n", "no column `DeviceSecret`"),
        (&["--scheme", "alibaba"], "DeviceName,psk\n", "is an export of Tencent Cloud: use `--from tencent`"),
        (
            &["--scheme", "alibaba", "--product", "k"],
            "DeviceName,DeviceSecret,ProductKey\n",
            "leave `--product` out",
        ),
        (
            &["--scheme", "alibaba"],
            "DeviceName,Device_Name,DeviceSecret,ProductKey\n",
            "two columns `DeviceName`",
        ),
        (&["--scheme", "alibaba"], "DeviceName,DeviceSecret,ProductKey\n\n", "it has no devices"),
        (
            &["--scheme", "tencent", "--product", "AB12CD34EF"],
            "DeviceName\n",
            "no column `DevicePsk` or `psk`",
        ),
        (&["--scheme", "password"], "username\n", "no column `password` or `verifier`"),
        (&["--scheme", "password"], "username,password,verifier\n", "leave one out"),
        (&["--scheme", "password", "--product", "k"], "username,password\n", "`--product` is not for"),
    ];
    for (words, text, part) in cases {
        let message = folder.import_refusal(text, words);
        assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
    }
    fs::write(folder.file("latin1.csv"), b"username,password\na,x\nb,M\xfcller\n").unwrap();
    let path = folder.file("latin1.csv").display().to_string();
    assert!(
        folder
            .refusal(&["import", &path, "--scheme", "password"], "")
            .contains("line 3: column 4: it is not UTF-8; save the file as \"CSV UTF-8\"")
    );
    for (bytes, kind) in [
        (&b"PK\x03\x04rest"[..], "is a spreadsheet or an archive"),
        (b"\xff\xfeu\0s\0", "is UTF-16; save it as \"CSV UTF-8\""),
        (b"SQLite format 3\0", "is a SQLite database"),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = folder.refusal(&["import", &path, "--scheme", "password"], "");
        assert!(message.contains(kind), "{message}");
    }
    assert!(folder.refusal(&["import", "none.csv", "--mosquitto"], "").contains("can't read `none.csv`"));
    let conflict = folder.refusal(&["import", &path, "--mosquitto", "--scheme", "alibaba"], "");
    assert!(conflict.contains("cannot be used with"), "{conflict}");
}

#[test]
fn passwords_are_hashed_and_hashes_are_unchanged() {
    let folder = Folder::new();
    let printed =
        folder.import("username,password\na, pass word \nb,hunter2\n", &["--scheme", "password"]).unwrap();
    assert!(printed.starts_with("imported 2 devices, skipped 0\nfile       "), "{printed}");
    let store = StoreFile::read(&folder.file("devices.json")).unwrap();
    let fits = |name: &str, password: &str| {
        bool::from(store.devices[name].verifiers[0].verifier.matches(password.as_bytes()))
    };
    assert!(fits("a", " pass word ") && fits("b", "hunter2") && !fits("b", "hunter"));
    assert!(folder.store().contains("$argon2id$") && !folder.store().contains("hunter2"));
    let verifier = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";
    folder
        .import(&format!("verifier,username\n{verifier},c\n"), &["--scheme", "password", "--grant", "sht20"])
        .unwrap();
    assert!(folder.store().contains(verifier));
    let message =
        folder.import_refusal("username,verifier\nd,hunter2\nd/e,hunter2\n", &["--scheme", "password"]);
    assert!(
        message.contains("line 2: unknown verifier") && message.contains("line 3: not a device name"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_password_file_of_mosquitto_is_imported() {
    let folder = Folder::new();
    let salt = "AAECAwQFBgcICQoL";
    let hash = format!("$7$101${salt}${}AA==", "A".repeat(84));
    let text = format!("# fleet\nroger:{hash}\r\n\nsub_client:{hash}\n");
    assert!(folder.import(&text, &["--mosquitto"]).unwrap().starts_with("imported 2 devices"));
    assert!(folder.store().contains(&hash) && folder.store().contains("\"sub_client\""));
    let message =
        folder.import_refusal("roger:hunter2\nhunter2\na b:hunter2\n", &["--mosquitto", "--skip-existing"]);
    for part in ["line 1: it is not a hash", "line 2: it is not `name:hash`", "line 3: not a device name"] {
        assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn ten_thousand_rows_are_one_change() {
    let folder = with_key();
    let rows = (0..10_000).map(|n| format!("d{n},secret{n},k")).collect::<Vec<_>>().join("\n");
    let printed = folder
        .import(&format!("DeviceName,DeviceSecret,ProductKey\n{rows}"), &["--scheme", "alibaba"])
        .unwrap();
    assert!(printed.starts_with("imported 10,000 devices, skipped 0\n"), "{printed}");
    assert_eq!(folder.opened("d9999&k"), ["secret9999"]);
}

#[test]
fn keep_going_imports_the_good_rows_and_names_the_bad_ones() {
    let folder = with_key();
    let text =
        b"username,verifier\na,$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po\n\
        b,hunter2\nc\n\xff,x\na,$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po\n\
        d,$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po\n";
    let path = folder.file("users.csv");
    fs::write(&path, text).unwrap();
    let words = ["import", path.to_str().unwrap(), "--from", "csv"];
    let refused = folder.refusal(&words, "");
    assert!(refused.ends_with("`--keep-going` imports the good rows\n  nothing was imported"), "{refused}");
    assert!(!folder.file("devices.json").exists() && !refused.contains("hunter2"), "{refused}");
    let printed = folder.fleet(&[&words[..], &["--keep-going"]].concat(), "").unwrap();
    for part in [
        "imported 2 devices, skipped 0\nleft out   4 bad rows\n",
        "  line 3: unknown verifier",
        "  line 4: it has 1 field, the header has 2\n",
        "  line 5: column 1: it is not UTF-8; save the file as \"CSV UTF-8\"\n",
        "  line 6: a duplicate of line 2; `--skip-existing` uses the first\n",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    let names = StoreFile::read(&folder.file("devices.json")).unwrap().devices;
    assert!(
        names.keys().map(ToString::to_string).eq(["a", "d"]) && !printed.contains("hunter2"),
        "{printed}"
    );
    // They are there already: nothing is left to import, and the rows are bad ones.
    let again = folder.fleet(&[&words[..], &["--keep-going", "--json"]].concat(), "").unwrap();
    let again = serde_json::from_str::<Value>(&again).unwrap();
    assert_eq!(
        (&again["imported"], &again["bad"], again["bad_rows"].as_array().unwrap().len()),
        (&json!(0), &json!(6), 6)
    );
    // Of two that contradict each other, the first is imported.
    let text = "DeviceName,DeviceSecret,ProductKey\nd,s,k1\nd,s,k2\n";
    let printed = folder.import(text, &["--scheme", "alibaba", "--keep-going"]).unwrap();
    assert!(
        printed.contains("left out   1 bad row\n  line 3: devices `d&k1` and `d&k2` may both"),
        "{printed}"
    );
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = Folder::new();
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    let printed = folder.fleet(&["import", "-", "--mosquitto"], &format!("roger:{hash}\n")).unwrap();
    assert_eq!(printed, "imported 1 device, skipped 0\n");
    assert!(folder.store().contains("\"roger\""));
    let refused = folder.refusal(&["import", "-", "--mosquitto"], &format!("a:{hash}\nb:x\n"));
    assert!(refused.contains("`standard input` has 1 bad row\n  line 2: it is not a hash"), "{refused}");
}

#[test]
fn a_file_that_does_not_fit_in_one_part_is_written_in_the_order_of_names() {
    let folder = Folder::new();
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    folder.import(&format!("u5x:{hash}\n"), &["--mosquitto"]).unwrap();
    let users = (0..20_000).map(|n| format!("u{}:{hash}", n * 7_919 % 20_000)).collect::<Vec<_>>().join("\n");
    folder.import(&users, &["--mosquitto"]).unwrap();
    let store = folder.store();
    let document = StoreFile::read(&folder.file("devices.json")).unwrap();
    assert_eq!(document.devices.len(), 20_001);
    assert!(
        store == serde_json::to_string_pretty(&document).unwrap() + "\n",
        "it is as every other command writes it"
    );
    let mut files =
        fs::read_dir(folder.0.path()).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    files.sort();
    assert_eq!(files, ["devices.json", "devices.json.lock", "import.csv"]);
}

#[test]
fn prefix_rules_of_all_users_are_compared() {
    let folder = Folder::new();
    let hash = format!("$7$101$AAECAwQFBgcICQoL${}AA==", "A".repeat(84));
    let ids = ["--mosquitto", "--client-id", "%u", "--client-id", "%u-*"];
    let users =
        |names: &[&str]| names.iter().map(|name| format!("{name}:{hash}")).collect::<Vec<_>>().join("\n");
    let refused = folder.import_refusal(&users(&["a", "b", "a-1"]), &ids);
    assert!(
        refused.contains("devices `a` and `a-1` may both use client ids that `a-*` and `a-1` cover"),
        "{refused}"
    );
    folder.import(&users(&["a", "b", "a1"]), &ids).unwrap();
    let refused = folder.import_refusal(&users(&["c", "b-2"]), &ids);
    assert!(refused.contains("devices `b` and `b-2` may both use client ids"), "{refused}");
    assert_eq!(StoreFile::read(&folder.file("devices.json")).unwrap().devices.len(), 3);
}
