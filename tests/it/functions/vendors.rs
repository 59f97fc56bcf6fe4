//! Every signing vector of both vendors, through the function and through the real Lambda binary, called by the gateway.

use std::collections::BTreeMap;

use device_auth::{scheme::Scheme, store::document::SecretDocument};
use integration::{
    devices, fixture,
    mqtt_client::{MqttClient, connect},
    test_gateway::{Start, TestGateway},
};
use lambda_runtime::Context;
use mqtt::{ConnectReasonCode, PubAckCode, QoS, SubAckCode, SubscribeFailure, Version};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::functions::golden::function;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    description: String,
    #[serde(alias = "device_secret", alias = "psk")]
    secret: String,
    client_id: String,
    user_name: String,
    password: String,
}

struct Row {
    vector: Vector,
    scheme: Scheme,
    /// The name of its record.
    device: String,
    /// A topic of its own in each direction: to publish to, and to hear.
    own: [String; 2],
    /// The same of another device.
    foreign: [String; 2],
}

impl Row {
    fn all() -> Vec<Self> {
        let read = |scheme: &str| {
            fixture::json::<Vec<Vector>>(&format!("../../crates/credentials/tests/vectors/{scheme}.json"))
        };
        let (alibaba, tencent) = (read("alibaba"), read("tencent"));
        assert_eq!((alibaba.len(), tencent.len()), (12, 8));
        alibaba.into_iter().map(Self::alibaba).chain(tencent.into_iter().map(Self::tencent)).collect()
    }

    fn alibaba(vector: Vector) -> Self {
        let device = vector.user_name.clone();
        let (name, product) = device.split_once('&').unwrap();
        let topics = |name| {
            [
                format!("/sys/{product}/{name}/thing/event/property/post"),
                format!("/{product}/{name}/user/get"),
            ]
        };
        Self {
            own: topics(name),
            foreign: topics("other"),
            scheme: Scheme::Alibaba,
            device: device.clone(),
            vector,
        }
    }

    fn tencent(vector: Vector) -> Self {
        let device = vector.client_id.clone();
        let (product, name) = device.split_at(10);
        let topics = |name| [format!("{product}/{name}/event"), format!("{product}/{name}/control")];
        Self {
            own: topics(name),
            foreign: topics("other"),
            scheme: Scheme::Tencent,
            device: device.clone(),
            vector,
        }
    }

    fn connect(&self, version: Version) -> mqtt::Connect {
        let Vector { client_id, user_name, password, .. } = &self.vector;
        connect(version, client_id, user_name, password)
    }
}

/// One record for each device of the vectors. No device has two secrets there.
fn add_devices(folder: &std::path::Path, rows: &[Row]) {
    let mut secrets = BTreeMap::new();
    for Row { vector, scheme, device, .. } in rows {
        let known = secrets.insert(device, &vector.secret);
        assert!(known.is_none_or(|known| *known == vector.secret), "`{device}` has two secrets");
        let sealed = Some(devices::plain(&vector.secret));
        let secret = match scheme {
            Scheme::Alibaba => SecretDocument { device_secret: sealed, ..SecretDocument::default() },
            _ => SecretDocument { psk: sealed, ..SecretDocument::default() },
        };
        let id = vector.client_id.split('|').next().unwrap();
        devices::add_vendors(folder, device, *scheme, secret, id);
    }
}

async fn gateway(rows: &[Row], tencent_expiry: bool) -> TestGateway {
    let start = Start::with_authorizer().with_program(|program| {
        program.variables.extend([
            ("LATCHKEY_ALLOW_PLAIN_SECRETS".to_owned(), "true".to_owned()),
            ("LATCHKEY_TENCENT_EXPIRY".to_owned(), tencent_expiry.to_string()),
        ]);
    });
    add_devices(start.folder(), rows);
    start.run().await
}

#[tokio::test]
async fn the_function_accepts_every_vector_and_no_other_password() {
    let rows = Row::all();
    let folder = tempfile::tempdir().unwrap();
    add_devices(folder.path(), &rows);
    let mut function = function::over(&folder.path().join("devices.json"));
    function.freshness.tencent_expiry = false;
    let mut context = Context::default();
    "arn:aws:lambda:us-east-1:123456789012:function:f".clone_into(&mut context.invoked_function_arn);
    for Row { vector, .. } in &rows {
        let Vector { description, client_id, user_name, password, .. } = vector;
        let last = if password.starts_with('0') { "1" } else { "0" };
        let wrong = format!("{last}{}", &password[1..]);
        for (password, lets_in) in [(password, true), (&wrong, false)] {
            let password = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, password);
            let mqtt = json!({"clientId": client_id, "username": user_name, "password": password});
            let event = RawValue::from_string(json!({"protocolData": {"mqtt": mqtt}}).to_string()).unwrap();
            let answer = serde_json::to_value(function.handle(&event, &context).await.unwrap()).unwrap();
            assert_eq!(answer["isAuthenticated"], lets_in, "{description}");
        }
    }
}

#[tokio::test]
async fn every_vector_connects_and_can_use_only_its_own_topics() {
    let rows = Row::all();
    let gateway = gateway(&rows, false).await;
    for row in &rows {
        let what = &row.vector.description;
        let mut client = MqttClient::connected(&gateway, row.connect(Version::V5)).await;
        let granted = client.subscribe(&[&row.own[1], &row.foreign[1]], QoS::AtLeastOnce).await.unwrap();
        let refused = SubAckCode::Failed(SubscribeFailure::NotAuthorized);
        assert_eq!(granted.codes, [SubAckCode::Granted(QoS::AtLeastOnce), refused], "{what}");
        for (topic, code) in [(&row.own[0], None), (&row.foreign[0], Some(PubAckCode::NotAuthorized))] {
            let ack = client.publish(topic, "x", QoS::AtLeastOnce).await.unwrap();
            assert_eq!(ack.code == PubAckCode::NotAuthorized, code.is_some(), "{what}: {topic}");
        }
        let mut client = MqttClient::connected(&gateway, row.connect(Version::V311)).await;
        assert!(client.publish(&row.own[0], "x", QoS::AtLeastOnce).await.is_some(), "{what}");
        assert!(client.publish(&row.foreign[0], "x", QoS::AtLeastOnce).await.is_none(), "{what}");
    }
}

#[tokio::test]
async fn an_expired_vector_is_refused_unless_the_configuration_accepts_it() {
    let rows = Row::all().into_iter().filter(|row| row.vector.client_id.ends_with("old")).collect::<Vec<_>>();
    assert_eq!(rows.len(), 2);
    let gateway = gateway(&rows, true).await;
    for row in &rows {
        let (mut client, ack) = MqttClient::connect(&gateway, row.connect(Version::V5)).await;
        assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized);
        client.closed().await;
    }
    gateway
        .logged_with(&[("event", "decision"), ("reason", "signature_expired"), ("scheme", "tencent")])
        .await;
}
