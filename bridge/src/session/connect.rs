//! The device's CONNECT as it goes up, and the CONNACK as it comes back.

use std::sync::Arc;

use device_sim::Authorizer;
use mqtt::{ConnAck, Connect, ConnectReasonCode, QoS, TopicName, Version};

use crate::rules::{Rules, Translation};
use crate::topic_map::KnownValues;

/// How many topic aliases a device may use. They are the bridge's: the server's side has none.
pub const CONNECT_TOPIC_ALIASES: u16 = 16;

/// The shortest and the longest keep-alive of AWS IoT Core, in seconds (AWS General Reference, "AWS IoT Core endpoints and
/// quotas").
const KEEP_ALIVE_SECONDS: std::ops::RangeInclusive<u16> = 30..=1_200;

/// The CONNECT for the server.
pub struct Translated {
    /// The CONNECT.
    pub connect: Connect,
    /// What a session has to know.
    pub known: KnownValues,
    /// What was changed.
    pub translations: Vec<Translation>,
}

/// The CONNECT that goes up for a device's one, which has this protocol level.
///
/// # Errors
///
/// The refusal, if there is no such CONNECT.
pub fn translate(
    mut connect: Connect,
    level: Option<u8>,
    rules: &Rules,
    authorizer: Option<&Authorizer>,
) -> Result<Translated, ConnectReasonCode> {
    let mut translations = Vec::new();
    if connect.properties.authentication_method.is_some() {
        return Err(ConnectReasonCode::BadAuthenticationMethod);
    }
    match level {
        Some(3 | 0x83) => translations.push(Translation::Mqtt31),
        Some(0x84 | 0x85) => translations.push(Translation::BridgeLevel),
        _ => {}
    }
    let client_id: Arc<str> = rules.client_ids.upstream(&connect.client_id).into();
    if client_id != connect.client_id {
        translations.push(Translation::ClientId);
        connect.client_id = Arc::clone(&client_id);
    }
    let mut known = KnownValues::new(client_id, connect.username.as_deref());
    if let Some(authorizer) = authorizer {
        let user_name = connect.username.as_deref().unwrap_or_default();
        connect.username = Some(authorizer.name_in(user_name).into());
    }
    if !KEEP_ALIVE_SECONDS.contains(&connect.keep_alive) {
        translations.push(Translation::KeepAlive);
        connect.keep_alive = match connect.keep_alive {
            0 => *KEEP_ALIVE_SECONDS.end(),
            seconds => seconds.clamp(*KEEP_ALIVE_SECONDS.start(), *KEEP_ALIVE_SECONDS.end()),
        };
    }
    if let Some(will) = &mut connect.last_will {
        let mapped = rules.topics.to_cloud(will.topic.as_str(), &mut known);
        if let Some(topic) = mapped.and_then(|topic| TopicName::try_from(topic.as_str()).ok()) {
            will.topic = topic;
            translations.push(Translation::Topic);
        }
        if will.qos == QoS::ExactlyOnce && !rules.keep_qos2 {
            will.qos = QoS::AtLeastOnce;
            translations.push(Translation::PublishQos2);
        }
        if will.retain && rules.drops_retain(&will.topic) {
            will.retain = false;
            translations.push(Translation::Retain);
        }
    }
    // The device gets whole topics.
    connect.properties.topic_alias_maximum = 0;
    Ok(Translated { connect, known, translations })
}

/// The CONNACK for a device, from the one with which the server has accepted it.
#[must_use]
pub fn accepted(mut answer: ConnAck, version: Version, rules: &Rules) -> ConnAck {
    if version == Version::V5 {
        let properties = &mut answer.properties;
        // The bridge keeps the connection upstream alive by itself.
        properties.server_keep_alive = None;
        properties.topic_alias_maximum = CONNECT_TOPIC_ALIASES;
        if !rules.keep_qos2 {
            properties.maximum_qos = QoS::ExactlyOnce;
        }
    }
    answer
}
