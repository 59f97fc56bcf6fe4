//! What the doctor saw, as data: the probes fill it in, and the diagnosis reads nothing else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bridge::Side;

/// Everything that was seen. A step that was not reached is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Observations {
    /// What the device would do.
    pub intent: Intent,
    /// The device's clock, in seconds since 1970.
    pub device_clock: i64,
    /// The server's clock, from an HTTP answer of its own.
    pub server_clock: Option<i64>,
    /// The clock of this machine, if the device's is another one.
    pub machine_clock: Option<i64>,
    /// The addresses of the endpoint's name. With a proxy the proxy looks it up.
    pub name: Option<Result<Vec<String>, String>>,
    /// The TCP connection.
    pub tcp: Option<Result<String, TcpFailure>>,
    /// The TLS handshake as the device makes it.
    pub tls: Option<Handshake>,
    /// The server's certificates, its own first.
    pub chain: Vec<Certificate>,
    /// Whether the device would trust them.
    pub trust: Option<Trust>,
    /// What the server says without TLS, if the handshake failed.
    pub plain: Option<Plain>,
    /// Handshakes that differ from the device's in one thing.
    pub variants: Vec<(Variant, Handshake)>,
    /// The side that has decided about the CONNECT, if a bridge has answered it.
    pub bridge: Option<Side>,
    /// The answer to the CONNECT.
    pub connect: Option<Connect>,
    /// How long the answer took, in milliseconds.
    pub connect_millis: Option<u64>,
    /// The answer to the same CONNECT with MQTT 5, if MQTT 3.1.1 got none.
    pub connect_v5: Option<Connect>,
    /// The answer to the same CONNECT without the last will, if that with it was refused.
    pub connect_without_will: Option<Connect>,
    /// Whether the connection lasts while nothing is sent.
    pub hold: Option<Result<(), Ended>>,
    /// The subscription.
    pub subscribe: Option<Result<(), Ended>>,
    /// The message.
    pub publish: Option<Result<(), Ended>>,
    /// The message without RETAIN, if that with it was refused.
    pub publish_plain: Option<Result<(), Ended>>,
    /// Whether the message came back.
    pub receive: Option<bool>,
    /// What the log says of these connections.
    pub log: Log,
    /// Why a log can't be read, and what to do.
    pub log_notes: Vec<String>,
}

/// What the device would do. It has no secret, and no part of the user name but the authorizer's name.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, as the command line has it")]
pub struct Intent {
    /// Host and port.
    pub endpoint: String,
    /// Whose server it is.
    pub service: Service,
    /// Whether packets travel over TLS.
    pub tls: bool,
    /// Whether the device speaks MQTT directly over TLS, and not HTTP.
    pub is_mqtt: bool,
    /// The ALPN protocols that it offers.
    pub alpn: Vec<String>,
    /// The protocol that the door for this device expects.
    pub expected_alpn: String,
    /// The server name that it sends.
    pub sni: Option<String>,
    /// Whether it shows a certificate.
    pub has_certificate: bool,
    /// The authorizer in its user name.
    pub authorizer: AuthorizerNaming,
    /// Whether there are credentials to connect with.
    pub has_credentials: bool,
    /// Its client id.
    pub client_id: String,
    /// `3.1.1` or `5`.
    pub mqtt: String,
    /// The QoS that it uses.
    pub qos: u8,
    /// Its keep-alive, in seconds.
    pub keep_alive: u16,
    /// The length of its message.
    pub payload_bytes: usize,
    /// Whether it retains its message.
    pub retain: bool,
    /// Whether it has a last will.
    pub will: bool,
}

/// Whose server it is, which says what its silence can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// AWS IoT Core.
    Aws,
    /// `latchkey local`.
    Gateway,
    /// `latchkey bridge`, with AWS after it.
    Bridge,
    /// Any other MQTT server.
    #[default]
    Other,
}

/// The authorizer in a user name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizerNaming {
    /// There is no parameter.
    #[default]
    Absent,
    /// It is named.
    Named(String),
    /// A parameter whose name is nearly the right one.
    Misspelt(String),
    /// A second `?`.
    SecondMark,
}

/// Why there is no TCP connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TcpFailure {
    /// The machine refuses it.
    Refused,
    /// Nothing answers.
    TimedOut,
    /// The system says another thing.
    Other(String),
    /// The proxy did not open it.
    Proxy(String),
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// It succeeded.
    Completed {
        /// `TLSv1_2` or `TLSv1_3`.
        version: String,
        /// The protocol that the server chose.
        alpn: Option<String>,
    },
    /// The server sent an alert.
    Alert(String),
    /// Server and device have no TLS in common, with the words that say what.
    Incompatible(String),
    /// The server answered with something else than TLS.
    NotTls,
    /// The server closed the connection.
    Closed,
    /// Nothing came.
    TimedOut,
    /// Anything else.
    Failed(String),
}

/// A handshake that differs from the device's in one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// These ALPN protocols.
    Alpn(Vec<String>),
    /// With the server name, where the device sends none.
    WithSni,
    /// Without it, where the device sends one.
    WithoutSni,
    /// TLS 1.2 alone.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

/// What a server says without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Plain {
    /// An HTTP answer.
    Http {
        /// Its status.
        status: u16,
        /// Where it leads.
        location: Option<String>,
    },
    /// A CONNACK of MQTT.
    Mqtt,
    /// Something else.
    Other,
    /// Nothing.
    Silent,
}

/// A certificate of the server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Its subject.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// The names that it is for.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
}

/// Whether the device would trust the server's certificates by its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It would.
    Trusted,
    /// The chain does not end at its CA.
    UnknownCa,
    /// A certificate has expired.
    Expired,
    /// A certificate is not valid yet.
    NotYetValid,
    /// It is for other names.
    WrongName,
    /// Anything else.
    Other(String),
}

/// The answer to a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connect {
    /// It was accepted.
    Accepted {
        /// The server's keep-alive in place of the client's.
        keep_alive: Option<u16>,
        /// The highest QoS.
        maximum_qos: u8,
        /// The largest packet.
        maximum_packet: Option<u32>,
    },
    /// It was refused with a code.
    Refused {
        /// The code of MQTT 5, or its counterpart.
        code: u8,
        /// The code's name.
        name: String,
        /// The server's explanation.
        reason: Option<String>,
    },
    /// The server closed the connection.
    Closed,
    /// The server sent a TLS alert.
    Alert(String),
    /// An HTTP answer in place of a WebSocket.
    Http(u16),
    /// Nothing came in time.
    TimedOut,
    /// It is not MQTT.
    NotMqtt(String),
    /// Anything else.
    Failed(String),
}

/// How a connection or a request ended that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A negative answer, or a DISCONNECT, with a code of MQTT 5 and the server's words.
    Code(u8, String),
    /// An HTTP status, and the server's words.
    Http(u16, String),
    /// The server closed the connection.
    Closed,
    /// No answer came.
    TimedOut,
    /// The message is too large to be sent.
    TooLarge,
    /// Anything else.
    Other(String),
}

/// What the log says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Log {
    /// It can't be read from here.
    #[default]
    Unread,
    /// It was read, and has these steps of this client id's connections.
    Steps(Vec<LogStep>),
}

/// A step of a connection in the log, as `latchkey why --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStep {
    /// `decision`, `refused`, `denied` and the like.
    pub step: String,
    /// Whether something was refused, denied or broken.
    pub problem: bool,
    /// The reason's name.
    #[serde(default)]
    pub reason: String,
    /// Its words.
    #[serde(default)]
    pub text: String,
}

impl LogStep {
    /// The steps of these connections, one after the other.
    #[must_use]
    pub fn of_attempts(attempts: &[Value]) -> Vec<Self> {
        let steps = attempts.iter().filter_map(|attempt| attempt.get("steps")?.as_array()).flatten();
        steps.filter_map(|step| Self::deserialize(step).ok()).collect()
    }
}

/// The parameter that names an authorizer.
const PARAMETER: &str = "x-amz-customauthorizer-name";

impl AuthorizerNaming {
    /// What a user name says. A second `?` spoils it, as some SDKs append one.
    #[must_use]
    pub fn of(user_name: &str) -> Self {
        let Some((_, query)) = user_name.split_once('?') else { return Self::Absent };
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let pairs = pairs.collect::<Vec<_>>();
        if query.contains('?') {
            return Self::SecondMark;
        }
        if let Some((_, value)) = pairs.iter().find(|(name, _)| *name == PARAMETER) {
            return Self::Named((*value).to_owned());
        }
        // The signature's parameter is another one.
        let is_near = |name: &str| {
            let name = name.to_ascii_lowercase();
            !name.ends_with("signature") && (name.contains("authorizer") || name.contains("authoriser"))
        };
        match pairs.iter().find(|(name, _)| is_near(name)) {
            Some((name, _)) => Self::Misspelt((*name).to_owned()),
            None => Self::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorizer_is_read_as_aws_reads_it() {
        let cases = [
            ("dev", AuthorizerNaming::Absent),
            ("dev?token=x", AuthorizerNaming::Absent),
            ("dev?x-amz-customauthorizer-signature=x", AuthorizerNaming::Absent),
            ("dev?x-amz-customauthorizer-name=latchkey", AuthorizerNaming::Named("latchkey".into())),
            ("?a=b&x-amz-customauthorizer-name=l&SDK=x", AuthorizerNaming::Named("l".into())),
            ("dev?x-amz-customauthorizer-name=l?SDK=Java&Platform=x", AuthorizerNaming::SecondMark),
            ("dev?SDK=Java?x-amz-customauthorizer-name=l", AuthorizerNaming::SecondMark),
            (
                "dev?x-amz-custom-authorizer-name=l",
                AuthorizerNaming::Misspelt("x-amz-custom-authorizer-name".into()),
            ),
            (
                "dev?X-Amz-CustomAuthorizer-Name=l",
                AuthorizerNaming::Misspelt("X-Amz-CustomAuthorizer-Name".into()),
            ),
        ];
        for (user_name, naming) in cases {
            assert_eq!(AuthorizerNaming::of(user_name), naming, "{user_name}");
        }
    }
}
