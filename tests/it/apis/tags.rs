//! Tags of everything that can have them.

use gateway::registry::{Kind, Thing};
use integration::{
    aws_api::{answers, call, error, with},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";

fn tag(arn: &Value, tags: &Value) -> Value {
    call("TagResource", json!({"resourceArn": arn, "tags": tags}))
}

fn list(arn: &Value) -> Value {
    call("ListTagsForResource", json!({"resourceArn": arn}))
}

/// Each operation that creates something with tags: its input, the member of its answer with the ARN, and what deletes it again.
fn creations() -> Vec<(Value, &'static str, Value)> {
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}).to_string();
    let create = |operation: &str, input: Value| {
        call(operation, with(input, &json!({"tags": [{"Key": "team", "Value": "a"}, {"Key": "empty"}]})))
    };
    let group = json!({"thingGroupName": "g"});
    let billing = json!({"billingGroupName": "b"});
    let policy = json!({"policyName": "p"});
    let authorizer = json!({"authorizerName": "a"});
    let domain = json!({"domainConfigurationName": "d"});
    vec![
        (create("CreateThingGroup", group.clone()), "thingGroupArn", call("DeleteThingGroup", group)),
        (
            create("CreateBillingGroup", billing.clone()),
            "billingGroupArn",
            call("DeleteBillingGroup", billing),
        ),
        (
            create("CreatePolicy", with(policy.clone(), &json!({"policyDocument": document}))),
            "policyArn",
            call("DeletePolicy", policy),
        ),
        (
            create(
                "CreateAuthorizer",
                with(
                    authorizer.clone(),
                    &json!({"authorizerFunctionArn": FUNCTION, "signingDisabled": true}),
                ),
            ),
            "authorizerArn",
            call("DeleteAuthorizer", authorizer),
        ),
        (
            create("CreateDomainConfiguration", domain.clone()),
            "domainConfigurationArn",
            call("DeleteDomainConfiguration", domain),
        ),
        (
            create("CreateThingType", json!({"thingTypeName": "t"})),
            "thingTypeArn",
            call("DeprecateThingType", json!({"thingTypeName": "t"})),
        ),
    ]
}

#[tokio::test]
async fn tags_are_kept_changed_and_go_with_what_has_them() {
    let gateway = TestGateway::open_to_all().await;
    let folder = gateway.folder.path();
    let creations = creations();
    let creates = creations.iter().map(|(create, ..)| create.clone()).collect::<Vec<_>>();
    let made = answers(folder, &creates).await;
    let arns = made.iter().zip(&creations).map(|(made, (_, member, _))| made["output"][member].clone());
    let arns = arns.collect::<Vec<_>>();
    let calls_of_each = arns.iter().flat_map(|arn| {
        [
            list(arn),
            tag(arn, &json!([{"Key": "team", "Value": "b"}, {"Key": "Süd 1", "Value": "c"}])),
            list(arn),
            call("UntagResource", json!({"resourceArn": arn, "tagKeys": ["team", "no-such"]})),
            list(arn),
        ]
    });
    let changed = answers(folder, &calls_of_each.collect::<Vec<_>>()).await;
    let (empty, south) = (json!({"Key": "empty", "Value": ""}), json!({"Key": "Süd 1", "Value": "c"}));
    for (answered, arn) in changed.chunks(5).zip(&arns) {
        let tags = |n: usize| &answered[n]["output"]["tags"];
        assert_eq!(tags(0), &json!([empty, {"Key": "team", "Value": "a"}]), "{arn}");
        assert_eq!(tags(2), &json!([south, empty, {"Key": "team", "Value": "b"}]), "{arn}");
        assert_eq!(tags(4), &json!([south, empty]), "{arn}");
    }
    let disable = json!({"domainConfigurationName": "d", "domainConfigurationStatus": "DISABLED"});
    let mut calls = vec![
        call("UpdateDomainConfiguration", disable),
        call("UpdateAuthorizer", json!({"authorizerName": "a", "status": "INACTIVE"})),
    ];
    calls.extend(arns.iter().map(list));
    calls.extend(creations.iter().map(|(.., delete)| delete.clone()));
    calls.extend(arns.iter().map(list));
    // What is created again has none of the earlier one's.
    let without_tags = creates.into_iter().map(|mut create| {
        create["input"].as_object_mut().unwrap().remove("tags");
        create
    });
    calls.extend(without_tags);
    let answered = answers(folder, &calls).await;
    let (updated, rest) = answered[2..].split_at(arns.len());
    assert!(updated.iter().all(|answer| answer["output"]["tags"] == json!([south, empty])), "{updated:?}");
    let (deleted, rest) = rest.split_at(arns.len());
    assert!(deleted.iter().all(|answer| answer["output"] == json!({})), "{deleted:?}");
    let (listed, again) = rest.split_at(arns.len());
    let again = again.iter().zip(&creations).map(|(made, (_, member, _))| list(&made["output"][member]));
    let again = answers(folder, &again.collect::<Vec<_>>()).await;
    for ((listed, again), arn) in listed.iter().zip(&again).zip(&arns) {
        if arn.as_str().unwrap().ends_with("thingtype/t") {
            // It could be deleted in five minutes only.
            assert_eq!(again["output"]["tags"], json!([south, empty]), "{arn}");
        } else {
            assert_eq!(error(listed), ("ResourceNotFoundException", 404), "{arn}");
            assert_eq!(again["output"]["tags"], json!([]), "{arn}");
        }
    }
    let gateway = gateway.stop().await.run().await;
    let answered = answers(gateway.folder.path(), &[list(arns.last().unwrap())]).await;
    assert_eq!(answered[0]["output"]["tags"], json!([south, empty]), "they outlive a restart");
}

#[tokio::test]
async fn tags_that_aws_does_not_accept_change_nothing() {
    let thing = Thing { name: "of-file".to_owned(), type_name: None, attributes: [].into() };
    let start = TestGateway::open_to_all().await.stop().await.registered(Vec::new(), vec![thing]);
    let gateway = start.run().await;
    let account = "arn:aws:iot:us-east-1:123456789012";
    let group = json!(format!("{account}:thinggroup/g"));
    let many = |begin: usize, end: usize| {
        (begin..end).map(|n| json!({"Key": format!("k{n}"), "Value": "v"})).collect::<Value>()
    };
    let create = |tags: &Value| call("CreateThingGroup", json!({"thingGroupName": "g", "tags": tags}));
    let of_settings = format!("{account}:{}/{}", Kind::Authorizer.resource(), "latchkey");
    let cases = [
        (create(&many(0, 51)), "InvalidRequestException"),
        (create(&json!([{"Key": "a"}, {"Key": "a"}])), "InvalidRequestException"),
        (create(&json!([{"Key": "Aws:x"}])), "InvalidRequestException"),
        (create(&json!([{"Key": ""}])), "InvalidRequestException"),
        (create(&json!([{"Key": "a!"}])), "InvalidRequestException"),
        (create(&json!([{"Value": "v"}])), "InvalidRequestException"),
        (create(&json!([{"Key": "a", "Value": "v".repeat(257)}])), "InvalidRequestException"),
        (tag(&group, &json!([])), "ResourceNotFoundException"),
        (create(&many(0, 49)), "none"),
        // A call that fails adds none of its tags.
        (tag(&group, &many(49, 52)), "LimitExceededException"),
        (tag(&group, &many(48, 50)), "none"),
        (tag(&json!(format!("{account}:thing/of-file")), &many(0, 1)), "InvalidRequestException"),
        (
            tag(&json!("arn:aws:iot:us-east-1:210987654321:thinggroup/g"), &many(0, 1)),
            "InvalidRequestException",
        ),
        (tag(&json!(format!("{account}:policy/no-such")), &many(0, 1)), "ResourceNotFoundException"),
        (
            tag(&json!(format!("{account}:domainconfiguration/no-such/abcde")), &many(0, 1)),
            "ResourceNotFoundException",
        ),
        (tag(&json!(of_settings), &many(0, 1)), "InvalidRequestException"),
        (list(&json!(of_settings)), "none"),
        (list(&group), "none"),
    ];
    let calls = cases.iter().map(|(call, _)| call.clone()).collect::<Vec<_>>();
    let answered = answers(gateway.folder.path(), &calls).await;
    for ((call, expected), answer) in cases.iter().zip(&answered) {
        assert_eq!(error(answer).0, *expected, "{call}: {answer}");
    }
    assert_eq!(answered.last().unwrap()["output"]["tags"].as_array().unwrap().len(), 50);
}
