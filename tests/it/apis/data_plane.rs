//! The data plane: messages, retained messages, connections and direct messages, through boto3.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use gateway::registry::Thing;
use integration::{
    aws_api::{self, answers, call_of, with},
    eventually::eventually,
    http_client::{HttpClient, basic},
    mqtt_client::{MqttClient, connect, persistent},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{DisconnectReasonCode, LastWill, Packet, Publish, QoS, Version};
use serde_json::{Value, json};

fn call(operation: &str, input: Value) -> Value {
    call_of("iot-data", operation, input)
}

async fn output(gateway: &TestGateway, call: Value) -> Value {
    aws_api::output(gateway.folder.path(), call).await
}

fn failure(answer: &Value) -> (&str, u64) {
    (answer["error"].as_str().unwrap_or("none"), answer["status"].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn a_published_message_has_its_properties_and_is_retained() {
    let gateway = TestGateway::open_to_all().await;
    let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
    reader.subscribe(&["a/b", "other"], QoS::AtLeastOnce).await.unwrap();
    let all = json!({
        "topic": "a/b", "qos": 1, "retain": true, "payload": "21.5", "contentType": "text/plain", "responseTopic": "c/d",
        "messageExpiry": 600, "payloadFormatIndicator": "UTF8_DATA", "correlationData": "AP8=",
        "userProperties": [{"name": "value"}, {"name": "again"}],
    });
    let published = answers(
        gateway.folder.path(),
        &[
            call("Publish", all),
            call("GetRetainedMessage", json!({"topic": "a/b"})),
            call("GetRetainedMessage", json!({"topic": "a"})),
            call("Publish", json!({"topic": "other"})),
            call("Publish", json!({"topic": "a/#"})),
            call("Publish", json!({"topic": "$aws/events/x"})),
            call("Publish", json!({"topic": "t", "qos": 2})),
            call("Publish", json!({"topic": "t", "payload": "x".repeat(131_073)})),
            call("Publish", json!({"topic": "t", "contentType": "x".repeat(257)})),
        ],
    )
    .await;
    let message = reader.message().await;
    let properties = message.properties.as_deref().unwrap();
    assert_eq!((message.qos, &message.payload[..]), (QoS::AtLeastOnce, &b"21.5"[..]));
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert_eq!(properties.response_topic.as_ref().map(mqtt::TopicName::as_str), Some("c/d"));
    assert_eq!(
        (properties.correlation_data.as_deref(), properties.payload_is_utf8),
        (Some(&[0, 0xff][..]), true)
    );
    assert!(properties.message_expiry_interval.is_some_and(|seconds| (590..=600).contains(&seconds)));
    assert_eq!(properties.user_properties.len(), 2);
    assert_eq!(reader.message().await.topic.unwrap().as_str(), "other");
    let retained = &published[1]["output"];
    assert_eq!(
        (&retained["topic"], &retained["qos"], &retained["payload"]),
        (&json!("a/b"), &json!(1), &json!("MjEuNQ=="))
    );
    assert!(retained["lastModifiedTime"].as_i64().unwrap() > 1_700_000_000_000, "{retained}");
    assert_eq!(failure(&published[2]), ("ResourceNotFoundException", 404));
    for refused in &published[4..] {
        assert_eq!(failure(refused), ("InvalidRequestException", 400), "{refused}");
    }
}

#[tokio::test]
async fn retained_messages_are_listed_by_pages_in_the_order_of_their_topics() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for (topic, payload) in [("c", "c"), ("a", "a"), ("b", "b"), ("gone", "x"), ("gone", "")] {
        let publish = Publish { retain: true, ..Publish::new(topic.parse().unwrap(), payload) };
        sender.send(Packet::Publish(publish)).await;
    }
    sender.ping().await;
    let first = output(&gateway, call("ListRetainedMessages", json!({"maxResults": 2}))).await;
    let topics = |of: &Value| {
        let topics = of["retainedTopics"].as_array().unwrap().iter();
        topics.map(|it| it["topic"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (topics(&first), &first["retainedTopics"][0]["payloadSize"]),
        (vec!["a".into(), "b".into()], &json!(1))
    );
    let next = json!({"maxResults": 2, "nextToken": first["nextToken"]});
    let second = output(&gateway, call("ListRetainedMessages", next)).await;
    assert_eq!((topics(&second), &second["nextToken"]), (vec!["c".into()], &Value::Null));
}

#[tokio::test]
async fn a_connection_is_described_while_it_is_open_and_after_its_end() {
    let thing = Thing { name: "dev".into(), type_name: None, attributes: std::collections::BTreeMap::new() };
    let never = Thing { name: "never".into(), ..thing.clone() };
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.registered(Vec::new(), vec![thing, never]).run().await;
    let mut client = MqttClient::connected(&gateway, persistent(Version::V5, "dev", 600)).await;
    client.subscribe(&["b", "$share/g/a"], QoS::AtLeastOnce).await.unwrap();
    client.subscribe(&["a"], QoS::AtMostOnce).await.unwrap();
    let get = |more: Value| call("GetConnection", with(json!({"clientId": "dev"}), &more));
    let list = |input: Value| call("ListSubscriptions", input);
    let connectivity = |name: &str| {
        let input = json!({"thingName": name, "includeSocketInformation": true});
        call_of("iot", "GetThingConnectivityData", input)
    };
    let calls = [
        get(json!({})),
        get(json!({"includeSocketInformation": true})),
        list(json!({"clientId": "dev"})),
        list(json!({"clientId": "dev", "maxResults": 2})),
        list(json!({"clientId": "nobody"})),
        call("GetConnection", json!({"clientId": "nobody"})),
        call("GetConnection", json!({"clientId": "$x"})),
        connectivity("dev"),
        connectivity("never"),
        connectivity("unknown"),
    ];
    let answered = answers(gateway.folder.path(), &calls).await;
    let open = &answered[0]["output"];
    let fields = ["connected", "clientId", "cleanSession", "keepAliveDuration", "sessionExpiry", "sourceIp"];
    let expected = [json!(true), json!("dev"), json!(false), json!(1_200), json!(600), Value::Null];
    assert_eq!(fields.map(|field| open[field].clone()), expected, "{open}");
    assert!(open["connectedSince"].is_i64() && open["disconnectedSince"].is_null(), "{open}");
    let with_sockets = &answered[1]["output"];
    let port = u64::from(gateway.address.port());
    assert_eq!((&with_sockets["sourceIp"], &with_sockets["targetPort"]), (&json!("127.0.0.1"), &json!(port)));
    let all = json!([
        {"topicFilter": "$share/g/a", "qos": 1}, {"topicFilter": "a", "qos": 0}, {"topicFilter": "b", "qos": 1},
    ]);
    assert_eq!(answered[2]["output"]["subscriptions"], all);
    let page = &answered[3]["output"];
    assert_eq!(page["subscriptions"].as_array().unwrap().len(), 2);
    let rest = list(json!({"clientId": "dev", "nextToken": page["nextToken"]}));
    assert_eq!(output(&gateway, rest).await["subscriptions"], json!([all[2]]));
    for unknown in &answered[4..6] {
        assert_eq!(failure(unknown), ("ResourceNotFoundException", 404));
    }
    assert_eq!(failure(&answered[6]), ("InvalidRequestException", 400));
    assert_eq!(
        (&answered[7]["output"]["connected"], &answered[7]["output"]["thingName"]),
        (&json!(true), &json!("dev"))
    );
    assert_eq!(
        (&answered[8]["output"]["connected"], &answered[8]["output"]["timestamp"]),
        (&json!(false), &json!(0.0))
    );
    assert_eq!(failure(&answered[9]), ("ResourceNotFoundException", 404));

    client.send(Packet::Disconnect(mqtt::Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "dev")]).await;
    let calls = [get(json!({})), list(json!({"clientId": "dev"})), connectivity("dev")];
    let answered = answers(gateway.folder.path(), &calls).await;
    let closed = &answered[0]["output"];
    assert_eq!(
        (&closed["connected"], &closed["disconnectReason"]),
        (&json!(false), &json!("CLIENT_INITIATED_DISCONNECT"))
    );
    assert!(closed["disconnectedSince"].is_i64() && closed["connectedSince"].is_null(), "{closed}");
    assert_eq!(answered[1]["output"]["subscriptions"], all, "its session waits");
    assert_eq!(answered[2]["output"]["disconnectReason"], "CLIENT_INITIATED_DISCONNECT");
}

#[tokio::test]
async fn a_deleted_connection_ends_with_or_without_its_will_and_its_session() {
    let gateway = TestGateway::open_to_all().await;
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&["will/#"], QoS::AtMostOnce).await.unwrap();
    let cases = [
        (Version::V5, json!({}), true, true),
        (Version::V5, json!({"cleanSession": true}), true, false),
        (Version::V311, json!({"preventWillMessage": true}), false, true),
        (Version::V5, json!({"cleanSession": true, "preventWillMessage": true}), false, false),
    ];
    for (n, (version, more, with_will, with_session)) in cases.into_iter().enumerate() {
        let id = format!("c{n}");
        let will = LastWill::new(format!("will/{id}").parse().unwrap(), "gone".into());
        let mut client = MqttClient::connected(
            &gateway,
            mqtt::Connect { last_will: Some(will), ..persistent(version, &id, 600) },
        )
        .await;
        client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
        output(&gateway, call("DeleteConnection", with(json!({"clientId": id}), &more))).await;
        if version == Version::V5 {
            let Some(Packet::Disconnect(disconnect)) = client.receive().await else {
                panic!("no DISCONNECT")
            };
            assert_eq!(disconnect.code, DisconnectReasonCode::AdministrativeAction);
        }
        client.closed().await;
        let line = gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", &id)]).await;
        assert_eq!(line["disconnectReason"], "API_INITIATED_DISCONNECT", "{line}");
        let (_again, ack) = MqttClient::connect(&gateway, persistent(version, &id, 600)).await;
        assert_eq!(ack.unwrap().session_present, with_session, "{more}");
        if with_will {
            assert_eq!(watcher.message().await.topic.unwrap().as_str(), format!("will/{id}"));
        }
        let again =
            answers(gateway.folder.path(), &[call("DeleteConnection", json!({"clientId": "nobody"}))]).await;
        assert_eq!(failure(&again[0]), ("ResourceNotFoundException", 404));
    }
    watcher.ping().await;
}

#[tokio::test]
async fn a_direct_message_reaches_a_client_without_a_subscription_and_its_sender_knows() {
    let answer = allow(&[("Allow", "iot:Connect", "client/*"), ("Allow", "iot:Receive", "topic/allowed/*")]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let mut receiver = MqttClient::anybody(&gateway, Version::V5, "receiver").await;
    let away = MqttClient::connected(&gateway, persistent(Version::V5, "away", 600)).await;
    drop(away);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "away")]).await;
    let send = |more: Value| {
        let input = json!({"clientId": "receiver", "topic": "allowed/a", "payload": "x"});
        call("SendDirectMessage", with(input, &more))
    };
    let calls = [
        send(json!({"contentType": "text/plain"})),
        send(json!({"confirmation": true, "timeout": 15})),
        send(json!({"topic": "denied"})),
        send(json!({"clientId": "nobody"})),
        send(json!({"clientId": "away"})),
        send(json!({"topic": "$aws/x"})),
        send(json!({"topic": "a/b/c/d/e/f/g/h/i"})),
        send(json!({"clientId": "$x"})),
        send(json!({"confirmation": true, "timeout": 16})),
        send(json!({"payload": "x".repeat(131_073)})),
        send(json!({"confirmation": true, "timeout": 1})),
    ];
    let reads = async {
        let first = receiver.message().await;
        assert_eq!(
            (first.qos, first.topic.unwrap().as_str().to_owned()),
            (QoS::AtMostOnce, "allowed/a".to_owned())
        );
        assert_eq!(first.properties.unwrap().content_type.as_deref(), Some("text/plain"));
        let confirmed = receiver.message().await;
        assert_eq!(confirmed.qos, QoS::AtLeastOnce);
        receiver.acknowledge(&confirmed).await;
        receiver.message().await
    };
    let (answered, held) = tokio::join!(answers(gateway.folder.path(), &calls), reads);
    let expected = [
        ("none", 0, "OK"),
        ("none", 0, "OK"),
        ("ForbiddenException", 403, "Authorization failed for the target client"),
        ("ResourceNotFoundException", 404, "The client ID is not found"),
        ("ResourceNotFoundException", 404, "it has an active persistent session"),
        ("InvalidRequestException", 400, "This topic isn't valid"),
        ("InvalidRequestException", 400, "This topic isn't valid"),
        ("InvalidRequestException", 400, "This client ID isn't valid"),
        ("InvalidRequestException", 400, "Must be an integer between 1 and 15"),
        ("RequestEntityTooLargeException", 413, "larger than 131072 bytes"),
        ("GatewayTimeoutException", 504, "was not received within the specified timeout period"),
    ];
    for ((answer, (name, status, words)), call) in answered.iter().zip(expected).zip(&calls) {
        assert_eq!(failure(answer), (name, status), "{call}");
        let message = answer["message"].as_str().or(answer["output"]["message"].as_str()).unwrap();
        assert!(message.contains(words), "{call}: {message}");
    }
    assert_eq!(held.qos, QoS::AtLeastOnce, "it came, and was not acknowledged");
}

#[tokio::test]
async fn a_direct_message_counts_for_the_receivers_rate() {
    let start = Start::with_script(&Step::Answer(allow_all())).0;
    let rate = |settings: &mut gateway::settings::Settings| {
        settings.quotas.publishes_per_second = 1.try_into().ok();
    };
    let gateway = start.with(rate).run().await;
    let mut receiver = MqttClient::anybody(&gateway, Version::V5, "receiver").await;
    let send = call("SendDirectMessage", json!({"clientId": "receiver", "topic": "t", "payload": "x"}));
    // Signatures need the real time, so more than one may be sent: each second has one.
    let answered = answers(gateway.folder.path(), &vec![send; 10]).await;
    let statuses = answered.iter().map(failure).collect::<Vec<_>>();
    let (accepted, refused) =
        statuses.iter().copied().partition::<Vec<_>, _>(|status| *status == ("none", 0));
    assert_eq!(statuses[0], ("none", 0));
    assert!(
        !refused.is_empty() && refused.iter().all(|it| *it == ("ThrottlingException", 429)),
        "{statuses:?}"
    );
    for _ in accepted {
        assert_eq!(receiver.message().await.payload, "x");
    }
    receiver.ping().await;
}

#[tokio::test]
async fn a_device_sends_a_direct_message_if_its_documents_allow_it() {
    let answer = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Receive", "topic/t"),
        ("Allow", "iot:SendDirectMessage", "client/receiver"),
    ]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let mut receiver = MqttClient::connected(&gateway, connect(Version::V311, "receiver", "u", "p")).await;
    MqttClient::connected(&gateway, connect(Version::V311, "other", "u", "p")).await;
    let authorization = basic("u", "p");
    let headers: &[(&str, &str)] = &[("Authorization", &authorization)];
    let mut sender = HttpClient::open(&gateway).await;
    for (target, status, message) in [
        ("/connections/receiver/messages?topic=t", 200, Some("OK")),
        ("/connections/other/messages?topic=t", 403, None),
        (
            "/connections/receiver/messages?topic=denied",
            403,
            Some(
                "Authorization failed for the target client. Verify that your policy grants the necessary permissions",
            ),
        ),
        ("/connections/receiver/messages", 400, None),
    ] {
        let answer = sender.request("POST", target, headers, "x").await;
        assert_eq!(answer.status, status, "{target}: {answer:?}");
        if let Some(message) = message {
            assert_eq!(answer.message(), message);
        }
    }
    assert_eq!(receiver.message().await.payload, "x");
    let line = gateway.logged_with(&[("eventType", "SendDirectMessage"), ("status", "Success")]).await;
    assert_eq!((&line["topicName"], &line["protocol"]), (&json!("t"), &json!("HTTP")), "{line}");
    let refused = eventually("the refusal's line", || {
        let lines = gateway.log.lines();
        lines.into_iter().find(|line| line["reason"] == "RECEIVE_AUTHORIZATION_FAILURE")
    });
    assert_eq!(refused.await["status"], "Failure");
}

#[tokio::test]
async fn a_published_request_to_a_shadow_is_carried_out() {
    let gateway = TestGateway::open_to_all().await;
    let update =
        json!({"topic": "$aws/things/t/shadow/update", "payload": r#"{"state":{"desired":{"on":true}}}"#});
    output(&gateway, call("Publish", update)).await;
    let shadow = output(&gateway, call("GetThingShadow", json!({"thingName": "t"}))).await;
    let document = BASE64_STANDARD.decode(shadow["payload"].as_str().unwrap()).unwrap();
    let document = serde_json::from_slice::<Value>(&document).unwrap();
    assert_eq!(document["state"]["desired"], json!({"on": true}));
}
