//! Every denial has its line, which says which statement decided, or that none allows: on each way to be denied.

use std::time::Duration;

use integration::{
    http_client::HttpClient,
    mqtt_client::{MqttClient, connect},
    refusal::refused,
    script::{Script, Step, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, LastWill, Packet, Publish, QoS, Version};
use serde_json::{Value, json};

/// A way to ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Connect,
    Publish,
    RetainPublish,
    Subscribe,
    Receive,
    Will,
    RetainedWill,
    Refresh,
    SubscriptionAtRefresh,
    MessageAtRefresh,
    Https,
    HttpsRetain,
}

/// The way, the action that decides there, the type of its line, and the resource.
const WAYS: [(Way, &str, &str, &str); 12] = [
    (Way::Connect, "iot:Connect", "Connect", "client/c"),
    (Way::Publish, "iot:Publish", "Publish-In", "topic/t"),
    (Way::RetainPublish, "iot:RetainPublish", "Publish-In", "topic/t"),
    (Way::Subscribe, "iot:Subscribe", "Subscribe", "topicfilter/t"),
    (Way::Receive, "iot:Receive", "Publish-Out", "topic/t"),
    (Way::Will, "iot:Publish", "Connect", "topic/t"),
    (Way::RetainedWill, "iot:RetainPublish", "Connect", "topic/t"),
    (Way::Refresh, "iot:Connect", "Connect", "client/c"),
    (Way::SubscriptionAtRefresh, "iot:Subscribe", "Subscribe", "topicfilter/t"),
    (Way::MessageAtRefresh, "iot:Receive", "Publish-Out", "topic/t"),
    (Way::Https, "iot:Publish", "Publish-In", "topic/t"),
    (Way::HttpsRetain, "iot:RetainPublish", "Publish-In", "topic/t"),
];

fn statement(effect: &str, actions: &[&str], resource: &str) -> Value {
    let resource = format!("arn:aws:iot:us-east-1:123456789012:{resource}");
    json!({"Effect": effect, "Action": actions, "Resource": resource})
}

fn answer(statements: Vec<Value>) -> Value {
    let mut answer = allow_all();
    answer["policyDocuments"][0]["Statement"] = statements.into();
    answer
}

/// Everything but `action`, and what the line says about it.
fn without(action: &str) -> (Value, String) {
    let all = ["iot:Connect", "iot:Publish", "iot:RetainPublish", "iot:Subscribe", "iot:Receive"];
    let others = all.into_iter().filter(|other| *other != action).collect::<Vec<_>>();
    let near = match action {
        "iot:Publish" => ": document 0 statement 0 allows `iot:RetainPublish` on it, and not `iot:Publish`",
        "iot:RetainPublish" => {
            ": document 0 statement 0 allows `iot:Publish` on it, and not `iot:RetainPublish`"
        }
        "iot:Receive" => ": document 0 statement 0 allows `iot:Publish` on it, and not `iot:Receive`",
        _ => ": none allows it on anything",
    };
    (answer(vec![statement("Allow", &others, "*")]), format!("{action} denied: no statement allows{near}"))
}

/// Everything, and in the second statement a denial of `action` on this one thing.
fn denying(action: &str, resource: &str) -> (Value, String) {
    let statements = vec![statement("Allow", &["iot:*"], "*"), statement("Deny", &[action], resource)];
    (answer(statements), format!("{action} denied by document 0 statement 1"))
}

async fn start() -> (TestGateway, Script) {
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    (start.on_manual_clock().run().await, script)
}

fn client() -> Connect {
    Connect { keep_alive: 1_200, ..connect(Version::V5, "c", "u", "p") }
}

fn message(retain: bool) -> Packet {
    Packet::Publish(Publish { retain, ..Publish::new("t".parse().unwrap(), "x") })
}

#[tokio::test]
async fn a_denial_names_the_statement_that_decided_or_says_that_none_allows() {
    for (way, action, event_type, resource) in WAYS {
        for (answer, details) in [without(action), denying(action, resource)] {
            let (gateway, script) = start().await;
            let details = match details.strip_prefix(action) {
                Some(rest) if matches!(way, Way::Will | Way::RetainedWill) => {
                    format!("iot:Connect denied: its last will needs {action} on `t`,{rest}")
                }
                _ => details,
            };
            ask(way, &gateway, &script, answer).await;
            let wanted = [("eventType", event_type), ("status", "Failure"), ("explanation", &*details)];
            let line = gateway.logged_with(&wanted).await;
            assert_eq!(line["reason"], "AUTHORIZATION_FAILURE", "{way:?}");
            let topic = if event_type == "Connect" { Value::Null } else { "t".into() };
            assert_eq!(line["topicName"], topic, "{way:?}");
            let denials =
                gateway.log.lines().iter().filter(|line| line["reason"] == "AUTHORIZATION_FAILURE").count();
            assert_eq!(denials, 1, "{way:?}: one line for one denial");
        }
    }
}

/// Asks for something, under an answer that denies it.
async fn ask(way: Way, gateway: &TestGateway, script: &Script, answer: Value) {
    match way {
        Way::Https | Way::HttpsRetain => {
            script.set(&Step::Answer(answer));
            let target = if way == Way::Https { "/topics/t" } else { "/topics/t?retain=true" };
            assert_eq!(HttpClient::open(gateway).await.request("POST", target, &[], "x").await.status, 403);
        }
        Way::Refresh | Way::SubscriptionAtRefresh | Way::MessageAtRefresh => {
            at_refresh(gateway, script, answer).await;
        }
        _ => {
            script.set(&Step::Answer(answer));
            at_once(way, gateway).await;
        }
    }
}

async fn at_once(way: Way, gateway: &TestGateway) {
    let mut wish = client();
    if let Way::Will | Way::RetainedWill = way {
        let will = LastWill::new("t".parse().unwrap(), "gone".into());
        wish.last_will = Some(LastWill { retain: way == Way::RetainedWill, ..will });
    }
    let (mut client, _) = MqttClient::connect(gateway, wish).await;
    match way {
        Way::Publish => client.send(message(false)).await,
        Way::RetainPublish => client.send(message(true)).await,
        Way::Subscribe => _ = client.subscribe(&["t"], QoS::AtMostOnce).await,
        Way::Receive => {
            client.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
            client.send(message(false)).await;
            client.ping().await;
        }
        _ => {}
    }
}

/// A client that has subscribed, and for which a message waits after another, when the answer comes.
async fn at_refresh(gateway: &TestGateway, script: &Script, answer: Value) {
    let mut wish = client();
    wish.properties.receive_maximum = 1.try_into().ok();
    let mut client = MqttClient::connected(gateway, wish).await;
    client.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    for _ in 0..2 {
        let qos = QoS::AtLeastOnce;
        let packet_id = std::num::NonZeroU16::new(1);
        client
            .send(Packet::Publish(Publish { qos, packet_id, ..Publish::new("t".parse().unwrap(), "x") }))
            .await;
    }
    // The first is in flight, and the second waits for its acknowledgement.
    while !matches!(client.receive().await, Some(Packet::Publish(_))) {}
    script.set(&Step::Answer(answer));
    gateway.advance(Duration::from_mins(5));
    gateway.logged_with(&[("reason", "AUTHORIZATION_FAILURE")]).await;
}

/// A client can be denied as fast as it can send.
#[tokio::test]
async fn the_first_hundred_denials_of_a_connection_are_logged_and_the_last_says_so() {
    let (gateway, script) = start().await;
    script.set(&Step::Answer(without("iot:Publish").0));
    let mut noisy = MqttClient::connected(&gateway, client()).await;
    for _ in 0..150 {
        let ack = noisy.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(ack.code, mqtt::PubAckCode::NotAuthorized);
    }
    drop(noisy);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "c")]).await;
    let lines = gateway.log.lines();
    let denials = lines.iter().filter(|line| line["reason"] == "AUTHORIZATION_FAILURE").collect::<Vec<_>>();
    let says_so = |line: &Value| line["explanation"].as_str().unwrap().contains("get no line");
    assert_eq!((denials.len(), says_so(denials[98]), says_so(denials[99])), (100, false, true));
}

/// What a CONNECT asks for in addition to the client id: a persistent session, a last will, its topic.
#[tokio::test]
async fn the_policy_decides_on_the_attributes_of_a_connect() {
    let will = |topic: &str| Some(LastWill::new(topic.parse().unwrap(), "gone".into()));
    let plain = |version| Connect { keep_alive: 60, ..connect(version, "c", "u", "p") };
    let kept = |version| {
        let mut wish = Connect { clean_start: false, ..plain(version) };
        wish.properties.session_expiry_interval = u32::from(version == Version::V5);
        wish
    };
    let topic = |name: &str| format!("arn:aws:iot:us-east-1:123456789012:topic/{name}");
    let conditions = [
        json!({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "PersistentConnect"}}),
        json!({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "LastWill"}}),
        json!({"ArnEquals": {"iot:LastWillTopic": topic("secret")}}),
    ];
    for version in [Version::V311, Version::V5] {
        let with_will = |topic| Connect { last_will: will(topic), ..plain(version) };
        // Which of the conditions denies each of them.
        let cases = [
            (plain(version), [false, false, false]),
            (kept(version), [true, false, false]),
            (with_will("open"), [false, true, false]),
            (with_will("secret"), [false, true, true]),
            (Connect { last_will: will("secret"), ..kept(version) }, [true, true, true]),
        ];
        for (n, condition) in conditions.iter().enumerate() {
            let mut deny = statement("Deny", &["iot:Connect"], "*");
            deny["Condition"] = condition.clone();
            let answer = answer(vec![statement("Allow", &["iot:*"], "*"), deny]);
            let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
            for (wish, denied) in &cases {
                if denied[n] {
                    refused(&gateway, wish.clone(), ConnectReasonCode::NotAuthorized).await;
                } else {
                    MqttClient::connected(&gateway, wish.clone()).await;
                }
            }
            let details = "iot:Connect denied by document 0 statement 1";
            gateway.logged_with(&[("eventType", "Connect"), ("explanation", details)]).await;
        }
    }
}
