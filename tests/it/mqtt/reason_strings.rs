//! The reason strings of MQTT 5: which packets have one, and that its id finds the connection in the log.

use integration::{
    mqtt_client::{MqttClient, connect},
    refusal::{ReasonString, refused},
    script::{Step, allow},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, ConnectReasonCode, Disconnect, Packet, QoS, Subscribe, SubscribeFilter, Version};

const NOT_AUTHORIZED: &str = "Client is not authenticated/authorized to send the message";

/// A gateway whose clients may publish to and subscribe to `mine`, if their client id begins with `c`.
async fn gateway() -> TestGateway {
    let policy = allow(&[
        ("Allow", "iot:Connect", "client/c*"),
        ("Allow", "iot:Publish", "topic/mine"),
        ("Allow", "iot:Subscribe", "topicfilter/mine"),
        ("Allow", "iot:Receive", "topic/mine"),
    ]);
    Start::with_script(&Step::Answer(policy)).0.run().await
}

/// The id of this client's connection in the log.
async fn connection_id(gateway: &TestGateway, client_id: &str) -> String {
    let line = gateway.logged_with(&[("eventType", "Connect"), ("clientId", client_id)]).await;
    line["connectionId"].as_str().unwrap().to_owned()
}

/// The last packet before the end.
async fn disconnect(client: &mut MqttClient) -> Disconnect {
    match client.receive().await {
        Some(Packet::Disconnect(disconnect)) => disconnect,
        other => panic!("{other:?} instead of DISCONNECT"),
    }
}

#[tokio::test]
async fn each_refusal_of_mqtt_5_has_a_reason_string_with_the_connections_id() {
    let gateway = gateway().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let id = connection_id(&gateway, "c").await;
    let expected = |packet: &str| ReasonString {
        packet: packet.to_owned(),
        text: NOT_AUTHORIZED.to_owned(),
        connection_id: id.clone(),
    };
    let ack = client.publish("other", "x", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(ReasonString::of("PUBACK", ack.reason_string.as_ref()), expected("PUBACK"));
    let ack = client.subscribe(&["mine", "other"], QoS::AtLeastOnce).await.unwrap();
    assert_eq!(ReasonString::of("SUBACK", ack.reason_string.as_ref()), expected("SUBACK"));
    client.publish("other", "x", QoS::AtMostOnce).await;
    let end = disconnect(&mut client).await;
    assert_eq!(ReasonString::of("DISCONNECT", end.reason_string.as_ref()), expected("DISCONNECT"));

    let refusal =
        refused(&gateway, connect(Version::V5, "x", "u", "p"), ConnectReasonCode::NotAuthorized).await;
    let refusal = refusal.unwrap();
    assert_eq!(
        (refusal.text, refusal.connection_id),
        (NOT_AUTHORIZED.to_owned(), connection_id(&gateway, "x").await)
    );
}

#[tokio::test]
async fn what_is_granted_has_no_reason_string() {
    let gateway = gateway().await;
    let (mut client, ack) = MqttClient::connect(&gateway, connect(Version::V5, "c", "u", "p")).await;
    assert_eq!(ack.unwrap().properties.reason_string, None);
    assert_eq!(client.subscribe(&["mine"], QoS::AtMostOnce).await.unwrap().reason_string, None);
    assert_eq!(client.publish("mine", "x", QoS::AtLeastOnce).await.unwrap().reason_string, None);
}

#[tokio::test]
async fn a_subscription_identifier_and_a_takeover_have_their_own_texts() {
    let gateway = gateway().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c1").await;
    let filters = vec![SubscribeFilter::new("mine".parse().unwrap(), QoS::AtMostOnce)];
    let subscribe = Subscribe {
        packet_id: std::num::NonZeroU16::MIN,
        filters,
        invalid: Vec::new(),
        subscription_id: std::num::NonZeroU32::new(7),
        user_properties: Vec::new(),
    };
    client.send(Packet::Subscribe(subscribe)).await;
    let end = disconnect(&mut client).await;
    let reason = ReasonString::of("DISCONNECT", end.reason_string.as_ref());
    assert_eq!((u8::from(end.code), &*reason.text), (0xa1, "Subscription Id is not supported now"));

    let mut first = MqttClient::anybody(&gateway, Version::V5, "c2").await;
    let _second = MqttClient::anybody(&gateway, Version::V5, "c2").await;
    let end = disconnect(&mut first).await;
    let reason = ReasonString::of("DISCONNECT", end.reason_string.as_ref());
    assert_eq!((u8::from(end.code), &*reason.text), (0x8e, "another connection uses the client id"));
}

/// 5: 3.1.2-29.
#[tokio::test]
async fn a_client_that_wants_no_problem_information_gets_it_in_connack_and_disconnect_only() {
    let gateway = gateway().await;
    let without = |id: &str| {
        let mut connect = connect(Version::V5, id, "u", "p");
        connect.properties.request_problem_information = false;
        connect
    };
    assert!(refused(&gateway, without("x"), ConnectReasonCode::NotAuthorized).await.is_some());
    let mut client = MqttClient::connected(&gateway, without("c")).await;
    let ack = client.publish("other", "x", QoS::AtLeastOnce).await.unwrap();
    assert_eq!((u8::from(ack.code), ack.reason_string), (0x87, None));
    assert_eq!(client.subscribe(&["other"], QoS::AtMostOnce).await.unwrap().reason_string, None);
    client.publish("other", "x", QoS::AtMostOnce).await;
    assert!(disconnect(&mut client).await.reason_string.is_some());
}

/// 5: 3.2.2-19, 3.4.2-2, 3.9.2-1, 3.14.2-3.
#[tokio::test]
async fn a_client_without_room_for_a_reason_string_gets_the_code_alone() {
    let gateway = gateway().await;
    let with_room = |id: &str, bytes: u32| -> Connect {
        let mut connect = connect(Version::V5, id, "u", "p");
        connect.properties.maximum_packet_size = bytes.try_into().ok();
        connect
    };
    // The reason string with its property's head has 106 bytes, the packet without it 5.
    for (bytes, has_reason) in [(110, false), (111, true)] {
        let (_, ack) = MqttClient::connect(&gateway, with_room("x", bytes)).await;
        let ack = ack.unwrap();
        let reason = ack.properties.reason_string;
        assert_eq!((u8::from(ack.code), reason.is_some()), (0x87, has_reason), "{bytes}");
    }
    let mut client = MqttClient::connected(&gateway, with_room("c", 60)).await;
    let ack = client.publish("other", "x", QoS::AtLeastOnce).await.unwrap();
    assert_eq!((u8::from(ack.code), ack.reason_string), (0x87, None));
    assert_eq!(client.subscribe(&["other"], QoS::AtMostOnce).await.unwrap().reason_string, None);
    client.publish("other", "x", QoS::AtMostOnce).await;
    let end = disconnect(&mut client).await;
    assert_eq!((u8::from(end.code), end.reason_string), (0x87, None));
}
