//! The constraints of the API model, each violated once.

use gateway::api::router::Service;
use integration::{aws_api::run, test_gateway::TestGateway};
use serde_json::json;

/// Members that the gateway does not read: tags are accepted and not kept.
const NOT_READ: [&str; 2] = ["tags", "cognitoIdentityPoolId"];

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
            if NOT_READ.iter().any(|not_read| member.contains(not_read)) {
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
