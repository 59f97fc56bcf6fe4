//! The event that IoT Core sends to a custom authorizer, in its wire form.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda` and `custom-auth-509cert`.
//! Every field is optional: IoT Core leaves out what does not apply to the connection, and the event of a CONNECT without a
//! password has no `password`. The types have no `Debug`, so that no log can print a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::unique_keys::unique_keys;

/// One custom-authorizer event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What the client sent under the authorizer's token key name.
    pub token: Option<Zeroizing<String>>,
    /// Whether IoT Core has checked the token's signature.
    pub signature_verified: Option<bool>,
    /// The data of the connection's protocols.
    pub protocol_data: Option<ProtocolData>,
    /// The metadata of the connection.
    pub connection_metadata: Option<ConnectionMetadata>,
}

impl Event {
    /// Reads an event, which must be an object: serde would also accept a list of the same values in the right order.
    #[must_use]
    pub fn parse(payload: &str) -> Option<Self> {
        if payload.trim_start().starts_with('{') { serde_json::from_str(payload).ok() } else { None }
    }
}

/// The data of the connection's protocols, with one object for each.
#[derive(Default, Deserialize)]
pub struct ProtocolData {
    /// Present for every connection.
    pub tls: Option<TlsData>,
    /// Present for WebSocket and for HTTPS publish.
    pub http: Option<HttpData>,
    /// Present for MQTT, over TLS and over WebSocket alike.
    pub mqtt: Option<MqttData>,
}

/// The data of the TLS handshake.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsData {
    /// The client's certificate, if the endpoint asks for a certificate and a password.
    #[serde(rename = "x509CertificatePem")]
    pub x509_certificate_pem: Option<String>,
    /// IoT Core's name for that certificate, which the answer must repeat.
    pub principal_id: Option<String>,
}

/// The data of the HTTP request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpData {
    /// The headers by name. A duplicate name is an error: otherwise the later one would silently win.
    #[serde(default, deserialize_with = "unique_headers")]
    pub headers: Option<Headers>,
    /// The query string with its `?`.
    pub query_string: Option<Zeroizing<String>>,
}

/// Values by name.
pub type Headers = BTreeMap<String, Zeroizing<String>>;

fn unique_headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Headers>, D::Error> {
    struct Unique(Headers);

    impl<'de> Deserialize<'de> for Unique {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            unique_keys(deserializer).map(Self)
        }
    }

    Option::<Unique>::deserialize(deserializer).map(|headers| headers.map(|Unique(headers)| headers))
}

/// The data of the CONNECT packet.
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
