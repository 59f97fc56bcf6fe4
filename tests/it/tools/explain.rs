//! `latchkey fleet explain` and `latchkey policy test`, the real program: the authorizer's golden cases, and documents of
//! anybody.

use std::{fs, path::Path, process::Stdio};

use gateway::api::key::ApiFile;
use integration::{
    cloud::outputs,
    fake_aws::{Act, FakeAws},
    fixture,
    programs::program,
    running::{Finished, Running},
    test_gateway::Start,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// The files of cases whose function has no setting that `explain` lacks.
const THEMES: [&str; 7] = ["password", "alibaba", "tencent", "jwt", "token", "http", "certificate"];

async fn latchkey(folder: &Path, words: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(words).current_dir(folder).env_remove("LATCHKEY_STORE");
    Running::start(command).finish().await
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture::path("golden/devices.json"), folder.path().join("devices.json")).unwrap();
    folder
}

/// The options for a case's function; `None` if `explain` has no option for one of its settings.
fn options(function: &Value) -> Option<Vec<String>> {
    let Some(function) = function.as_object() else { return Some(Vec::new()) };
    if function.keys().any(|key| key != "jwt") {
        return None;
    }
    let jwt = function["jwt"].as_object().unwrap();
    let mut words = Vec::new();
    for (key, value) in jwt {
        let value = match (key.as_str(), value) {
            ("keys", keys) => {
                let keys = keys.as_str().unwrap();
                let kind = if Path::new(keys).extension().unwrap() == "pem" { "pem" } else { "jwks" };
                format!("{kind}:{}", fixture::path(&format!("golden/{keys}")).display())
            }
            (_, Value::Array(names)) => {
                names.iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join(",")
            }
            (_, value) => value.as_str().unwrap().to_owned(),
        };
        words.extend([format!("--jwt-{}", key.replace('_', "-")), value]);
    }
    Some(words)
}

#[tokio::test]
async fn a_captured_event_is_explained_as_the_authorizer_decides_it() {
    let folder = folder();
    let event = folder.path().join("event.json");
    let mut explained = 0;
    for theme in THEMES {
        for case in fixture::json::<Vec<Value>>(&format!("golden/{theme}.json")) {
            let Some(options) = options(&case["function"]) else { continue };
            let name = format!("{theme}: {}", case["name"]);
            fs::write(&event, case["event"].to_string()).unwrap();
            let arn = case["function_arn"].as_str().unwrap_or_default();
            let region = arn.split(':').nth(3).unwrap_or("us-east-1");
            let account = arn.split(':').nth(4).unwrap_or("123456789012");
            let mut words =
                vec!["fleet", "--json", "--store", "devices.json", "explain", "--event", "event.json"];
            words.extend(["--region", region, "--account", account]);
            words.extend(options.iter().map(String::as_str));
            let finished = latchkey(folder.path(), &words).await;
            if case["reason"] == "not_an_event" {
                assert!(finished.code == Some(64) && finished.err().contains("is not an event"), "{name}");
                continue;
            }
            let found = serde_json::from_slice::<Value>(&finished.out).unwrap_or_else(|_| {
                panic!("{name}: {}{}", finished.out(), finished.err());
            });
            let is_refusal = case["answer"] == "refusal";
            assert_eq!(finished.code, Some(i32::from(is_refusal)), "{name}: {found}");
            assert_eq!(found["reason"], case["reason"], "{name}: {found}");
            if !is_refusal {
                let answer = &case["answer"];
                let names = [
                    ("principal_id", "principalId"),
                    ("refresh_after_seconds", "refreshAfterInSeconds"),
                    ("disconnect_after_seconds", "disconnectAfterInSeconds"),
                    ("documents", "policyDocuments"),
                ];
                for (ours, theirs) in names {
                    assert_eq!(found[ours], answer[theirs], "{name}: {ours}");
                }
            }
            explained += 1;
        }
    }
    assert!(explained > 200, "{explained}");
}

#[tokio::test]
async fn each_step_is_shown_and_no_secret() {
    let folder = folder();
    let mqtt = |password: &str| {
        json!({"protocolData": {"mqtt": {
        "username": "sht20", "password": password, "clientId": "sht20"}}})
    };
    let explain = ["fleet", "--store", "devices.json", "explain", "--event", "event.json"];
    // printf 'secret of sht20' | base64
    fs::write(folder.path().join("event.json"), mqtt("c2VjcmV0IG9mIHNodDIw").to_string()).unwrap();
    let request = ["--action", "publish", "--topic", "sensor/sht21/humidity"];
    let finished = latchkey(folder.path(), &[&explain[..], &request].concat()).await;
    let expected = "\
event      MQTT
claim      the device `sht20`, scheme password
record     scheme password, grant `sht20`, enabled
credential number 0 of the record matches
client id  sht20
documents  1 document of the grant `sht20`, 553 characters
answer     allow; refresh after 3600 s, disconnect after 86400 s

deny   iot:Publish on topic/sensor/sht21/humidity
       no statement allows it; it is allowed on
       `topic/sensor/sht20/temperature`, `topic/sensor/sht20/humidity`
";
    assert_eq!((finished.out().as_str(), finished.code), (expected, Some(1)), "{}", finished.err());

    fs::write(folder.path().join("event.json"), mqtt("bm90IGl0").to_string()).unwrap();
    let finished = latchkey(folder.path(), &explain).await;
    let end = "\
credential refused: wrong_password
answer     deny, wrong_password: no verifier that is not expired matches the
           password; check the password and the verifiers' `expires_at`
";
    assert!(finished.out().ends_with(end) && finished.code == Some(1), "{}", finished.out());
    let all = format!("{}{}", finished.out(), finished.err());
    assert!(!all.contains("bm90IGl0") && !all.contains("not it"), "{all}");
}

#[tokio::test]
async fn the_live_answer_is_compared_field_by_field() {
    let folder = folder();
    fs::write(folder.path().join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
    let event = json!({"protocolData": {"mqtt": {
        "username": "sht20", "password": "c2VjcmV0IG9mIHNodDIw", "clientId": "sht20"}}});
    fs::write(folder.path().join("event.json"), event.to_string()).unwrap();
    let local = ["fleet", "--json", "--store", "devices.json", "explain", "--event", "event.json"];
    let ours = latchkey(folder.path(), &local).await;
    let ours = serde_json::from_slice::<Value>(&ours.out).unwrap();
    let answer = |change: &dyn Fn(&mut Value)| {
        let documents = ours["documents"].as_array().unwrap().iter().map(ToString::to_string);
        let mut answer = json!({
            "isAuthenticated": true, "principalId": ours["principal_id"],
            "refreshAfterInSeconds": ours["refresh_after_seconds"],
            "disconnectAfterInSeconds": ours["disconnect_after_seconds"],
            "policyDocuments": documents.collect::<Vec<_>>(),
        });
        change(&mut answer);
        Act::Answer(200, answer.to_string())
    };
    let bare = json!({"__type": "InvalidResponseException", "message": "null at principalId failed"});
    let cases = [
        (answer(&|_| ()), json!([])),
        (answer(&|answer| answer["refreshAfterInSeconds"] = 300.into()), json!(["refreshAfterInSeconds"])),
        (answer(&|answer| answer["policyDocuments"] = json!([])), json!(["policyDocuments"])),
        (answer(&|answer| answer["isAuthenticated"] = false.into()), json!(["isAuthenticated"])),
        (Act::Answer(400, bare.to_string()), json!(["isAuthenticated"])),
    ];
    for (act, differing) in cases {
        let fake = FakeAws::start([act]).await;
        let mut command = Command::new(program("latchkey"));
        command.args(local).arg("--live").current_dir(folder.path());
        command.env("AWS_ENDPOINT_URL", fake.endpoint()).env("AWS_ACCESS_KEY_ID", "AKIDTEST");
        command.env("AWS_SECRET_ACCESS_KEY", "secret");
        let finished = Running::start(command).finish().await;
        let found =
            serde_json::from_slice::<Value>(&finished.out).unwrap_or_else(|_| panic!("{}", finished.err()));
        let fields = found["live"]["differences"].as_array().unwrap().iter().map(|it| it["field"].clone());
        assert_eq!(fields.collect::<Value>(), differing, "{found}");
        let asked = &fake.calls()[0]["mqttContext"];
        assert_eq!(
            asked,
            &json!({"username": "sht20", "password": "c2VjcmV0IG9mIHNodDIw", "clientId": "sht20"})
        );
    }
}

/// The deployed authorizer is the gateway's, called by AWS's own API; the tool's records are in another file.
#[tokio::test]
async fn the_gateways_answer_to_the_same_event_is_compared() {
    let gateway = Start::with_authorizer();
    let password = gateway.add("hall-1", "sht20");
    let gateway = gateway.run().await;
    let folder = tempfile::tempdir().unwrap();
    let records = fs::read_to_string(gateway.folder.path().join("devices.json")).unwrap();
    let passwords = |password: &str| {
        let text = format!("device,client_id,user_name,password\nhall-1,hall-1,hall-1,{password}\n");
        let path = folder.path().join("passwords.csv");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let ApiFile { endpoint, key, .. } = ApiFile::read(gateway.folder.path()).unwrap();
    let other = records.replace("\"sht20\"", "\"own-topics\"");
    let disabled = records.replace("\"enabled\": true", "\"enabled\": false");
    assert!(other != records && disabled != records, "{records}");
    let wrong = "x".repeat(43);
    let cases: [(&str, &str, &[&str], bool, i32); 4] = [
        (&records, &password, &[], true, 0),
        (&other, &password, &["policyDocuments"], true, 0),
        (&disabled, &password, &["isAuthenticated"], true, 1),
        (&records, &wrong, &[], false, 1),
    ];
    for (records, password, differing, is_authenticated, code) in cases {
        fs::write(folder.path().join("devices.json"), records).unwrap();
        passwords(password);
        let words = [
            "fleet",
            "--json",
            "--store",
            "devices.json",
            "explain",
            "--device",
            "hall-1",
            "--action",
            "connect",
        ];
        let mut command = Command::new(program("latchkey"));
        command.args(words).args(["--live", "--authorizer", "latchkey", "--credentials", "passwords.csv"]);
        command
            .current_dir(folder.path())
            .env("AWS_ENDPOINT_URL_IOT", &endpoint)
            .env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", &key.id).env("AWS_SECRET_ACCESS_KEY", key.secret.as_str());
        let finished = Running::start(command).finish().await;
        let found = serde_json::from_slice::<Value>(&finished.out);
        let found = found.unwrap_or_else(|_| panic!("{}", finished.err()));
        let live = &found["live"];
        let fields = live["differences"].as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap());
        assert_eq!(fields.collect::<Vec<_>>(), differing, "{found}");
        assert_eq!(
            (&live["is_authenticated"], finished.code),
            (&json!(is_authenticated), Some(code)),
            "{found}"
        );
        if differing == ["policyDocuments"] {
            let [here, there] = ["here", "live"].map(|side| live["differences"][0][side].as_str().unwrap());
            assert!(
                here.contains("topic/hall-1/*") && there.contains("topic/sensor/hall-1/temperature"),
                "{live}"
            );
        }
        assert!(!finished.out().contains(password) && !finished.err().contains(password));
    }
}

#[tokio::test]
async fn documents_of_anybody_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, value: &Value| fs::write(folder.path().join(name), value.to_string()).unwrap();
    let arn = |name: &str| format!("arn:aws-cn:iot:cn-north-1:000000000001:{name}");
    let allow = json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "In", "Effect": "Allow", "Action": "iot:Connect", "Resource": arn("client/${iot:ClientId}")},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:PublishRetain"], "Resource": arn("topic/a/*")},
    ]});
    let deny = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Action": "iot:Publish", "Resource": arn("topic/*/secret")},
    ]});
    write("allow.json", &allow);
    write("answer.json", &json!({"isAuthenticated": true, "policyDocuments": [allow.to_string(), deny]}));
    write("broken.json", &json!({"Version": "2012-10-17"}));

    let words =
        ["policy", "test", "answer.json", "--client", "c", "--connect", "--publish", "a/b", "--publish"];
    let finished = latchkey(folder.path(), &[&words[..], &["a/secret", "--receive", "a/b"]].concat()).await;
    let expected = "\
document 0  answer.json, policyDocuments[0]
document 1  answer.json, policyDocuments[1]
note: document 0: `Statement[1].Action[1]`: `iot:PublishRetain` names no action,
  write `iot:RetainPublish`
note: document 0: `Statement[0].Resource`: `${iot:ClientId}` matches every id
  that a client chooses, write the id out

allow  iot:Connect on client/c
       document 0 statement 0 (`In`) allows it

allow  iot:Publish on topic/a/b
       document 0 statement 1 allows it

deny   iot:Publish on topic/a/secret
       document 1 statement 0 denies it

deny   iot:Receive on topic/a/b
       no statement allows it; none allows it on anything
       near miss: document 0 statement 1 allows `iot:Publish` on it, and not
       `iot:Receive`
";
    let mut found = finished.out().lines().map(str::to_owned).collect::<Vec<_>>();
    let mut wanted = expected.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(finished.code, Some(1), "{}", finished.err());
    assert!(found.iter().all(|line| line.len() <= 80), "{}", finished.out());
    // The evaluator's notes come in its own order.
    found[2..6].sort();
    wanted[2..6].sort();
    assert_eq!(found, wanted, "{}", finished.out());

    for (words, code, part) in [
        (vec!["allow.json", "--publish", "a/b"], 0, "allow  iot:Publish on topic/a/b"),
        (
            vec!["allow.json", "--publish", "a/b", "--region", "eu-west-1"],
            1,
            "in partition `aws-cn` instead of",
        ),
        (vec!["allow.json", "--publish", "a/+"], 64, "wildcard"),
        (vec!["broken.json", "--publish", "a"], 64, "`Statement`: missing"),
        (vec!["none.json", "--publish", "a"], 64, "can't read `none.json`"),
        (vec!["allow.json"], 64, "--publish"),
        (vec!["allow.json", "--connect"], 64, "--client"),
    ] {
        let finished = latchkey(folder.path(), &[&["policy", "test"], &words[..]].concat()).await;
        let all = format!("{}{}", finished.out(), finished.err()).replace("\n       ", " ");
        assert!(finished.code == Some(code) && all.contains(part), "{words:?}: {:?} {all}", finished.code);
    }
    let finished =
        latchkey(folder.path(), &["fleet", "--json", "policy", "test", "allow.json", "--publish", "a/b"]);
    let found = serde_json::from_slice::<Value>(&finished.await.out).unwrap();
    assert_eq!(
        (&found["outcome"], &found["requests"][0]["statement"]["statement"]),
        (&json!("allow"), &json!(1))
    );
}

#[tokio::test]
async fn a_pipe_that_is_closed_ends_the_program_with_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Publish", "Resource": "*"}]});
    fs::write(folder.path().join("a.json"), document.to_string()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(program("latchkey"));
    command.args(["policy", "test", "a.json", "--publish", "a"]).current_dir(folder.path());
    let ended = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
}
