//! The steps in their order: which probe follows from what was seen before.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mqtt::wire::stream::UpgradeError;
use mqtt::{EncodeError, LastWill, Publish, QoS, TopicFilter, TopicName, Version};
use tokio::time::{sleep, timeout};

use super::bridge::Side;
use super::observation::{
    AuthorizerNaming, Connect, Ended, Handshake, Intent, Observations, Service, TcpFailure, Trust, Variant,
};
use super::probe::{Prober, endpoint};
use crate::client::error::snake_case;
use crate::client::{Authorization, Client, Closed, ConnectError, Options, RequestError, TlsError};
use crate::device::Connection;
use crate::endpoint::{EndpointError, Target, Transport};
use crate::login::Login;

/// What the device would do.
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) sends_sni: bool,
    /// The device's clock, if it is not this machine's.
    pub(super) device_clock: Option<SystemTime>,
    pub(super) login: Option<Login>,
    pub(super) authorization: Authorization,
    pub(super) options: Options,
    pub(super) will: Option<LastWill>,
    pub(super) topic: Option<TopicName>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) payload_bytes: usize,
    pub(super) hold: Duration,
    /// Whether the server is AWS's whatever its name is.
    pub(super) is_awss: bool,
}

/// AWS allows one CONNECT a second for a client id.
const BETWEEN_CONNECTS: Duration = Duration::from_millis(1_300);
/// How long the message may take to come back.
const RECEIVE_LIMIT: Duration = Duration::from_secs(5);
/// The gateway's CA and its certificates name this organization.
const GATEWAY_ISSUER: &str = "Latchkey local CA";

/// Goes step by step. It sends the device's credentials only if the device would trust the server, or needs no TLS.
///
/// # Errors
///
/// If a file of the target can't be used.
pub(super) async fn examine(plan: &Plan, now: SystemTime) -> Result<Observations, EndpointError> {
    let device_clock = plan.device_clock.unwrap_or(now);
    let prober = Prober::new(plan.target.clone(), plan.sends_sni, device_clock)?;
    let mut seen = Observations {
        intent: plan.intent(&prober),
        device_clock: unix(device_clock),
        machine_clock: plan.device_clock.map(|_| unix(now)),
        ..Observations::default()
    };
    if plan.target.proxy.is_none() {
        let name = prober.addresses().await;
        let is_found = name.is_ok();
        seen.name = Some(name);
        if !is_found {
            return Ok(seen);
        }
    }
    let tcp = prober.tcp().await;
    seen.tcp = Some(match &tcp {
        Ok(stream) => Ok(stream.peer_addr().map_or(String::new(), |peer| peer.to_string())),
        Err(failure) => Err(failure.clone()),
    });
    if matches!(
        tcp,
        Err(TcpFailure::Refused | TcpFailure::TimedOut | TcpFailure::Other(_) | TcpFailure::Proxy(_))
    ) {
        return Ok(seen);
    }
    drop(tcp);
    if seen.intent.tls && !tls(&prober, &mut seen).await {
        return Ok(seen);
    }
    // A device whose clock is wrong goes no further.
    if let Some(login) = &plan.login {
        connect(plan, login, &mut seen).await?;
        if !matches!(seen.connect, None | Some(Connect::Accepted { .. })) && seen.intent.tls {
            let expected = vec![seen.intent.expected_alpn.clone()];
            if seen.intent.alpn != expected {
                let variant = Variant::Alpn(expected);
                let handshake = prober.variant(&variant).await;
                seen.variants.push((variant, handshake));
            }
        }
    }
    Ok(seen)
}

/// Whether the device would go on after TLS.
async fn tls(prober: &Prober, seen: &mut Observations) -> bool {
    let shaken = prober.device_handshake().await;
    seen.chain.clone_from(&shaken.chain);
    seen.trust.clone_from(&shaken.trust);
    let is_completed = matches!(shaken.handshake, Handshake::Completed { .. });
    seen.tls = Some(shaken.handshake.clone());
    drop(shaken);
    if seen.chain.iter().any(|it| it.issuer.contains(GATEWAY_ISSUER)) && seen.intent.service == Service::Other
    {
        seen.intent.service = Service::Gateway;
    }
    if is_completed && seen.trust == Some(Trust::Trusted) {
        return true;
    }
    let mut variants = Vec::new();
    if seen.intent.sni.is_none() {
        variants.push(Variant::WithSni);
    }
    if is_completed {
        if matches!(seen.trust, Some(Trust::Expired | Trust::NotYetValid)) {
            seen.server_clock = prober.server_clock().await;
        }
    } else {
        let expected = vec![seen.intent.expected_alpn.clone()];
        if seen.intent.alpn != expected {
            variants.push(Variant::Alpn(expected));
        }
        if !seen.intent.alpn.is_empty() {
            variants.push(Variant::Alpn(Vec::new()));
        }
        variants.extend([Variant::Tls12, Variant::Tls13]);
        if !matches!(seen.tls, Some(Handshake::Alert(_))) {
            seen.plain = Some(prober.plain().await);
        }
    }
    // A server without TLS says the same to all of them.
    if !matches!(seen.tls, Some(Handshake::NotTls | Handshake::TimedOut)) {
        for variant in variants {
            let handshake = prober.variant(&variant).await;
            seen.variants.push((variant, handshake));
        }
    }
    false
}

async fn connect(plan: &Plan, login: &Login, seen: &mut Observations) -> Result<(), EndpointError> {
    let endpoint = endpoint(&plan.target)?;
    let options = Options { last_will: plan.will.clone(), ..plan.options.clone() };
    let began = Instant::now();
    if plan.target.transport == Transport::Https {
        let opened = Connection::open(&endpoint, login, &options, plan.authorization).await;
        match opened {
            Ok(mut connection) => {
                seen.publish = match plan.message() {
                    Some(message) => Some(connection.publish(message).await.map_err(|error| ended(&error))),
                    None => None,
                };
            }
            Err(error) => seen.connect = Some(connect_of(&error)),
        }
        return Ok(());
    }
    match Client::connect_answered(&endpoint, login, &options).await {
        Ok((client, limits)) => {
            seen.connect_millis = Some(millis(began.elapsed()));
            note_bridge(seen, Side::of(&limits));
            seen.connect = Some(Connect::Accepted {
                keep_alive: limits.server_keep_alive,
                maximum_qos: u8::from(limits.maximum_qos),
                maximum_packet: limits.maximum_packet_size.map(std::num::NonZeroU32::get),
            });
            requests(plan, login, client, seen).await?;
        }
        Err(error) => {
            seen.connect_millis = Some(millis(began.elapsed()));
            seen.connect = Some(connect_of(&error));
            note_bridge(seen, side_of(&error));
            // MQTT 5 gets a code from AWS, and the side that has decided from a bridge.
            let says_more = match error {
                ConnectError::ClosedBeforeConnAck => true,
                ConnectError::Refused { .. } => seen.intent.service == Service::Other,
                _ => false,
            };
            if plan.options.version == Version::V311 && says_more {
                let options = Options { version: Version::V5, ..options.clone() };
                let (answer, side) = again(&endpoint, login, &options).await;
                seen.connect_v5 = Some(answer);
                note_bridge(seen, side);
            }
            if plan.will.is_some() && error.is_refusal() {
                let options = Options { last_will: None, ..options };
                seen.connect_without_will = Some(again(&endpoint, login, &options).await.0);
            }
        }
    }
    Ok(())
}

async fn again(
    endpoint: &crate::endpoint::Endpoint,
    login: &Login,
    options: &Options,
) -> (Connect, Option<Side>) {
    sleep(BETWEEN_CONNECTS).await;
    match Client::connect_answered(endpoint, login, options).await {
        Ok((client, limits)) => {
            client.disconnect().await;
            let accepted = Connect::Accepted {
                keep_alive: limits.server_keep_alive,
                maximum_qos: u8::from(limits.maximum_qos),
                maximum_packet: limits.maximum_packet_size.map(std::num::NonZeroU32::get),
            };
            (accepted, Side::of(&limits))
        }
        Err(error) => (connect_of(&error), side_of(&error)),
    }
}

fn side_of(error: &ConnectError) -> Option<Side> {
    if let ConnectError::Refused { bridge, .. } = error { *bridge } else { None }
}

/// A bridge has its own certificate or none, so only its CONNACK shows what it is.
fn note_bridge(seen: &mut Observations, side: Option<Side>) {
    if side.is_some() {
        seen.bridge = side;
        seen.intent.service = Service::Bridge;
    }
}

async fn requests(
    plan: &Plan,
    login: &Login,
    mut client: Client,
    seen: &mut Observations,
) -> Result<(), EndpointError> {
    if let Ok(closed) = timeout(plan.hold, client.closed()).await {
        seen.hold = Some(Err(ended(&closed.into())));
        return Ok(());
    }
    seen.hold = Some(Ok(()));
    let (Some(topic), Some(message)) = (&plan.topic, plan.message()) else {
        client.disconnect().await;
        return Ok(());
    };
    if let Ok(filter) = TopicFilter::try_from(topic.as_str()) {
        let granted = client.subscribe(filter, message.qos).await;
        seen.subscribe = Some(granted.map(drop).map_err(|error| ended(&error)));
        if matches!(seen.subscribe, Some(Err(Ended::Closed | Ended::Code(..))))
            && plan.options.version == Version::V311
        {
            return Ok(());
        }
    }
    let payload = message.payload.clone();
    let published = client.publish_message(message.clone()).await;
    seen.publish = Some(published.as_ref().map(drop).map_err(ended));
    match published {
        Err(_) if plan.retain => {
            drop(client);
            sleep(BETWEEN_CONNECTS).await;
            let options = plan.options.clone();
            if let Ok(mut client) = Client::connect(&endpoint(&plan.target)?, login, &options).await {
                let sent = client.publish_message(Publish { retain: false, ..message }).await;
                seen.publish_plain = Some(sent.map_err(|error| ended(&error)));
                client.disconnect().await;
            }
        }
        Err(_) => {}
        Ok(()) => {
            if seen.subscribe == Some(Ok(())) {
                let came = async {
                    while let Ok(message) = client.next_message().await {
                        if message.payload == payload {
                            return true;
                        }
                    }
                    false
                };
                seen.receive = Some(timeout(RECEIVE_LIMIT, came).await.unwrap_or(false));
            }
            client.disconnect().await;
        }
    }
    Ok(())
}

impl Plan {
    /// The message, if there is a topic for it. QoS 2 is tried as QoS 1.
    fn message(&self) -> Option<Publish> {
        let mut message = Publish::new(self.topic.clone()?, vec![b'x'; self.payload_bytes]);
        message.qos = if self.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        message.retain = self.retain;
        Some(message)
    }

    fn intent(&self, prober: &Prober) -> Intent {
        let Target { address, alpn, transport, certificate, .. } = &self.target;
        Intent {
            endpoint: address.to_string(),
            service: if self.is_awss || address.is_awss() { Service::Aws } else { Service::Other },
            tls: *transport != Transport::Tcp,
            is_mqtt: *transport == Transport::Mqtt,
            alpn: alpn.protocols().into_iter().map(str::to_owned).collect(),
            expected_alpn: transport.alpn(certificate.is_some(), address).to_string(),
            sni: prober.sni(),
            has_certificate: certificate.is_some(),
            authorizer: self
                .login
                .as_ref()
                .map_or(AuthorizerNaming::Absent, |login| AuthorizerNaming::of(&login.user_name)),
            has_credentials: self.login.is_some(),
            client_id: self.login.as_ref().map_or(String::new(), |login| login.client_id.clone()),
            mqtt: if self.options.version == Version::V311 { "3.1.1" } else { "5" }.to_owned(),
            qos: self.qos,
            keep_alive: self.options.keep_alive,
            payload_bytes: self.payload_bytes,
            retain: self.retain,
            will: self.will.is_some(),
        }
    }
}

pub(super) fn unix(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn connect_of(error: &ConnectError) -> Connect {
    match error {
        ConnectError::Refused { code, reason, .. } => Connect::Refused {
            code: u8::from(*code),
            name: snake_case(code),
            reason: reason.as_deref().map(str::to_owned),
        },
        ConnectError::ClosedBeforeConnAck | ConnectError::Tls(TlsError::Closed) => Connect::Closed,
        ConnectError::Tls(TlsError::Other(rustls::Error::AlertReceived(alert))) => {
            Connect::Alert(snake_case(alert))
        }
        ConnectError::Tls(TlsError::AlpnRefused(_)) => Connect::Alert("no_application_protocol".to_owned()),
        ConnectError::Tls(TlsError::NameRefused(_)) => Connect::Alert("unrecognised_name".to_owned()),
        ConnectError::WebSocket(UpgradeError::Refused { status, .. }) => Connect::Http(*status),
        ConnectError::Timeout { .. } => Connect::TimedOut,
        ConnectError::Protocol(error) => Connect::NotMqtt(error.to_string()),
        other => Connect::Failed(other.to_string()),
    }
}

fn ended(error: &RequestError) -> Ended {
    let words = |reason: &Option<std::sync::Arc<str>>, name: String| {
        reason.as_ref().map_or(name.replace('_', " "), |reason| format!("`{reason}`"))
    };
    match error {
        RequestError::Closed(Closed::Disconnected { code, reason }) => {
            Ended::Code(u8::from(*code), words(reason, snake_case(code)))
        }
        RequestError::Closed(Closed::ByServer) => Ended::Closed,
        RequestError::PublishRefused { code, reason } => {
            Ended::Code(u8::from(*code), words(reason, snake_case(code)))
        }
        RequestError::SubscribeRefused { code, reason } => {
            Ended::Code(u8::from(*code), words(reason, snake_case(code)))
        }
        RequestError::HttpRefused { status, message } => Ended::Http(*status, words(message, String::new())),
        RequestError::NotAcknowledged(_) | RequestError::Closed(Closed::Silent(_)) => Ended::TimedOut,
        RequestError::Unsendable(EncodeError::PacketTooLarge { .. }) => Ended::TooLarge,
        other => Ended::Other(other.to_string()),
    }
}
