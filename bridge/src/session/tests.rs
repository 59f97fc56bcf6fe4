use std::num::NonZeroU32;

use bytes::Bytes;
use mqtt::{
    ConnAck, Connect, ConnectReasonCode, DisconnectReasonCode, LastWill, PubAckCode, PublishProperties,
    SubAck, SubAckCode, SubscribeFailure, UnsubAck, Unsubscribe,
};
use proptest::prelude::*;

use super::*;
use crate::client_ids::ClientIds;
use crate::topic_map::TopicMap;

fn id(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn topic(text: &str) -> TopicName {
    TopicName::try_from(text).unwrap()
}

fn rules() -> Arc<Rules> {
    Arc::new(Rules {
        topics: TopicMap::new([("/sys/{pk}/{dn}/#", "{dn}/#")]).unwrap(),
        drop_retain: vec![TopicFilter::try_from("+/status").unwrap()],
        max_payload_bytes: Some(100),
        ..Rules::default()
    })
}

fn session(version: Version, backlog: Option<u64>) -> Session {
    Session::new(version, rules(), KnownValues::new("c".into(), Some("u")), backlog)
}

fn publish(name: &str, qos: QoS, packet_id: u16) -> Publish {
    let mut message = Publish::new(topic(name), Bytes::from_static(b"x"));
    (message.qos, message.packet_id) = (qos, NonZeroU16::new(packet_id));
    message
}

fn from_device(session: &mut Session, packet: Packet) -> Vec<Effect> {
    let mut effects = Vec::new();
    session.from_device(packet, &mut effects);
    effects
}

fn from_upstream(session: &mut Session, packet: Packet) -> Vec<Effect> {
    let mut effects = Vec::new();
    session.from_upstream(packet, &mut effects);
    effects
}

fn puback(packet_id: u16) -> Packet {
    Packet::PubAck(PubAck::new(id(packet_id), PubAckCode::Success))
}

fn to_device(packet: Packet) -> Effect {
    Effect::ToDevice(packet)
}

#[test]
fn qos_1_keeps_its_packet_id_on_the_devices_side() {
    let mut session = session(Version::V311, None);
    let sent = from_device(&mut session, Packet::Publish(publish("a", QoS::AtLeastOnce, 77)));
    let up = publish("a", QoS::AtLeastOnce, 1);
    assert_eq!(sent, [Effect::ToUpstream(Packet::Publish(up))]);
    let again = Publish { dup: true, ..publish("a", QoS::AtLeastOnce, 77) };
    assert_eq!(from_device(&mut session, Packet::Publish(again)), [], "it is on its way");
    assert_eq!(from_upstream(&mut session, puback(1)), [to_device(puback(77))]);
    assert_eq!(from_upstream(&mut session, puback(1)), [], "there is nothing to answer any more");
}

#[test]
fn qos_2_is_completed_with_the_device_and_goes_up_once_with_qos_1() {
    for version in [Version::V311, Version::V5] {
        let mut session = session(version, None);
        let message = publish("a", QoS::ExactlyOnce, 5);
        let sent = from_device(&mut session, Packet::Publish(message.clone()));
        let up = Effect::ToUpstream(Packet::Publish(publish("a", QoS::AtLeastOnce, 1)));
        assert_eq!(sent, [Effect::Count(Translation::PublishQos2), up]);
        let again = Packet::Publish(Publish { dup: true, ..message });
        assert_eq!(from_device(&mut session, again.clone()), []);
        let received = to_device(Packet::PubRec(PubAck::new(id(5), PubAckCode::Success)));
        assert_eq!(from_upstream(&mut session, puback(1)), std::slice::from_ref(&received));
        assert_eq!(from_device(&mut session, again), [received], "PUBREC is sent again, the message is not");
        let release = PubRel { packet_id: id(5), code: PubRelCode::Success };
        let complete = to_device(Packet::PubComp(release));
        assert_eq!(from_device(&mut session, Packet::PubRel(release)), [complete]);
        let code = match version {
            Version::V311 => PubRelCode::Success,
            Version::V5 => PubRelCode::PacketIdentifierNotFound,
        };
        let unknown = to_device(Packet::PubComp(PubRel { packet_id: id(5), code }));
        assert_eq!(from_device(&mut session, Packet::PubRel(release)), [unknown]);
    }
}

#[test]
fn a_refused_message_is_answered_so_and_its_packet_id_is_free() {
    for (qos, answered) in [(QoS::AtLeastOnce, 4), (QoS::ExactlyOnce, 5)] {
        let mut session = session(Version::V5, None);
        from_device(&mut session, Packet::Publish(publish("a", qos, 5)));
        let refusal = PubAck::new(id(1), PubAckCode::NotAuthorized);
        let effects = from_upstream(&mut session, Packet::PubAck(refusal));
        let [Effect::Rejected(rejected), Effect::ToDevice(answer)] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        assert_eq!(rejected.code, Some(PubAckCode::NotAuthorized));
        assert_eq!(answer.packet_type(), answered);
        let next = from_device(&mut session, Packet::Publish(publish("a", qos, 5)));
        assert!(next.iter().any(|effect| matches!(effect, Effect::ToUpstream(Packet::Publish(_)))));
    }
}

#[test]
fn messages_for_the_device_have_packet_ids_of_their_own() {
    let mut session = session(Version::V311, None);
    let first = from_upstream(&mut session, Packet::Publish(publish("a", QoS::AtLeastOnce, 300)));
    assert_eq!(first, [to_device(Packet::Publish(publish("a", QoS::AtLeastOnce, 1)))]);
    let again = Packet::Publish(publish("a", QoS::AtLeastOnce, 300));
    let resent = Publish { dup: true, ..publish("a", QoS::AtLeastOnce, 1) };
    assert_eq!(from_upstream(&mut session, again), [to_device(Packet::Publish(resent))]);
    assert_eq!(from_device(&mut session, puback(1)), [Effect::ToUpstream(puback(300))]);
    assert_eq!(from_device(&mut session, puback(1)), []);
    let mut effects = Vec::new();
    from_upstream(&mut session, Packet::Publish(publish("a", QoS::AtLeastOnce, 301)));
    session.undeliverable(Some(id(2)), &mut effects);
    assert_eq!(effects, [Effect::ToUpstream(puback(301))], "too large for the device");
}

#[test]
fn topics_retain_and_size_are_translated() {
    let mut session = session(Version::V5, None);
    let mut message = publish("/sys/p/d/status", QoS::AtMostOnce, 0);
    message.retain = true;
    message.properties = Some(Arc::new(PublishProperties {
        response_topic: Some(topic("/sys/p/d/answer")),
        ..PublishProperties::default()
    }));
    let effects = from_device(&mut session, Packet::Publish(message));
    let [
        Effect::Count(Translation::Topic),
        Effect::Count(Translation::Retain),
        Effect::ToUpstream(Packet::Publish(up)),
    ] = effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!((up.topic.as_ref(), up.retain), (Some(&topic("d/status")), false));
    assert_eq!(up.properties.as_ref().unwrap().response_topic, Some(topic("d/answer")));
    let down = from_upstream(&mut session, Packet::Publish(publish("d/set", QoS::AtMostOnce, 0)));
    assert_eq!(down, [to_device(Packet::Publish(publish("/sys/p/d/set", QoS::AtMostOnce, 0)))]);

    let mut large = publish("a", QoS::AtLeastOnce, 9);
    large.payload = vec![0; 101].into();
    let expected = [Effect::Count(Translation::Oversize), to_device(puback(9))];
    assert_eq!(from_device(&mut session, Packet::Publish(large)), expected);
}

#[test]
fn topic_aliases_end_at_the_bridge() {
    let mut session = session(Version::V5, None);
    let with_alias = |name: Option<&str>, alias| {
        let mut message = publish("x", QoS::AtMostOnce, 0);
        message.topic = name.map(topic);
        let properties =
            PublishProperties { topic_alias: NonZeroU16::new(alias), ..PublishProperties::default() };
        message.properties = Some(Arc::new(properties));
        Packet::Publish(message)
    };
    let up = [Effect::ToUpstream(Packet::Publish(publish("a", QoS::AtMostOnce, 0)))];
    assert_eq!(from_device(&mut session, with_alias(Some("a"), 2)), up);
    assert_eq!(from_device(&mut session, with_alias(None, 2)), up);
    for alias in [1, CONNECT_TOPIC_ALIASES + 1] {
        let ended = from_device(&mut session, with_alias(None, alias));
        assert!(matches!(ended.as_slice(), [Effect::End(End::Violation(Code::TopicAliasInvalid, _))]));
    }
}

#[test]
fn subscriptions_with_qos_2_are_made_and_granted_with_qos_1() {
    let mut session = session(Version::V5, None);
    let filter = |text, qos| SubscribeFilter::new(TopicFilter::try_from(text).unwrap(), qos);
    let request =
        Subscribe::new(id(9), vec![filter("a", QoS::ExactlyOnce), filter("/sys/p/d/#", QoS::AtMostOnce)]);
    let effects = from_device(&mut session, Packet::Subscribe(request));
    let up = Subscribe::new(id(1), vec![filter("a", QoS::AtLeastOnce), filter("d/#", QoS::AtMostOnce)]);
    let expected = [
        Effect::Count(Translation::SubscribeQos2),
        Effect::Count(Translation::Topic),
        Effect::ToUpstream(Packet::Subscribe(up)),
    ];
    assert_eq!(effects, expected);
    let codes =
        vec![SubAckCode::Granted(QoS::AtLeastOnce), SubAckCode::Failed(SubscribeFailure::NotAuthorized)];
    let answer = |packet_id| {
        Packet::SubAck(SubAck { packet_id: id(packet_id), codes: codes.clone(), reason_string: None })
    };
    assert_eq!(from_upstream(&mut session, answer(1)), [to_device(answer(9))]);

    let leave = |packet_id, text| {
        Packet::Unsubscribe(Unsubscribe::new(id(packet_id), vec![TopicFilter::try_from(text).unwrap()]))
    };
    assert_eq!(from_device(&mut session, leave(7, "/sys/p/d/#")), [Effect::ToUpstream(leave(2, "d/#"))]);
    let left = |packet_id| {
        Packet::UnsubAck(UnsubAck { packet_id: id(packet_id), codes: Vec::new(), reason_string: None })
    };
    assert_eq!(from_upstream(&mut session, left(2)), [to_device(left(7))]);
}

#[test]
fn pings_and_ends_stay_on_their_side() {
    let mut session = session(Version::V5, None);
    assert_eq!(from_device(&mut session, Packet::PingReq), [to_device(Packet::PingResp)]);
    assert_eq!(from_upstream(&mut session, Packet::PingResp), []);
    let reason = Disconnect::new(DisconnectReasonCode::DisconnectWithWillMessage);
    let ended = from_device(&mut session, Packet::Disconnect(reason.clone()));
    assert_eq!(ended, [Effect::End(End::Device(reason))]);
    let reason = Disconnect::new(DisconnectReasonCode::SessionTakenOver);
    let ended = from_upstream(&mut session, Packet::Disconnect(reason.clone()));
    assert_eq!(ended, [Effect::End(End::Server(reason))]);
    for packet in [Packet::PubRec(PubAck::new(id(1), PubAckCode::Success)), Packet::Auth] {
        let ended = from_device(&mut session, packet.clone());
        assert!(matches!(ended.as_slice(), [Effect::End(End::Violation(Code::ProtocolError, _))]));
        let ended = from_upstream(&mut session, packet);
        assert!(matches!(ended.as_slice(), [Effect::End(End::ServerViolation(_))]));
    }
}

#[test]
fn what_is_unanswered_is_stored_in_its_order_before_it_is_acknowledged() {
    let mut session = session(Version::V311, Some(0));
    let mut effects = Vec::new();
    session.begin(&mut effects);
    assert_eq!(effects, []);
    for number in 1..=3 {
        from_device(
            &mut session,
            Packet::Publish(publish(&number.to_string(), QoS::AtLeastOnce, number + 10)),
        );
    }
    from_upstream(&mut session, puback(2));
    session.lost(true, &mut effects);
    let stored = |name, packet_id| Effect::Store(publish(name, QoS::AtLeastOnce, packet_id));
    assert_eq!(std::mem::take(&mut effects), [stored("1", 11), stored("3", 13)]);
    let next = from_device(&mut session, Packet::Publish(publish("4", QoS::ExactlyOnce, 14)));
    assert_eq!(next, [Effect::Count(Translation::PublishQos2), stored("4", 14)]);
    let lost = from_device(&mut session, Packet::Publish(publish("5", QoS::AtMostOnce, 0)));
    assert_eq!(lost, [Effect::Count(Translation::Qos0Lost)]);
    for answer in [puback(11), puback(13), Packet::PubRec(PubAck::new(id(14), PubAckCode::Success))] {
        session.stored(true, &mut effects);
        assert_eq!(std::mem::take(&mut effects), [to_device(answer)]);
    }
    session.reconnected(true, &mut effects);
    let limit = MAX_INFLIGHT / 2;
    assert_eq!(std::mem::take(&mut effects), [Effect::Fetch { after: 0, limit }]);
    let read = ["1", "3", "4"].into_iter().zip(1..);
    let read = read.map(|(name, number)| (number, publish(name, QoS::AtLeastOnce, 1)));
    session.fetched(read.collect(), &mut effects);
    let sent = std::mem::take(&mut effects);
    let names = sent.iter().map(|effect| match effect {
        Effect::ToUpstream(Packet::Publish(message)) => message.topic.as_ref().unwrap().as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(names.collect::<Vec<_>>(), ["1", "3", "4"]);
    let direct = from_device(&mut session, Packet::Publish(publish("6", QoS::AtLeastOnce, 16)));
    assert_eq!(direct, [stored("6", 16)], "it does not overtake what is stored");
    session.stored(true, &mut effects);
    effects.clear();
    assert_eq!(from_upstream(&mut session, puback(4)), [Effect::Delete(1)]);
    assert!(session.has_backlog());
}

#[test]
fn a_message_after_which_the_server_always_ends_the_connection_is_dropped() {
    let mut session = session(Version::V311, Some(2));
    let mut effects = Vec::new();
    session.begin(&mut effects);
    for attempt in 1..=MAX_ATTEMPTS {
        let fetch = effects.iter().find_map(|effect| match effect {
            Effect::Fetch { limit, .. } => Some(*limit),
            _ => None,
        });
        assert_eq!(
            fetch,
            Some(if attempt == 1 { MAX_INFLIGHT / 2 } else { 1 }),
            "alone from the second time on"
        );
        effects.clear();
        session.fetched(vec![(1, publish("bad", QoS::AtLeastOnce, 1))], &mut effects);
        effects.clear();
        session.lost(true, &mut effects);
        if attempt < MAX_ATTEMPTS {
            assert_eq!(effects, []);
        }
        session.reconnected(true, &mut effects);
    }
    let rejected = Rejected { topic: Some(topic("bad")), code: None, reason_string: None };
    assert_eq!(effects[..2], [Effect::Rejected(rejected), Effect::Delete(1)]);
    assert!(matches!(effects[2], Effect::Fetch { after: 0, .. }), "the next one is sent: {effects:?}");
}

#[test]
fn a_broken_connection_is_no_reason_to_drop_a_message() {
    let mut session = session(Version::V311, Some(1));
    let mut effects = Vec::new();
    session.begin(&mut effects);
    for _ in 0..3 * MAX_ATTEMPTS {
        session.fetched(vec![(1, publish("good", QoS::AtLeastOnce, 1))], &mut effects);
        session.lost(false, &mut effects);
        session.reconnected(true, &mut effects);
    }
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Delete(_) | Effect::Rejected(_))));
}

#[test]
fn subscriptions_are_made_again_and_requests_wait() {
    let mut session = session(Version::V311, Some(0));
    let filter = SubscribeFilter::new(TopicFilter::try_from("a").unwrap(), QoS::AtLeastOnce);
    let request = |packet_id| Packet::Subscribe(Subscribe::new(id(packet_id), vec![filter.clone()]));
    from_device(&mut session, request(5));
    let granted = vec![SubAckCode::Granted(QoS::AtLeastOnce)];
    from_upstream(
        &mut session,
        Packet::SubAck(SubAck { packet_id: id(1), codes: granted, reason_string: None }),
    );
    let mut effects = Vec::new();
    session.lost(false, &mut effects);
    let other = Unsubscribe::new(id(6), vec![TopicFilter::try_from("b").unwrap()]);
    assert_eq!(from_device(&mut session, Packet::Unsubscribe(other.clone())), []);
    session.reconnected(false, &mut effects);
    let other = Packet::Unsubscribe(Unsubscribe { packet_id: id(3), ..other });
    assert_eq!(effects, [Effect::ToUpstream(request(2)), Effect::ToUpstream(other)]);
    effects.clear();
    session.lost(false, &mut effects);
    session.reconnected(true, &mut effects);
    let subscribes = effects.iter().any(|effect| matches!(effect, Effect::ToUpstream(Packet::Subscribe(_))));
    assert!(!subscribes, "the server still has them");
    session.lost(false, &mut effects);
    let ended =
        (0..MAX_WAITING_REQUESTS).flat_map(|_| from_device(&mut session, request(9))).collect::<Vec<_>>();
    assert!(matches!(ended.as_slice(), [Effect::End(End::Violation(Code::QuotaExceeded, _))]), "{ended:?}");
}

#[test]
fn a_message_that_cannot_be_stored_is_not_acknowledged() {
    let mut session = session(Version::V311, Some(0));
    let mut effects = Vec::new();
    session.lost(false, &mut effects);
    from_device(&mut session, Packet::Publish(publish("a", QoS::AtLeastOnce, 1)));
    session.stored(false, &mut effects);
    assert_eq!(effects, [Effect::End(End::Storage)]);
}

#[test]
fn a_connect_is_translated() {
    let rules = Rules { client_ids: ClientIds::default(), ..Arc::into_inner(rules()).unwrap() };
    let authorizer = "latchkey".parse().unwrap();
    let mut connect = Connect::new(Version::V5, "hall 1");
    connect.username = Some("u".into());
    connect.properties.topic_alias_maximum = 9;
    let mut will = LastWill::new(topic("/sys/p/d/status"), Bytes::from_static(b"gone"));
    (will.qos, will.retain) = (QoS::ExactlyOnce, true);
    connect.last_will = Some(will);
    let Translated { connect: up, translations, .. } =
        translate(connect.clone(), Some(0x84), &rules, Some(&authorizer)).ok().unwrap();
    assert!(up.client_id.starts_with("hall-1-"), "{}", up.client_id);
    assert_eq!(up.username.as_deref(), Some("u?x-amz-customauthorizer-name=latchkey"));
    assert_eq!((up.keep_alive, up.properties.topic_alias_maximum), (1_200, 0));
    let will = up.last_will.unwrap();
    assert_eq!((will.topic.as_str(), will.qos, will.retain), ("d/status", QoS::AtLeastOnce, false));
    assert_eq!(
        translations,
        [
            Translation::BridgeLevel,
            Translation::ClientId,
            Translation::KeepAlive,
            Translation::Topic,
            Translation::PublishQos2,
            Translation::Retain
        ]
    );

    for (asked, sent, changed) in
        [(0, 1_200, true), (10, 30, true), (30, 30, false), (1_200, 1_200, false), (5_000, 1_200, true)]
    {
        let mut connect = Connect::new(Version::V311, "a");
        connect.keep_alive = asked;
        let translated = translate(connect, Some(3), &Rules::default(), None).ok().unwrap();
        assert_eq!(translated.connect.keep_alive, sent);
        assert_eq!(translated.translations.contains(&Translation::KeepAlive), changed, "{asked}");
        assert!(translated.translations.contains(&Translation::Mqtt31));
        assert_eq!(translated.connect.username, None);
    }
    connect.properties.authentication_method = Some("x".into());
    let refused = translate(connect, Some(5), &rules, None).err();
    assert_eq!(refused, Some(ConnectReasonCode::BadAuthenticationMethod));
}

#[test]
fn a_connack_says_what_the_bridge_offers() {
    let mut answer = ConnAck::accepted(true);
    answer.properties.maximum_qos = QoS::AtLeastOnce;
    answer.properties.server_keep_alive = Some(30);
    answer.properties.topic_alias_maximum = 8;
    answer.properties.maximum_packet_size = NonZeroU32::new(149_504);
    let told = accepted(answer.clone(), Version::V5, &Rules::default());
    assert_eq!(told.properties.maximum_qos, QoS::ExactlyOnce);
    assert_eq!((told.properties.server_keep_alive, told.session_present), (None, true));
    assert_eq!(told.properties.topic_alias_maximum, CONNECT_TOPIC_ALIASES);
    assert_eq!(told.properties.maximum_packet_size, answer.properties.maximum_packet_size);
    let kept = accepted(answer, Version::V5, &Rules { keep_qos2: true, ..Rules::default() });
    assert_eq!(kept.properties.maximum_qos, QoS::AtLeastOnce);
}

/// What happens to a session in the property.
#[derive(Debug, Clone)]
enum Step {
    Publish(QoS),
    Acknowledge,
    Lose,
    Reconnect,
    Store,
    Fetch,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)].prop_map(Step::Publish),
        4 => Just(Step::Acknowledge),
        1 => Just(Step::Lose),
        1 => Just(Step::Reconnect),
        3 => Just(Step::Store),
        3 => Just(Step::Fetch),
    ]
}

/// A server, a store and a device that check what a session does.
#[derive(Default)]
struct World {
    /// Messages on disk, by number.
    disk: BTreeMap<u64, String>,
    last_number: u64,
    to_store: VecDeque<String>,
    fetch: Option<(u64, usize)>,
    /// On the connection upstream: packet id and topic.
    in_flight: VecDeque<(NonZeroU16, String)>,
    /// What the server has acknowledged, in its order.
    arrived: Vec<String>,
    /// The device's packet ids that have no answer.
    unanswered: BTreeMap<NonZeroU16, String>,
    released: Vec<NonZeroU16>,
    connected: bool,
}

impl World {
    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::ToUpstream(Packet::Publish(message)) => {
                    assert!(self.connected, "there is no connection");
                    assert_eq!(message.qos, QoS::AtLeastOnce);
                    let packet_id = message.packet_id.unwrap();
                    assert!(!self.in_flight.iter().any(|(other, _)| *other == packet_id), "the id is in use");
                    self.in_flight.push_back((packet_id, message.topic.unwrap().to_string()));
                }
                Effect::Store(message) => self.to_store.push_back(message.topic.unwrap().to_string()),
                Effect::Delete(number) => {
                    let topic = self.disk.remove(&number).unwrap();
                    assert!(self.arrived.contains(&topic), "{topic} is deleted and never arrived");
                }
                Effect::Fetch { after, limit } => {
                    assert!(limit > 0 && self.fetch.is_none());
                    self.fetch = Some((after, limit));
                }
                Effect::ToDevice(Packet::PubAck(answer) | Packet::PubRec(answer)) => {
                    let topic = self.unanswered.remove(&answer.packet_id).unwrap();
                    let safe =
                        self.arrived.contains(&topic) || self.disk.values().any(|other| *other == topic);
                    assert!(safe, "{topic} is acknowledged, and neither stored nor sent");
                    self.released.push(answer.packet_id);
                }
                Effect::Count(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

proptest! {
    /// Whatever happens, a message is acknowledged only when it is safe, and first arrivals are in the device's order.
    #[test]
    fn no_acknowledged_message_is_lost_and_order_is_kept(steps in prop::collection::vec(step(), 1..200)) {
        let mut session = Session::new(
            Version::V311, Arc::default(), KnownValues::new("c".into(), None), Some(0),
        );
        let mut world = World { connected: true, ..World::default() };
        let mut count = 0_u16;
        // The end: everything is connected and answered.
        let rest = [Step::Reconnect, Step::Store, Step::Fetch, Step::Acknowledge].into_iter().cycle().take(3_000);
        for step in steps.into_iter().chain(rest) {
            let mut effects = Vec::new();
            match step {
                Step::Publish(qos) if session.accepts_more() => {
                    count += 1;
                    let name = format!("{count:05}");
                    world.unanswered.insert(id(count), name.clone());
                    session.from_device(Packet::Publish(publish(&name, qos, count)), &mut effects);
                }
                Step::Acknowledge if world.connected => {
                    if let Some((packet_id, topic)) = world.in_flight.pop_front() {
                        world.arrived.push(topic);
                        session.from_upstream(puback(packet_id.get()), &mut effects);
                    }
                }
                // A server that ends the connection again and again makes the session drop a message, on purpose.
                Step::Lose if world.connected => {
                    world.connected = false;
                    world.in_flight.clear();
                    world.fetch = None;
                    session.lost(false, &mut effects);
                }
                Step::Reconnect if !world.connected => {
                    world.connected = true;
                    session.reconnected(true, &mut effects);
                }
                Step::Store => {
                    if let Some(topic) = world.to_store.pop_front() {
                        world.last_number += 1;
                        world.disk.insert(world.last_number, topic);
                        session.stored(true, &mut effects);
                    }
                }
                Step::Fetch => {
                    if let Some((after, limit)) = world.fetch.take() {
                        let read = world.disk.range(after + 1..).take(limit);
                        let read = read.map(|(number, name)| (*number, publish(name, QoS::AtLeastOnce, 1)));
                        session.fetched(read.collect(), &mut effects);
                    }
                }
                _ => {}
            }
            world.apply(effects);
        }
        prop_assert!(world.unanswered.is_empty() && world.disk.is_empty() && !session.has_backlog());
        let mut first = Vec::new();
        for topic in world.arrived {
            if !first.contains(&topic) {
                first.push(topic);
            }
        }
        let expected = (1..=count).map(|number| format!("{number:05}")).collect::<Vec<_>>();
        prop_assert_eq!(first, expected);
    }
}
