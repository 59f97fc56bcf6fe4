//! Thing types, Thing groups and billing groups.

use std::time::Duration;

use integration::{
    aws_api::{answers, call, error, with},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_type_gives_things_more_attributes_and_is_deleted_after_it_was_deprecated() {
    let gateway = TestGateway::open_to_all().await;
    let on = |operation: &str| call(operation, json!({"thingTypeName": "sensor"}));
    let properties = |text: &str| json!({"thingTypeDescription": text, "searchableAttributes": ["site"]});
    let create = |text: &str| {
        call("CreateThingType", json!({"thingTypeName": "sensor", "thingTypeProperties": properties(text)}))
    };
    let attributes = (0..50).map(|n| (format!("a{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    let thing = |name: &str, kind: &str| {
        let payload = json!({"attributes": attributes});
        call("CreateThing", json!({"thingName": name, "thingTypeName": kind, "attributePayload": payload}))
    };
    let calls = [
        create("SHT20"),
        create("SHT20"),
        create("another"),
        thing("a", "sensor"),
        thing("b", "no-such"),
        on("DescribeThingType"),
        call("ListThingTypes", json!({})),
        call("ListThings", json!({"thingTypeName": "sensor"})),
        on("DeleteThingType"),
        on("DeprecateThingType"),
        thing("b", "sensor"),
        on("DeleteThingType"),
        call("DeprecateThingType", json!({"thingTypeName": "sensor", "undoDeprecate": true})),
        call("UpdateThing", json!({"thingName": "a", "removeThingType": true})),
        call(
            "CreateThingType",
            json!({"thingTypeName": "x", "thingTypeProperties": {"mqtt5Configuration": {}}}),
        ),
        call("DescribeThingType", json!({"thingTypeName": "no-such"})),
        call(
            "UpdateThingType",
            json!({"thingTypeName": "sensor", "thingTypeProperties": {"searchableAttributes": ["floor"]}}),
        ),
        on("DescribeThingType"),
        call(
            "UpdateThingType",
            json!({"thingTypeName": "sensor", "thingTypeProperties": {"searchableAttributes": ["a", "b", "c", "d"]}}),
        ),
        call("UpdateThingType", json!({"thingTypeName": "no-such", "thingTypeProperties": {}})),
        call(
            "UpdateThingType",
            json!({"thingTypeName": "sensor", "thingTypeProperties": {"mqtt5Configuration": {}}}),
        ),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    assert_eq!(answered[0]["output"], answered[1]["output"]);
    assert_eq!(error(&answered[2]), ("ResourceAlreadyExistsException", 409));
    assert_eq!(error(&answered[4]), ("ResourceNotFoundException", 404));
    assert_eq!(answered[5]["output"]["thingTypeProperties"], properties("SHT20"));
    assert_eq!(answered[6]["output"]["thingTypes"][0]["thingTypeMetadata"]["deprecated"], false);
    assert_eq!(answered[7]["output"]["things"][0]["thingName"], "a");
    for refused in [&answered[8], &answered[10], &answered[11], &answered[13]] {
        assert_eq!(error(refused), ("InvalidRequestException", 400), "{refused}");
    }
    assert_eq!((error(&answered[9]), error(&answered[12])), (("none", 200), ("none", 200)));
    assert_eq!(error(&answered[14]).0, "NotImplementedException");
    assert_eq!(error(&answered[15]), ("ResourceNotFoundException", 404));
    let updated = json!({"thingTypeDescription": "SHT20", "searchableAttributes": ["floor"]});
    assert_eq!(
        (error(&answered[16]), &answered[17]["output"]["thingTypeProperties"]),
        (("none", 200), &updated)
    );
    assert_eq!(error(&answered[18]), ("InvalidRequestException", 400), "three can be searched by");
    assert_eq!(error(&answered[19]), ("ResourceNotFoundException", 404));
    assert_eq!(error(&answered[20]).0, "NotImplementedException");
}

#[tokio::test]
async fn groups_form_a_tree_and_things_are_in_them() {
    let gateway = TestGateway::open_to_all().await;
    let create = |name: &str, parent: Option<&str>| {
        let mut input = json!({"thingGroupName": name});
        if let Some(parent) = parent {
            input["parentGroupName"] = json!(parent);
        }
        call("CreateThingGroup", input)
    };
    let on = |operation: &str, name: &str| call(operation, json!({"thingGroupName": name}));
    let member =
        |operation: &str, group: &str| call(operation, json!({"thingGroupName": group, "thingName": "t"}));
    let properties = |attributes: Value| json!({"thingGroupDescription": "d", "attributePayload": {"attributes": attributes}});
    let update = |version: i64| {
        call(
            "UpdateThingGroup",
            json!({
                "thingGroupName": "hall", "expectedVersion": version, "thingGroupProperties": properties(json!({"floor": "1"})),
            }),
        )
    };
    let calls = [
        create("site", None),
        create("hall", Some("site")),
        create("hall", Some("site")),
        create("hall", None),
        create("x", Some("no-such")),
        call("CreateThing", json!({"thingName": "t"})),
        member("AddThingToThingGroup", "hall"),
        member("AddThingToThingGroup", "hall"),
        member("AddThingToThingGroup", "site"),
        on("ListThingsInThingGroup", "site"),
        call("ListThingsInThingGroup", json!({"thingGroupName": "site", "recursive": true})),
        call("ListThingGroupsForThing", json!({"thingName": "t"})),
        update(1),
        update(1),
        on("DescribeThingGroup", "hall"),
        call("ListThingGroups", json!({"parentGroup": "site"})),
        call("ListThingGroups", json!({"namePrefixFilter": "si"})),
        on("DeleteThingGroup", "site"),
        call(
            "UpdateThingGroupsForThing",
            json!({"thingName": "t", "thingGroupsToRemove": ["hall"], "thingGroupsToAdd": ["no-such"]}),
        ),
        on("ListThingsInThingGroup", "hall"),
        call(
            "UpdateThingGroupsForThing",
            json!({"thingName": "t", "thingGroupsToRemove": ["hall"], "thingGroupsToAdd": ["site"]}),
        ),
        member("RemoveThingFromThingGroup", "site"),
        on("ListThingsInThingGroup", "site"),
        on("DeleteThingGroup", "hall"),
        on("DeleteThingGroup", "site"),
        on("DeleteThingGroup", "site"),
        on("DescribeThingGroup", "site"),
        call("AddThingToThingGroup", json!({"thingName": "t"})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let output = |n: usize| &answered[n]["output"];
    assert_eq!(output(1), output(2));
    assert_eq!(error(&answered[3]), ("ResourceAlreadyExistsException", 409), "another parent");
    assert_eq!(error(&answered[4]), ("InvalidRequestException", 400), "the model has no other error for it");
    assert_eq!(output(7), &json!({}), "it is there already");
    assert_eq!(error(&answered[8]), ("InvalidRequestException", 400), "of the same hierarchy");
    assert_eq!((&output(9)["things"], &output(10)["things"]), (&json!([]), &json!(["t"])));
    assert_eq!(output(11)["thingGroups"][0]["groupName"], "hall");
    assert_eq!(output(12), &json!({"version": 2}));
    assert_eq!(error(&answered[13]), ("VersionConflictException", 409));
    let hall = output(14);
    assert_eq!(hall["thingGroupMetadata"]["rootToParentThingGroups"][0]["groupName"], "site");
    assert_eq!(hall["thingGroupProperties"], properties(json!({"floor": "1"})));
    assert_eq!(output(15)["thingGroups"][0]["groupName"], "hall");
    assert_eq!(output(16)["thingGroups"].as_array().unwrap().len(), 1);
    assert_eq!(error(&answered[17]), ("InvalidRequestException", 400), "it has a group below it");
    assert_eq!(error(&answered[18]), ("ResourceNotFoundException", 404));
    assert_eq!(output(19)["things"], json!(["t"]), "a call that fails has changed nothing");
    assert_eq!(output(22)["things"], json!([]));
    assert_eq!((output(24), output(25)), (&json!({}), &json!({})));
    assert_eq!(error(&answered[26]), ("ResourceNotFoundException", 404));
    assert_eq!(error(&answered[27]), ("InvalidRequestException", 400));
}

#[tokio::test]
async fn a_recursive_list_has_the_groups_below_and_the_policies_above() {
    let gateway = TestGateway::open_to_all().await;
    let create = |name: &str, parent: Option<&str>| {
        let input = json!({"thingGroupName": name});
        call(
            "CreateThingGroup",
            parent.map_or(input.clone(), |parent| with(input, &json!({"parentGroupName": parent}))),
        )
    };
    let list = |more: &Value| call("ListThingGroups", with(json!({"parentGroup": "site"}), more));
    let arn = |name: &str| format!("arn:aws:iot:us-east-1:123456789012:thinggroup/{name}");
    let document = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}).to_string();
    let policy = |name: &str| call("CreatePolicy", json!({"policyName": name, "policyDocument": document}));
    let attach = |name: &str, to: &str| call("AttachPolicy", json!({"policyName": name, "target": arn(to)}));
    let attached =
        |to: &str, more: &Value| call("ListAttachedPolicies", with(json!({"target": arn(to)}), more));
    let calls = [
        create("site", None),
        create("hall", Some("site")),
        create("shelf", Some("hall")),
        create("other", None),
        list(&json!({})),
        list(&json!({"recursive": true})),
        list(&json!({"recursive": true, "maxResults": 1})),
        list(&json!({"recursive": true, "namePrefixFilter": "sh"})),
        policy("of-site"),
        policy("of-shelf"),
        policy("of-other"),
        attach("of-site", "site"),
        attach("of-shelf", "shelf"),
        attach("of-other", "other"),
        attached("shelf", &json!({})),
        attached("shelf", &json!({"recursive": true})),
        attached("shelf", &json!({"recursive": true, "pageSize": 1})),
        attached("site", &json!({"recursive": true})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let names = |n: usize, list: &str, member: &str| {
        let entries = answered[n]["output"][list].as_array().unwrap().iter();
        entries.map(|entry| entry[member].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (n, expected) in [(4, &["hall"][..]), (5, &["hall", "shelf"]), (6, &["hall"]), (7, &["shelf"])] {
        assert_eq!(names(n, "thingGroups", "groupName"), expected, "{n}");
    }
    for (n, expected) in
        [(14, &["of-shelf"][..]), (15, &["of-shelf", "of-site"]), (16, &["of-shelf"]), (17, &["of-site"])]
    {
        assert_eq!(names(n, "policies", "policyName"), expected, "{n}");
    }
    let rest = [
        list(&json!({"recursive": true, "nextToken": answered[6]["output"]["nextToken"]})),
        attached("shelf", &json!({"recursive": true, "marker": answered[16]["output"]["nextMarker"]})),
    ];
    let rest = answers(gateway.folder.path(), &rest).await;
    assert_eq!(rest[0]["output"]["thingGroups"], json!([{"groupName": "shelf", "groupArn": arn("shelf")}]));
    assert_eq!(rest[1]["output"]["policies"][0]["policyName"], "of-site");
    assert!(rest[1]["output"]["nextMarker"].is_null(), "{}", rest[1]);
}

#[tokio::test]
async fn a_thing_is_in_one_billing_group() {
    let gateway = TestGateway::open_to_all().await;
    let group = |operation: &str, name: &str, more: &Value| {
        call(operation, with(json!({"billingGroupName": name}), more))
    };
    let described = |text: &str| json!({"billingGroupProperties": {"billingGroupDescription": text}});
    let member =
        |operation: &str, name: &str, thing: &str| group(operation, name, &json!({"thingName": thing}));
    let thing = |name: &str, billing_group: &str| {
        call("CreateThing", json!({"thingName": name, "billingGroupName": billing_group}))
    };
    let arn = |kind: &str, name: &str| format!("arn:aws:iot:us-east-1:123456789012:{kind}/{name}");
    let calls = [
        group("CreateBillingGroup", "north", &described("d")),
        group("CreateBillingGroup", "north", &described("d")),
        group("CreateBillingGroup", "north", &described("other")),
        group("CreateBillingGroup", "south", &json!({})),
        thing("a", "north"),
        thing("a", "north"),
        thing("a", "south"),
        thing("b", "no-such"),
        call("CreateThing", json!({"thingName": "b"})),
        call("DescribeThing", json!({"thingName": "a"})),
        member("AddThingToBillingGroup", "north", "a"),
        member("AddThingToBillingGroup", "south", "a"),
        call(
            "AddThingToBillingGroup",
            json!({"billingGroupArn": arn("billinggroup", "north"), "thingArn": arn("thing", "b")}),
        ),
        call("ListThingsInBillingGroup", json!({"billingGroupName": "north", "maxResults": 1})),
        group("ListThingsInBillingGroup", "north", &json!({})),
        member("RemoveThingFromBillingGroup", "south", "a"),
        member("RemoveThingFromBillingGroup", "north", "a"),
        member("AddThingToBillingGroup", "south", "a"),
        group("UpdateBillingGroup", "north", &with(described("new"), &json!({"expectedVersion": 1}))),
        group("UpdateBillingGroup", "north", &with(described("x"), &json!({"expectedVersion": 1}))),
        group("DescribeBillingGroup", "north", &json!({})),
        call("ListBillingGroups", json!({"namePrefixFilter": "so"})),
        group("DeleteBillingGroup", "north", &json!({"expectedVersion": 1})),
        group("DeleteBillingGroup", "north", &json!({"expectedVersion": 2})),
        group("DeleteBillingGroup", "north", &json!({})),
        group("DescribeBillingGroup", "north", &json!({})),
        call("DescribeThing", json!({"thingName": "b"})),
        member("AddThingToBillingGroup", "south", "no-such"),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let output = |n: usize| &answered[n]["output"];
    assert_eq!(output(0), output(1));
    assert_eq!(output(0)["billingGroupArn"], arn("billinggroup", "north"));
    for (n, expected) in [
        (2, ("ResourceAlreadyExistsException", 409)),
        (6, ("ResourceAlreadyExistsException", 409)),
        (7, ("ResourceNotFoundException", 404)),
        (11, ("InvalidRequestException", 400)),
        (19, ("VersionConflictException", 409)),
        (22, ("VersionConflictException", 409)),
        (25, ("ResourceNotFoundException", 404)),
        (27, ("ResourceNotFoundException", 404)),
    ] {
        assert_eq!(error(&answered[n]), expected, "{n}: {}", answered[n]);
    }
    assert_eq!((output(4), &output(9)["billingGroupName"]), (output(5), &json!("north")));
    assert_eq!((&output(13)["things"], &output(14)["things"]), (&json!(["a"]), &json!(["a", "b"])));
    assert!(output(13)["nextToken"].is_string() && output(14)["nextToken"].is_null());
    for n in [10, 12, 15, 16, 17, 23, 24] {
        assert_eq!(output(n), &json!({}), "{n}: {}", answered[n]);
    }
    assert_eq!((&output(18)["version"], &output(20)["version"]), (&json!(2), &json!(2)));
    assert_eq!(output(20)["billingGroupProperties"], json!({"billingGroupDescription": "new"}));
    assert_eq!(
        output(21)["billingGroups"],
        json!([{"groupName": "south", "groupArn": arn("billinggroup", "south")}])
    );
    assert!(output(26)["billingGroupName"].is_null(), "{}", answered[26]);
}

/// boto3 signs by its own clock, so the gateway's is moved by its store alone.
#[test]
fn a_type_that_was_deprecated_can_be_deleted_after_five_minutes() {
    use gateway::{
        clock::{Clock, ManualClock},
        lambda::program::Program,
        registry::{store::RegistryStore, tags::Tags, thing_types},
        settings::Settings,
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(folder.path().to_owned(), Program::new("p".into(), Vec::new()));
    let clock = ManualClock::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = RegistryStore::open(&settings, &Clock::Manual(clock.clone())).unwrap();
    runtime.block_on(async {
        store.write(|tables| thing_types::create(tables, "t", None, &[], &Tags::new())).await.unwrap();
        store.write(|tables| thing_types::deprecate(tables, "t", false)).await.unwrap();
        clock.advance(Duration::from_secs(299));
        store.write(|tables| thing_types::delete(tables, "t")).await.unwrap_err();
        clock.advance(Duration::from_secs(1));
        store.write(|tables| thing_types::delete(tables, "t")).await.unwrap();
    });
}
