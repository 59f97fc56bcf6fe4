//! Policies, their versions, and what they are attached to.

use integration::{
    aws_api::{answers, call, error},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:iot:us-east-1:123456789012";

fn document(topic: &str) -> String {
    let statement =
        json!({"Effect": "Allow", "Action": "iot:Publish", "Resource": format!("{ARN}:topic/{topic}")});
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

fn create(name: &str, document: &str) -> Value {
    call("CreatePolicy", json!({"policyName": name, "policyDocument": document}))
}

fn on(operation: &str, name: &str) -> Value {
    call(operation, json!({"policyName": name}))
}

fn version(operation: &str, number: &str) -> Value {
    call(operation, json!({"policyName": "p", "policyVersionId": number}))
}

fn new_version(topic: &str, default: bool) -> Value {
    call(
        "CreatePolicyVersion",
        json!({"policyName": "p", "policyDocument": document(topic), "setAsDefault": default}),
    )
}

#[tokio::test]
async fn a_policy_has_up_to_five_versions_and_the_default_one_counts() {
    let gateway = TestGateway::open_to_all().await;
    let calls = [
        create("p", &document("1")),
        create("p", &document("1")),
        create("q", "{"),
        create("q", &json!({"Version": "2012-10-17", "Statement": []}).to_string()),
        new_version("2", true),
        new_version("3", false),
        new_version("4", false),
        new_version("5", false),
        new_version("6", false),
        on("ListPolicyVersions", "p"),
        version("DeletePolicyVersion", "2"),
        version("DeletePolicyVersion", "1"),
        version("GetPolicyVersion", "1"),
        version("SetDefaultPolicyVersion", "5"),
        version("SetDefaultPolicyVersion", "9"),
        on("GetPolicy", "p"),
        version("GetPolicyVersion", "5"),
        new_version("6", false),
        on("DeletePolicy", "p"),
        on("GetPolicy", "q"),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    assert_eq!(answered[0]["output"]["policyVersionId"], "1");
    assert_eq!(answered[0]["output"]["policyArn"], format!("{ARN}:policy/p"));
    assert_eq!(error(&answered[1]), ("ResourceAlreadyExistsException", 409));
    for malformed in &answered[2..4] {
        assert_eq!(error(malformed), ("MalformedPolicyException", 400), "{malformed}");
    }
    assert_eq!(answered[4]["output"]["isDefaultVersion"], true);
    assert_eq!(error(&answered[8]), ("VersionsLimitExceededException", 409));
    let versions = answered[9]["output"]["policyVersions"].as_array().unwrap();
    let of = |member: &str| versions.iter().map(|version| version[member].clone()).collect::<Vec<_>>();
    assert_eq!(of("versionId"), ["5", "4", "3", "2", "1"]);
    assert_eq!(of("isDefaultVersion"), [false, false, false, true, false]);
    assert_eq!(error(&answered[10]), ("DeleteConflictException", 409), "the default one");
    assert_eq!(error(&answered[11]), ("none", 200));
    assert_eq!(error(&answered[12]), ("ResourceNotFoundException", 404));
    assert_eq!(error(&answered[14]), ("ResourceNotFoundException", 404));
    let policy = &answered[15]["output"];
    assert_eq!(
        (&policy["defaultVersionId"], &policy["policyDocument"]),
        (&json!("5"), &json!(document("5")))
    );
    assert_eq!(answered[16]["output"]["isDefaultVersion"], true);
    assert_eq!(answered[17]["output"]["policyVersionId"], "6", "a number is not used again");
    assert_eq!(error(&answered[18]), ("DeleteConflictException", 409), "it has other versions");
    assert_eq!(error(&answered[19]), ("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn a_policy_is_attached_once_listed_both_ways_and_not_deleted_while_it_is() {
    let gateway = TestGateway::open_to_all().await;
    let (group, identity) = (format!("{ARN}:thinggroup/g"), "us-east-1:b3a3ab4e-6f53-4d4d-9c8b-0a6f4e6f1c11");
    let to = |operation: &str, name: &str, target: &str| {
        call(operation, json!({"policyName": name, "target": target}))
    };
    let attached = |target: &str| call("ListAttachedPolicies", json!({"target": target}));
    let by_principal = |operation: &str| call(operation, json!({"policyName": "p", "principal": identity}));
    let mut calls = vec![
        create("p", &document("1")),
        call("CreateThingGroup", json!({"thingGroupName": "g"})),
        to("AttachPolicy", "p", &group),
        to("AttachPolicy", "p", &group),
        by_principal("AttachPrincipalPolicy"),
        attached(&group),
        call("ListPrincipalPolicies", json!({"principal": identity})),
        on("ListTargetsForPolicy", "p"),
        on("ListPolicyPrincipals", "p"),
        on("DeletePolicy", "p"),
        to("DetachPolicy", "p", &group),
        to("DetachPolicy", "p", &group),
        by_principal("DetachPrincipalPolicy"),
        by_principal("DetachPrincipalPolicy"),
        to("AttachPolicy", "no-such", &group),
        to("AttachPolicy", "p", &format!("{ARN}:thinggroup/no-such")),
        to("AttachPolicy", "p", &format!("{ARN}:cert/{}", "a".repeat(64))),
        to("AttachPolicy", "p", "arn:aws:iot:us-east-1:999999999999:thinggroup/g"),
    ];
    for n in 0..11 {
        calls.extend([
            create(&format!("many-{n:02}"), &document("1")),
            to("AttachPolicy", &format!("many-{n:02}"), &group),
        ]);
    }
    let answered = answers(gateway.folder.path(), &calls).await;
    let named = json!([{"policyName": "p", "policyArn": format!("{ARN}:policy/p")}]);
    assert_eq!(answered[5]["output"], json!({"policies": named}));
    assert_eq!(answered[6]["output"], json!({"policies": named}));
    assert_eq!(answered[7]["output"], json!({"targets": [group, identity]}));
    assert_eq!(answered[8]["output"], json!({"principals": [group, identity]}));
    assert_eq!(error(&answered[9]), ("DeleteConflictException", 409));
    assert_eq!((error(&answered[10]), error(&answered[11])), (("none", 200), ("none", 200)));
    assert_eq!(
        (error(&answered[12]), error(&answered[13])),
        (("none", 200), ("ResourceNotFoundException", 404))
    );
    for missing in &answered[14..17] {
        assert_eq!(error(missing), ("ResourceNotFoundException", 404), "{missing}");
    }
    assert_eq!(error(&answered[17]), ("InvalidRequestException", 400));
    assert_eq!(error(&answered[answered.len() - 3]), ("none", 200), "the tenth");
    assert_eq!(error(answered.last().unwrap()), ("LimitExceededException", 410), "the eleventh");
    let pages = [
        call("ListPolicies", json!({"pageSize": 5, "ascendingOrder": true})),
        call("ListPolicies", json!({"pageSize": 250})),
        call("ListPolicies", json!({"marker": "x"})),
    ];
    let listed = answers(gateway.folder.path(), &pages).await;
    assert!(listed[0]["output"]["nextMarker"].is_string() && listed[1]["output"]["nextMarker"].is_null());
    assert_eq!(listed[0]["output"]["policies"].as_array().unwrap().len(), 5);
    assert_eq!(listed[1]["output"]["policies"].as_array().unwrap().len(), 12);
    assert_eq!(error(&listed[2]), ("InvalidRequestException", 400));
}
