//! The list of attempts, and the story of each one.

use integration::{
    canary::Canary,
    console_client::ConsoleClient,
    eventually::until,
    mqtt_client::{MqttClient, connect, tls},
    script::{Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{QoS, Version};
use serde_json::{Value, json};

/// Waits for a row of the list that `wanted` accepts.
async fn row(console: &ConsoleClient, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    until("the row", async || {
        let answer = console.get("/attempts").await;
        let rows = answer["attempts"].as_array().unwrap();
        found = rows.iter().find(|row| wanted(row)).cloned().unwrap_or_default();
        !found.is_null()
    })
    .await;
    found
}

async fn story(console: &ConsoleClient, row: &Value) -> Value {
    console.get(&format!("/attempt?id={}", row["id"])).await
}

#[tokio::test]
async fn refused_devices_story_has_each_step_the_cause_and_no_secret() {
    let gateway = Start::with_authorizer().run().await;
    let (console, canary) = (ConsoleClient::new(&gateway), Canary::new("password"));
    gateway.add("hall-1", "own-topics");
    let user_name = format!("hall-1?x-amz-customauthorizer-name=latchkey&token={}", canary.secret());
    MqttClient::connect(&gateway, connect(Version::V5, "hall-1", &user_name, canary.secret())).await;
    let found = row(&console, |row| row["reason"] == "wrong_password" && row["outcome"] == "refused").await;
    assert_eq!(
        (&found["kind"], &found["device"], &found["door"]),
        (&json!("connect"), &json!("hall-1"), &json!("443 MQTT"))
    );
    let story = story(&console, &found).await;
    assert_eq!(story["cause"]["reason"], "wrong_password", "{story}");
    assert!(story["clientSaw"].as_str().unwrap().starts_with("CONNACK 0x87"), "{story}");
    let steps = story["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap());
    let steps = steps.collect::<Vec<_>>();
    for step in ["event", "authorizer", "decision", "tls", "door", "refused", "client saw"] {
        assert!(steps.contains(&step), "{step} is not in {steps:?}");
    }
    let mqtt = &story["event"]["protocolData"]["mqtt"];
    assert_eq!(
        (&mqtt["password"], &mqtt["clientId"]),
        (&json!("••• (43 bytes)"), &json!("hall-1")),
        "{story}"
    );
    assert_eq!(mqtt["username"], "hall-1?x-amz-customauthorizer-name=latchkey&token=•••");
    assert_eq!(story["answer"]["isAuthenticated"], false);
    let all = [story, console.get("/attempts").await, console.get("/authorizers").await];
    let log = console.get("/authorizer/log?name=latchkey").await;
    assert_ne!(log["total"], 0);
    for answer in all.iter().chain([&log]) {
        assert_eq!(canary.found_in(answer.to_string().as_bytes()), None, "{answer}");
    }
}

#[tokio::test]
async fn name_of_no_device_is_not_shown() {
    let gateway = Start::with_authorizer().run().await;
    let (console, canary) = (ConsoleClient::new(&gateway), Canary::new("a password in the wrong field"));
    MqttClient::connect(&gateway, connect(Version::V5, "hall-1", canary.secret(), "p")).await;
    let found = row(&console, |row| row["reason"] == "unknown_device").await;
    let story = story(&console, &found).await;
    assert_eq!(canary.found_in(story.to_string().as_bytes()), None, "{story}");
    assert_eq!(story["event"]["protocolData"]["mqtt"]["username"], "••• (43 characters of no known device)");
}

#[tokio::test]
async fn connected_client_has_its_documents_and_a_denied_publish_its_near_miss() {
    let gateway = Start::with_authorizer().run().await;
    let (console, password) = (ConsoleClient::new(&gateway), gateway.add("hall-1", "own-topics"));
    let (mut client, _) =
        MqttClient::connect(&gateway, connect(Version::V5, "hall-1", "hall-1", &password)).await;
    client.publish("hall-2/a", "x", QoS::AtLeastOnce).await;
    let connected = row(&console, |row| row["outcome"] == "connected").await;
    assert!(connected["tookMs"].as_f64().unwrap() > 0.0);
    let documents = story(&console, &connected).await["answer"]["policyDocuments"].clone();
    assert!(documents[0].as_str().unwrap().contains("hall-1"), "{documents}");
    let clients = console.get("/documents?clientId=hall-1").await;
    assert_eq!(clients["clients"][0]["documents"], documents);
    let denied = row(&console, |row| row["outcome"] == "denied").await;
    assert_eq!((&denied["kind"], &denied["topic"]), (&json!("publish"), &json!("hall-2/a")));
    let cause = story(&console, &denied).await["cause"]["text"].clone();
    assert!(cause.as_str().unwrap().contains("hall-2/a: iot:Publish denied"), "{cause}");
}

#[tokio::test]
async fn handshakes_and_http_requests_have_rows_too() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    assert!(tls(&gateway, "localhost", &["none"]).await.is_err());
    let handshake = row(&console, |row| row["kind"] == "handshake").await;
    assert_eq!(
        (&handshake["outcome"], &handshake["reason"]),
        (&json!("refused"), &json!("ALPN_NOT_SUPPORTED"))
    );
    assert!(story(&console, &handshake).await["clientSaw"].as_str().unwrap().contains("TLS"));
    let mut http = integration::http_client::HttpClient::open(&gateway).await;
    http.request("POST", "/topics/a", &[], "x").await;
    let published = row(&console, |row| row["kind"] == "http").await;
    assert_eq!((&published["outcome"], &published["topic"]), (&json!("published"), &json!("a")));
}

#[tokio::test]
async fn refresh_has_a_row_of_its_own_and_can_be_asked_for() {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.run().await;
    let console = ConsoleClient::new(&gateway);
    let _client = MqttClient::anybody(&gateway, Version::V5, "a").await;
    let refresh = async || console.post("/connection/refresh", &json!({"clientId": "a"})).await.0;
    assert_eq!(refresh().await, 200);
    let refreshed = row(&console, |row| row["kind"] == "refresh").await;
    assert_eq!((&refreshed["clientId"], &refreshed["problem"]), (&json!("a"), &json!(false)));
    let is_known = async || row(&console, |row| row["outcome"] == "refreshed").await;
    is_known().await;
    script.set(&Step::Answer(json!({"isAuthenticated": false})));
    until("the second refresh", async || {
        refresh().await;
        console.get("/attempts?outcome=refused").await["attempts"][0]["kind"] == "refresh"
    })
    .await;
    row(&console, |row| row["ended"] == "CUSTOMAUTH_TTL_EXPIRATION" || !row["ended"].is_null()).await;
}

#[tokio::test]
async fn memory_is_bounded_and_the_list_says_that_rows_have_left() {
    let (start, _script) = Start::with_script(&Step::Answer(allow_all()));
    let gateway = start.with(|settings| settings.console.events = 40).run().await;
    let console = ConsoleClient::new(&gateway);
    for n in 0..30 {
        let _client = MqttClient::anybody(&gateway, Version::V311, &format!("c{n}")).await;
    }
    row(&console, |row| row["clientId"] == "c29" && row["outcome"] == "connected").await;
    let answer = console.get("/attempts?limit=200").await;
    assert!(answer["attempts"].as_array().unwrap().len() <= 40, "{answer}");
    let (forgotten, lost) =
        (answer["summary"]["forgotten"].as_u64().unwrap(), answer["lost"].as_u64().unwrap());
    assert!(forgotten + lost > 0, "{answer}");
}

#[tokio::test]
async fn list_is_filtered_and_paged() {
    let gateway = TestGateway::open_to_all().await;
    let console = ConsoleClient::new(&gateway);
    for n in 0..5 {
        let _client = MqttClient::anybody(&gateway, Version::V5, &format!("page-{n}")).await;
    }
    row(&console, |row| row["clientId"] == "page-4" && row["outcome"] == "connected").await;
    let ids = |answer: &Value| {
        let rows = answer["attempts"].as_array().unwrap().iter();
        rows.map(|row| row["clientId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = console.get("/attempts?text=PAGE-&limit=2").await;
    assert_eq!(ids(&first), ["page-4", "page-3"]);
    let next = console.get(&format!("/attempts?text=page-&limit=2&before={}", first["next"])).await;
    assert_eq!(ids(&next), ["page-2", "page-1"]);
    assert!(ids(&console.get("/attempts?outcome=problem").await).is_empty());
    assert!(ids(&console.get("/attempts?text=none").await).is_empty());
}
