//! `latchkey fleet` on a table that moto plays: an import, a push, a listing, changes and `lint`. Other tests have an embedded
//! DynamoDB, and `provision` has moto's registry too.

use std::fs;

use integration::{
    cloud::{Cloud, TABLE},
    running::Running,
};
use serde_json::{Value, json};

const HASH: &str = "$7$101$AAECAwQFBgcICQoL$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

/// What a command on the stage's table prints with `--json`, and its exit code.
async fn fleet(cloud: &Cloud, words: &[&str]) -> (Option<i32>, Value, String) {
    let mut command = cloud.command(cloud.endpoint(), &[&["fleet", "--json"], words].concat());
    command.env("LATCHKEY_GRANTS", cloud.file("grants.json"));
    let finished = Running::start(command).finish().await;
    (finished.code, serde_json::from_slice(&finished.out).unwrap_or(Value::Null), finished.err())
}

#[tokio::test]
async fn a_mosquitto_fleet_is_imported_pushed_listed_changed_and_linted_on_motos_table() {
    let cloud = Cloud::start().await;
    fs::write(
        cloud.file("grants.json"),
        r#"{"version": 1, "grants": {"line": {"publish": ["line/{client_id}"]}}}"#,
    )
    .unwrap();
    let users = (0..30).map(|n| format!("user-{n:02}:{HASH}")).collect::<Vec<_>>();
    fs::write(cloud.file("passwd"), users.join("\n")).unwrap();
    // The stage is that of `cdk-outputs.json` in the folder, and its store is the table.
    let import = ["import", "passwd", "--from", "mosquitto", "--grant", "line"];
    let (code, report, err) = fleet(&cloud, &import).await;
    assert_eq!((code, &report["imported"]), (Some(0), &json!(30)), "{err}");
    assert_eq!(cloud.records().await.len(), 30);
    let (code, report, err) = fleet(&cloud, &[&import[..], &["--skip-existing"]].concat()).await;
    assert_eq!((code, &report["imported"]), (Some(0), &json!(0)), "{err}");

    // A file's records besides them; one of them is owned by another device already.
    let record = |ids: &[&str]| json!({"scheme": "password", "verifiers": [{"verifier": HASH}], "grant": "line", "client_ids": ids});
    let file = |ids: &[&str]| {
        let devices = json!({"panel-1": record(&["panel-1"]), "panel-2": record(ids)});
        let store =
            json!({"version": 1, "grants": {"line": {"publish": ["line/{client_id}"]}}, "devices": devices});
        fs::write(cloud.file("panels.json"), store.to_string()).unwrap();
    };
    file(&["user-07"]);
    let (code, report, err) = fleet(&cloud, &["push", "panels.json"]).await;
    assert_eq!((code, &report["complete"]), (Some(1), &json!(false)), "{err}");
    assert!(report.to_string().contains("user-07"), "{report}");
    file(&["panel-2"]);
    let (code, report, err) = fleet(&cloud, &["push", "panels.json"]).await;
    assert_eq!((code, &report["complete"]), (Some(0), &json!(true)), "{err}");
    assert_eq!(cloud.records().await.len(), 32);

    let (code, listed, err) = fleet(&cloud, &["list"]).await;
    assert_eq!((code, listed.as_array().map(Vec::len)), (Some(0), Some(32)), "{err}");
    let (code, shown, err) = fleet(&cloud, &["show", "panel-2"]).await;
    assert_eq!((code, &shown["grant"], &shown["enabled"]), (Some(0), &json!("line"), &json!(true)), "{err}");
    assert!(!shown.to_string().contains("AAAAAAAA"), "{shown}");
    for (words, enabled) in
        [(["disable", "panel-2"], false), (["enable", "panel-2"], true), (["disable", "panel-1"], false)]
    {
        let (code, _, err) = fleet(&cloud, &words).await;
        assert_eq!(code, Some(0), "{err}");
        let (_, shown, _) = fleet(&cloud, &["show", words[1]]).await;
        assert_eq!(shown["enabled"], enabled, "{words:?}: {shown}");
    }
    let (code, counts, err) = fleet(&cloud, &["list", "--count"]).await;
    assert_eq!(code, Some(0), "{err}");
    let disabled = counts["kinds"].as_array().into_iter().flatten().find(|row| row["state"] == "disabled");
    assert_eq!(disabled.map(|row| row["devices"].clone()), Some(json!(1)), "{counts}");

    // `lint` reads the same table: nothing is unusable, and what is put there by others is.
    let (code, found, err) = fleet(&cloud, &["lint", "--fail-on", "error"]).await;
    assert_eq!(code, Some(0), "{found} {err}");
    let client = aws_sdk_dynamodb::Client::new(&cloud.aws);
    let text = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
    let put = client.put_item().table_name(TABLE).item("device", text("broken"));
    put.item("scheme", text("password")).item("verifiers", text("x")).send().await.unwrap();
    let (code, found, err) = fleet(&cloud, &["lint", "--fail-on", "error"]).await;
    let findings = found["findings"].as_array().unwrap();
    let of_broken = findings.iter().filter(|it| it["subject"] == "device broken").collect::<Vec<_>>();
    assert_eq!((code, of_broken.len()), (Some(1), 1), "{found} {err}");
    assert_eq!(of_broken[0]["rule"], "record-unusable", "{found}");

    let (code, _, err) = fleet(&cloud, &["remove", "panel-1", "--yes"]).await;
    assert_eq!((code, cloud.records().await.contains_key("panel-1")), (Some(0), false), "{err}");
    // Its client id is free again.
    file(&["panel-2"]);
    let (code, _, err) = fleet(&cloud, &["push", "panels.json"]).await;
    assert_eq!((code, cloud.records().await.contains_key("panel-1")), (Some(0), true), "{err}");
}
