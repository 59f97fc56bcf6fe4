//! The event that an authorizer's function receives, built as AWS builds it: parts that a connection does not have are
//! absent. The fields are in the order in which AWS writes them.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda`, and measurements: `docs/fidelity.md`.

use std::{borrow::Cow, sync::Arc};

use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use iot_policy::PolicyDocument;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    http_request::{Headers, HttpRequest},
    signing::Token,
};
use crate::registry::Certificate;

/// The event about a client's CONNECT or HTTP request. It is kept for as long as the connection, because each refresh
/// presents it again *(guess: a refresh presents the CONNECT's event again)*. It has no `Debug` and is wiped when dropped.
pub struct AuthorizerEvent {
    event: Zeroizing<Vec<u8>>,
    certificate: Option<ClientCertificate>,
}

/// What an answer about a client with a certificate is held against.
struct ClientCertificate {
    principal_id: Arc<str>,
    policies: Arc<[PolicyDocument]>,
}

/// What a client sent, and on which connection.
#[derive(Clone, Copy)]
pub struct ClientRequest<'a> {
    /// The connection's id.
    pub connection_id: &'a str,
    /// The server name that it asked for (SNI), if any.
    pub server_name: Option<&'a str>,
    /// The client's certificate, if the connection has one.
    pub certificate: Option<&'a Certificate>,
    /// Its HTTP request, if any: the publish, or the upgrade to WebSocket.
    pub http: Option<&'a HttpRequest>,
    /// Its CONNECT; an HTTPS publish does not have one.
    pub mqtt: Option<ConnectFields<'a>>,
}

/// What a caller of `TestInvokeAuthorizer` describes in the place of a client. It has no `Debug`, as there are credentials in it.
#[derive(Default)]
pub struct Contexts {
    /// `tlsContext`, and the `serverName` in it.
    pub tls: Option<Option<String>>,
    /// `httpContext`.
    pub http: Option<HttpContext>,
    /// `mqttContext`.
    pub mqtt: Option<MqttContext>,
}

/// `httpContext`.
#[derive(Default)]
pub struct HttpContext {
    /// `headers`, whose names keep their case.
    pub headers: Headers,
    /// `queryString`, with its `?`.
    pub query_string: Option<Zeroizing<String>>,
}

/// `mqttContext`.
#[derive(Default)]
pub struct MqttContext {
    /// `username`.
    pub user_name: Option<Zeroizing<String>>,
    /// `password`, in base64.
    pub password: Option<Zeroizing<String>>,
    /// `clientId`.
    pub client_id: Option<String>,
}

impl Contexts {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tls.is_none() && self.http.is_none() && self.mqtt.is_none()
    }
}

/// The credentials in a CONNECT.
#[derive(Clone, Copy)]
pub struct ConnectFields<'a> {
    /// The client id, unless it is empty: one that the server assigns is not in the event.
    pub client_id: Option<&'a str>,
    /// The user name as sent.
    pub user_name: Option<&'a str>,
    /// The password's bytes.
    pub password: Option<&'a [u8]>,
}

impl ClientRequest<'_> {
    /// The largest size that the event can have, in KiB: JSON writes a control character as six bytes.
    #[must_use]
    pub fn weight_kib(&self) -> u32 {
        let mqtt = self.mqtt.map_or(0, |mqtt| {
            let texts = mqtt.client_id.map_or(0, str::len) + mqtt.user_name.map_or(0, str::len);
            texts * 6 + mqtt.password.map_or(0, <[u8]>::len) * 2
        });
        let http = self.http.map_or(0, |http| http.bytes() * 6);
        u32::try_from((mqtt + http).div_ceil(1024)).unwrap_or(u32::MAX).max(1)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_data: Option<ProtocolData<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    protocols: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    signature_verified: bool,
    connection_metadata: ConnectionMetadata<'a>,
}

#[derive(Serialize)]
struct ProtocolData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mqtt: Option<Mqtt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    headers: &'a Headers,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_string: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(rename = "x509CertificatePem", skip_serializing_if = "Option::is_none")]
    certificate_pem: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mqtt<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ConnectionMetadata<'a> {
    id: &'a str,
}

impl AuthorizerEvent {
    /// The event about a request, with the client's token.
    #[must_use]
    pub fn new(sent: &ClientRequest<'_>, token: Option<&Token>) -> Self {
        let protocols: &[_] = match (sent.http, sent.mqtt) {
            (None, _) => &["tls", "mqtt"],
            (Some(_), Some(_)) => &["tls", "http", "mqtt"],
            (Some(_), None) => &["tls", "http"],
        };
        let event = Event {
            protocol_data: Some(ProtocolData {
                tls: Tls::of(sent),
                mqtt: sent.mqtt.map(Mqtt::from),
                http: sent
                    .http
                    .map(|http| Http { headers: http.headers(), query_string: Some(http.query_string()) }),
            }),
            protocols,
            token: token.map(Token::text),
            signature_verified: token.is_some_and(Token::is_verified),
            connection_metadata: ConnectionMetadata { id: sent.connection_id },
        };
        let event = event.to_json((sent.weight_kib() as usize + 1) * 1_024);
        let certificate = sent.certificate.map(|certificate| ClientCertificate {
            principal_id: Arc::clone(certificate.id().as_str()),
            policies: Arc::clone(&certificate.policies),
        });
        Self { event, certificate }
    }

    /// The event of `TestInvokeAuthorizer`. Parts that the caller does not describe are absent (measured: `docs/fidelity.md`).
    #[must_use]
    pub fn of_contexts(contexts: &Contexts, token: Option<&Token>, id: &str) -> Self {
        let Contexts { tls, http, mqtt } = contexts;
        let protocols = [("tls", tls.is_some()), ("http", http.is_some()), ("mqtt", mqtt.is_some())];
        let protocols =
            protocols.into_iter().filter_map(|(name, there)| there.then_some(name)).collect::<Vec<_>>();
        let data = ProtocolData {
            tls: tls.as_ref().map(|server_name| Tls {
                server_name: server_name.as_deref(),
                certificate_pem: None,
                principal_id: None,
            }),
            mqtt: mqtt.as_ref().map(|mqtt| Mqtt {
                username: mqtt.user_name.as_deref().map(String::as_str),
                password: mqtt.password.clone(),
                client_id: mqtt.client_id.as_deref(),
            }),
            http: http.as_ref().map(|http| Http {
                headers: &http.headers,
                query_string: http.query_string.as_deref().map(String::as_str),
            }),
        };
        let event = Event {
            protocol_data: Some(data).filter(|_| !contexts.is_empty()),
            protocols: &protocols,
            token: token.map(Token::text),
            signature_verified: token.is_some_and(Token::is_verified),
            connection_metadata: ConnectionMetadata { id },
        };
        Self { event: event.to_json(1_024), certificate: None }
    }

    /// The principal that the answer has to name: the certificate's, if there is a certificate (developer guide,
    /// `custom-auth-509cert`).
    #[must_use]
    pub fn principal_id(&self) -> Option<&str> {
        self.certificate.as_ref().map(|certificate| &*certificate.principal_id)
    }

    /// The policies of the client's certificate, if it has one.
    #[must_use]
    pub fn certificate_policies(&self) -> Option<&[PolicyDocument]> {
        self.certificate.as_ref().map(|certificate| &*certificate.policies)
    }

    /// The event as JSON, for one call.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        Bytes::copy_from_slice(&self.event)
    }
}

/// What stands in the place of a secret.
const MASKED: &str = "•••";
/// Headers whose values are no secrets. Any other may be one.
const SHOWN_HEADERS: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "origin",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "x-amz-customauthorizer-name",
];
/// The parameter of a query string whose value is no secret.
const SHOWN_PARAMETER: &str = "x-amz-customauthorizer-name";

/// The event about a request as JSON for the console, without passwords, tokens, signatures, and values of parameters and headers
/// that may be one of them. The user name is there without its parameters' values: code that shows it has to know that it is one.
#[must_use]
pub fn shown(sent: &ClientRequest<'_>, token: Option<&Token>) -> String {
    let bytes = |bytes: usize| format!("({bytes} bytes)");
    let certificate = sent.certificate.map(|certificate| bytes(certificate.pem().len()));
    let mqtt = sent.mqtt.unwrap_or(ConnectFields { client_id: None, user_name: None, password: None });
    let user_name = mqtt.user_name.map(|name| match name.split_once('?') {
        Some((name, query)) => Cow::Owned(format!("{name}?{}", shown_query(query))),
        None => Cow::Borrowed(name),
    });
    let password = mqtt.password.map(|it| Zeroizing::new(format!("{MASKED} {}", bytes(it.len()))));
    let query_string = sent.http.map(|http| shown_query(http.query_string()));
    let headers = sent.http.map(|http| {
        let headers = http.headers().iter().map(|(name, value)| {
            let is_shown = SHOWN_HEADERS.contains(&&**name);
            (name.clone(), if is_shown { value.clone() } else { MASKED.to_owned().into() })
        });
        headers.collect::<Headers>()
    });
    let event = Event {
        protocol_data: Some(ProtocolData {
            tls: Tls::of(sent).map(|tls| Tls { certificate_pem: certificate.as_deref(), ..tls }),
            mqtt: sent.mqtt.map(|mqtt| Mqtt {
                username: user_name.as_deref(),
                password,
                client_id: mqtt.client_id,
            }),
            http: headers.as_ref().map(|headers| Http { headers, query_string: query_string.as_deref() }),
        }),
        protocols: &[],
        token: token.map(|_| MASKED),
        signature_verified: token.is_some_and(Token::is_verified),
        connection_metadata: ConnectionMetadata { id: sent.connection_id },
    };
    serde_json::to_string(&event).unwrap_or_default()
}

fn shown_query(query: &str) -> String {
    let shown = |part: &str| match part.split_once('=') {
        Some((SHOWN_PARAMETER, _)) => part.to_owned(),
        Some((name, _)) => format!("{name}={MASKED}"),
        // It may be a value without a name.
        None if part.is_empty() => String::new(),
        None => MASKED.to_owned(),
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

impl Event<'_> {
    /// The event as JSON. The buffer is allocated once if `bytes` suffice: one that grows leaves copies of the password in memory.
    fn to_json(&self, bytes: usize) -> Zeroizing<Vec<u8>> {
        let mut json = Zeroizing::new(Vec::with_capacity(bytes));
        // Strings and booleans can always be written as JSON; the function would refuse an empty event.
        let written = serde_json::to_writer(&mut *json, self);
        Zeroizing::new(written.map_or(Vec::new(), |()| json.to_vec()))
    }
}

impl<'a> Tls<'a> {
    /// `None` without a server name and a certificate. The server name is the one of SNI, or else of the `Host` header.
    fn of(sent: &ClientRequest<'a>) -> Option<Self> {
        let server_name = sent.server_name.or_else(|| sent.http.and_then(HttpRequest::host));
        let certificate = sent.certificate;
        (server_name.is_some() || certificate.is_some()).then(|| Self {
            server_name,
            certificate_pem: certificate.map(Certificate::pem),
            principal_id: certificate.map(|certificate| &**certificate.id().as_str()),
        })
    }
}

impl<'a> From<ConnectFields<'a>> for Mqtt<'a> {
    fn from(connect: ConnectFields<'a>) -> Self {
        Self {
            username: connect.user_name,
            password: connect.password.map(|bytes| Zeroizing::new(STANDARD.encode(bytes))),
            client_id: connect.client_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(user_name: Option<&str>, password: Option<&[u8]>, server_name: Option<&str>) -> Value {
        let mqtt = Some(ConnectFields { client_id: Some("client"), user_name, password });
        let presented = AuthorizerEvent::new(
            &ClientRequest { connection_id: "id", server_name, certificate: None, http: None, mqtt },
            None,
        );
        serde_json::from_slice(&presented.to_json()).unwrap()
    }

    #[test]
    fn event_of_a_connect_is_as_aws_documents_it() {
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
    fn shown_event_has_no_secret() {
        let request = hyper::Request::builder()
            .uri("/mqtt?x-amz-customauthorizer-name=a&token=SECRET&SECRET")
            .header("Authorization", "SECRET")
            .header("X-Amz-CustomAuthorizer-Signature", "SECRET")
            .header("User-Agent", "curl");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let http = HttpRequest::read(&parts).unwrap();
        let user_name =
            Some("device?x-amz-customauthorizer-name=a&x-amz-customauthorizer-signature=SECRET&t=SECRET");
        let mqtt = Some(ConnectFields { client_id: Some("client"), user_name, password: Some(b"SECRET") });
        let sent = ClientRequest {
            connection_id: "id",
            server_name: Some("s"),
            certificate: None,
            http: Some(&http),
            mqtt,
        };
        let event = shown(&sent, None);
        assert!(!event.contains("SECRET"), "{event}");
        for part in ["device?x-amz-customauthorizer-name=a&", "curl", "client", "(6 bytes)", "token=•••&•••"]
        {
            assert!(event.contains(part), "{part} is not in {event}");
        }
    }

    #[test]
    fn field_that_was_not_sent_is_absent() {
        assert_eq!(event(None, None, None)["protocolData"], json!({"mqtt": {"clientId": "client"}}));
        assert_eq!(event(None, Some(b""), None)["protocolData"]["mqtt"]["password"], "");
    }

    #[test]
    fn event_of_an_http_request_has_its_headers_and_query_string() {
        let request = hyper::Request::builder()
            .uri("/mqtt?x-amz-customauthorizer-name=a&p=%41")
            .header("Authorization", "Basic YTpi")
            .header("X-Twice", "1")
            .header("x-twice", "2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let http = HttpRequest::read(&parts).unwrap();
        let mqtt = ConnectFields { client_id: Some("client"), user_name: None, password: None };
        let (http, mqtt, server_name) = (Some(&http), Some(mqtt), Some("localhost"));
        let mut sent = ClientRequest { connection_id: "id", server_name, certificate: None, http, mqtt };
        let event = |sent: &ClientRequest<'_>| -> Value {
            serde_json::from_slice(&AuthorizerEvent::new(sent, None).to_json()).unwrap()
        };
        let expected_http = json!({
            "headers": {"authorization": "Basic YTpi", "x-twice": "1, 2"},
            "queryString": "x-amz-customauthorizer-name=a&p=%41",
        });
        let websocket = event(&sent);
        assert_eq!(websocket["protocols"], json!(["tls", "http", "mqtt"]));
        assert_eq!(
            websocket["protocolData"],
            json!({"tls": {"serverName": "localhost"}, "http": expected_http, "mqtt": {"clientId": "client"}})
        );
        sent.mqtt = None;
        let publish = event(&sent);
        assert_eq!(publish["protocols"], json!(["tls", "http"]));
        assert_eq!(
            publish["protocolData"],
            json!({"tls": {"serverName": "localhost"}, "http": expected_http})
        );
    }

    #[test]
    fn event_has_its_fields_in_the_order_of_aws() {
        let (parts, ()) = hyper::Request::get("/mqtt").body(()).unwrap().into_parts();
        let http = HttpRequest::read(&parts).unwrap();
        let mqtt = ConnectFields { client_id: Some("c"), user_name: Some("u"), password: Some(b"p") };
        let sent = ClientRequest {
            connection_id: "id",
            server_name: Some("s"),
            certificate: None,
            http: Some(&http),
            mqtt: Some(mqtt),
        };
        let expected = r#"{"protocolData":{"tls":{"serverName":"s"},"mqtt":{"username":"u","password":"cA==","clientId":"c"},"http":{"headers":{},"queryString":""}},"protocols":["tls","http","mqtt"],"signatureVerified":false,"connectionMetadata":{"id":"id"}}"#;
        assert_eq!(AuthorizerEvent::new(&sent, None).to_json(), expected);
    }

    #[test]
    fn client_id_that_was_not_sent_is_absent() {
        let mqtt = Some(ConnectFields { client_id: None, user_name: Some("u"), password: None });
        let sent =
            ClientRequest { connection_id: "id", server_name: None, certificate: None, http: None, mqtt };
        let event: Value = serde_json::from_slice(&AuthorizerEvent::new(&sent, None).to_json()).unwrap();
        assert_eq!(event["protocolData"], json!({"mqtt": {"username": "u"}}));
    }

    #[test]
    fn server_name_is_of_the_host_header_without_sni() {
        let request = hyper::Request::get("/mqtt").header("Host", "iot.example.com:443");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let http = HttpRequest::read(&parts).unwrap();
        for (server_name, expected) in [(None, "iot.example.com"), (Some("sni"), "sni")] {
            let http = Some(&http);
            let sent =
                ClientRequest { connection_id: "id", server_name, certificate: None, http, mqtt: None };
            let event: Value = serde_json::from_slice(&AuthorizerEvent::new(&sent, None).to_json()).unwrap();
            assert_eq!(event["protocolData"]["tls"], json!({"serverName": expected}));
        }
    }
}
