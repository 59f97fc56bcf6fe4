//! Things, through boto3 and the AWS SDK for Rust.

use std::collections::BTreeSet;

use aws_sdk_iot::{Client, types::AttributePayload};
use gateway::registry::Thing;
use integration::{
    aws_api::{answers, call, configuration, with},
    test_gateway::TestGateway,
};
use serde_json::{Value, json};

fn create(name: &str, attributes: &Value) -> Value {
    call("CreateThing", json!({"thingName": name, "attributePayload": {"attributes": attributes}}))
}

fn update(name: &str, more: &Value) -> Value {
    call("UpdateThing", with(json!({"thingName": name}), more))
}

fn describe(name: &str) -> Value {
    call("DescribeThing", json!({"thingName": name}))
}

fn payload(attributes: &Value, merge: bool) -> Value {
    json!({"attributePayload": {"attributes": attributes, "merge": merge}})
}

#[tokio::test]
async fn a_thing_is_created_once_changed_by_version_and_deleted() {
    let gateway = TestGateway::open_to_all().await;
    let (one, two) = (json!({"site": "lab"}), json!({"site": "hall"}));
    let calls = [
        create("a", &one),
        create("a", &one),
        create("a", &two),
        describe("a"),
        update("a", &json!({"expectedVersion": 2, "attributePayload": {"attributes": two}})),
        update(
            "a",
            &json!({"expectedVersion": 1, "attributePayload": {"attributes": {"floor": "3"}, "merge": true}}),
        ),
        describe("a"),
        update("a", &payload(&json!({"site": ""}), true)),
        describe("a"),
        update("a", &payload(&json!({"x": "1"}), false)),
        describe("a"),
        update("a", &payload(&json!({"x": "1", "y": "2", "z": "3", "more": "4"}), false)),
        call("DeleteThing", json!({"thingName": "a", "expectedVersion": 1})),
        call("DeleteThing", json!({"thingName": "a"})),
        call("DeleteThing", json!({"thingName": "a"})),
        describe("a"),
        update("a", &json!({})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let output = |n: usize| &answered[n]["output"];
    let error = |n: usize| (answered[n]["error"].as_str().unwrap_or("none"), answered[n]["status"].as_u64());
    let arn = "arn:aws:iot:us-east-1:123456789012:thing/a";
    assert_eq!(output(0)["thingArn"], arn);
    assert_eq!(output(0), output(1), "the same call again");
    assert_eq!(error(2), ("ResourceAlreadyExistsException", Some(409)));
    assert_eq!(answered[2]["members"]["resourceArn"], arn);
    assert_eq!(output(3)["thingId"], output(0)["thingId"]);
    assert_eq!((&output(3)["attributes"], &output(3)["version"]), (&one, &json!(1)));
    assert_eq!(output(3)["defaultClientId"], "a");
    assert_eq!(error(4), ("VersionConflictException", Some(409)));
    assert_eq!(answered[5]["output"], json!({}));
    assert_eq!(output(6)["attributes"], json!({"site": "lab", "floor": "3"}));
    assert_eq!((&output(8)["attributes"], &output(8)["version"]), (&json!({"floor": "3"}), &json!(3)));
    assert_eq!(output(10)["attributes"], json!({"x": "1"}));
    assert_eq!(
        error(11),
        ("InvalidRequestException", Some(400)),
        "without a type a Thing has three attributes"
    );
    assert_eq!(error(12), ("VersionConflictException", Some(409)));
    assert_eq!((output(13), output(14)), (&json!({}), &json!({})));
    assert_eq!(error(15), ("ResourceNotFoundException", Some(404)));
    assert_eq!(error(16), ("ResourceNotFoundException", Some(404)));
}

#[tokio::test]
async fn things_are_listed_by_pages_and_by_attributes() {
    let gateway = TestGateway::open_to_all().await;
    let client = Client::new(&configuration(gateway.folder.path()));
    for n in 0..60 {
        let attributes = AttributePayload::builder()
            .attributes("site", if n % 3 == 0 { "lab" } else { "hall" }.to_owned() + &(n % 2).to_string());
        client
            .create_thing()
            .thing_name(format!("t{n:02}"))
            .attribute_payload(attributes.build())
            .send()
            .await
            .unwrap();
    }
    let all = (0..60).map(|n| format!("t{n:02}")).collect::<BTreeSet<_>>();
    for (size, value, prefix, wanted) in [
        (7, None, false, (0..60).collect::<Vec<_>>()),
        (250, None, false, (0..60).collect()),
        (60, None, false, (0..60).collect()),
        (4, Some("lab0"), false, (0..60).step_by(6).collect()),
        (4, Some("lab"), true, (0..60).step_by(3).collect()),
        (4, Some("la"), false, Vec::new()),
    ] {
        let pages = client
            .list_things()
            .max_results(size)
            .set_attribute_name(value.map(|_| "site".to_owned()))
            .set_attribute_value(value.map(str::to_owned))
            .use_prefix_attribute_value(prefix)
            .into_paginator()
            .send();
        let pages = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        assert!(pages.iter().all(|page| page.things().len() <= usize::try_from(size).unwrap()));
        let listed = pages
            .iter()
            .flat_map(aws_sdk_iot::operation::list_things::ListThingsOutput::things)
            .map(|thing| thing.thing_name().unwrap().to_owned());
        let listed = listed.collect::<Vec<_>>();
        let wanted = wanted.iter().map(|n| format!("t{n:02}")).collect::<BTreeSet<_>>();
        assert_eq!(listed.len(), wanted.len(), "{size} {value:?}: {listed:?}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted);
        assert!(wanted.is_subset(&all));
    }
    let calls = [
        call("ListThings", json!({"maxResults": 0})),
        call("ListThings", json!({"maxResults": 251})),
        call("ListThings", json!({"nextToken": "x"})),
        call("ListThings", json!({"attributeValue": "x"})),
    ];
    for answer in answers(gateway.folder.path(), &calls).await {
        assert_eq!(answer["error"], "InvalidRequestException", "{answer}");
    }
}

#[tokio::test]
async fn a_thing_of_the_settings_file_is_there_and_only_the_file_changes_it() {
    let thing = |name: &str| Thing { name: name.to_owned(), type_name: None, attributes: [].into() };
    let start = TestGateway::open_to_all().await.stop().await.registered(Vec::new(), vec![thing("of-file")]);
    let gateway = start.run().await;
    let calls = [
        describe("of-file"),
        update("of-file", &payload(&json!({"a": "b"}), false)),
        call("DeleteThing", json!({"thingName": "of-file"})),
        create("of-call", &json!({})),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    assert_eq!(answered[0]["output"]["thingName"], "of-file");
    for answer in &answered[1..3] {
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("`latchkey.toml` defines the Thing `of-file`"), "{message}");
    }
    let both = gateway.stop().await.registered(Vec::new(), vec![thing("of-call")]);
    let error = both.try_run().await.err().unwrap().to_string();
    assert!(error.contains("`latchkey.toml`") && error.contains("`of-call`"), "{error}");
}

#[tokio::test]
async fn things_outlive_the_gateway_and_those_that_leave_the_settings_file_go() {
    let thing = Thing { name: "of-file".to_owned(), type_name: None, attributes: [].into() };
    let start = TestGateway::open_to_all().await.stop().await.registered(Vec::new(), vec![thing]);
    let gateway = start.run().await;
    answers(gateway.folder.path(), &[create("stays", &json!({"a": "b"}))]).await;
    let gateway = gateway.stop().await.registered(Vec::new(), Vec::new()).run().await;
    let answered = answers(gateway.folder.path(), &[call("ListThings", json!({}))]).await;
    let things = answered[0]["output"]["things"].as_array().unwrap();
    assert_eq!(things.len(), 1, "{things:?}");
    assert_eq!((&things[0]["thingName"], &things[0]["attributes"]), (&json!("stays"), &json!({"a": "b"})));
}
