//! Topics that begin with `$`: which of them clients may publish and subscribe to.
//!
//! Source: AWS IoT Core developer guide, `reserved-topics`; for Basic Ingest also `iot-basic-ingest`, and for retained
//! messages `mqtt`. In its table of commands topics, the page also has "Publish" next to `…/response/rejected`, which by
//! its own description AWS publishes to; that one is not here.

use mqtt::{DisconnectReasonCode as Code, TopicName};

use super::disconnect_reason::DisconnectReason;
use crate::{quotas::LimitError, shadow::RequestTopic};

/// Who gets a message on a reserved topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A service alone, which is not played here.
    Service,
    /// The device shadows, and the clients that subscribe to the topic: it has "Publish/Subscribe" in the page.
    Shadow(RequestTopic),
}

/// Topics of the page with "Publish". `+` is any level that is not empty, `#` all levels that follow, and `FORMAT` is `json`
/// or `cbor`.
const TO_SERVICES: [&str; 15] = [
    "$aws/certificates/create/FORMAT",
    "$aws/certificates/create-from-csr/FORMAT",
    "$aws/commands/clients/+/executions/+/response/FORMAT",
    "$aws/commands/things/+/executions/+/response/FORMAT",
    "$aws/device_location/+/get_position_estimate",
    "$aws/provisioning-templates/+/provision/FORMAT",
    "$aws/rules/+",
    "$aws/rules/+/#",
    "$aws/things/+/defender/metrics/FORMAT",
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
    "$aws/things/+/streams/+/describe/FORMAT",
    "$aws/things/+/streams/+/get/FORMAT",
];

const BASIC_INGEST: &str = "$aws/rules/";
const COMMANDS: &str = "$aws/commands/";

/// Whether a topic or topic filter is reserved for AWS.
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$')
}

/// Checks a message for a reserved topic.
///
/// # Errors
///
/// When clients can't publish to the topic, or when the message is to be retained.
pub fn recipient(topic: &TopicName, retain: bool) -> Result<Recipient, DisconnectReason> {
    let is_in = |table: &[&str]| table.iter().any(|pattern| matches(pattern, topic.as_str()));
    let recipient = if is_in(&TO_SERVICES) {
        Recipient::Service
    } else if let Some(requests) = RequestTopic::read(topic.as_str()) {
        Recipient::Shadow(requests)
    } else {
        return Err(DisconnectReason::Limit(Code::TopicNameInvalid, LimitError::ReservedTopic));
    };
    if retain {
        return Err(DisconnectReason::Limit(Code::TopicNameInvalid, LimitError::RetainedReservedTopic));
    }
    Ok(recipient)
}

/// Who receives a message that is published over HTTPS: `None` for a topic that is not reserved. AWS was seen to accept Basic Ingest and shadows over HTTPS and to refuse
/// events; Device Defender is documented for MQTT alone, and the other services are refused *(guess: an HTTPS publish to any
/// other reserved topic)*.
///
/// # Errors
///
/// As for [`recipient`], and for a topic that is accepted over MQTT alone.
pub fn recipient_over_https(topic: &TopicName, retain: bool) -> Result<Option<Recipient>, DisconnectReason> {
    if !is_reserved(topic.as_str()) {
        return Ok(None);
    }
    let recipient = recipient(topic, retain)?;
    if recipient == Recipient::Service && !topic.as_str().starts_with(BASIC_INGEST) {
        return Err(DisconnectReason::Limit(Code::TopicNameInvalid, LimitError::ReservedTopic));
    }
    Ok(Some(recipient))
}

/// Whether clients may subscribe to a filter that begins with `$`, as far as the first levels tell: to AWS's topics, and
/// not to those of Basic Ingest.
#[must_use]
pub fn can_subscribe(filter: &str) -> bool {
    filter.starts_with("$aws/") && !filter.starts_with(BASIC_INGEST)
}

/// The part of a topic or topic filter whose bytes and slashes count for the quotas: of Basic Ingest's topics, what follows
/// the rule's name.
#[must_use]
pub fn counted(topic: &str) -> &str {
    let Some(rest) = topic.strip_prefix(BASIC_INGEST) else { return topic };
    rest.split_once('/').map_or("", |(_, topic)| topic)
}

/// The slashes of a topic or topic filter that count for the quota. The page's longest topics, those with the answers to a
/// device's command, have one more than the quota allows; that one does not count *(guess: may have 8 slashes)*.
#[must_use]
pub fn counted_slashes(topic: &str) -> usize {
    let slashes = counted(topic).matches('/').count();
    if topic.starts_with(COMMANDS) { slashes - 1 } else { slashes }
}

fn matches(pattern: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in pattern.split('/') {
        let Some(level) = levels.next() else { return false };
        let fits = match wanted {
            "#" => return true,
            "+" => !level.is_empty(),
            "FORMAT" => level == "json" || level == "cbor",
            _ => level == wanted,
        };
        if !fits {
            return false;
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(topic: &str, retain: bool) -> Result<Recipient, Option<String>> {
        recipient(&topic.parse().unwrap(), retain).map_err(DisconnectReason::details)
    }

    #[test]
    fn topics_of_awss_page_can_be_published_to() {
        let service = [
            "$aws/rules/r",
            "$aws/rules/r/a/b/c/d/e/f/g/h",
            "$aws/rules/r/",
            "$aws/things/t/jobs/get",
            "$aws/things/t/jobs/j/update",
            "$aws/things/t/jobs/start-next",
            "$aws/things/t/defender/metrics/cbor",
            "$aws/things/t/streams/s/get/json",
            "$aws/commands/things/t/executions/e/response/json",
            "$aws/commands/clients/c/executions/e/response/cbor",
            "$aws/certificates/create-from-csr/json",
            "$aws/provisioning-templates/p/provision/cbor",
            "$aws/device_location/d/get_position_estimate",
        ];
        for topic in service {
            assert_eq!(found(topic, false), Ok(Recipient::Service), "{topic}");
        }
        for topic in ["$aws/things/t/shadow/update", "$aws/things/t/shadow/name/s/get"] {
            assert!(matches!(found(topic, false), Ok(Recipient::Shadow(_))), "{topic}");
        }
    }

    #[test]
    fn other_reserved_topics_can_not_be_published_to() {
        let topics = [
            "$",
            "$x",
            "$SYS/broker",
            "$share/g/t",
            "$aws",
            "$aws/",
            "$AWS/rules/r",
            "$aws/rules",
            "$aws/rules/",
            "$aws/rules//t",
            "$aws/events/presence/connected/c",
            "$aws/things/t/shadow",
            "$aws/things//shadow/update",
            "$aws/things/t/shadow/update/accepted",
            "$aws/things/t/shadow/name/s",
            "$aws/things/t/jobs/notify",
            "$aws/things/t/jobs/get/accepted",
            "$aws/things/t/tunnels/notify",
            "$aws/things/t/streams/s/data/json",
            "$aws/things/t/defender/metrics/xml",
            "$aws/commands/things/t/executions/e/request/json",
            "$aws/commands/things/t/executions/e/response/rejected/json",
            "$aws/certificates/create/json/accepted",
            "$aws/sitewise/asset-models/m/assets/a/properties/p",
        ];
        let reserved = LimitError::ReservedTopic.to_string();
        for topic in topics {
            assert_eq!(found(topic, false), Err(Some(reserved.clone())), "{topic}");
        }
    }

    #[test]
    fn https_publish_reaches_rules_and_shadows() {
        let accepts = |topic: &str| recipient_over_https(&topic.parse().unwrap(), false).is_ok();
        for topic in ["$aws/rules/r", "$aws/rules/r/t", "$aws/things/t/shadow/update"] {
            assert!(accepts(topic), "{topic}");
        }
        for topic in ["$aws/events/presence/connected/c", "$aws/things/t/defender/metrics/json", "$SYS/x"] {
            assert!(!accepts(topic), "{topic}");
        }
    }

    #[test]
    fn message_on_a_reserved_topic_can_not_be_retained() {
        for topic in ["$aws/rules/r/t", "$aws/things/t/shadow/update"] {
            assert_eq!(
                found(topic, true),
                Err(Some(LimitError::RetainedReservedTopic.to_string())),
                "{topic}"
            );
        }
    }

    #[test]
    fn bytes_and_slashes_are_counted_after_the_prefix_of_basic_ingest() {
        let cases = [
            ("a/b", "a/b", 1),
            ("$aws/rules/r/a/b", "a/b", 1),
            ("$aws/rules/r/", "", 0),
            ("$aws/rules/r", "", 0),
            ("$aws/things/t/shadow/update", "$aws/things/t/shadow/update", 4),
        ];
        for (topic, part, slashes) in cases {
            assert_eq!((counted(topic), counted_slashes(topic)), (part, slashes), "{topic}");
        }
        let longest = "$aws/commands/things/t/executions/+/response/accepted/json";
        assert_eq!(counted_slashes(longest), 7, "AWS's page has this filter");
    }

    #[test]
    fn filter_is_one_of_awss_topics_or_ends_the_connection() {
        for filter in ["$aws/#", "$aws/events/presence/#", "$aws/things/+/shadow/#"] {
            assert!(can_subscribe(filter), "{filter}");
        }
        for filter in ["$SYS/#", "$", "$aws", "$x/+", "$aws/rules/r", "$aws/rules/#"] {
            assert!(!can_subscribe(filter), "{filter}");
        }
    }
}
