//! A direct message: sent over HTTP to one client that is connected, by a device or by an API call.
//!
//! Source: AWS IoT Core developer guide, `direct-messaging`, and `cwl-format` for the reasons and their texts; API reference,
//! `API_iotdata_SendDirectMessage`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use mqtt::{Publish, PublishProperties, QoS, TopicName};

use crate::{
    broker::direct::{DirectOutcome, NotConnected},
    message_properties::{self, PropertyError},
    quotas::{LimitError, Quotas},
    session::{disconnect_reason::DisconnectReason, reserved_topic},
    shared::Shared,
};

/// Seconds that a client may have to acknowledge a message.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=15;
/// The seconds if the sender does not say *(guess: a direct message without a time limit)*.
const DEFAULT_TIMEOUT_SECONDS: u64 = 5;

/// What a sender wants.
#[derive(Debug)]
pub struct DirectRequest {
    client_id: String,
    topic: TopicName,
    payload: Bytes,
    properties: Option<Arc<PublishProperties>>,
    /// How long to wait for the client's acknowledgement, if the sender wants one.
    confirmation: Option<Duration>,
}

/// Why a direct message is not sent, or not known to have arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectFault {
    /// The client id can't be one.
    #[error(
        "This client ID isn't valid. Client IDs must not exceed 128 characters and can't start with a dollar sign ($). Enter a \
         different client ID"
    )]
    ClientId,
    /// The topic can't be used.
    #[error(
        "This topic isn't valid. Topics size needs to be within 256 bytes, should contain less than 9 parts, and should not \
         start with a dollar sign ($)"
    )]
    Topic,
    /// The timeout can't be used.
    #[error("Invalid timeout value. Must be an integer between 1 and 15")]
    Timeout,
    /// The parameter `confirmation` can't be used.
    #[error("Invalid confirmation value. Must be 'true' or 'false'")]
    Confirmation,
    /// A property can't be used.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// A property exceeds a quota.
    #[error("{0}")]
    Quota(LimitError),
    /// The payload is larger than this many bytes.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The receiver's policies do not let it receive from the topic.
    #[error(
        "Authorization failed for the target client. Verify that your policy grants the necessary permissions"
    )]
    ReceiveNotAllowed,
    /// The receiver has neither a connection nor a session.
    #[error("The client ID is not found. Verify that the client is connected and try again")]
    NotFound,
    /// The receiver's session waits for it.
    #[error("The target client ID is not connected, but it has an active persistent session")]
    Away,
    /// The receiver has had its messages of this second.
    #[error(
        "The request was denied because request rate exceeded the outbound publish requests per second per connection"
    )]
    Throttled,
    /// The receiver has all the messages that it accepts without an acknowledgement.
    #[error("The receiver client has reached the maximum number of unacknowledged QoS 1 messages")]
    TooManyUnacknowledged,
    /// The receiver has not acknowledged the message in time.
    #[error("The delivery confirmation was not received within the specified timeout period")]
    NotConfirmed,
    /// The receiver's connection ended first.
    #[error("The receiver client endpoint is not writable")]
    NotWritable,
}

impl DirectRequest {
    /// Reads a request to send `payload` to the client.
    ///
    /// # Errors
    ///
    /// When something in it can't be used.
    pub fn read(
        client_id: &str,
        query: &str,
        headers: &HeaderMap,
        payload: Bytes,
        quotas: &Quotas,
    ) -> Result<Self, DirectFault> {
        let parameter = |name| message_properties::parameter(query, name);
        if client_id.is_empty() || client_id.len() > quotas.client_id_bytes || client_id.starts_with('$') {
            return Err(DirectFault::ClientId);
        }
        let topic = parameter("topic").and_then(|topic| topic.parse::<TopicName>().ok());
        let topic = topic.filter(|topic| !reserved_topic::is_reserved(topic.as_str()));
        let topic = topic.ok_or(DirectFault::Topic)?;
        let seconds = parameter("timeout").map_or(Ok(DEFAULT_TIMEOUT_SECONDS), |text| text.parse());
        let seconds = seconds.ok().filter(|seconds| TIMEOUT_SECONDS.contains(seconds));
        let timeout = Duration::from_secs(seconds.ok_or(DirectFault::Timeout)?);
        let confirmation = match parameter("confirmation").as_deref() {
            None | Some("false") => None,
            Some("true") => Some(timeout),
            Some(_) => return Err(DirectFault::Confirmation),
        };
        let properties = message_properties::read(query, headers)?;
        // The message has a sender's parameters only.
        let properties = properties.map(|properties| {
            Arc::new(PublishProperties { message_expiry_interval: None, ..(*properties).clone() })
        });
        match quotas.check_message(&topic, &payload, properties.as_deref()) {
            Ok(()) => Ok(Self { client_id: client_id.to_owned(), topic, payload, properties, confirmation }),
            Err(DisconnectReason::Limit(_, LimitError::PayloadBytes(max))) => Err(DirectFault::TooLarge(max)),
            Err(DisconnectReason::Limit(_, LimitError::TopicBytes(_) | LimitError::TopicSlashes(_))) => {
                Err(DirectFault::Topic)
            }
            Err(DisconnectReason::Limit(_, error)) => Err(DirectFault::Quota(error)),
            Err(_) => Err(DirectFault::Topic),
        }
    }

    /// The client that gets the message.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The topic of the message.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Sends the message, and waits for what the sender wants to know.
    ///
    /// # Errors
    ///
    /// When the client does not get it, or does not acknowledge it in time.
    pub async fn send(self, shared: &Shared) -> Result<(), DirectFault> {
        let Self { client_id, topic, payload, properties, confirmation } = self;
        let qos = if confirmation.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let publish = Publish { qos, properties, ..Publish::new(topic.clone(), payload) };
        let outcome = shared.broker.send_direct(&client_id, topic, publish, shared.clock.now());
        let outcome = outcome.map_err(|error| match error {
            NotConnected::Away => DirectFault::Away,
            NotConnected::Unknown => DirectFault::NotFound,
        })?;
        let limit = confirmation.unwrap_or(Duration::from_secs(*TIMEOUT_SECONDS.end()));
        match shared.clock.timeout(limit, outcome).await {
            Some(Ok(DirectOutcome::Sent | DirectOutcome::Acknowledged)) => Ok(()),
            Some(Ok(DirectOutcome::NotAllowed)) => Err(DirectFault::ReceiveNotAllowed),
            Some(Ok(DirectOutcome::Throttled)) => Err(DirectFault::Throttled),
            Some(Ok(DirectOutcome::TooManyUnacknowledged)) => Err(DirectFault::TooManyUnacknowledged),
            Some(Err(_)) => Err(DirectFault::NotWritable),
            None => Err(DirectFault::NotConfirmed),
        }
    }
}

impl DirectFault {
    /// The status of the answer (developer guide, `direct-messaging`).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ClientId
            | Self::Topic
            | Self::Timeout
            | Self::Confirmation
            | Self::Property(_)
            | Self::Quota(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ReceiveNotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound | Self::Away => StatusCode::NOT_FOUND,
            Self::Throttled | Self::TooManyUnacknowledged => StatusCode::TOO_MANY_REQUESTS,
            Self::NotWritable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotConfirmed => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// AWS's reason in the log (developer guide, `cwl-format`), or the gateway's own where AWS has none.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ClientId => "MALFORMED_CLIENTID",
            Self::Topic => "INVALID_TOPIC",
            Self::Timeout => "INVALID_TIMEOUT_PARAMETER",
            Self::Confirmation => "INVALID_CONFIRMATION_PARAMETER",
            Self::Property(_) | Self::Quota(_) | Self::TooLarge(_) => "CLIENT_ERROR",
            Self::ReceiveNotAllowed => "RECEIVE_AUTHORIZATION_FAILURE",
            Self::NotFound => "TARGET_CLIENT_ID_NOT_FOUND",
            Self::Away => "TARGET_CLIENT_NOT_CONNECTED",
            Self::Throttled => "RECEIVE_SESSION_THROTTLED",
            Self::TooManyUnacknowledged => "RECEIVER_MAX_UNACKED_QOS1_EXCEEDED",
            Self::NotConfirmed => "DELIVERY_CONFIRMATION_TIMEOUT",
            Self::NotWritable => "CLIENT_ENDPOINT_NOT_WRITABLE",
        }
    }
}
