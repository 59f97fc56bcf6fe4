//! Whatever the authorizer's function does, nobody comes in by it who should not, and the next call works.

use std::time::Duration;

use gateway::{
    gateway::StartError,
    lambda::{InvokeError, program::RuntimeApiAddress},
};
use integration::{
    eventually::{eventually, within},
    mqtt_client::{MqttClient, connect},
    refusal,
    script::{Script, Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, Version};
use serde_json::{Value, json};

const BOTH: [Version; 2] = [Version::V311, Version::V5];

async fn scripted(step: &Step) -> (TestGateway, Script) {
    let (start, script) = Start::with_script(step);
    (start.run().await, script)
}

fn anybody(version: Version) -> Connect {
    connect(version, "c", "u", "p")
}

/// A CONNECT is refused, and the log says that the function is at fault, and how.
async fn refused(gateway: &TestGateway, version: Version, details: &str) {
    refusal::refused(gateway, anybody(version), ConnectReasonCode::NotAuthorized).await;
    at_fault(gateway, details).await;
}

async fn at_fault(gateway: &TestGateway, details: &str) {
    let about = |line: &Value| {
        line["eventType"] == "Connection.AuthNError"
            && line["explanation"].as_str().is_some_and(|text| text.contains(details))
    };
    let line = gateway.logged(&format!("`{details}` in the log"), about).await;
    assert_eq!(line["reason"], "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR");
}

fn changed(field: &str, value: Value) -> Value {
    let mut answer = allow_all();
    answer[field] = value;
    answer
}

fn document(characters: usize) -> Value {
    let document = |name: &str| {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect",
            "Resource": format!("arn:aws:iot:us-east-1:123456789012:client/{name}")}]})
    };
    let empty = document("").to_string().len();
    document(&"x".repeat(characters - empty))
}

#[tokio::test]
async fn an_answer_that_breaks_a_rule_refuses_the_client() {
    let (gateway, script) = scripted(&Step::Error).await;
    let allowed = allow_all()["policyDocuments"][0].clone();
    let cases = [
        (json!("garbage"), "it is a string, and AWS wants an object"),
        (json!(null), "it is null, and AWS wants an object"),
        (json!([allow_all()]), "it is a list, and AWS wants an object"),
        (json!({}), "`isAuthenticated` is absent"),
        (changed("isAuthenticated", json!("true")), "`isAuthenticated` is the string"),
        (changed("principalId", json!("a-b")), "`principalId` should be 1 to 128 letters and digits"),
        (
            changed("principalId", json!("x".repeat(129))),
            "`principalId` should be 1 to 128 letters and digits",
        ),
        (changed("policyDocuments", json!(vec![allowed.clone(); 11])), "`policyDocuments` has 11 documents"),
        (changed("policyDocuments", json!([allowed, document(2_049)])), "`policyDocuments[1]`"),
        (changed("policyDocuments", json!(["garbage"])), "`policyDocuments[0]`"),
        (changed("policyDocuments", Value::Null), "`policyDocuments` is absent"),
        (changed("refreshAfterInSeconds", json!(299)), "`refreshAfterInSeconds` is 299"),
        (changed("disconnectAfterInSeconds", json!(86_401)), "`disconnectAfterInSeconds` is 86401"),
    ];
    for (answer, details) in cases {
        script.set(&Step::Answer(answer));
        for version in BOTH {
            refused(&gateway, version, details).await;
        }
    }
    script.set(&Step::Answer(allow_all()));
    MqttClient::connected(&gateway, anybody(Version::V5)).await;
    assert_eq!(script.starts(), 1, "a wrong answer is no crash");
}

#[tokio::test]
async fn an_answer_at_the_limits_is_accepted() {
    let mut documents = vec![document(2_048); 9];
    documents.push(allow_all()["policyDocuments"][0].clone());
    let (gateway, _script) = scripted(&Step::Answer(changed("policyDocuments", json!(documents)))).await;
    let mut client = MqttClient::connected(&gateway, anybody(Version::V5)).await;
    assert!(client.publish("t", "x", mqtt::QoS::AtLeastOnce).await.is_some());
}

#[tokio::test]
async fn policies_that_do_not_allow_connect_refuse_the_client() {
    let (gateway, script) = scripted(&Step::Error).await;
    let answers = [
        changed("policyDocuments", json!([])),
        allow(&[("Allow", "iot:Publish", "topic/*")]),
        allow(&[("Allow", "iot:Connect", "client/other")]),
        allow(&[("Allow", "iot:Connect", "client/*"), ("Deny", "iot:Connect", "client/c")]),
        json!({"isAuthenticated": false}),
        changed("isAuthenticated", json!(false)),
    ];
    for answer in answers {
        script.set(&Step::Answer(answer));
        for version in BOTH {
            refusal::refused(&gateway, anybody(version), ConnectReasonCode::NotAuthorized).await;
        }
    }
    let successes = gateway.log.lines().into_iter().filter(|line| line["status"] == "Success");
    assert_eq!(successes.count(), 0);
}

#[tokio::test]
async fn an_error_refuses_and_the_instance_goes_on() {
    let (gateway, script) = scripted(&Step::Error).await;
    for version in BOTH {
        refused(&gateway, version, "the authorizer reported ").await;
    }
    assert!(!gateway.log.lines().iter().any(|line| line.to_string().contains("the script says so")));
    script.set(&Step::Answer(allow_all()));
    MqttClient::connected(&gateway, anybody(Version::V5)).await;
    assert_eq!((script.starts(), script.calls()), (1, 3));
}

#[tokio::test]
async fn a_crash_refuses_and_the_next_call_gets_a_new_instance() {
    let (gateway, script) = scripted(&Step::Crash).await;
    refused(&gateway, Version::V311, "the authorizer ended during the call with exit status: 3").await;
    refused(&gateway, Version::V5, "the authorizer ended during the call with exit status: 3").await;
    script.set(&Step::Answer(allow_all()));
    MqttClient::connected(&gateway, anybody(Version::V5)).await;
    assert_eq!((script.starts(), script.calls()), (3, 3), "no call is made twice");
}

#[tokio::test]
async fn a_function_that_hangs_is_abandoned_and_the_next_call_gets_a_new_instance() {
    let (start, script) = Start::with_script(&Step::Hang);
    let gateway = start.on_manual_clock().run().await;
    let (address, waiting) = (&gateway, anybody(Version::V5));
    let connecting = MqttClient::connect(address, waiting);
    let clock = async {
        eventually("the call", || (script.calls() == 1).then_some(())).await;
        gateway.advance(Duration::from_millis(4_999));
        let failed = gateway.log.lines().iter().any(|line| line["status"] == "Failure");
        assert!(!failed, "4.999 s are not five");
        gateway.advance(Duration::from_millis(1));
    };
    let ((mut client, ack), ()) = tokio::join!(connecting, clock);
    assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized);
    assert_eq!(client.ended().await, None);
    at_fault(&gateway, "the authorizer did not answer within 5s").await;
    script.set(&Step::Answer(allow_all()));
    MqttClient::connected(&gateway, anybody(Version::V5)).await;
    assert_eq!((script.starts(), script.calls()), (2, 2));
}

#[tokio::test]
async fn an_instance_is_started_once_for_many_connects() {
    let (gateway, script) = scripted(&Step::Answer(allow_all())).await;
    assert_eq!((script.starts(), script.calls()), (1, 0), "before the first call");
    for _ in 0..10 {
        for version in BOTH {
            MqttClient::connected(&gateway, anybody(version)).await;
        }
    }
    assert_eq!((script.starts(), script.calls()), (1, 20));
}

#[tokio::test]
async fn the_number_of_instances_is_limited_and_every_waiting_call_is_served() {
    let (start, script) = Start::with_script(&Step::Hold(allow_all()));
    let gateway = start.with_function(|function| function.instances = 3).run().await;
    let mut connecting = tokio::task::JoinSet::new();
    for n in 0..8 {
        let mut client = MqttClient::open(&gateway, Version::V5).await;
        connecting.spawn(async move {
            let connect = connect(Version::V5, &n.to_string(), "u", "p");
            client.send(mqtt::Packet::Connect(Box::new(connect))).await;
            client.receive().await
        });
    }
    eventually("three calls at a time", || (script.calls() == 3).then_some(())).await;
    script.set(&Step::Answer(allow_all()));
    while let Some(answer) = within("an answer", connecting.join_next()).await {
        let Ok(Some(mqtt::Packet::ConnAck(ack))) = answer else { panic!("{answer:?} instead of CONNACK") };
        assert_eq!(ack.code, ConnectReasonCode::Success);
    }
    assert_eq!((script.starts(), script.calls()), (3, 8));
}

#[tokio::test]
async fn a_client_that_disconnects_early_frees_the_function_for_others() {
    let (gateway, script) = scripted(&Step::Hold(allow_all())).await;
    for n in 0..2 {
        let mut client = MqttClient::open(&gateway, Version::V5).await;
        client.send(mqtt::Packet::Connect(Box::new(anybody(Version::V5)))).await;
        eventually("the call", || (script.calls() > n).then_some(())).await;
        drop(client);
    }
    script.set(&Step::Answer(allow_all()));
    MqttClient::connected(&gateway, anybody(Version::V5)).await;
    assert_eq!(script.calls(), 3);
}

#[tokio::test]
async fn a_broken_devices_file_ends_the_start_and_the_message_names_the_line() {
    let cases = [
        ("{\n  \"version\": 1,\n  \"devices\": {\n}", "line 4 column 1"),
        ("", "line 1 column 0"),
        ("{\"version\": 1,\n\"devices\": []}", "line 2 column 11"),
        ("{\"version\": 1,\n\"device\": {}}", "unknown field `device`"),
        ("{\"version\": 2, \"devices\": {}}", "the format's version is 2, and this program reads 1"),
    ];
    for (text, expected) in cases {
        let start = Start::with_authorizer();
        std::fs::write(start.folder().join("devices.json"), text).unwrap();
        let Err(StartError::Authorizer(InvokeError::Init { code, message, .. })) = start.try_run().await
        else {
            panic!("{text} is taken")
        };
        assert_eq!(code, Some(64), "{text}");
        assert!(message.contains("devices.json") && message.contains(expected), "{text}: {message}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_exist_or_is_not_a_function_ends_the_start() {
    let start = Start::with_authorizer().with_program(|program| program.path = "/no/such/program".into());
    let Err(StartError::Authorizer(InvokeError::Start { program, .. })) = start.try_run().await else {
        panic!("it starts")
    };
    assert_eq!(program, "/no/such/program");
    let start = Start::with_authorizer().with_program(|program| program.variables.clear());
    let error =
        start.with_program(|program| program.variables.push(("LATCHKEY_STORE".to_owned(), "x".to_owned())));
    let Err(StartError::Authorizer(InvokeError::Init { code, message, .. })) = error.try_run().await else {
        panic!("it starts")
    };
    assert_eq!(code, Some(64));
    assert!(message.contains("LATCHKEY_STORE: `x` is not a store"), "{message}");
}

/// A runtime client that writes `http://` before the address dies before its first event.
#[tokio::test]
async fn a_program_that_ends_before_its_first_event_has_the_form_of_the_runtime_apis_address_explained() {
    for (runtime_api, exit, is_explained) in [
        (RuntimeApiAddress::SecretPath, 3, true),
        (RuntimeApiAddress::SecretPath, 64, false),
        (RuntimeApiAddress::HostAndPort, 3, false),
    ] {
        let start = Start::with_authorizer().with_program(|program| {
            (program.path, program.runtime_api) = ("sh".into(), runtime_api);
            program.arguments = vec!["-c".to_owned(), format!("exit {exit}")];
        });
        let error = start.try_run().await.err().expect("it does not start").to_string();
        assert_eq!(error.contains("`http://HOST:PORT/PATH` here"), is_explained, "{error}");
        assert_eq!(error.contains("`runtime_api_path = false`"), is_explained, "{error}");
    }
}
