//! AWS's rates, and every quota as a setting.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use gateway::quotas::Quotas;
use integration::{
    eventually::eventually,
    http_client::{HttpClient, plain_get},
    mqtt_client::{MqttClient, connect, persistent},
    refusal::refused,
    script::{Step, allow, allow_all},
    test_gateway::{Start, TestGateway},
};
use mqtt::{
    Connect, ConnectReasonCode, Disconnect, DisconnectReasonCode, Packet, Publish, PublishProperties, QoS,
    SubAckCode, SubscribeFailure, Version,
};

const BOTH: [Version; 2] = [Version::V311, Version::V5];
const KIB: usize = 1_024;

/// A gateway with these quotas, on a clock that the test moves.
async fn with(change: impl FnOnce(&mut Quotas)) -> TestGateway {
    let start = Start::with_script(&Step::Answer(allow_all())).0.on_manual_clock();
    start.with(|settings| change(&mut settings.quotas)).run().await
}

async fn as_with_aws() -> TestGateway {
    with(|quotas| *quotas = Quotas::AWS).await
}

fn message(n: u16, payload: impl Into<bytes::Bytes>, qos: QoS) -> Packet {
    let packet_id = (qos > QoS::AtMostOnce).then(|| NonZeroU16::new(n + 1).unwrap());
    Packet::Publish(Publish { qos, packet_id, ..Publish::new("t".parse().unwrap(), payload) })
}

/// The packet ids that are acknowledged before a PINGREQ is answered.
async fn acknowledged(client: &mut MqttClient) -> Vec<u16> {
    client.send(Packet::PingReq).await;
    let mut ids = Vec::new();
    loop {
        match client.receive().await {
            Some(Packet::PubAck(ack)) => ids.push(ack.packet_id.get()),
            Some(Packet::PingResp) => return ids,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn messages_beyond_a_hundred_a_second_are_discarded() {
    let gateway = as_with_aws().await;
    for version in BOTH {
        let id = format!("{version:?}");
        let mut sender = MqttClient::anybody(&gateway, version, &id).await;
        for n in 0..110 {
            sender.send(message(n, "x", QoS::AtLeastOnce)).await;
        }
        assert_eq!(acknowledged(&mut sender).await, (1..=100).collect::<Vec<_>>(), "{id}");
        let line = gateway.logged_with(&[("clientId", &id), ("reason", "THROTTLED")]).await;
        assert_eq!((&line["eventType"], &line["topicName"]), (&"Publish-In".into(), &"t".into()));
        gateway.advance(Duration::from_millis(50));
        for n in 110..120 {
            sender.send(message(n, "x", QoS::AtLeastOnce)).await;
        }
        assert_eq!(acknowledged(&mut sender).await, (111..=115).collect::<Vec<_>>(), "{id}");
        gateway.advance(Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_discarded_message_reaches_nobody_and_is_not_retained() {
    let gateway = with(|quotas| quotas.publishes_per_second = 2.try_into().ok()).await;
    let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for payload in ["a", "b", "too many"] {
        let publish = Publish { retain: true, ..Publish::new("t".parse().unwrap(), payload) };
        sender.send(Packet::Publish(publish)).await;
    }
    sender.ping().await;
    for payload in ["a", "b"] {
        assert_eq!(reader.message().await.payload, payload);
    }
    reader.ping().await;
    let mut late = MqttClient::anybody(&gateway, Version::V5, "late").await;
    late.subscribe(&["t"], QoS::AtMostOnce).await.unwrap();
    assert_eq!(late.message().await.payload, "b");
}

#[tokio::test]
async fn a_subscriber_gets_a_hundred_qos_0_messages_a_second_and_every_qos_1_message() {
    let gateway = as_with_aws().await;
    let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    for (name, qos) in [("lossy", QoS::AtMostOnce), ("sure", QoS::AtLeastOnce)] {
        for half in ["first", "second"] {
            let id = format!("{name}-{half}");
            let mut sender = MqttClient::anybody(&gateway, Version::V5, &id).await;
            for n in 0..75 {
                sender.send(message(n, id.clone(), qos)).await;
            }
            acknowledged(&mut sender).await;
        }
    }
    let (mut lossy, mut sure) = (0, 0);
    while sure < 150 {
        let message = reader.message().await;
        if message.qos == QoS::AtMostOnce {
            lossy += 1;
        } else {
            sure += 1;
            reader.acknowledge(&message).await;
        }
    }
    assert_eq!(lossy, 100);
    let line = gateway.logged_with(&[("eventType", "Publish-Out"), ("reason", "THROTTLED")]).await;
    assert_eq!(line["clientId"], "reader");
}

/// Messages that were stored for these clients, one after the other.
async fn stored(gateway: &TestGateway, ids: &[&str]) -> Vec<usize> {
    let mut counts = Vec::new();
    for id in ids {
        let mut reader = MqttClient::connected(gateway, persistent(Version::V5, id, 600)).await;
        let end = Publish { qos: QoS::AtLeastOnce, ..Publish::new(id.parse().unwrap(), "end") };
        let mut count = 0;
        reader.send(Packet::Publish(Publish { packet_id: NonZeroU16::new(9), ..end })).await;
        loop {
            match reader.receive().await {
                Some(Packet::Publish(message)) => {
                    reader.acknowledge(&message).await;
                    if message.payload == "end" {
                        break;
                    }
                    count += 1;
                }
                Some(Packet::PubAck(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        counts.push(count);
    }
    counts
}

#[tokio::test]
async fn messages_for_clients_that_are_away_have_a_rate_for_each_and_for_all() {
    for (each, all, counts) in [(5, 0, [5, 5]), (0, 7, [4, 3]), (5, 8, [4, 4]), (0, 0, [8, 8])] {
        let gateway = with(|quotas| {
            quotas.publishes_per_second = NonZeroU32::new(each);
            quotas.queued_messages_per_second = NonZeroU32::new(all);
        })
        .await;
        let ids = ["first", "second"];
        for round in [1, 2] {
            for id in ids {
                let mut reader = MqttClient::connected(&gateway, persistent(Version::V5, id, 600)).await;
                reader.subscribe(&["t", id], QoS::AtLeastOnce).await.unwrap();
                reader
                    .send(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection)))
                    .await;
                reader.closed().await;
            }
            for sender in ["a", "b"] {
                let mut sender = MqttClient::anybody(&gateway, Version::V5, sender).await;
                for n in 0..4 {
                    sender.send(message(n, "x", QoS::AtLeastOnce)).await;
                }
                assert_eq!(acknowledged(&mut sender).await, [1, 2, 3, 4]);
            }
            gateway.advance(Duration::from_secs(2));
            // Of two clients either may be the first to get a message.
            let mut stored = stored(&gateway, &ids).await;
            stored.sort_unstable_by(|one, other| other.cmp(one));
            assert_eq!(stored, counts, "{each} {all}, round {round}");
            gateway.advance(Duration::from_secs(2));
        }
    }
}

#[tokio::test]
async fn more_than_512_kib_a_second_is_delayed_and_not_lost() {
    let gateway = as_with_aws().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for n in 0..8 {
        sender.send(message(n, vec![b'x'; 128 * KIB], QoS::AtLeastOnce)).await;
    }
    for n in 1..=5 {
        assert!(matches!(sender.receive().await, Some(Packet::PubAck(ack)) if ack.packet_id.get() == n));
    }
    // The sixth is taken when the fifth is worked off: a quarter of a second later.
    let received = async || {
        let (_, metrics) = plain_get(gateway.addresses.status.unwrap(), "/metrics").await;
        let line = metrics
            .lines()
            .find(|line| line.contains("messages") && line.contains("\"in\""))
            .map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok())
    };
    assert_eq!(received().await, Some(5));
    for (millis, n) in [(249, None), (1, Some(6)), (250, Some(7)), (250, Some(8))] {
        gateway.advance(Duration::from_millis(millis));
        match n {
            None => assert_eq!(received().await, Some(5), "too early"),
            Some(n) => {
                let ack = sender.receive().await;
                assert!(
                    matches!(&ack, Some(Packet::PubAck(ack)) if ack.packet_id.get() == n),
                    "{n}: {ack:?}"
                );
            }
        }
    }
    gateway.advance(Duration::from_secs(1));
    sender.ping().await;
}

/// Messages to a client are delayed, and it is not held back for what others send to it.
#[tokio::test]
async fn a_client_that_receives_more_than_512_kib_a_second_gets_them_later_and_is_still_heard() {
    let gateway = as_with_aws().await;
    let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
    reader.subscribe(&["t"], QoS::AtLeastOnce).await.unwrap();
    for id in ["one", "two", "three"] {
        let mut sender = MqttClient::anybody(&gateway, Version::V5, id).await;
        for n in 0..4 {
            sender.send(message(n, vec![b'x'; 128 * KIB], QoS::AtLeastOnce)).await;
        }
        assert_eq!(acknowledged(&mut sender).await.len(), 4);
    }
    let mut received = 0;
    for (millis, more) in [(0, 5), (250, 1), (250, 1), (1_000, 4), (250, 1)] {
        gateway.advance(Duration::from_millis(millis));
        for _ in 0..more {
            let message = reader.message().await;
            reader.acknowledge(&message).await;
        }
        received += more;
        reader.ping().await;
    }
    assert_eq!(received, 12);
}

#[tokio::test]
async fn a_client_id_connects_once_a_second_and_the_next_connect_is_refused() {
    let gateway = as_with_aws().await;
    for version in BOTH {
        let id = format!("{version:?}");
        let mut first = MqttClient::anybody(&gateway, version, &id).await;
        refused(&gateway, connect(version, &id, "u", "p"), ConnectReasonCode::QuotaExceeded).await;
        let line = gateway
            .logged_with(&[("eventType", "Connect"), ("clientId", &id), ("reason", "THROTTLED")])
            .await;
        assert!(line["details"].as_str().unwrap().contains("wait a second longer"), "{line}");
        first.ping().await;
        MqttClient::anybody(&gateway, version, "another").await;
        gateway.advance(Duration::from_secs(1));
        MqttClient::anybody(&gateway, version, &id).await;
        assert!(matches!(first.ended().await, None | Some(0x8e)), "now it is taken over");
    }
}

/// A refused client can't keep a device out by its client id.
#[tokio::test]
async fn a_refused_connect_does_not_count() {
    let answer = allow(&[("Allow", "iot:Connect", "client/c")]);
    let (start, script) = Start::with_script(&Step::Answer(serde_json::json!({"isAuthenticated": false})));
    let gateway = start.on_manual_clock().with(|settings| settings.quotas = Quotas::AWS).run().await;
    for _ in 0..3 {
        let (_, ack) = MqttClient::connect(&gateway, connect(Version::V5, "c", "u", "guess")).await;
        assert_eq!(ack.unwrap().code, ConnectReasonCode::NotAuthorized);
    }
    script.set(&Step::Answer(answer));
    MqttClient::anybody(&gateway, Version::V5, "c").await;
}

#[tokio::test]
async fn all_clients_together_have_a_connect_rate() {
    let gateway = with(|quotas| quotas.connects_per_second = 3.try_into().ok()).await;
    for n in 0..3 {
        MqttClient::anybody(&gateway, Version::V5, &n.to_string()).await;
    }
    let (_, ack) = MqttClient::connect(&gateway, connect(Version::V5, "4", "u", "p")).await;
    assert_eq!(ack.unwrap().code, ConnectReasonCode::QuotaExceeded);
    gateway.advance(Duration::from_secs(1));
    MqttClient::anybody(&gateway, Version::V5, "4").await;
}

#[tokio::test]
async fn every_quota_can_be_configured() {
    let gateway = with(|quotas| {
        *quotas = Quotas {
            client_id_bytes: 4,
            topic_bytes: 3,
            topic_slashes: 1,
            payload_bytes: 5,
            filters_per_subscribe: 2,
            subscriptions_per_connection: 3,
            unacknowledged_messages: NonZeroU16::new(1).unwrap(),
            min_keep_alive_seconds: NonZeroU16::new(40).unwrap(),
            max_keep_alive_seconds: NonZeroU16::new(50).unwrap(),
            packet_bytes: 100.try_into().unwrap(),
            topic_aliases: 1,
            receive_maximum: NonZeroU16::new(7).unwrap(),
            session_expiry: Duration::from_secs(9),
            ..Quotas::AWS.at_any_rate()
        }
    })
    .await;
    let v5 = |id: &str, keep_alive| {
        let mut connect = connect(Version::V5, id, "u", "p");
        (connect.keep_alive, connect.properties.session_expiry_interval) = (keep_alive, 600);
        connect
    };
    refused(&gateway, v5("abcde", 40), ConnectReasonCode::ClientIdentifierNotValid).await;
    for (asked, held) in [(1, 40), (45, 45), (60, 50), (0, 50)] {
        let (_, ack) = MqttClient::connect(&gateway, v5("abcd", asked)).await;
        assert_eq!(ack.unwrap().properties.server_keep_alive, Some(held), "{asked}");
    }
    let (mut client, ack) = MqttClient::connect(&gateway, v5("abcd", 45)).await;
    let properties = ack.unwrap().properties;
    assert_eq!((properties.receive_maximum.get(), properties.topic_alias_maximum), (7, 1));
    assert_eq!(
        (properties.maximum_packet_size.map(u32::from), properties.session_expiry_interval),
        (Some(100), Some(9))
    );
    let codes = client.subscribe(&["a", "b/b"], QoS::AtLeastOnce).await.unwrap().codes;
    assert_eq!(codes, [SubAckCode::Granted(QoS::AtLeastOnce); 2]);
    let codes = client.subscribe(&["long", "///"], QoS::AtLeastOnce).await.unwrap().codes;
    assert_eq!(codes, [SubAckCode::Failed(SubscribeFailure::TopicFilterInvalid); 2]);
    let codes = client.subscribe(&["c", "d"], QoS::AtLeastOnce).await.unwrap().codes;
    assert_eq!(
        codes,
        [SubAckCode::Granted(QoS::AtLeastOnce), SubAckCode::Failed(SubscribeFailure::QuotaExceeded)]
    );
    // One message in flight, and the next when it is acknowledged.
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "s").await;
    sender.publish("a", "one", QoS::AtLeastOnce).await.unwrap();
    sender.publish("a", "two", QoS::AtLeastOnce).await.unwrap();
    let one = client.message().await;
    client.ping().await;
    client.acknowledge(&one).await;
    assert_eq!(client.message().await.payload, "two");
    let alias = |alias| {
        let properties =
            PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() };
        Publish { properties: Some(properties.into()), ..Publish::new("a".parse().unwrap(), "x") }
    };
    let broken = [
        (Publish::new("aaaa".parse().unwrap(), "x"), 0x90),
        (Publish::new("/a/".parse().unwrap(), "x"), 0x90),
        (Publish::new("a".parse().unwrap(), "123456"), 0x95),
        (Publish::new("a".parse().unwrap(), vec![b'x'; 100]), 0x95),
        (alias(2), 0x94),
    ];
    for (publish, code) in broken {
        let mut sender = MqttClient::anybody(&gateway, Version::V5, "s").await;
        sender.send(Packet::Publish(alias(1))).await;
        sender.send(Packet::Publish(publish.clone())).await;
        assert_eq!(sender.ended().await, Some(code), "{publish:?}");
    }
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "s").await;
    assert_eq!(sender.subscribe(&["a", "b", "c"], QoS::AtMostOnce).await, None, "three filters");
    // A session of 3.1.1 is kept for as long.
    let persistent = Connect { clean_start: false, ..connect(Version::V311, "p", "u", "p") };
    drop(MqttClient::connected(&gateway, persistent.clone()).await);
    gateway.logged_with(&[("eventType", "Disconnect"), ("clientId", "p")]).await;
    gateway.advance(Duration::from_secs(8));
    let (client, ack) = MqttClient::connect(&gateway, persistent.clone()).await;
    assert!(ack.unwrap().session_present);
    drop(client);
    let ends = || {
        gateway.log.lines().iter().filter(|l| l["eventType"] == "Disconnect" && l["clientId"] == "p").count()
    };
    eventually("its end", || (ends() == 2).then_some(())).await;
    gateway.advance(Duration::from_secs(9));
    assert!(!MqttClient::connect(&gateway, persistent).await.1.unwrap().session_present);
}

#[tokio::test]
async fn shared_subscriptions_beyond_their_quotas_are_refused_and_the_connection_goes_on() {
    let gateway = with(|quotas| (quotas.shared_groups, quotas.shared_group_members) = (2, 2)).await;
    let mut clients = Vec::new();
    for (id, version) in [("a", Version::V5), ("b", Version::V311), ("c", Version::V5)] {
        clients.push(MqttClient::anybody(&gateway, version, id).await);
    }
    let granted = SubAckCode::Granted(QoS::AtLeastOnce);
    let full = SubAckCode::Failed(SubscribeFailure::QuotaExceeded);
    for (client, filters, codes) in [
        (0, &["$share/1/t"][..], &[granted][..]),
        (1, &["$share/1/t"], &[granted]),
        (2, &["$share/1/t", "$share/2/t", "$share/3/t", "t"], &[full, granted, full, granted]),
        (0, &["$share/1/t", "$share/1/u"], &[granted, full]),
    ] {
        let ack = clients[client].subscribe(filters, QoS::AtLeastOnce).await.unwrap();
        assert_eq!(ack.codes, codes, "{client} {filters:?}");
    }
    let ack = clients[1].subscribe(&["$share/3/t"], QoS::AtLeastOnce).await.unwrap();
    assert!(matches!(ack.codes[..], [SubAckCode::Failed(_)]), "{:?}", ack.codes);
    clients[0].unsubscribe(&["$share/1/t"]).await.unwrap();
    let ack = clients[2].subscribe(&["$share/1/t"], QoS::AtLeastOnce).await.unwrap();
    assert_eq!(ack.codes, [granted], "there is room again");
}

#[tokio::test]
async fn a_retained_message_beyond_the_quota_is_delivered_and_not_retained() {
    let gateway = with(|quotas| quotas.retained_messages = 1).await;
    let mut reader = MqttClient::anybody(&gateway, Version::V5, "reader").await;
    reader.subscribe(&["+"], QoS::AtMostOnce).await.unwrap();
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    for topic in ["kept", "not", "kept"] {
        let publish = Publish { retain: true, ..Publish::new(topic.parse().unwrap(), topic) };
        sender.send(Packet::Publish(publish)).await;
        assert_eq!(reader.message().await.payload, topic);
    }
    reader.subscribe(&["not", "kept"], QoS::AtMostOnce).await.unwrap();
    assert_eq!(reader.message().await.payload, "kept");
    reader.ping().await;
}

#[tokio::test]
async fn https_requests_have_a_rate_for_each_connection_and_for_each_principal() {
    const RATE: usize = 5;
    let (start, script) = Start::with_script(&Step::Answer(allow_all()));
    let rate = RATE.try_into().ok().and_then(NonZeroU32::new);
    let start = start.with(|settings| settings.quotas.publishes_per_second = rate).on_manual_clock();
    let gateway = start.run().await;
    let statuses = async |client: &mut HttpClient| {
        let mut statuses = [0; RATE + 2];
        for status in &mut statuses {
            *status = client.request("POST", "/topics/t", &[], "x").await.status;
        }
        statuses
    };
    let full = [200, 200, 200, 200, 200, 429, 429];
    let mut client = HttpClient::open(&gateway).await;
    assert_eq!(statuses(&mut client).await, full);
    assert_eq!(script.calls(), RATE, "the function is not asked about a request that is too many");
    gateway.logged_with(&[("reason", "THROTTLED"), ("eventType", "Publish-In")]).await;
    // Other connections of the principal have nothing left.
    let mut other = HttpClient::open(&gateway).await;
    assert_eq!(statuses(&mut other).await, [429; RATE + 2]);
    assert_eq!(script.calls(), 2 * RATE);
    // Another principal has its own rate.
    let mut answer = allow_all();
    answer["principalId"] = "another".into();
    script.set(&Step::Answer(answer));
    let mut another = HttpClient::open(&gateway).await;
    assert_eq!(statuses(&mut another).await, full);
    // Refused requests count for their connection, whatever they ask for.
    script.set(&Step::Answer(serde_json::json!({"isAuthenticated": false})));
    let mut refused = HttpClient::open(&gateway).await;
    assert_eq!(statuses(&mut refused).await, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(refused.request("GET", "/", &[], "").await.status, 429);
    script.set(&Step::Answer(allow_all()));
    gateway.advance(Duration::from_secs(1));
    assert_eq!(statuses(&mut client).await, full);
}

#[tokio::test]
async fn a_topic_has_one_retained_message_a_second_and_one_more_is_discarded() {
    let gateway = as_with_aws().await;
    let mut sender = MqttClient::anybody(&gateway, Version::V5, "sender").await;
    let retained = |n: u16, payload: &'static str| {
        let packet_id = NonZeroU16::new(n);
        let publish = Publish::new("t".parse().unwrap(), payload);
        Packet::Publish(Publish { qos: QoS::AtLeastOnce, packet_id, retain: true, ..publish })
    };
    for (n, payload) in [(1, "kept"), (2, "too soon"), (3, "")] {
        sender.send(retained(n, payload)).await;
    }
    assert_eq!(acknowledged(&mut sender).await, [1, 3], "taking it away is not throttled");
    let line = gateway.logged_with(&[("reason", "THROTTLED"), ("topicName", "t")]).await;
    let details = "discarded: at most 1 a second of the messages on a topic may be retained";
    assert_eq!((&line["eventType"], &line["details"]), (&"Publish-In".into(), &details.into()));
    let mut https = HttpClient::open(&gateway).await;
    let answer = https.request("POST", "/topics/t?retain=true", &[], "too soon").await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (429, Some("ThrottlingException:")));
    gateway.advance(Duration::from_secs(1));
    sender.send(retained(4, "later")).await;
    assert_eq!(acknowledged(&mut sender).await, [4]);
}

#[tokio::test]
async fn all_clients_together_subscribe_to_so_many_filters_a_second() {
    let gateway = with(|quotas| quotas.subscriptions_per_second = 3.try_into().ok()).await;
    let mut one = MqttClient::anybody(&gateway, Version::V5, "one").await;
    one.subscribe(&["a", "b"], QoS::AtMostOnce).await.unwrap();
    let mut two = MqttClient::anybody(&gateway, Version::V5, "two").await;
    let granted = SubAckCode::Granted(QoS::AtMostOnce);
    let refused = SubAckCode::Failed(SubscribeFailure::QuotaExceeded);
    assert_eq!(two.subscribe(&["a", "b"], QoS::AtMostOnce).await.unwrap().codes, [granted, refused]);
    let line = gateway.logged_with(&[("eventType", "Subscribe"), ("reason", "THROTTLED")]).await;
    assert!(line["details"].as_str().unwrap().contains("more than 3 topic filters a second"), "{line}");
    gateway.advance(Duration::from_secs(1));
    assert_eq!(two.subscribe(&["b"], QoS::AtMostOnce).await.unwrap().codes, [granted]);
}

#[tokio::test]
async fn properties_beyond_a_quota_end_the_connection() {
    let gateway = with(|_| {}).await;
    let cases: [(PublishProperties, Option<&str>); 4] = [
        (PublishProperties { content_type: Some("x".repeat(256).into()), ..Default::default() }, None),
        (
            PublishProperties { content_type: Some("x".repeat(257).into()), ..Default::default() },
            Some("the content type is longer than 256 bytes"),
        ),
        (PublishProperties { correlation_data: Some(vec![0; 8 * KIB].into()), ..Default::default() }, None),
        (
            PublishProperties { correlation_data: Some(vec![0; 8 * KIB + 1].into()), ..Default::default() },
            Some("the correlation data are larger than 8192 bytes"),
        ),
    ];
    for (properties, details) in cases {
        let mut sender = MqttClient::anybody(&gateway, Version::V5, "s").await;
        let publish = Publish::new("t".parse().unwrap(), "x");
        sender.send(Packet::Publish(Publish { properties: Some(properties.into()), ..publish })).await;
        match details {
            None => sender.ping().await,
            Some(details) => {
                assert_eq!(sender.ended().await, Some(0x97), "{details}");
                gateway.logged_with(&[("eventType", "Disconnect"), ("details", details)]).await;
            }
        }
    }
}

#[tokio::test]
async fn a_maximum_packet_size_below_512_is_refused() {
    let gateway = as_with_aws().await;
    for (bytes, code) in [(511, 0x97), (512, 0)] {
        let mut connect = connect(Version::V5, &bytes.to_string(), "u", "p");
        connect.properties.maximum_packet_size = bytes.try_into().ok();
        let (_, ack) = MqttClient::connect(&gateway, connect).await;
        assert_eq!(u8::from(ack.unwrap().code), code, "{bytes}");
    }
    let details = "the client's Maximum Packet Size is less than 512 bytes";
    gateway.logged_with(&[("eventType", "Connect"), ("details", details)]).await;
}

/// The gateway's own: AWS publishes no rate for these packets.
#[tokio::test]
async fn packets_beyond_a_rate_are_delayed_and_other_clients_are_served() {
    let gateway = with(|quotas| quotas.packets_per_second = 10.try_into().ok()).await;
    let mut busy = MqttClient::anybody(&gateway, Version::V5, "busy").await;
    for _ in 0..15 {
        busy.send(Packet::PingReq).await;
    }
    // The eleventh exceeds the rate, and nothing more is read for a tenth of a second.
    for _ in 0..11 {
        assert!(matches!(busy.receive().await, Some(Packet::PingResp)));
    }
    let mut other = MqttClient::anybody(&gateway, Version::V5, "other").await;
    other.ping().await;
    for _ in 0..4 {
        gateway.advance(Duration::from_millis(100));
        assert!(matches!(busy.receive().await, Some(Packet::PingResp)));
    }
    // The log says so once.
    let details = "the client sends more than 10 packets or topic filters a second: the gateway reads nothing from it until the \
         rate is kept again; further pauses of this connection get no line";
    gateway.logged_with(&[("reason", "THROTTLED"), ("clientId", "busy"), ("details", details)]).await;
    let lines = gateway.log.lines();
    assert_eq!(lines.iter().filter(|line| line["reason"] == "THROTTLED").count(), 1, "{lines:?}");
}
