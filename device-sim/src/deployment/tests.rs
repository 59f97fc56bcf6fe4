//! Outputs as `make deploy` writes them, and those that can't be used.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// What CDK writes for a stage: its own stack and the one under it.
fn stage(name: &str, changes: &[(&str, Value)]) -> Value {
    let mut outputs = json!({
        "Stage": name, "Region": "eu-west-1", "Account": "123456789012", "FunctionName": format!("latchkey-{name}"),
        "Endpoint": "abc-ats.iot.eu-west-1.amazonaws.com", "AuthorizerName": format!("latchkey-{name}"),
        "LogGroupName": format!("/aws/lambda/latchkey-{name}"), "TableName": format!("latchkey-{name}-devices"),
        "StorageKeyArn": "arn", "ThingTypeName": format!("latchkey-{name}-sht20"), "Sht20PolicyName": "p",
        "ThingGroupName": format!("latchkey-{name}"),
    });
    for (output, value) in changes {
        outputs[output] = value.clone();
    }
    json!({format!("latchkey-{name}-fleet"): {"ExportsOutputRef": "x"}, format!("latchkey-{name}"): outputs})
}

fn both(one: Value, other: &Value) -> Value {
    let Value::Object(mut all) = one else { panic!() };
    all.extend(other.as_object().unwrap().clone());
    Value::Object(all)
}

fn folder(outputs: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(DEFAULT_FILE), outputs).unwrap();
    folder
}

fn find(outputs: &Value, named: Option<&str>) -> Result<Option<Deployment>, String> {
    let args = DeploymentArgs { outputs: None, stage: named.map(str::to_owned) };
    args.find(folder(&outputs.to_string()).path()).map_err(|error| error.to_string())
}

#[test]
fn the_only_stage_is_found() {
    let found = find(&stage("dev", &[]), None).unwrap().unwrap();
    assert_eq!(found.endpoint.to_string(), "abc-ats.iot.eu-west-1.amazonaws.com:443");
    assert_eq!(found.records, Records::Table("latchkey-dev-devices".to_owned()));
    assert_eq!(found.credentials_file(), Path::new(".latchkey/credentials-dev.csv"));
    assert_eq!(
        found.to_string(),
        "the stage `dev` of `cdk-outputs.json`: abc-ats.iot.eu-west-1.amazonaws.com:443, authorizer `latchkey-dev`, \
         account 123456789012, region eu-west-1"
    );
    let secret = [("TableName", Value::Null), ("SecretArn", json!("arn:secret"))];
    let found = find(&stage("dev", &secret), None).unwrap().unwrap();
    assert_eq!(found.records, Records::Secret("arn:secret".to_owned()));
    let indexed = [("TableName", Value::Null), ("RecordsDigest", json!("ab12"))];
    let found = find(&stage("dev", &indexed), None).unwrap().unwrap();
    assert_eq!(found.records, Records::Indexed("ab12".to_owned()));
}

#[test]
fn one_of_several_has_to_be_named() {
    let two = both(stage("dev", &[]), &stage("prod", &[]));
    assert_eq!(
        find(&two, None).unwrap_err(),
        "`cdk-outputs.json` has the stages `dev`, `prod`: name one with `--stage`"
    );
    assert_eq!(find(&two, Some("prod")).unwrap().unwrap().stage, "prod");
    assert_eq!(
        find(&two, Some("tset")).unwrap_err(),
        "`cdk-outputs.json` has no stage `tset` but `dev`, `prod`: `make deploy STAGE=tset` adds it"
    );
    // One whose name ends as the other stack's.
    assert_eq!(find(&stage("x-fleet", &[]), None).unwrap().unwrap().stage, "x-fleet");
}

#[test]
fn a_missing_file_is_an_error_only_if_it_is_named() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(DeploymentArgs::default().find(empty.path()).unwrap(), None);
    let cases = [
        (DeploymentArgs { stage: Some("dev".into()), outputs: None }, "cdk-outputs.json"),
        (DeploymentArgs { outputs: Some("other.json".into()), stage: None }, "other.json"),
    ];
    for (args, file) in cases {
        let error = args.find(empty.path()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("there is no `{file}`: `make deploy` writes it, or name another with `--outputs`")
        );
    }
}

#[test]
fn errors_say_what_is_wrong_with_the_file() {
    let cases = [
        (json!({}), "has no stage"),
        (json!({"latchkey-dev-fleet": {"ExportsOutputRef": "x"}}), "has no stage"),
        (json!([]), "is not what `make deploy` writes (invalid type: sequence"),
        (json!({"latchkey-dev": "x"}), "is not what `make deploy` writes (invalid type: string"),
        (
            stage("dev", &[("Endpoint", Value::Null)]),
            "the stage `dev` of `cdk-outputs.json`: invalid type: null",
        ),
        (stage("dev", &[("Endpoint", json!("a b"))]), "`Endpoint` is `a b`: deploy it again"),
        (stage("dev", &[("AuthorizerName", json!("a b"))]), "`AuthorizerName`: "),
        (
            stage("dev", &[("TableName", Value::Null)]),
            "needs one of `TableName`, `SecretArn` and `RecordsDigest`",
        ),
        (
            stage("dev", &[("SecretArn", json!("arn"))]),
            "needs one of `TableName`, `SecretArn` and `RecordsDigest`",
        ),
        (stage("../up", &[]), "`Stage` is `../up`"),
    ];
    for (outputs, part) in cases {
        let error = find(&outputs, None).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
    let cut = DeploymentArgs::default().find(folder("{\"latchkey-dev\": {").path()).unwrap_err().to_string();
    assert!(cut.contains("is not what `make deploy` writes (EOF while parsing"), "{cut}");
}
