//! The event that an authorizer's function gets, built as AWS builds it.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda`. What does not concern the connection is absent.

use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use zeroize::Zeroizing;

/// What a client presented in its CONNECT. It is kept for as long as the connection lives, because each refresh
/// presents it again *(unverified)*. No `Debug`; wiped when dropped.
pub struct Presented(Zeroizing<Vec<u8>>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    signature_verified: bool,
    protocols: &'static [&'static str],
    protocol_data: ProtocolData<'a>,
    connection_metadata: ConnectionMetadata<'a>,
}

#[derive(Serialize)]
struct ProtocolData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    mqtt: Mqtt<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls<'a> {
    server_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mqtt<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Zeroizing<String>>,
    client_id: &'a str,
}

#[derive(Serialize)]
struct ConnectionMetadata<'a> {
    id: &'a str,
}

impl Presented {
    /// The event of an MQTT connection over TLS.
    #[must_use]
    pub fn over_tls(
        connection_id: &str,
        server_name: Option<&str>,
        client_id: &str,
        user_name: Option<&str>,
        password: Option<&[u8]>,
    ) -> Self {
        let mqtt = Mqtt {
            username: user_name,
            password: password.map(|bytes| Zeroizing::new(STANDARD.encode(bytes))),
            client_id,
        };
        let event = Event {
            signature_verified: false,
            protocols: &["tls", "mqtt"],
            protocol_data: ProtocolData { tls: server_name.map(|server_name| Tls { server_name }), mqtt },
            connection_metadata: ConnectionMetadata { id: connection_id },
        };
        // Strings and booleans always become JSON; if they did not, an empty event would be refused.
        Self(Zeroizing::new(serde_json::to_vec(&event).unwrap_or_default()))
    }

    /// The event, for one call.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(user_name: Option<&str>, password: Option<&[u8]>, server_name: Option<&str>) -> Value {
        let presented = Presented::over_tls("id", server_name, "client", user_name, password);
        serde_json::from_slice(&presented.to_json()).unwrap()
    }

    #[test]
    fn it_looks_as_aws_prints_it() {
        let expected = json!({
            "signatureVerified": false,
            "protocols": ["tls", "mqtt"],
            "protocolData": {
                "tls": {"serverName": "localhost"},
                "mqtt": {"username": "user?x-amz-customauthorizer-name=a", "password": "/wA=", "clientId": "client"},
            },
            "connectionMetadata": {"id": "id"},
        });
        let user_name = "user?x-amz-customauthorizer-name=a";
        assert_eq!(event(Some(user_name), Some(&[0xff, 0]), Some("localhost")), expected);
    }

    #[test]
    fn what_was_not_sent_is_absent() {
        assert_eq!(event(None, None, None)["protocolData"], json!({"mqtt": {"clientId": "client"}}));
        assert_eq!(event(None, Some(b""), None)["protocolData"]["mqtt"]["password"], "");
    }
}
