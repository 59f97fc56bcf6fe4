//! Devices with a secret of another cloud.

use super::*;

const ALIBABA: &str = "sensor-07&a1ExampleKey";
const PSK: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";

fn with_key(id: &str) -> Folder {
    let folder = Folder::new();
    folder.sealing(&["keys", "new", id], "").unwrap();
    folder
}

#[test]
fn an_alibaba_device_is_added_with_the_secret_that_it_has() {
    let folder = with_key("2026-11");
    let words = ["add", ALIBABA, "--scheme", "alibaba", "--secret-stdin"];
    let text = folder.sealing(&words, "ExampleDeviceSecret\r\n").unwrap();
    for part in [
        "device     sensor-07&a1ExampleKey\nscheme     alibaba\nclient id  sensor-07, a1ExampleKey.sensor-07\n",
        "secret     sealed under the key `2026-11` of /",
        "grant      alibaba\nrecord     /",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("ExampleDeviceSecret") && !folder.store().contains("ExampleDeviceSecret"));
    assert_eq!(folder.opened(ALIBABA), ["ExampleDeviceSecret"]);
    assert!(folder.sealing_refusal(&words, "x").contains("has a record already"));
    let product = ["add", "sensor-08", "--product", "a1ExampleKey", "--scheme", "alibaba", "--secret-stdin"];
    let line = folder.sealing(&[&product[..], &["--json", "--grant", "own-topics"]].concat(), "x").unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        json!({"device": "sensor-08&a1ExampleKey", "scheme": "alibaba", "grant": "own-topics", "key": "2026-11",
            "client_ids": ["sensor-08", "a1ExampleKey.sensor-08"]})
    );
}

#[test]
fn a_tencent_device_and_a_device_token_have_their_own_fields() {
    let folder = with_key("k");
    folder.sealing(&["add", "AB12CD34EFd", "--scheme", "tencent", "--secret-stdin"], PSK).unwrap();
    let token = ["add", ALIBABA, "--scheme", "alibaba", "--secret-stdin", "--device-token-id", "id-1"];
    assert!(folder.sealing(&token, "token").unwrap().contains("a1ExampleKey.sensor-07, id-1\n"));
    let store = serde_json::from_str::<Value>(&folder.store()).unwrap();
    assert!(store["devices"]["AB12CD34EFd"]["secrets"][0]["psk"].is_string());
    let secret = &store["devices"][ALIBABA]["secrets"][0];
    assert!(secret["device_token"].is_string() && secret["id"] == "id-1", "{secret}");
    assert_eq!(
        (folder.opened("AB12CD34EFd"), folder.opened(ALIBABA)),
        (vec![PSK.to_owned()], vec!["token".to_owned()])
    );
    assert!(folder.is_used());
    // The id is the device's own, though nothing here opens the secret that it belongs to.
    let other = ["add", "b&k", "--scheme", "alibaba", "--secret-stdin", "--client-id", "id-1"];
    let message = folder.sealing_refusal(&other, "x");
    assert!(message.contains("one device only"), "{message}");
}

#[test]
fn a_device_with_a_token_needs_no_secret() {
    let folder = Folder::new();
    let text = folder.fleet(&["add", "d", "--scheme", "jwt", "--client-id", "d-*"], "").unwrap();
    assert!(
        text.contains("scheme     jwt\nclient id  d-*\n") && text.contains("grant      own-topics\n"),
        "{text}"
    );
    folder.fleet(&["add", "e", "--scheme", "token"], "").unwrap();
    assert!(folder.refusal(&["rotate", "e"], "").contains("the issuer of its tokens renews them"));
}

#[test]
fn options_of_another_scheme_are_refused() {
    let folder = with_key("k");
    let alibaba = ["add", ALIBABA, "--scheme", "alibaba"];
    let tencent = ["add", "AB12CD34EFd", "--scheme", "tencent"];
    let password = ["add", "a"];
    let cases: [(&[&str], &[&str], &str, &str); 14] = [
        (&alibaba, &[], "", "pipe it in with `--secret-stdin`"),
        (&alibaba, &["--secret-stdin"], "", "the secret is empty"),
        (&alibaba, &["--secret-stdin"], "a b", "white space"),
        (&alibaba, &["--password-stdin"], "x", "`--password-stdin` is not for the scheme `alibaba`"),
        (&alibaba, &["--secret-stdin", "--credentials", "c.csv"], "x", "`--credentials` is not for"),
        (&alibaba, &["--secret-stdin", "--password-stdin"], "x", "cannot be used with"),
        (&alibaba, &["--device-token-id", "i"], "x", "--secret-stdin"),
        (&tencent, &["--secret-stdin"], "hunter2", "the secret is not standard base64 with padding"),
        (&tencent, &["--secret-stdin", "--device-token-id", "i"], PSK, "is not for the scheme `tencent`"),
        (&["add", "d", "--scheme", "tencent"], &["--secret-stdin"], PSK, "the product id has 1 bytes"),
        (&["add", "d", "--scheme", "alibaba"], &["--secret-stdin"], "x", "put it in quotes"),
        (&password, &["--product", "k"], "", "`--product` is not for the scheme `password`"),
        (&password, &["--plain"], "", "`--plain` is not for the scheme `password`"),
        (&["add", "a", "--scheme", "jwt"], &["--secret-stdin"], "x", "is not for the scheme `jwt`"),
    ];
    for (words, more, input, part) in cases {
        let message = folder.sealing_refusal(&[words, more].concat(), input);
        assert!(message.contains(part), "{more:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
    assert!(!folder.file("devices.json").exists());
}

#[test]
fn a_secret_is_sealed_unless_plain_text_is_asked_for() {
    let folder = Folder::new();
    let words = ["add", ALIBABA, "--scheme", "alibaba", "--secret-stdin"];
    let message = folder.sealing_refusal(&words, "secret");
    assert!(
        message.contains("`latchkey fleet keys new ID` makes it") && message.contains("--plain"),
        "{message}"
    );
    let kms = folder.refusal(&[&words[..], &["--keyring", "kms:k.json"]].concat(), "secret");
    assert!(kms.contains("only KMS opens"), "{kms}");
    assert!(folder.is_empty());
    let text = folder.sealing(&[&words[..], &["--plain"]].concat(), "secret").unwrap();
    assert!(text.contains("LATCHKEY_ALLOW_PLAIN_SECRETS=true"), "{text}");
    assert!(folder.store().contains("\"$plain$c2VjcmV0\""), "{}", folder.store());
    let list = folder.fleet(&["list"], "").unwrap();
    let expected = "  keys        (plain text)\n  client ids  sensor-07, a1ExampleKey.sensor-07\n";
    assert!(list.ends_with(expected), "{list}");
    let words = [&["add", "b&k"], &words[2..], &["--plain"]].concat();
    let message = folder.run(&words, &b"x"[..], true).unwrap_err().to_string();
    assert_eq!(
        message,
        "pipe the secret in: latchkey fleet add 'b&k' --scheme alibaba --secret-stdin < FILE"
    );
}

#[test]
fn the_keyring_is_named_as_the_authorizer_names_it() {
    let folder = with_key("k");
    let keyring = format!("file:{}", folder.file("keyring.json").display());
    assert!(folder.fleet(&["keys", "show", "--keyring", &keyring], "").unwrap().contains("key      k"));
    for nothing in ["", "file:"] {
        assert!(folder.refusal(&["keys", "show", "--keyring", nothing], "").contains("name no file"));
    }
}

#[test]
fn a_new_secret_is_valid_next_to_the_old_one() {
    let folder = with_key("k");
    folder.sealing(&["add", ALIBABA, "--scheme", "alibaba", "--secret-stdin"], "one").unwrap();
    let rotate = |more: &[&str], input| folder.sealing(&[&["rotate", ALIBABA], more].concat(), input);
    assert!(rotate(&[], "").unwrap_err().to_string().contains("pipe that in with `--secret-stdin`"));
    assert!(rotate(&["--secret-stdin"], "").unwrap_err().to_string().contains("empty"));
    assert_eq!(folder.opened(ALIBABA), ["one"]);
    let text = rotate(&["--secret-stdin", "--old-for", "12h"], "two\n").unwrap();
    assert!(text.contains("sealed under the key `k`") && text.contains("for another 12h"), "{text}");
    assert_eq!(folder.opened(ALIBABA), ["one", "two"]);
    let line = rotate(&["--secret-stdin", "--old-for", "0s", "--json"], "three").unwrap();
    assert_eq!(folder.opened(ALIBABA), ["two", "three"]);
    let store = serde_json::from_str::<Value>(&folder.store()).unwrap();
    let secrets = &store["devices"][ALIBABA]["secrets"];
    let until = &serde_json::from_str::<Value>(&line).unwrap()["old_secret_expires_at"];
    assert!(secrets[0]["expires_at"] == *until && secrets[1].get("expires_at").is_none(), "{secrets}");
    folder.fleet(&["add", "p"], "").unwrap();
    assert!(
        folder
            .refusal(&["rotate", "p", "--secret-stdin"], "x")
            .contains("`--secret-stdin` and `--plain` are not for it")
    );
}

#[test]
fn resealing_changes_every_secret_or_none() {
    let folder = with_key("old");
    let add = |name: &str, scheme, more: &[&str], input: &str| {
        let words = ["add", name, "--scheme", scheme, "--secret-stdin"];
        folder.sealing(&[&words[..], more].concat(), input).unwrap();
    };
    add(ALIBABA, "alibaba", &[], "one");
    add("AB12CD34EFd", "tencent", &[], PSK);
    add("plain&k", "alibaba", &["--plain"], "two");
    folder.fleet(&["add", "p"], "").unwrap();
    let before = fs::read_to_string(folder.file("keyring.json")).unwrap();
    folder.sealing(&["keys", "rotate", "new"], "").unwrap();
    let unsealed = folder.store();
    let text = folder.sealing(&["reseal", "--dry-run"], "").unwrap();
    assert!(text.starts_with("would seal 3 secrets under the key `new`; 0 had it already\n"), "{text}");
    assert_eq!(folder.store(), unsealed, "a dry run writes nothing");
    let text = folder.sealing(&["reseal"], "").unwrap();
    assert!(
        text.starts_with(
            "resealed   3 secrets under the key `new`; 0 had it already\nin use     new\nunused     old: "
        ),
        "{text}"
    );
    assert_eq!(
        (folder.opened(ALIBABA), folder.opened("plain&k")),
        (vec!["one".to_owned()], vec!["two".to_owned()])
    );
    let list = serde_json::from_str::<Value>(&folder.fleet(&["list", "--json"], "").unwrap()).unwrap();
    let keys = list.as_array().unwrap().iter().map(|device| device["keys"].clone()).collect::<Vec<_>>();
    assert_eq!(keys, [json!(["new"]), json!([]), json!(["new"]), json!(["new"])]);
    let sealed = folder.store();
    let again = serde_json::from_str::<Value>(&folder.sealing(&["reseal", "--json"], "").unwrap()).unwrap();
    assert_eq!(
        again,
        json!({"resealed": 0, "kept": 3, "key": "new", "no_longer_needed": ["old"], "dry_run": false})
    );
    assert_eq!(folder.store(), sealed);
    fs::write(folder.file("keyring.json"), before).unwrap();
    add("e&k", "alibaba", &[], "three");
    let sealed = folder.store();
    let message = folder.sealing_refusal(&["reseal"], "");
    assert!(message.starts_with("3 secrets can't be opened, so nothing was changed:\n"), "{message}");
    assert!(
        message.contains("`AB12CD34EFd`: ") && message.contains("`new`") && !message.contains("`e&k`"),
        "{message}"
    );
    assert_eq!(folder.store(), sealed);
}
