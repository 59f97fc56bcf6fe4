//! Thing types and Thing groups.

use std::time::Duration;

use integration::{
    aws_api::{answers, call, error},
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

/// boto3 signs by its own clock, so the gateway's is moved by its store alone.
#[test]
fn a_type_that_was_deprecated_can_be_deleted_after_five_minutes() {
    use gateway::{
        clock::{Clock, ManualClock},
        lambda::program::Program,
        registry::{store::RegistryStore, thing_types},
        settings::Settings,
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new(folder.path().to_owned(), Program::new("p".into(), Vec::new()));
    let clock = ManualClock::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = RegistryStore::open(&settings, &Clock::Manual(clock.clone())).unwrap();
    runtime.block_on(async {
        store.write(|tables| thing_types::create(tables, "t", None, &[])).await.unwrap();
        store.write(|tables| thing_types::deprecate(tables, "t", false)).await.unwrap();
        clock.advance(Duration::from_secs(299));
        store.write(|tables| thing_types::delete(tables, "t")).await.unwrap_err();
        clock.advance(Duration::from_secs(1));
        store.write(|tables| thing_types::delete(tables, "t")).await.unwrap();
    });
}
