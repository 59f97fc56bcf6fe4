//! The lines about MQTT connections, in the shape of AWS IoT Core's own log.

use std::collections::BTreeSet;

use integration::{
    mqtt_client::{MqttClient, connect, persistent, tls},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, Disconnect, DisconnectReasonCode, Packet, Publish, QoS, Version};
use serde_json::{Value, json};

#[tokio::test]
async fn each_line_of_a_connection_has_its_own_trace_id_and_the_id_of_the_connection() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.subscribe(&["a"], QoS::AtMostOnce).await.unwrap();
    client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
    gateway.logged_with(&[("eventType", "Disconnect")]).await;
    let lines = gateway.log.lines();
    let values = |field: &str| lines.iter().map(|line| line[field].to_string()).collect::<BTreeSet<_>>();
    assert_eq!((lines.len(), values("traceId").len(), values("connectionId").len()), (3, 3, 1));
    let text = gateway.log.text();
    let fields =
        ["timestamp", "logLevel", "traceId", "accountId", "status", "eventType", "protocol", "clientId"];
    let fields = fields.into_iter().chain(["principalId", "sourceIp", "sourcePort"]);
    assert!(fields.map(|field| text.find(field).unwrap()).is_sorted(), "AWS's order: {text}");
}

#[tokio::test]
async fn a_connect_line_has_what_the_client_asks_for() {
    let gateway = TestGateway::open_to_all().await;
    for (version, expiry) in [(Version::V311, 3_600), (Version::V5, 60)] {
        let id = format!("{version:?}");
        let connect = Connect { keep_alive: 45, ..persistent(version, &id, 60) };
        MqttClient::connected(&gateway, connect).await;
        let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", &id)]).await;
        let fields = ["keepAliveDuration", "sessionExpiry", "cleanSession", "thingName", "reason"];
        let expected = [json!(45), json!(expiry), json!(false), Value::Null, Value::Null];
        assert_eq!(fields.map(|field| line[field].clone()), expected, "{line}");
    }
    MqttClient::anybody(&gateway, Version::V311, "clean").await;
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", "clean")]).await;
    assert_eq!((&line["sessionExpiry"], &line["cleanSession"]), (&json!(0), &json!(true)), "{line}");
}

#[tokio::test]
async fn each_message_and_each_pingreq_has_a_line_if_the_levels_ask_for_it() {
    let all = json!({"event_log_levels": {"Publish-In": "INFO", "Publish-Out": "INFO", "Ping": "DEBUG"}});
    for levels in [
        json!({}),
        json!({"default_log_level": "DEBUG"}),
        json!({"event_log_levels": {"Publish-In": "ERROR", "Ping": "ERROR"}}),
        all.clone(),
    ] {
        let start = Start::with_script(&Step::Answer(allow_all())).0;
        let logging = serde_json::from_value(levels.clone()).unwrap();
        let gateway = start.with(|settings| settings.logging = logging).run().await;
        let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
        client.subscribe(&["kept", "plain"], QoS::AtMostOnce).await.unwrap();
        for (topic, retain) in [("kept", true), ("plain", false), ("$aws/rules/R/t", false)] {
            let publish = Publish { retain, ..Publish::new(topic.parse().unwrap(), "x") };
            client.send(Packet::Publish(publish)).await;
        }
        for _ in ["kept", "plain"] {
            client.message().await;
        }
        client.ping().await;
        client.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
        gateway.logged_with(&[("eventType", "Disconnect")]).await;
        let lines = gateway.log.lines();
        let found = lines.iter().filter(|line| line["explanation"].is_null() && line["details"].is_null());
        let found = found
            .filter(|line| ["Publish-In", "Publish-Out", "Ping"].iter().any(|of| line["eventType"] == *of))
            .map(|line| ["eventType", "logLevel", "topicName", "retain"].map(|field| line[field].clone()))
            .collect::<Vec<_>>();
        let mut expected = vec![
            json!(["Publish-In", "INFO", "kept", "True"]),
            json!(["Publish-In", "INFO", "plain", null]),
            json!(["Publish-In", "INFO", "$aws/rules/R/t", null]),
            json!(["Publish-Out", "INFO", "kept", null]),
            json!(["Publish-Out", "INFO", "plain", null]),
            json!(["Ping", "DEBUG", null, null]),
        ];
        expected.retain(|_| levels == all);
        let sorted = |mut of: Vec<Value>| {
            of.sort_by_key(Value::to_string);
            of
        };
        assert_eq!(sorted(found.into_iter().map(|it| json!(it)).collect()), sorted(expected), "{levels}");
        if levels == all {
            let ping = lines.iter().find(|line| line["eventType"] == "Ping").unwrap();
            let text = ping.to_string();
            assert!(ping["latency"].is_u64() && text.contains("requestTimestamp"), "{ping}");
            assert!(ping["responseTimestamp"].as_str() >= ping["requestTimestamp"].as_str(), "{ping}");
        }
    }
}

#[tokio::test]
async fn events_below_their_level_have_no_line() {
    let disabled = json!({"Connection.AuthNError": "DISABLED"});
    let levels = json!({"default_log_level": "ERROR", "event_log_levels": disabled});
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let logging = serde_json::from_value(levels).unwrap();
    let gateway = start.with(|settings| settings.logging = logging).run().await;
    MqttClient::anybody(&gateway, Version::V5, "c").await.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    let refused = connect(Version::V5, "refused", "u", "p");
    let (_, answer) = MqttClient::connect(&gateway, refused).await;
    assert_eq!(answer.unwrap().code, ConnectReasonCode::NotAuthorized);
    gateway.logged_with(&[("eventType", "Disconnect"), ("status", "Failure")]).await;
    let lines = gateway.log.lines();
    assert!(lines.iter().all(|line| line["eventType"] == "Disconnect"), "{lines:?}");
}

#[tokio::test]
async fn an_unsupported_keep_alive_has_a_line_that_names_the_range() {
    let gateway = TestGateway::open_to_all().await;
    for (keep_alive, is_supported) in [(0, true), (29, false), (30, true), (1_200, true), (1_201, false)] {
        let id = keep_alive.to_string();
        let connect = Connect { keep_alive, ..connect(Version::V5, &id, "u", "p") };
        MqttClient::connected(&gateway, connect).await;
        gateway.logged_with(&[("eventType", "Connect"), ("clientId", &id)]).await;
        let lines = gateway.log.lines();
        let line = lines
            .iter()
            .find(|line| line["eventType"] == "Unsupported keep-alive value" && line["clientId"] == id);
        assert_eq!(line.is_none(), is_supported, "{keep_alive}");
        if let Some(line) = line {
            assert_eq!((&line["logLevel"], &line["status"]), (&"ERROR".into(), &"Failure".into()));
            let details = "a keep-alive of 30 to 1200 seconds is supported; the nearest one is used";
            assert_eq!(line["details"], details);
        }
    }
}

#[tokio::test]
async fn subscriptions_have_a_line_with_their_outcomes() {
    let answer = allow(&[("Allow", "iot:*", "*"), ("Deny", "iot:Subscribe", "topicfilter/denied")]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "five").await;
    client.subscribe(&["a", "denied"], QoS::AtLeastOnce).await.unwrap();
    let success = [("eventType", "Subscribe"), ("status", "Success")];
    let line = gateway.logged_with(&[success[0], success[1], ("clientId", "five")]).await;
    assert_eq!((&line["topicName"], &line["logLevel"]), (&"a,denied".into(), &"INFO".into()));
    let outcomes = json!([{"topicName": "a", "reasonCode": 1}, {"topicName": "denied", "reasonCode": 0x87}]);
    assert_eq!(line["subscriptions"], outcomes);
    client.unsubscribe(&["a"]).await.unwrap();
    gateway.logged_with(&[("eventType", "Unsubscribe"), ("status", "Success"), ("clientId", "five")]).await;
    let mut client = MqttClient::anybody(&gateway, Version::V311, "three").await;
    client.subscribe(&["a", "b"], QoS::AtLeastOnce).await.unwrap();
    let line = gateway.logged_with(&[success[0], success[1], ("clientId", "three")]).await;
    assert_eq!((&line["topicName"], &line["subscriptions"]), (&"a,b".into(), &Value::Null));
}

#[tokio::test]
async fn the_first_hundred_subscriptions_of_a_connection_are_logged_and_the_last_says_so() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    for _ in 0..150 {
        client.subscribe(&["a"], QoS::AtMostOnce).await.unwrap();
    }
    drop(client);
    gateway.logged_with(&[("eventType", "Disconnect")]).await;
    let lines = gateway.log.lines();
    let lines = lines.iter().filter(|line| line["eventType"] == "Subscribe").collect::<Vec<_>>();
    assert_eq!(lines.len(), 100);
    assert_eq!(lines[98]["details"], Value::Null);
    assert_eq!(lines[99]["details"], "further subscriptions of this connection get no line");
}

#[tokio::test]
async fn a_subscription_beyond_a_limit_has_its_line() {
    let gateway = TestGateway::open_to_all().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    client.subscribe(&["a/b/c/d/e/f/g/h/i"], QoS::AtMostOnce).await;
    let line = gateway.logged_with(&[("eventType", "Subscribe"), ("reason", "CLIENT_ERROR")]).await;
    assert!(line["details"].as_str().unwrap().contains("more than 7 slashes"), "{line}");
}

#[tokio::test]
async fn the_end_by_a_duplicate_client_id_is_an_error_with_awss_words() {
    let gateway = TestGateway::open_to_all().await;
    let mut first = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let _second = MqttClient::anybody(&gateway, Version::V5, "c").await;
    first.closed().await;
    let line = gateway.logged_with(&[("eventType", "Disconnect")]).await;
    let fields = ["logLevel", "status", "reason", "details", "disconnectReason"].map(|field| &line[field]);
    let details = "A new connection was established with the same client ID";
    assert_eq!(fields, ["ERROR", "Failure", "DUPLICATE_CLIENT_ID", details, "DUPLICATE_CLIENTID"]);
}

#[tokio::test]
async fn an_authentication_that_fails_without_sni_has_no_line_of_its_kind() {
    let (start, _script) = Start::with_script(&Step::Answer(json!({"isAuthenticated": false})));
    let gateway = start.run().await;
    for (server_name, event_type) in [("127.0.0.1", "Connect"), ("localhost", "Connection.AuthNError")] {
        let stream = tls(&gateway, server_name, &["mqtt"]).await.unwrap();
        let mut client = MqttClient::over(stream, Version::V5);
        client.send(Packet::Connect(Box::new(connect(Version::V5, server_name, "u", "p")))).await;
        client.receive().await;
        let line = gateway.logged_with(&[("clientId", server_name)]).await;
        let fields = ["eventType", "reason", "details"].map(|field| &line[field]);
        let details = "The credentials provided could not be authenticated";
        assert_eq!(fields, [event_type, "NOT_AUTHENTICATED", details], "{line}");
        assert!(line["explanation"].as_str().unwrap().contains("`isAuthenticated: false`"), "{line}");
        let attempt = ["authenticationType", "targetIp"].map(|field| line[field].as_str());
        let expected = (event_type != "Connect").then_some(["CUSTOM_AUTH", "127.0.0.1"]);
        assert_eq!(attempt, expected.map_or([None, None], |expected| expected.map(Some)));
    }
}
