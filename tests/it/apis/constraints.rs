//! The API model, which each operation is held to: every constraint violated once, and every member wrong on the wire.

use gateway::api::router::Service;
use integration::{
    aws_api::{answers, call, run},
    test_gateway::TestGateway,
};
use serde_json::json;

/// A member that the gateway does not read.
const NOT_READ: &str = "cognitoIdentityPoolId";

#[tokio::test]
async fn every_member_of_every_operation_is_held_to_its_constraints() {
    let gateway = TestGateway::open_to_all().await;
    let served = Service::ControlPlane.operations().iter().filter(|operation| operation.handler.is_some());
    let names = served.map(|operation| operation.name).collect::<Vec<_>>();
    let attempts = names.iter().map(|name| json!({"violate": name})).collect::<Vec<_>>();
    let mut checked = 0;
    for (name, events) in names.iter().zip(run(gateway.folder.path(), &attempts).await) {
        for event in events {
            let member = event["member"].as_str().unwrap();
            if member.contains(NOT_READ) {
                continue;
            }
            let refused =
                event["error"] == "InvalidRequestException" || event["error"] == "NotImplementedException";
            assert!(refused, "{name}: {event}");
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked}");
}

#[tokio::test]
async fn every_member_that_is_absent_or_of_another_type_is_refused_and_nothing_is_changed() {
    let gateway = TestGateway::open_to_all().await;
    let folder = gateway.folder.path();
    let create = |name: &str| call("CreateThing", json!({"thingName": name}));
    let first = json!({"maxResults": 1});
    let made = answers(folder, &[create("t1"), create("t2"), call("ListThings", first)]).await;
    let token = &made[2]["output"]["nextToken"];
    let mut attempts = Vec::new();
    for (client, service) in [("iot", Service::ControlPlane), ("iot-data", Service::DataPlane)] {
        for operation in service.operations().iter().filter(|operation| operation.handler.is_some()) {
            // The token that `ListThings` has given is good there alone.
            let token = if operation.name == "ListThings" { &json!("eHh4eA==") } else { token };
            attempts.push(json!({"client": client, "misuse": operation.name, "token": token}));
        }
    }
    let mut checked = std::collections::BTreeMap::<String, usize>::new();
    for (attempt, events) in attempts.iter().zip(run(folder, &attempts).await) {
        for event in events {
            let wrong = event["wrong"].as_str().unwrap();
            // The data plane has documented messages for some parameters that are not numbers.
            let names: &[&str] = match (wrong, attempt["client"].as_str().unwrap()) {
                ("type", "iot") => &["SerializationException", "NotImplementedException"],
                ("type", _) => &["SerializationException", "InvalidRequestException"],
                _ => &["InvalidRequestException", "NotImplementedException"],
            };
            let name = event["error"].as_str().unwrap_or("none");
            assert!(names.contains(&name), "{}: {event}", attempt["misuse"]);
            *checked.entry(wrong.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(checked.keys().collect::<Vec<_>>(), ["absent", "range", "token", "type"]);
    assert!(checked.values().sum::<usize>() > 200, "{checked:?}");
    for (list, member, number) in [
        ("ListThings", "things", 2),
        ("ListThingTypes", "thingTypes", 0),
        ("ListThingGroups", "thingGroups", 0),
        ("ListBillingGroups", "billingGroups", 0),
        ("ListPolicies", "policies", 0),
        ("ListCertificates", "certificates", 0),
        ("ListAuthorizers", "authorizers", 1),
    ] {
        let listed = answers(folder, &[call(list, json!({}))]).await;
        assert_eq!(listed[0]["output"][member].as_array().unwrap().len(), number, "{}", listed[0]);
    }
}
