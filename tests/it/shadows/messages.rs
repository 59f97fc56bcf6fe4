//! Requests in messages, and the answers to those who may receive them.

use std::time::Duration;

use gateway::quotas::Quotas;
use integration::{
    http_client::HttpClient,
    mqtt_client::{MqttClient, connect, persistent},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Disconnect, DisconnectReasonCode, LastWill, Packet, PubAckCode, QoS, Version};
use serde_json::{Value, json};

use super::{BOTH, CLASSIC, NAMED, Watcher, document, request};

/// Any number of CONNECTs of one client id a second.
async fn open_to_all() -> TestGateway {
    let start = Start::with_script(&Step::Answer(allow_all())).0;
    start.with(|settings| settings.quotas.connects_per_second_per_client_id = None).run().await
}

#[tokio::test]
async fn an_update_is_answered_with_accepted_delta_and_documents() {
    for version in BOTH {
        for prefix in [CLASSIC, NAMED] {
            let gateway = open_to_all().await;
            let mut watcher = Watcher::new(&gateway, prefix).await;
            let mut app = MqttClient::anybody(&gateway, version, "app").await;
            let desired = json!({"state": {"desired": {"on": true}}, "clientToken": "t-1"});
            request(&mut app, &format!("{prefix}/update"), &desired.to_string()).await;
            let (levels, accepted) = watcher.answer().await;
            let at = accepted["timestamp"].as_i64().unwrap();
            assert!(at > 1_767_225_600, "seconds since 1970: {at}");
            let (state, metadata) =
                (json!({"desired": {"on": true}}), json!({"desired": {"on": {"timestamp": at}}}));
            let body = json!({"state": state, "metadata": metadata, "version": 1, "timestamp": at, "clientToken": "t-1"});
            assert_eq!((levels.as_str(), accepted), ("update/accepted", body));
            let metadata_of_delta = json!({"on": {"timestamp": at}});
            let delta = json!({"version": 1, "timestamp": at, "state": {"on": true}, "metadata": metadata_of_delta, "clientToken": "t-1"});
            assert_eq!(watcher.answer().await, ("update/delta".to_owned(), delta));
            let current = json!({"state": state, "metadata": metadata, "version": 1});
            let documents =
                json!({"previous": null, "current": current, "timestamp": at, "clientToken": "t-1"});
            assert_eq!(watcher.answer().await, ("update/documents".to_owned(), documents));

            request(&mut app, &format!("{prefix}/get"), "").await;
            let (levels, got) = watcher.answer().await;
            assert_eq!((levels.as_str(), &got["state"]["delta"]), ("get/accepted", &json!({"on": true})));
            request(&mut app, &format!("{prefix}/delete"), r#"{"clientToken":"t-2"}"#).await;
            let deleted = json!({"version": 1, "timestamp": 0, "clientToken": "t-2"});
            assert_eq!(watcher.timeless().await, ("delete/accepted".to_owned(), deleted));
            request(&mut app, &format!("{prefix}/get"), "").await;
            let (levels, rejected) = watcher.answer().await;
            assert_eq!((levels.as_str(), &rejected["code"]), ("get/rejected", &json!(404)));
        }
    }
}

#[tokio::test]
async fn a_request_that_is_wrong_is_rejected_and_changes_nothing() {
    let gateway = open_to_all().await;
    let mut watcher = Watcher::new(&gateway, CLASSIC).await;
    let mut app = MqttClient::anybody(&gateway, Version::V5, "app").await;
    let update = format!("{CLASSIC}/update");
    request(&mut app, &update, r#"{"state":{"reported":{"a":1}}}"#).await;
    watcher.answer().await;
    watcher.answer().await;
    // `{"a":1}` and `{"b":"…"}` have 15 bytes besides the text.
    let of_bytes = |bytes: usize| json!({"state": {"desired": {"b": "x".repeat(bytes - 15)}}}).to_string();
    let of_levels = |levels| (0..levels).fold(json!(1), |inner, _| json!({ "x": inner }));
    let too_deep = json!({"state": {"desired": of_levels(9)}}).to_string();
    let cases = [
        ("not JSON".to_owned(), 400, "Invalid JSON"),
        ("{}".to_owned(), 400, "Missing required node: state"),
        (too_deep, 400, "JSON contains too many levels of nesting; maximum is 8"),
        (of_bytes(8_193), 413, "The payload exceeds the maximum size allowed"),
        (r#"{"state":{"reported":{"a":2}},"version":7}"#.to_owned(), 409, "Version conflict"),
    ];
    for (payload, code, message) in cases {
        request(&mut app, &update, &payload).await;
        let body = json!({"code": code, "message": message});
        assert_eq!(watcher.answer().await, ("update/rejected".to_owned(), body));
        assert_eq!(document(&gateway, CLASSIC).await, Some((json!({"reported": {"a": 1}}), 1)));
        watcher.answer().await;
    }
    request(&mut app, &update, &of_bytes(8_192)).await;
    assert_eq!(watcher.answer().await.0, "update/accepted");

    let invalid = "$aws/things/a b/shadow";
    let mut watcher = Watcher::new(&gateway, invalid).await;
    request(&mut app, &format!("{invalid}/update"), r#"{"state":{}}"#).await;
    let (levels, rejected) = watcher.answer().await;
    assert_eq!((levels.as_str(), &rejected["code"]), ("update/rejected", &json!(400)));
}

#[tokio::test]
async fn the_policies_decide_who_requests_and_who_receives() {
    let gateway = Start::with_script(&Step::Answer(allow_all())).0;
    let resource = |rest: &str| format!("topic/{CLASSIC}/{rest}");
    let own = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", &resource("get")),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", &resource("update/accepted")),
        ("Allow", "iot:Receive", "topic/end"),
    ]);
    let (start, _script) = gateway.and_script("own", &Step::Answer(own));
    let gateway = start.run().await;
    let limited = connect(Version::V5, "limited", "u?x-amz-customauthorizer-name=own", "p");
    let mut limited = MqttClient::connected(&gateway, limited).await;
    limited.subscribe(&[&format!("{CLASSIC}/#"), "end"], QoS::AtMostOnce).await.unwrap();
    let denied = limited.publish(&format!("{CLASSIC}/update"), r#"{"state":{}}"#, QoS::AtLeastOnce).await;
    assert_eq!(denied.unwrap().code, PubAckCode::NotAuthorized);
    assert_eq!(document(&gateway, CLASSIC).await, None);
    let mut app = MqttClient::anybody(&gateway, Version::V5, "app").await;
    request(&mut app, &format!("{CLASSIC}/update"), r#"{"state":{"desired":{"a":1}}}"#).await;
    app.publish("end", "end", QoS::AtMostOnce).await;
    let received = [limited.message().await, limited.message().await];
    let topics = received.map(|message| message.topic.unwrap().as_str().to_owned());
    assert_eq!(topics, [format!("{CLASSIC}/update/accepted"), "end".to_owned()]);
}

#[tokio::test]
async fn a_last_will_reaches_subscribers_and_the_shadow_ignores_it() {
    let gateway = open_to_all().await;
    let update = format!("{CLASSIC}/update");
    let mut watcher = MqttClient::anybody(&gateway, Version::V5, "watcher").await;
    watcher.subscribe(&[&format!("{CLASSIC}/#")], QoS::AtMostOnce).await.unwrap();
    for version in BOTH {
        let payload = r#"{"state":{"reported":{"connected":false}}}"#;
        let will = LastWill::new(update.parse().unwrap(), payload.into());
        let connect = Connect { last_will: Some(will), ..connect(version, "c", "u", "p") };
        drop(MqttClient::connected(&gateway, connect).await);
        let message = watcher.message().await;
        assert_eq!((message.topic.unwrap().as_str(), &message.payload[..]), (&*update, payload.as_bytes()));
        assert_eq!(document(&gateway, CLASSIC).await, None);
        // The `get` and its answer.
        watcher.message().await;
        watcher.message().await;
    }
}

#[tokio::test]
async fn a_shadow_has_20_requests_a_second_and_one_more_is_rejected() {
    let start = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock();
    let gateway = start.with(|settings| settings.quotas = Quotas::AWS).run().await;
    let mut watcher = Watcher::new(&gateway, CLASSIC).await;
    let mut app = MqttClient::anybody(&gateway, Version::V5, "app").await;
    for _ in 0..20 {
        request(&mut app, &format!("{CLASSIC}/get"), "").await;
        assert_eq!(watcher.answer().await.1["code"], 404);
    }
    request(&mut app, &format!("{CLASSIC}/update"), r#"{"state":{},"clientToken":"c"}"#).await;
    let rejected = json!({"code": 429, "message": "Too many requests", "clientToken": "c"});
    assert_eq!(watcher.answer().await, ("update/rejected".to_owned(), rejected));
    let mut named = Watcher::new(&gateway, NAMED).await;
    request(&mut app, &format!("{NAMED}/update"), r#"{"state":{}}"#).await;
    assert_eq!(named.answer().await.0, "update/accepted", "another shadow of the Thing");
    gateway.clock.as_ref().unwrap().advance(Duration::from_secs(1));
    request(&mut app, &format!("{CLASSIC}/update"), r#"{"state":{}}"#).await;
    assert_eq!(watcher.answer().await.0, "update/accepted");
}

#[tokio::test]
async fn a_delta_waits_for_a_device_that_is_away() {
    for version in BOTH {
        let gateway = open_to_all().await;
        let mut device = MqttClient::connected(&gateway, persistent(version, "lamp", 600)).await;
        device.subscribe(&[&format!("{CLASSIC}/update/delta")], QoS::AtLeastOnce).await.unwrap();
        device.send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).await;
        device.closed().await;
        gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "lamp")]).await;
        let mut app = MqttClient::anybody(&gateway, version, "app").await;
        request(&mut app, &format!("{CLASSIC}/update"), r#"{"state":{"desired":{"on":true}}}"#).await;
        let mut device = MqttClient::connected(&gateway, persistent(version, "lamp", 600)).await;
        let message = device.message().await;
        assert_eq!(message.qos, QoS::AtLeastOnce);
        let delta = serde_json::from_slice::<Value>(&message.payload).unwrap();
        assert_eq!(delta["state"], json!({"on": true}));
    }
}

#[tokio::test]
async fn an_https_publish_requests_too() {
    let gateway = open_to_all().await;
    let mut watcher = Watcher::new(&gateway, NAMED).await;
    let target = format!("/topics/{}/update?qos=1", NAMED.replace('$', "%24"));
    for (payload, levels) in
        [(r#"{"state":{"reported":{"a":1}}}"#, "update/accepted"), ("x", "update/rejected")]
    {
        let answer = HttpClient::open(&gateway).await.request("POST", &target, &[], payload).await;
        assert_eq!((answer.status, answer.message()), (200, "OK"));
        assert_eq!(watcher.answer().await.0, levels);
        if levels == "update/accepted" {
            assert_eq!(watcher.answer().await.0, "update/documents");
        }
    }
    assert_eq!(document(&gateway, NAMED).await, Some((json!({"reported": {"a": 1}}), 1)));
}

#[tokio::test]
async fn the_grant_shadow_allows_the_shadows_of_the_own_thing_alone() {
    let gateway = Start::with_authorizer().run().await;
    let password = gateway.add("lamp", "shadow");
    let mut device = MqttClient::connected(&gateway, connect(Version::V5, "lamp", "lamp", &password)).await;
    let own =
        [CLASSIC, NAMED].map(|prefix| ["update/+", "get/+"].map(|rest| format!("{prefix}/{rest}"))).concat();
    let foreign =
        ["$aws/things/fan/shadow/get/+", "$aws/things/+/shadow/get/+", "$aws/things/lamp/#", "lamp/#"];
    let filters = own.iter().map(String::as_str).chain(foreign).collect::<Vec<_>>();
    let granted = device.subscribe(&filters, QoS::AtMostOnce).await.unwrap().codes;
    let granted = granted.iter().map(|code| matches!(code, mqtt::SubAckCode::Granted(_)));
    assert_eq!(granted.collect::<Vec<_>>(), [true, true, true, true, false, false, false, false]);
    for topic in ["$aws/things/fan/shadow/update", "$aws/things/lamp/jobs/get", "lamp/x"] {
        let ack = device.publish(topic, "{}", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(ack.code, PubAckCode::NotAuthorized, "{topic}");
    }
    for prefix in [CLASSIC, NAMED] {
        let (topic, payload) = (format!("{prefix}/update"), r#"{"state":{"reported":{"on":true}}}"#);
        device.publish(&topic, payload, QoS::AtMostOnce).await;
        let answers = [device.message().await, device.message().await];
        let topics = answers.map(|message| message.topic.unwrap().as_str().to_owned());
        assert_eq!(topics, [format!("{topic}/accepted"), format!("{topic}/documents")]);
    }
}
