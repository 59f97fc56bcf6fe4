//! What the console's API tells and changes.

use std::time::Duration;

use gateway::quotas::Quotas;
use integration::{
    console_client::ConsoleClient,
    eventually::until,
    http_client::HttpClient,
    mqtt_client::{MqttClient, persistent},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};

#[tokio::test]
async fn connection_tells_its_session_and_can_be_cut_off() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let mut client = MqttClient::anybody(&gateway, Version::V5, "a").await;
    client.subscribe(&["t/#"], QoS::AtLeastOnce).await.unwrap();
    client.publish("t/1", "x", QoS::AtLeastOnce).await;
    client.message().await;
    let _other = MqttClient::anybody(&gateway, Version::V311, "b").await;
    let list = console.get("/connections").await;
    let row = &list["connections"][0];
    assert_eq!((&list["total"], &row["clientId"], &row["version"]), (&json!(2), &json!("a"), &json!("5")));
    assert_eq!((&row["received"], &row["sent"], &row["subscriptions"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(row["inflight"], 1, "it is not acknowledged");
    assert_eq!(console.get("/connections?text=B&limit=1").await["connections"][0]["clientId"], "b");
    assert_eq!(console.get("/connections?offset=1").await["connections"].as_array().unwrap().len(), 1);
    let one = console.get("/connection?clientId=a").await;
    assert_eq!(one["filters"], json!([{"filter": "t/#", "qos": 1}]));
    let session = &one["session"];
    assert!(session["allows"]["iot:Publish"].is_string() && session["refreshAt"].is_i64(), "{one}");
    assert!(session["disconnectAt"].as_i64() > session["refreshAt"].as_i64(), "{one}");
    let (status, _) = console.post("/connection/disconnect", &json!({"clientId": "a"})).await;
    assert_eq!(status, 200);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "a")]).await;
    until("its end", async || console.get("/connections").await["total"] == 1).await;
    assert_eq!(console.post("/connection/disconnect", &json!({"clientId": "a"})).await.0, 404);
    assert_eq!(console.get("/connection?clientId=a").await, json!({"clientId": "a", "connected": false}));
}

#[tokio::test]
async fn hostile_text_is_json_and_nothing_else() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let name = "<img src=x onerror=alert(1)>\u{202e}\u{200b}";
    let mut client = MqttClient::anybody(&gateway, Version::V5, name).await;
    client.publish("</script><script>alert(1)</script>", "<svg onload=alert(1)>", QoS::AtLeastOnce).await;
    let bearer = format!("Bearer {}", console.token);
    for path in ["/console/v1/attempts", "/console/v1/connections", "/console/v1/sessions"] {
        let answer = console.send("GET", path, &[("Authorization", &bearer)], "").await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.body.contains("onerror"), "{path}: {answer:?}");
        let parsed = serde_json::from_str::<Value>(&answer.body).unwrap();
        assert!(
            parsed.to_string().contains(&serde_json::to_string(name).unwrap()),
            "{path}: it comes as it is"
        );
    }
}

#[tokio::test]
async fn bad_requests_are_answered_in_words_and_bounded() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    for (path, body, status) in [
        ("/publish", json!({"topic": "a/+", "payload": ""}), 400),
        ("/publish", json!({"topic": "a", "payload": "*"}), 400),
        ("/publish", json!({"topic": "a", "payload": "", "qos": 2}), 400),
        ("/publish", json!({"topic": "a", "payload": "", "extra": 1}), 400),
        ("/publish", json!({"topic": "a", "payload": "", "userProperties": [["a\0", "b"]]}), 400),
        ("/publish", json!({"topic": "a", "payload": "A".repeat(190_000)}), 400),
        ("/publish", json!({"topic": "a", "payload": "A".repeat(300_000)}), 413),
        ("/policy", json!({"documents": vec!["{}"; 11], "clientId": "a", "action": "iot:Publish"}), 400),
        ("/policy", json!([]), 400),
        ("/shadow", json!({"thing": "a b", "document": {}}), 400),
        ("/shadow/delete", json!({"thing": "none"}), 404),
        ("/session/delete", json!({"clientId": "none"}), 404),
        ("/authorizer/test", json!({"authorizer": "none", "password": "secret"}), 404),
        ("/none", json!({}), 404),
    ] {
        let (found, answer) = console.post(path, &body).await;
        let message = answer["message"].as_str().unwrap();
        assert_eq!(found, status, "{path}: {message}");
        assert!(!message.is_empty() && !message.contains("secret"), "{path}: {message}");
    }
    let bearer = format!("Bearer {}", console.token);
    for path in
        ["/console/v1/attempts?limit=x", "/console/v1/retained?after=%23", "/console/v1/attempts?before=-1"]
    {
        assert_eq!(console.send("GET", path, &[("Authorization", &bearer)], "").await.status, 400, "{path}");
    }
    // A page is never larger than its bound.
    assert!(console.get("/attempts?limit=100000").await["attempts"].as_array().unwrap().len() <= 200);
}

#[tokio::test]
async fn policy_lab_marks_the_statement_that_decides_or_comes_nearest() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let arn = "arn:aws:iot:us-east-1:123456789012:";
    let document = format!(
        "{{\"Version\": \"2012-10-17\", \"Statement\": [\n  {{\"Effect\": \"Allow\", \"Action\": \"iot:Publish\", \"Resource\": \
         \"{arn}topic/a/*\"}},\n  {{\"Effect\": \"Allow\", \"Action\": \"iot:Subscribe\", \"Resource\": \"{arn}topic/b\"}}]}}"
    );
    let ask = async |action: &str, resource: &str| {
        let question =
            json!({"documents": [document], "clientId": "c", "action": action, "resource": resource});
        let (status, answer) = console.post("/policy", &question).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let allowed = ask("iot:Publish", "a/1").await;
    assert_eq!(
        (&allowed["decision"]["allowed"], &allowed["decision"]["statement"]["statement"]),
        (&json!(true), &json!(0))
    );
    let span = &allowed["documents"][0]["statements"][0];
    let [begin, end] = [0, 1].map(|at| usize::try_from(span[at].as_u64().unwrap()).unwrap());
    assert!(
        document[begin..end].starts_with("{\"Effect\"") && document[begin..end].ends_with("topic/a/*\"}")
    );
    let near = ask("iot:Subscribe", "b").await;
    assert_eq!(
        (&near["decision"]["allowed"], &near["decision"]["nearMiss"]["statement"]["statement"]),
        (&json!(false), &json!(1))
    );
    assert!(near["decision"]["nearMiss"]["text"].as_str().unwrap().contains("topicfilter"), "{near}");
    assert!(
        !near["documents"][0]["findings"].as_array().unwrap().is_empty(),
        "lint names the mistake: {near}"
    );
    let question = json!({"documents": ["{"], "clientId": "c", "action": "iot:Publish", "resource": "a"});
    let (_, broken) = console.post("/policy", &question).await;
    assert!(
        broken["decision"].is_null()
            && broken["documents"][0]["error"].as_str().unwrap().contains("not JSON")
    );
}

#[tokio::test]
async fn authorizers_tell_how_they_do_and_can_be_tested() {
    let gateway = Start::with_authorizer().run().await;
    let console = ConsoleClient::new(&gateway);
    let password = gateway.add("hall-1", "own-topics");
    let test = async |password: &str| {
        let body = json!({"authorizer": "latchkey", "clientId": "hall-1", "userName": "hall-1", "password": password});
        let (status, answer) = console.post("/authorizer/test", &body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let right = test(&password).await;
    assert_eq!(right["isAuthenticated"], true, "{right}");
    assert!(right["policyDocuments"][0].as_str().unwrap().contains("hall-1"));
    assert_ne!(test("wrong").await["isAuthenticated"], true);
    let _client = MqttClient::connect(
        &gateway,
        integration::mqtt_client::connect(Version::V5, "hall-1", "hall-1", "no"),
    )
    .await;
    until("the call", async || console.get("/authorizers").await["authorizers"][0]["calls"]["deny"] == 1)
        .await;
    let list = console.get("/authorizers").await;
    let one = &list["authorizers"][0];
    assert_eq!(
        (&one["name"], &one["status"], &one["default"]),
        (&json!("latchkey"), &json!("ACTIVE"), &json!(true))
    );
    assert!(
        one["latency"]["p95"].as_f64().unwrap() > 0.0 && one["processes"]["started"].as_u64().unwrap() >= 1,
        "{one}"
    );
    #[cfg(target_os = "linux")]
    assert!(one["processes"]["running"][0]["bytes"].as_u64().unwrap() > 100_000, "{one}");
    until("its log", async || {
        let log = console.get("/authorizer/log?name=latchkey").await;
        log["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["text"].as_str().unwrap().contains("wrong_password"))
    })
    .await;
}

#[tokio::test]
async fn crash_of_a_function_is_counted() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let console = ConsoleClient::new(&gateway);
    script.set(&Step::Crash);
    MqttClient::connect(&gateway, integration::mqtt_client::connect(Version::V5, "a", "u", "p")).await;
    until("the crash", async || {
        let one = console.get("/authorizers").await["authorizers"][0].clone();
        one["processes"]["ended"] == 1 && one["calls"]["error"] == 1 && one["lastError"]["text"].is_string()
    })
    .await;
}

#[tokio::test]
async fn retained_messages_sessions_and_shadows_can_be_changed() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let publish = async |topic: &str, payload: &str| {
        let body = json!({"topic": topic, "payload": payload, "qos": 1, "retain": true, "contentType": "text/plain",
            "userProperties": [["a", "b"]]});
        assert_eq!(console.post("/publish", &body).await, (200, json!({})));
    };
    publish("r/1", "eA==").await;
    publish("r/2", "eQ==").await;
    let first = console.get("/retained?limit=1").await;
    assert_eq!((&first["messages"][0]["topic"], &first["next"]), (&json!("r/1"), &json!("r/1")));
    assert_eq!(console.get("/retained?after=r/1").await["messages"][0]["topic"], "r/2");
    let message = console.get("/retained/message?topic=r/2").await;
    assert_eq!((&message["payload"], &message["userProperties"]), (&json!("eQ=="), &json!([["a", "b"]])));
    publish("r/1", "").await;
    assert_eq!(console.get("/retained").await["messages"].as_array().unwrap().len(), 1);

    let (mut client, _) = MqttClient::connect(&gateway, persistent(Version::V5, "away", 600)).await;
    client.subscribe(&["s"], QoS::AtLeastOnce).await.unwrap();
    drop(client);
    until("its absence", async || console.get("/sessions").await["sessions"][0]["connected"] == false).await;
    assert_eq!(console.post("/publish", &json!({"topic": "s", "payload": "eA==", "qos": 1})).await.0, 200);
    let session = console.get("/sessions").await["sessions"][0].clone();
    assert_eq!(
        (&session["waiting"], &session["subscriptions"], &session["persistent"]),
        (&json!(1), &json!(1), &json!(true))
    );
    assert_eq!(console.post("/session/delete", &json!({"clientId": "away"})).await.0, 200);
    assert_eq!(console.get("/sessions").await["total"], 0);

    let update = json!({"thing": "lamp", "name": "n", "document": {"state": {"desired": {"on": true}}}});
    assert_eq!(console.post("/shadow", &update).await.0, 200);
    assert_eq!(console.get("/shadows").await["shadows"], json!([{"thing": "lamp", "name": "n"}]));
    assert_eq!(console.get("/shadow?thing=lamp&name=n").await["state"]["desired"]["on"], true);
    assert_eq!(console.post("/shadow/delete", &json!({"thing": "lamp", "name": "n"})).await.0, 200);
    assert_eq!(console.get("/shadows").await["shadows"], json!([]));
}

#[tokio::test]
async fn console_has_a_part_in_the_rates_of_retained_messages() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let start = start.on_manual_clock().with(|settings| settings.quotas = Quotas::AWS);
    let gateway = start.run().await;
    let console = ConsoleClient::new(&gateway);
    let publish = async |topic: &str, payload: &str, retain: bool| {
        let body = json!({"topic": topic, "payload": payload, "retain": retain});
        console.post("/publish", &body).await
    };
    assert_eq!(publish("r", "eA==", true).await, (200, json!({})));
    let (status, answer) = publish("r", "eQ==", true).await;
    assert_eq!(status, 429, "{answer}");
    assert_eq!(answer["message"], "discarded: at most 1 a second of the messages on a topic may be retained");
    assert_eq!(console.get("/retained/message?topic=r").await["payload"], "eA==");
    // Another topic, another message and a deletion are not throttled.
    for (topic, payload, retain) in [("other", "eA==", true), ("r", "eQ==", false), ("r", "", true)] {
        assert_eq!(publish(topic, payload, retain).await.0, 200, "{topic} {payload} {retain}");
    }
    // One rate for every way to publish.
    let mut http = HttpClient::open(&gateway).await;
    assert_eq!(http.request("POST", "/topics/r?retain=true", &[], "x").await.status, 429);
    gateway.advance(Duration::from_secs(1));
    assert_eq!(publish("r", "eQ==", true).await.0, 200);
    assert_eq!(http.request("POST", "/topics/r?retain=true", &[], "x").await.status, 429);
}

#[tokio::test]
async fn readings_are_collected_while_somebody_asks() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    let first = console.get("/readings").await;
    assert_eq!((&first["total"], &first["devices"]), (&json!(0), &json!([])));
    let mut client = MqttClient::anybody(&gateway, Version::V5, "hall-1").await;
    until("a reading", async || {
        client
            .publish("sensor/hall-1/temperature", r#"{"value":21.5,"unit":"Cel","ts":1}"#, QoS::AtMostOnce)
            .await;
        console.get("/readings").await["total"] == 1
    })
    .await;
    let answer = console.get("/readings").await;
    assert_eq!(answer["devices"][0]["temperature"]["value"], 21.5);
    assert_eq!(answer["temperature"][0].as_array().unwrap()[1..4], [json!(21.5), json!(21.5), json!(21.5)]);
    assert_eq!(console.get("/readings/device?device=hall-1").await["temperature"][0][1], 21.5);
    assert!(console.get("/readings/device?device=none").await["humidity"].as_array().unwrap().is_empty());
}
