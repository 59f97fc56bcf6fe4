//! The event that IoT Core sends to a custom authorizer, as it stands on the wire.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda`.
//! Every field is optional: IoT Core leaves out what does not concern the connection, and a CONNECT
//! without a password has no `password`. The types have no `Debug`, so that no log can print a secret.

use serde::Deserialize;
use zeroize::Zeroizing;

/// One custom-authorizer event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What the protocols of this connection brought along.
    pub protocol_data: Option<ProtocolData>,
    /// What IoT Core says about the connection itself.
    pub connection_metadata: Option<ConnectionMetadata>,
}

/// The part of the event that holds one object for each protocol.
#[derive(Deserialize)]
pub struct ProtocolData {
    /// Present for MQTT, over TLS and over WebSocket alike.
    pub mqtt: Option<MqttData>,
}

/// What the device put into its CONNECT packet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MqttData {
    /// The user name as sent; it may carry a query string.
    pub username: Option<Zeroizing<String>>,
    /// The raw password bytes in standard base64.
    pub password: Option<Zeroizing<String>>,
    /// The client id as sent.
    pub client_id: Option<String>,
}

/// The identity that IoT Core gave the connection.
#[derive(Deserialize)]
pub struct ConnectionMetadata {
    /// A UUID; it joins this decision to IoT Core's own log events.
    pub id: Option<String>,
}
