//! Texts of arguments, files and AWS's services, in the output of the commands that people type.

use integration::{
    canary::Writings,
    fake_aws::{Act, FakeAws},
    programs::program,
    running::Running,
};
use serde_json::json;
use tempfile::tempdir;
use tokio::process::Command;

use super::{all, assert_escaped, run, without_controls};

const HASH: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

#[tokio::test]
async fn text_of_arguments_and_files_is_escaped() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let mut writings = Writings::default();
    let of = all;
    // TOML has no DEL in a string.
    let quoted = |text: String| json!(text).to_string().replace('\u{7f}', "");
    let (grant, csv, toml) = (of("grant.json"), of("rows.csv"), of("settings.toml"));
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": of("grant")});
    let store = json!({"version": 1, "devices": {"hall-1": record}});
    std::fs::write(folder.join(&grant), store.to_string()).unwrap();
    let column = format!("device,client_id,user_name,password,{}\n\"{}\",b,c,d,e\n", of("column"), of("row"));
    std::fs::write(folder.join(&csv), column).unwrap();
    std::fs::write(
        folder.join(&toml),
        format!("{} = 1\nregion = {}\n", quoted(of("tomlkey")), quoted(of("tomlvalue"))),
    )
    .unwrap();
    let (argument, path) = (of("argument"), of("path"));
    let fleet: [&[&str]; 11] = [
        &[&argument],
        &["add", &argument],
        &["add", "hall-2", "--grant", &argument],
        &["add", "hall-2", "--client-id", &argument],
        &["remove", "hall-1", "--yes", "--store", &path],
        &["list", "--store", &grant],
        &["enable", "hall-1", "--store", &grant],
        &["import", &csv],
        &["import", &path, "--mosquitto"],
        &["provision", "--from", &csv],
        &["keys", "show", "--keyring", &path],
    ];
    for words in fleet {
        run(folder, "latchkey", &[&["fleet"], words].concat(), &[], &mut writings).await;
    }
    run(folder, "latchkey-sim", &["--endpoint", &of("endpoint"), "--credentials", &csv], &[], &mut writings)
        .await;
    run(folder, "latchkey-sim", &["--ca", &path, "--credentials", &csv], &[], &mut writings).await;
    run(folder, "latchkey-gateway", &["--config", &toml], &[], &mut writings).await;
    run(folder, "latchkey-gateway", &["--config", &path], &[], &mut writings).await;
    let init = of("init");
    let mut command = Command::new(program("latchkey-gateway"));
    command.args(["init", &init]).current_dir(folder);
    let finished = Running::start(command).finish().await;
    writings.add("standard output of init", finished.out);
    run(folder, "latchkey-authorizer", &[], &[("LATCHKEY_STORE", &of("variable"))], &mut writings).await;
    let places =
        ["argument", "path", "grant", "tomlkey", "endpoint", "init", "variable", "rows.csv", "settings.toml"];
    assert_escaped(&writings, &places);
}

/// The sources of `import` and `check-migration`, each with a file as it writes it, and hostile texts in it.
fn exports() -> Vec<(&'static str, String)> {
    let (name, hash) =
        (without_controls("exported"), "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy");
    let quoted = format!("\"{}\"", all("exported").replace('"', "\"\""));
    vec![
        ("mosquitto", format!("{name}:$7$101$AAAA$BBBB\nhall-1:{name}\n")),
        (
            "mosquitto-dynsec",
            json!({"clients": [{"username": all("exported"), "password": all("exported")}]}).to_string(),
        ),
        (
            "emqx",
            json!([{"user_id": all("exported"), "password_hash": all("exported"), "salt": all("exported")}])
                .to_string(),
        ),
        ("mosquitto-go-auth", format!("username,password_hash\n{quoted},{hash}\nhall-1,{quoted}\n")),
        ("django", format!("username,password\n{quoted},{hash}\nhall-1,{quoted}\n")),
        ("passlib", format!("{name}:{hash}\nhall-1:{name}\n")),
        ("htpasswd", format!("{name}:{hash}\nhall-1:{name}\n")),
        ("alibaba", format!("DeviceName,DeviceSecret,ProductKey\n{quoted},{quoted},{quoted}\n")),
        ("tencent", format!("DeviceName,DevicePsk,ProductId\n{quoted},{quoted},{quoted}\n")),
        ("csv", format!("device,password,{quoted}\n{quoted},p,x\n")),
    ]
}

/// Files that the commands read, and hostile texts in them.
fn inspected_files() -> [(&'static str, String); 11] {
    let statement = json!({"Effect": all("effect"), "Action": all("action"), "Resource": all("resource")});
    let allowed = json!({"Effect": "Allow", "Action": "iot:Publish", "Resource": all("arn:aws:iot:us-east-1:123456789012:topic/")});
    let document = |statement| json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    let event = json!({"protocolData": {"mqtt": {"username": all("eventuser"), "clientId": all("eventid"), "password": "cA=="}}});
    let decision = json!({"event": "decision", "device": all("logdevice"), "outcome": all("outcome"), "grant": all("g")});
    let logged = json!({"timestamp": "2026-11-30T00:00:00Z", "eventType": "Connect", "status": "Failure", "clientId": "hall-1",
        "principalId": all("whyprincipal"), "reason": all("whyreason"), "details": all("whydetails"), "traceId": all("trace"),
        "connection_id": "c1"});
    let taken_over = json!({"timestamp": "2026-11-30 00:00:00.000", "eventType": "Disconnect", "status": "Failure",
        "clientId": all("fleetclient"), "sourceIp": all("fleetip"), "topicName": all("fleettopic"),
        "disconnectReason": "DUPLICATE_CLIENTID", "details": all("fleetdetails; ")});
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
    let strange = json!({"scheme": "password", "verifiers": [{"verifier": all("verifier")}], "grant": "own-topics",
        "client_ids": [all("clientids")], "parameters": {all("parameter"): all("value")}, all("field"): 1});
    let grants = json!({all("grantname"): {"publish": [all("template")]}});
    [
        ("strange.json", document(statement)),
        ("allowed.json", document(allowed)),
        ("event.json", event.to_string()),
        ("decisions.jsonl", format!("{decision}\n{}\n", all("notjson"))),
        ("events.jsonl", format!("{logged}\n{taken_over}\n{}\n", all("notjson"))),
        (
            "topics.txt",
            format!("{}\n{}\n", without_controls("topicline"), all("topicline").replace(['\r', '\n'], "")),
        ),
        (
            "mosquitto.log",
            format!(
                "1700000000: New client connected from 1.2.3.4:5 as {0} (p2, c1, k60, u'{0}').\n",
                without_controls("logclient")
            ),
        ),
        ("devices.json", json!({"version": 1, "devices": {"hall-1": record}}).to_string()),
        (
            "unusable.json",
            json!({"version": 1, "devices": {"hall-1": strange, all("devicename"): record}}).to_string(),
        ),
        ("grants.json", json!({"version": 1, "grants": grants, "devices": {}}).to_string()),
        ("ca.pem", all("notacertificate")),
    ]
}

#[tokio::test]
async fn text_of_imported_and_inspected_files_is_escaped() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let mut writings = Writings::default();
    for (source, text) in exports() {
        let file = format!("{source}.txt");
        std::fs::write(folder.join(&file), text).unwrap();
        for words in [&["fleet", "import"][..], &["fleet", "check-migration"]] {
            run(folder, "latchkey", &[words, &["--from", source, &file]].concat(), &[], &mut writings).await;
        }
    }
    for (name, text) in inspected_files() {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let ask = ["--client", "hall-1", "--publish", "t"];
    let (hostile, devices) = (all("asked"), ["--store", "devices.json"]);
    let commands: Vec<Vec<&str>> = vec![
        [&["policy", "test", "strange.json"][..], &ask].concat(),
        [&["policy", "test", "allowed.json"][..], &ask].concat(),
        vec!["policy", "test", "allowed.json", "--client", &hostile, "--publish", &hostile],
        [&["fleet", "explain", "--event", "event.json"][..], &devices].concat(),
        [
            &[
                "fleet",
                "explain",
                "--device",
                "hall-1",
                "--client-id",
                &hostile,
                "--action",
                "publish",
                "--topic",
                &hostile,
            ][..],
            &devices,
        ]
        .concat(),
        [&["fleet", "lint", "--document", "strange.json", "--document", "allowed.json"][..], &devices]
            .concat(),
        [&["fleet", "lint", "--log", "decisions.jsonl"][..], &devices].concat(),
        vec!["fleet", "lint", "--store", "unusable.json"],
        vec!["fleet", "list", "--store", "unusable.json"],
        vec!["fleet", "check", "--store", "unusable.json"],
        vec!["fleet", "show", "hall-1", "--store", "unusable.json"],
        vec!["fleet", "set", "hall-1", "--grant", "sht20", "--store", "unusable.json"],
        vec!["fleet", "grants", "list", "--store", "grants.json"],
        vec!["fleet", "grants", "show", &hostile, "--store", "grants.json"],
        vec![
            "fleet",
            "check-migration",
            "--from",
            "mosquitto",
            "mosquitto.txt",
            "--topics",
            "topics.txt",
            "--capture",
            "mosquitto.log",
        ],
        [
            &["fleet", "kit", "hall-1", "--for", "paho", "--ca", "ca.pem", "--endpoint", "localhost:1"][..],
            &devices,
        ]
        .concat(),
        vec!["why", "hall-1", "--log", "events.jsonl"],
        vec!["why", "--log", "events.jsonl", &hostile],
        vec!["fleet", "logs", "--log", "events.jsonl", "--since", "36500d"],
        vec!["fleet", "logs", "--log", "events.jsonl", "--since", "36500d", "--device", &hostile],
        vec!["fleet", "stats", "--log", "events.jsonl", "--since", "36500d"],
        vec!["fleet", "revoke", "--from-file", "topics.txt"],
        vec!["fleet", "revoke", "undo", "events.jsonl"],
    ];
    for words in commands {
        run(folder, "latchkey", &words, &[], &mut writings).await;
    }
    let places = [
        "effect",
        "asked",
        "tencent_too_few_parts",
        "whyreason",
        "unusable.json",
        "logclient",
        "fleetclient",
    ];
    assert_escaped(&writings, &places);
}

/// What DynamoDB and Secrets Manager could answer to any call that the commands make, with the store that is meant.
fn answers() -> Vec<(&'static str, String)> {
    let text = |value: &str| json!({"S": value});
    let item = |grant: &str, scheme: &str, verifier: &str, id: &str| {
        let verifier = json!({"L": [{"M": {"verifier": text(verifier)}}]});
        json!({"device": text("hall-1"), "schema_version": {"N": "1"}, "scheme": text(scheme), "verifiers": verifier,
            "grant": text(grant), "client_ids": {"L": [text(id)]}})
    };
    let with = |name: &str, value| {
        let mut changed = item("own-topics", "password", HASH, "hall-1");
        changed[name] = value;
        changed
    };
    let items = [
        item(&all("tablegrant"), "password", HASH, "hall-1"),
        item("own-topics", &all("tablescheme"), HASH, "hall-1"),
        item("own-topics", "password", &all("tableverifier"), "hall-1"),
        item("own-topics", "password", HASH, &all("tableid")),
        with(&all("attribute"), text("x")),
        with("device", text(&all("tabledevice"))),
        with("schema_version", text(&all("tableversion"))),
        with("ttl", text(&all("tablettl"))),
    ];
    let record =
        |grant: &str| json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": grant});
    let stores = [
        json!({"version": 1, "devices": {"hall-1": record(&all("secretgrant"))}}).to_string(),
        json!({"version": 1, "devices": {all("secretdevice"): record("own-topics")}}).to_string(),
        all("secrettext"),
    ];
    let (table, secret) = ("dynamodb:table", "secretsmanager:secret");
    let of_tables = items.iter().map(|item| {
        let answer = json!({"Item": item, "Items": [item], "Count": 1, "ScannedCount": 1});
        (table, answer.to_string())
    });
    let of_secrets = stores.iter().map(|store| {
        let answer = json!({"SecretString": store, "VersionId": all("secretversion"), "Name": all("secretname"),
            "ARN": all("secretarn")});
        (secret, answer.to_string())
    });
    of_tables.chain(of_secrets).chain([(table, all("notjson")), (secret, all("notjson"))]).collect()
}

#[tokio::test]
async fn text_of_tables_and_secrets_is_escaped() {
    let mut writings = Writings::default();
    let folder = tempdir().unwrap();
    for (store, answer) in answers() {
        let aws = FakeAws::start([Act::Answer(200, answer)]).await;
        let variables = [
            ("AWS_ENDPOINT_URL", aws.endpoint()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_CONFIG_FILE", "no-such-file"),
            ("AWS_SHARED_CREDENTIALS_FILE", "no-such-file"),
        ];
        let commands: [&[&str]; 7] = [
            &["list"],
            &["show", "hall-1"],
            &["check"],
            &["set", "hall-1", "--grant", "sht20"],
            &["disable", "hall-1"],
            &["rotate", "hall-1"],
            &["add", "hall-1"],
        ];
        for words in commands {
            let words = [&["fleet"], words, &["--store", store]].concat();
            run(folder.path(), "latchkey", &words, &variables, &mut writings).await;
        }
    }
    assert_escaped(&writings, &["tablegrant", "secretgrant"]);
}

#[tokio::test]
async fn text_of_awss_services_is_escaped() {
    let mut writings = Writings::default();
    let folder = tempdir().unwrap();
    let record = json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "own-topics"});
    let store = json!({"version": 1, "devices": {"hall-1": record}});
    std::fs::write(folder.path().join("devices.json"), store.to_string()).unwrap();
    let error = json!({"__type": "ValidationException", "message": all("awstext")});
    let aws = FakeAws::start([Act::Answer(400, error.to_string())]).await;
    let variables = [
        ("AWS_ENDPOINT_URL", aws.endpoint()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_CONFIG_FILE", "no-such-file"),
        ("AWS_SHARED_CREDENTIALS_FILE", "no-such-file"),
    ];
    let commands: [&[&str]; 3] = [
        &["push", "devices.json", "--store", "dynamodb:table"],
        &["push", "devices.json", "--store", "secretsmanager:secret"],
        &["provision", "hall-{1..2}", "--store", "dynamodb:table", "--credentials", "c.csv"],
    ];
    for words in commands {
        run(folder.path(), "latchkey", &[&["fleet"], words].concat(), &variables, &mut writings).await;
    }
    assert_escaped(&writings, &["awstext"]);
}
