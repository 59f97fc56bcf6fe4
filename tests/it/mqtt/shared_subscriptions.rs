//! Subscriptions that clients share: each message goes to one of them, if its policy lets it have it.

use std::{num::NonZeroU32, time::Duration};

use integration::{
    eventually::eventually,
    mqtt_client::{self, MqttClient},
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{Connect, Packet, QoS, SubAckCode, SubscribeFailure, Version};

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

/// The next message that one of them gets, acknowledged.
async fn take_one(members: &mut [MqttClient]) -> String {
    let messages = members.iter_mut().map(|member| Box::pin(member.message()));
    let (message, at, others) = futures_util::future::select_all(messages).await;
    drop(others);
    members[at].acknowledge(&message).await;
    String::from_utf8(message.payload.to_vec()).unwrap()
}

async fn gateway(shared_per_second: Option<u32>) -> TestGateway {
    let start = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock();
    let rate = shared_per_second.and_then(NonZeroU32::new);
    start.with(|settings| settings.quotas.shared_messages_per_second = rate).run().await
}

fn persistent(version: Version, id: &str) -> Connect {
    mqtt_client::persistent(version, id, 600)
}

/// A member whose session outlives its connection, which has ended.
async fn absent_member(gateway: &TestGateway, version: Version, id: &str) {
    let mut client = MqttClient::connected(gateway, persistent(version, id)).await;
    client.subscribe(&[SHARED], QoS::AtLeastOnce).await.unwrap();
    leave(gateway, client, id).await;
}

async fn leave(gateway: &TestGateway, client: MqttClient, id: &str) {
    let ends = || {
        let lines = gateway.log.lines();
        lines.iter().filter(|line| line["eventType"] == "Disconnect" && line["clientId"] == id).count()
    };
    let before = ends();
    drop(client);
    eventually("the end in the log", || (ends() > before).then_some(())).await;
}

async fn publish(gateway: &TestGateway, payloads: impl IntoIterator<Item = impl ToString>) {
    let mut sender = MqttClient::anybody(gateway, Version::V5, "sender").await;
    for payload in payloads {
        sender.publish("t/x", &payload.to_string(), QoS::AtLeastOnce).await.unwrap();
    }
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
        while came.len() < 6 {
            came.push(take_one(&mut members).await);
        }
        came.sort();
        assert_eq!(came, ["0", "1", "2", "3", "4", "5"]);
        for client in &mut members {
            client.ping().await;
        }
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
    absent_member(&gateway, Version::V5, "away").await;
    let mut there = member(&gateway, Version::V5, "there", SHARED).await;
    for n in 0..3 {
        sender.publish("t/x", &n.to_string(), QoS::AtLeastOnce).await.unwrap();
        assert_eq!(take(&mut there).await, n.to_string());
    }
    leave(&gateway, there, "there").await;
    sender.publish("t/x", "for the next member", QoS::AtLeastOnce).await.unwrap();
    let mut away = MqttClient::connected(&gateway, persistent(Version::V5, "away")).await;
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
async fn messages_that_wait_in_a_group_go_to_a_member_that_joins() {
    let gateway = gateway(None).await;
    for version in BOTH {
        let id = format!("{version:?}");
        absent_member(&gateway, version, &id).await;
        publish(&gateway, 0..3).await;
        let mut lossy = MqttClient::anybody(&gateway, version, "lossy").await;
        lossy.subscribe(&[SHARED], QoS::AtMostOnce).await.unwrap();
        lossy.ping().await;
        leave(&gateway, lossy, "lossy").await;
        let mut joins = member(&gateway, Version::V5, "joins", SHARED).await;
        for n in 0..3 {
            assert_eq!(take(&mut joins).await, n.to_string());
        }
        joins.ping().await;
        leave(&gateway, joins, "joins").await;
        let mut resumes = MqttClient::connected(&gateway, persistent(version, &id)).await;
        resumes.ping().await;
        publish(&gateway, ["live"]).await;
        assert_eq!(take(&mut resumes).await, "live");
        assert!(resumes.unsubscribe(&[SHARED]).await.is_some());
    }
}

#[tokio::test]
async fn messages_that_wait_in_a_group_come_at_twenty_a_second_to_each_member() {
    let gateway = gateway(Some(20)).await;
    absent_member(&gateway, Version::V5, "away").await;
    publish(&gateway, 0..50).await;
    let mut joins = member(&gateway, Version::V311, "joins", SHARED).await;
    for n in 0..20 {
        assert_eq!(take(&mut joins).await, n.to_string());
    }
    joins.ping().await;
    let mut resumes = MqttClient::connected(&gateway, persistent(Version::V5, "away")).await;
    for n in 20..40 {
        assert_eq!(take(&mut resumes).await, n.to_string());
    }
    gateway.advance(Duration::from_millis(999));
    resumes.ping().await;
    joins.ping().await;
    leave(&gateway, resumes, "away").await;
    gateway.advance(Duration::from_millis(1));
    for n in 40..50 {
        assert_eq!(take(&mut joins).await, n.to_string());
    }
    gateway.advance(Duration::from_secs(1));
    joins.ping().await;
}

#[tokio::test]
async fn messages_that_a_member_leaves_unacknowledged_go_to_another_member() {
    let gateway = gateway(None).await;
    for (version, leaver_is_persistent) in [(Version::V311, true), (Version::V5, true), (Version::V5, false)]
    {
        absent_member(&gateway, version, "away").await;
        let clean = mqtt_client::connect(version, "leaves", "u", "p");
        let connect = if leaver_is_persistent { persistent(version, "leaves") } else { clean };
        let mut leaves = MqttClient::connected(&gateway, connect).await;
        leaves.subscribe(&[SHARED], QoS::AtLeastOnce).await.unwrap();
        publish(&gateway, 0..3).await;
        for _ in 0..3 {
            leaves.message().await;
        }
        leave(&gateway, leaves, "leaves").await;
        let mut resumes = MqttClient::connected(&gateway, persistent(version, "away")).await;
        let mut joins = member(&gateway, version, "joins", SHARED).await;
        for n in 0..3 {
            let message = resumes.message().await;
            assert_eq!(message.payload, n.to_string());
        }
        // Now another member is connected.
        leave(&gateway, resumes, "away").await;
        for n in 0..3 {
            assert_eq!(take(&mut joins).await, n.to_string());
        }
        joins.ping().await;
    }
}

#[tokio::test]
async fn messages_that_wait_in_a_group_end_with_its_last_member() {
    let gateway = gateway(None).await;
    for ends_by_unsubscribing in [true, false] {
        absent_member(&gateway, Version::V311, "away").await;
        publish(&gateway, ["waits"]).await;
        if ends_by_unsubscribing {
            let mut away = MqttClient::connected(&gateway, persistent(Version::V311, "away")).await;
            assert_eq!(away.message().await.payload, "waits");
            assert!(away.unsubscribe(&[SHARED]).await.is_some());
            leave(&gateway, away, "away").await;
        } else {
            gateway.advance(Duration::from_hours(1));
        }
        let mut joins = member(&gateway, Version::V5, "joins", SHARED).await;
        joins.ping().await;
        leave(&gateway, joins, "joins").await;
    }
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
