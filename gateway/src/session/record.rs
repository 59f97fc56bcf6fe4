//! What the log says about a request.

use iot_policy::Action;
use mqtt::TopicName;

/// What the log says about a request.
#[derive(Debug)]
pub struct Record {
    /// What was asked for.
    pub action: Action,
    /// The topic or topic filter.
    pub resource: String,
    /// AWS's name for why it was refused; absent if it was allowed.
    pub reason: Option<&'static str>,
    /// Which statement decided, or what else.
    pub details: String,
}

/// What a person has to know who waits for an acknowledgement that doesn't come.
pub(super) const NO_QOS_2: &str = "QoS 2 is not supported: use 0 or 1";

impl Record {
    /// A request at QoS 2, which AWS doesn't answer.
    pub(super) fn without_answer(action: Action, resource: &str) -> Self {
        Self {
            action,
            resource: resource.to_owned(),
            reason: Some("CLIENT_ERROR"),
            details: NO_QOS_2.to_owned(),
        }
    }

    /// A message that is too many.
    pub(super) fn throttled(action: Action, topic: &TopicName) -> Self {
        Self {
            action,
            resource: topic.as_str().to_owned(),
            reason: Some("THROTTLED"),
            details: "more messages a second than the connection may have (AWS takes 100): discarded"
                .to_owned(),
        }
    }
}
