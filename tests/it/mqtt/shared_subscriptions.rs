//! Subscriptions that clients share: each message goes to one of them, if its policy lets it have it.

use integration::{
    mqtt_client::{MqttClient, connect},
    script::{Step, allow},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Packet, QoS, SubAckCode, SubscribeFailure, Version};

const SHARED: &str = "$share/group/t/#";
const BOTH: [Version; 2] = [Version::V311, Version::V5];

async fn member(gateway: &TestGateway, version: Version, id: &str, filter: &str) -> MqttClient {
    let mut client = MqttClient::anybody(gateway, version, id).await;
    let ack = client.subscribe(&[filter], QoS::AtLeastOnce).await.unwrap();
    assert_eq!(ack.codes, [SubAckCode::Granted(QoS::AtLeastOnce)]);
    client
}

async fn take(client: &mut MqttClient) -> String {
    let message = client.message().await;
    client.acknowledge(&message).await;
    String::from_utf8(message.payload.to_vec()).unwrap()
}

#[tokio::test]
async fn each_message_goes_to_one_member_and_to_every_plain_subscriber() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for version in BOTH {
        let mut members = Vec::new();
        for n in 0..3 {
            members.push(member(&gateway, version, &format!("{version:?}-{n}"), SHARED).await);
        }
        let mut other_group = member(&gateway, version, "other", "$share/other/t/+").await;
        let mut alone = member(&gateway, version, "alone", "t/x").await;
        for n in 0..6 {
            sender.publish("t/x", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        }
        for n in 0..6 {
            assert_eq!(take(&mut other_group).await, n.to_string());
            assert_eq!(take(&mut alone).await, n.to_string());
        }
        let mut came = Vec::new();
        for client in &mut members {
            came.extend([take(client).await, take(client).await]);
            client.ping().await;
        }
        came.sort();
        assert_eq!(came, ["0", "1", "2", "3", "4", "5"]);
    }
}

#[tokio::test]
async fn a_member_that_leaves_gets_no_more_and_members_get_no_retained_messages() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let mut retained = mqtt::Publish::new("t/kept".parse().unwrap(), "kept");
    retained.retain = true;
    sender.send(Packet::Publish(retained)).await;
    sender.ping().await;
    let first = member(&gateway, Version::V5, "first", SHARED).await;
    let mut second = member(&gateway, Version::V5, "second", SHARED).await;
    second.ping().await;
    drop(first);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "first")]).await;
    for n in 0..3 {
        sender.publish("t/x", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        assert_eq!(take(&mut second).await, n.to_string());
    }
}

#[tokio::test]
async fn an_absent_member_gets_a_message_only_if_no_member_is_connected() {
    let gateway = TestGateway::open_to_all().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let persistent = || {
        let mut connect = connect(Version::V5, "away", "u", "p");
        connect.clean_start = false;
        connect.properties.session_expiry_interval = 600;
        connect
    };
    let mut away = MqttClient::connected(&gateway, persistent()).await;
    away.subscribe(&[SHARED], QoS::AtLeastOnce).await.unwrap();
    drop(away);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "away")]).await;
    let mut there = member(&gateway, Version::V5, "there", SHARED).await;
    for n in 0..3 {
        sender.publish("t/x", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        assert_eq!(take(&mut there).await, n.to_string());
    }
    drop(there);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "there")]).await;
    sender.publish("t/x", "for the next member", QoS::AtLeastOnce).await.unwrap();
    let mut away = MqttClient::connected(&gateway, persistent()).await;
    assert_eq!(take(&mut away).await, "for the next member");
}

/// A policy with these resources of `iot:Receive`, for a member of `$share/own/t`, and a client that publishes to `t`.
async fn member_that_receives(resources: &[(&str, &str)]) -> (TestGateway, MqttClient, MqttClient) {
    let mut rules = vec![
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/end"),
    ];
    rules.extend(resources.iter().map(|(effect, resource)| (*effect, "iot:Receive", *resource)));
    let gateway = Start::with_script(&Step::Answer(allow(&rules))).0.run().await;
    let member = member(&gateway, Version::V5, "member", "$share/own/t").await;
    let sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    (gateway, member, sender)
}

#[tokio::test]
async fn a_member_receives_by_the_groups_name_or_by_the_topics() {
    for resources in [&[("Allow", "topic/$share/own/t")][..], &[("Allow", "topic/t")]] {
        let (_gateway, mut member, mut sender) = member_that_receives(resources).await;
        sender.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
        assert_eq!(take(&mut member).await, "x", "{resources:?}");
    }
}

#[tokio::test]
async fn another_groups_name_and_a_deny_on_either_name_withhold_the_message() {
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("Allow", "topic/$share/other/t")],
        &[("Allow", "topic/t"), ("Deny", "topic/$share/own/t")],
        &[("Allow", "topic/$share/own/t"), ("Deny", "topic/t")],
    ];
    for resources in cases {
        let (gateway, mut member, mut sender) = member_that_receives(resources).await;
        member.subscribe(&["end"], QoS::AtMostOnce).await.unwrap();
        sender.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
        sender.publish("end", "end", QoS::AtMostOnce).await;
        assert_eq!(member.message().await.payload, "end", "{resources:?}");
        gateway.logged_with(&[("eventType", "Publish-Out"), ("reason", "AUTHORIZATION_FAILURE")]).await;
    }
}

#[tokio::test]
async fn the_groups_name_is_not_enough_for_a_plain_subscription_to_the_topic() {
    let (_gateway, mut member, mut sender) = member_that_receives(&[("Allow", "topic/$share/own/t")]).await;
    member.subscribe(&["t", "end"], QoS::AtMostOnce).await.unwrap();
    sender.publish("t", "x", QoS::AtLeastOnce).await.unwrap();
    sender.publish("end", "end", QoS::AtMostOnce).await;
    assert_eq!(member.message().await.payload, "end");
}

#[tokio::test]
async fn the_policy_names_the_group() {
    let answer = allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Subscribe", "topicfilter/t"),
        ("Allow", "iot:Subscribe", "topicfilter/$share/own/t"),
    ]);
    let gateway = Start::with_script(&Step::Answer(answer)).0.run().await;
    let mut client = MqttClient::anybody(&gateway, Version::V5, "c").await;
    let denied = SubAckCode::Failed(SubscribeFailure::NotAuthorized);
    let granted = SubAckCode::Granted(QoS::AtMostOnce);
    for (filter, code) in [("t", granted), ("$share/own/t", granted), ("$share/others/t", denied)] {
        assert_eq!(client.subscribe(&[filter], QoS::AtMostOnce).await.unwrap().codes, [code], "{filter}");
    }
}
