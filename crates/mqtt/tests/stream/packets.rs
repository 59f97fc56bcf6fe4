//! Packets that the version can say in full.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

use bytes::Bytes;
use mqtt::{
    ConnAck, ConnAckProperties, Connect, ConnectProperties, ConnectReasonCode, Disconnect,
    DisconnectReasonCode, LastWill, LastWillProperties, Packet, PubAck, PubAckCode, PubRel, PubRelCode,
    Publish, PublishProperties, QoS, RetainHandling, SubAck, SubAckCode, Subscribe, SubscribeFailure,
    SubscribeFilter, TopicFilter, TopicName, UnsubAck, UnsubAckCode, Unsubscribe, UserProperty, Version,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let credentials = (of(text()), of(data()));
    (text(), any::<bool>(), any::<u16>(), credentials, of(last_will(version)), connect_properties(version))
        .prop_map(move |(client_id, clean_start, keep_alive, (username, password), last_will, properties)| {
            let v5 = version == Version::V5;
            let clean_start = clean_start || (client_id.is_empty() && !v5);
            let password = password.filter(|_| v5 || username.is_some());
            Packet::Connect(Box::new(Connect {
                version,
                client_id,
                clean_start,
                keep_alive,
                username,
                password,
                last_will,
                properties,
            }))
        })
}

pub(crate) fn connack(version: Version) -> BoxedStrategy<Packet> {
    let codes = ConnectReasonCode::ALL.iter().copied().filter(move |code| {
        version == Version::V5
            || code
                .return_code()
                .is_some_and(|value| ConnectReasonCode::from_return_code(value) == Some(*code))
    });
    (select(codes.collect::<Vec<_>>()), any::<bool>(), connack_properties(version))
        .prop_map(|(code, session_present, properties)| {
            let session_present = session_present && code == ConnectReasonCode::Success;
            Packet::ConnAck(Box::new(ConnAck { session_present, code, properties }))
        })
        .boxed()
}

pub(crate) fn from_client(version: Version) -> impl Strategy<Value = Packet> {
    prop_oneof![
        messages(version, true),
        subscribe(version),
        (packet_id(), vec(filter(), 1..4), pairs(version)).prop_map(
            |(packet_id, filters, user_properties)| {
                Packet::Unsubscribe(Unsubscribe { user_properties, ..Unsubscribe::new(packet_id, filters) })
            }
        ),
        Just(Packet::PingReq),
        disconnect(version, true),
    ]
}

pub(crate) fn from_server(version: Version) -> BoxedStrategy<Packet> {
    let v5 = version == Version::V5;
    let granted =
        select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]).prop_map(SubAckCode::Granted);
    let failures = if v5 { SubscribeFailure::ALL.to_vec() } else { vec![SubscribeFailure::UnspecifiedError] };
    let code = prop_oneof![granted, select(failures).prop_map(SubAckCode::Failed)];
    let suback =
        (packet_id(), vec(code, 0..4), explained(version)).prop_map(|(packet_id, codes, reason_string)| {
            Packet::SubAck(SubAck { packet_id, codes, reason_string })
        });
    let count = if v5 { 4 } else { 1 };
    let codes = vec(select(UnsubAckCode::ALL.to_vec()), 0..count);
    let unsuback = (packet_id(), codes, explained(version)).prop_map(|(packet_id, codes, reason_string)| {
        Packet::UnsubAck(UnsubAck { packet_id, codes, reason_string })
    });
    let common = prop_oneof![messages(version, false), suback, unsuback, Just(Packet::PingResp)];
    if v5 { prop_oneof![common, disconnect(version, false)].boxed() } else { common.boxed() }
}

fn messages(version: Version, client: bool) -> impl Strategy<Value = Packet> {
    let v5 = version == Version::V5;
    let codes = if v5 { PubAckCode::ALL.to_vec() } else { vec![PubAckCode::Success] };
    let ack = (packet_id(), select(codes), explained(version))
        .prop_map(|(packet_id, code, reason_string)| PubAck { packet_id, code, reason_string });
    let codes = if v5 { PubRelCode::ALL.to_vec() } else { vec![PubRelCode::Success] };
    let release = (packet_id(), select(codes)).prop_map(|(packet_id, code)| PubRel { packet_id, code });
    prop_oneof![
        publish(version, client).prop_map(Packet::Publish),
        ack.clone().prop_map(Packet::PubAck),
        ack.prop_map(Packet::PubRec),
        release.clone().prop_map(Packet::PubRel),
        release.prop_map(Packet::PubComp),
    ]
}

fn publish(version: Version, client: bool) -> impl Strategy<Value = Publish> {
    let flags = (qos(), any::<bool>(), any::<bool>());
    (of(name()), vec(any::<u8>(), 0..200), flags, packet_id(), publish_properties(version, client)).prop_map(
        |(topic, payload, (qos, retain, dup), packet_id, properties)| {
            let with_id = qos != QoS::AtMostOnce;
            let alias = properties.topic_alias.is_some();
            let topic = topic.or_else(|| (!alias).then(|| "t".parse().unwrap()));
            Publish {
                topic,
                payload: payload.into(),
                qos,
                retain,
                dup: dup && with_id,
                packet_id: with_id.then_some(packet_id),
                properties: (properties != PublishProperties::default()).then(|| Arc::new(properties)),
            }
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet> {
    let v5 = version == Version::V5;
    let handling = select(vec![RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
    let wanted = (filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let shared = filter.shared().is_some();
            let plain = SubscribeFilter::new(filter, qos);
            if v5 {
                SubscribeFilter {
                    no_local: no_local && !shared,
                    retain_as_published,
                    retain_handling,
                    ..plain
                }
            } else {
                plain
            }
        },
    );
    (packet_id(), vec(wanted, 1..4), of(1..=268_435_455_u32), pairs(version)).prop_map(
        move |(packet_id, filters, id, user_properties)| {
            let subscription_id = id.filter(|_| v5).and_then(NonZeroU32::new);
            Packet::Subscribe(Subscribe {
                subscription_id,
                user_properties,
                ..Subscribe::new(packet_id, filters)
            })
        },
    )
}

fn disconnect(version: Version, client: bool) -> BoxedStrategy<Packet> {
    if version == Version::V311 {
        return Just(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))).boxed();
    }
    (select(DisconnectReasonCode::ALL.to_vec()), of(any::<u32>()), of(text()), of(text()))
        .prop_map(move |(code, seconds, reason_string, reference)| {
            let session_expiry_interval = seconds.filter(|_| client);
            let server_reference = reference.filter(|_| !client);
            Packet::Disconnect(Disconnect { code, session_expiry_interval, reason_string, server_reference })
        })
        .boxed()
}

fn connect_properties(version: Version) -> BoxedStrategy<ConnectProperties> {
    if version == Version::V311 {
        return Just(ConnectProperties::default()).boxed();
    }
    let limits = (any::<u32>(), of(packet_id()), of(1..=u32::MAX), any::<u16>());
    (limits, any::<(bool, bool)>(), of((text(), of(data()))), pairs(version))
        .prop_map(|((expiry, receive, size, alias), (problem, response), method, user_properties)| {
            let (authentication_method, authentication_data) = method.unzip();
            ConnectProperties {
                session_expiry_interval: expiry,
                receive_maximum: receive,
                maximum_packet_size: size.and_then(NonZeroU32::new),
                topic_alias_maximum: alias,
                request_problem_information: problem,
                request_response_information: response,
                authentication_method,
                authentication_data: authentication_data.flatten(),
                user_properties,
            }
        })
        .boxed()
}

fn last_will(version: Version) -> impl Strategy<Value = LastWill> {
    let message = (name(), data(), qos(), any::<bool>());
    (message, of(any::<u32>()), of(any::<bool>()), publish_properties(version, true)).prop_map(
        move |((topic, payload, qos, retain), delay_interval, payload_is_utf8, like)| {
            let properties = if version == Version::V5 {
                LastWillProperties {
                    delay_interval,
                    payload_is_utf8,
                    message_expiry_interval: like.message_expiry_interval,
                    content_type: like.content_type,
                    response_topic: like.response_topic,
                    correlation_data: like.correlation_data,
                    user_properties: like.user_properties,
                }
            } else {
                LastWillProperties::default()
            };
            LastWill { topic, payload, qos, retain, properties }
        },
    )
}

fn connack_properties(version: Version) -> BoxedStrategy<ConnAckProperties> {
    if version == Version::V311 {
        return Just(ConnAckProperties::default()).boxed();
    }
    let limits = (of(any::<u32>()), packet_id(), qos(), of(1..=u32::MAX), any::<u16>(), of(any::<u16>()));
    let texts = (of(text()), of(text()), of(text()), of(text()), of((text(), of(data()))));
    (limits, any::<(bool, bool, bool, bool)>(), texts, pairs(version))
        .prop_map(|(limits, (retain, wildcard, ids, shared), texts, user_properties)| {
            let (expiry, receive_maximum, maximum_qos, size, topic_alias_maximum, server_keep_alive) = limits;
            let (assigned_client_id, reason_string, response_information, server_reference, method) = texts;
            let (authentication_method, authentication_data) = method.unzip();
            ConnAckProperties {
                session_expiry_interval: expiry,
                receive_maximum,
                maximum_qos: maximum_qos.min(QoS::AtLeastOnce),
                retain_available: retain,
                maximum_packet_size: size.and_then(NonZeroU32::new),
                assigned_client_id,
                topic_alias_maximum,
                reason_string,
                wildcard_subscription_available: wildcard,
                subscription_identifiers_available: ids,
                shared_subscription_available: shared,
                server_keep_alive,
                response_information,
                server_reference,
                authentication_method,
                authentication_data: authentication_data.flatten(),
                user_properties,
            }
        })
        .boxed()
}

fn publish_properties(version: Version, client: bool) -> BoxedStrategy<PublishProperties> {
    if version == Version::V311 {
        return Just(PublishProperties::default()).boxed();
    }
    let ids = vec((1..=268_435_455_u32).prop_map(|id| NonZeroU32::new(id).unwrap()), 0..3);
    let answer = (of(name()), of(data()));
    (any::<bool>(), of(1..=u32::MAX), of(packet_id()), answer, of(text()), ids, pairs(version))
        .prop_map(
            move |(
                utf8,
                expiry,
                topic_alias,
                (response_topic, correlation_data),
                content_type,
                ids,
                user,
            )| {
                PublishProperties {
                    payload_is_utf8: utf8,
                    message_expiry_interval: expiry,
                    topic_alias,
                    response_topic,
                    correlation_data,
                    content_type,
                    subscription_ids: if client { Vec::new() } else { ids },
                    user_properties: user,
                }
            },
        )
        .boxed()
}

fn explained(version: Version) -> impl Strategy<Value = Option<Arc<str>>> + Clone {
    of(text()).prop_map(move |reason| reason.filter(|_| version == Version::V5))
}

/// Up to lengths at which the property block's own length takes two bytes.
fn pairs(version: Version) -> BoxedStrategy<Vec<UserProperty>> {
    let count = if version == Version::V5 { 0..5 } else { 0..1 };
    vec((text(), text()), count).boxed()
}

fn packet_id() -> impl Strategy<Value = NonZeroU16> + Clone {
    (1..=u16::MAX).prop_map(|id| NonZeroU16::new(id).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = Arc<str>> + Clone {
    prop_oneof!["[a-zé🌡]{0,40}", "[a-z]{120,135}", "[^\u{0}]{0,5}"].prop_map(Arc::from)
}

fn name() -> impl Strategy<Value = TopicName> {
    "[a-z$é/🌡]{1,20}".prop_map(|text| text.parse().unwrap())
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    r"(\$share/[a-z]{1,3}/)?(\+/|[a-zé]{0,3}/){0,3}(#|\+|[a-zé🌡]{1,5})".prop_map(|text| text.parse().unwrap())
}
