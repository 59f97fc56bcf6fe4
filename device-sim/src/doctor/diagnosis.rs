//! From what was seen to its causes. Nothing here does IO or reads a clock.

use serde::Serialize;

use super::bridge::Side;
use super::cause::Cause;
use super::observation::{
    AuthorizerNaming, Connect, Ended, Handshake, Log, LogStep, Observations, Plain, Service, TcpFailure,
    Trust, Variant,
};

/// A cause that explains what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// What shows it.
    pub evidence: String,
    /// The causes that look the same from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Cause>,
}

/// What a refusal of AWS's can mean, whether with CONNACK 0x87 or without a word.
pub const ALIKE: [Cause; 12] = [
    Cause::AuthorizerMissing,
    Cause::AuthorizerMisspelt,
    Cause::AuthorizerInactive,
    Cause::TokenSignature,
    Cause::WrongPassword,
    Cause::UnknownDevice,
    Cause::DeviceDisabled,
    Cause::ClientIdNotAllowed,
    Cause::ConnectDenied,
    Cause::DocumentsRegion,
    Cause::FunctionFailing,
    Cause::FunctionPermission,
];
/// What a refusal of another server's can mean.
const ALIKE_ELSEWHERE: [Cause; 3] = [Cause::WrongPassword, Cause::UnknownDevice, Cause::ClientIdNotAllowed];

/// What can refuse a device that the function let in.
const ALIKE_AFTER_THE_FUNCTION: [Cause; 3] =
    [Cause::ConnectDenied, Cause::DocumentsRegion, Cause::FunctionFailing];

/// The step of the function's line.
const DECISION: &str = "decision";
/// The step of Lambda's line about a function that broke.
const FUNCTION: &str = "function";
/// AWS's reason if the function failed, whatever kept it from an answer.
const FUNCTION_FAILED: &str = "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR";

/// Before this moment, 2026-01-01, no device can be that runs this version.
const EARLIEST: i64 = 1_767_225_600;
/// Clocks that differ by more than this are not equal.
const CLOCK_TOLERANCE: i64 = 24 * 3_600;
/// AWS's limit for a function (developer guide, `custom-auth`), less the time of the network.
const FUNCTION_LIMIT_MILLIS: u64 = 4_900;
/// AWS's largest payload (AWS General Reference, "AWS IoT Core endpoints and quotas").
const MAX_PAYLOAD: usize = 128 * 1024;
/// AWS's keep-alive, in seconds (AWS General Reference).
const KEEP_ALIVE: std::ops::RangeInclusive<u16> = 30..=1_200;

// Codes of MQTT 5, section 2.4.
const UNSUPPORTED_VERSION: u8 = 0x84;
const CLIENT_ID_NOT_VALID: u8 = 0x85;
const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
const NOT_AUTHORIZED: u8 = 0x87;
const TAKEN_OVER: u8 = 0x8e;
const PACKET_TOO_LARGE: u8 = 0x95;
const QUOTA_EXCEEDED: u8 = 0x97;
const RETAIN_NOT_SUPPORTED: u8 = 0x9a;
const QOS_NOT_SUPPORTED: u8 = 0x9b;
const RATE_EXCEEDED: u8 = 0x9f;

/// The causes, the one that has to be cured first at the beginning. There is none on a healthy path.
#[must_use]
pub fn diagnose(seen: &Observations) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(network(seen).or_else(|| tls(seen)).or_else(|| connect(seen)).or_else(|| requests(seen)));
    // A bridge accepts QoS 2 and any keep-alive, and gives AWS what it has.
    let is_ours = !matches!(seen.intent.service, Service::Other | Service::Bridge);
    let accepted = match &seen.connect {
        Some(Connect::Accepted { keep_alive, maximum_qos, .. }) => Some((*keep_alive, *maximum_qos)),
        _ => None,
    };
    if seen.intent.qos == 2 && (is_ours || accepted.is_some_and(|(_, maximum)| maximum < 2)) {
        findings.push(finding(Cause::Qos2, "the device uses QoS 2"));
    }
    if let Some((server, _)) = accepted {
        let asked = seen.intent.keep_alive;
        let used = server.filter(|used| *used != asked);
        if used.is_some() || (is_ours && !KEEP_ALIVE.contains(&asked)) {
            let used = used.map_or(String::new(), |used| format!(", and the server uses {used} s"));
            findings.push(finding(Cause::KeepAlive, format!("the device asks for {asked} s{used}")));
        }
    }
    let mut unique: Vec<Finding> = Vec::new();
    for finding in findings {
        if unique.iter().all(|known| known.cause != finding.cause) {
            unique.push(finding);
        }
    }
    unique
}

/// Whether the server was asked for something that it refused, so that a log can say why.
#[must_use]
pub fn is_logged(seen: &Observations) -> bool {
    let is_refused = !matches!(&seen.connect, None | Some(Connect::Accepted { .. } | Connect::Alert(_)));
    let has_ended = [&seen.hold, &seen.subscribe, &seen.publish].iter().any(|it| matches!(it, Some(Err(_))));
    is_refused || has_ended || seen.receive == Some(false)
}

fn finding(cause: Cause, evidence: impl Into<String>) -> Finding {
    Finding { cause, evidence: evidence.into(), alike: Vec::new() }
}

fn network(seen: &Observations) -> Option<Finding> {
    if let Some(Err(error)) = &seen.name {
        return Some(finding(Cause::NameNotFound, error.clone()));
    }
    match seen.tcp.as_ref()?.as_ref().err()? {
        TcpFailure::Refused => Some(finding(Cause::PortClosed, "the connection is refused")),
        TcpFailure::TimedOut => Some(finding(Cause::Unreachable, "no answer in time")),
        TcpFailure::Other(error) => Some(finding(Cause::Unreachable, error.clone())),
        TcpFailure::Proxy(error) => Some(finding(Cause::Proxy, error.clone())),
    }
}

fn tls(seen: &Observations) -> Option<Finding> {
    let handshake = seen.tls.as_ref()?;
    match &seen.plain {
        Some(Plain::Http { status, location }) if !matches!(handshake, Handshake::Completed { .. }) => {
            let to = location.as_ref().map_or(String::new(), |to| format!(", which leads to {to}"));
            return Some(finding(Cause::CaptivePortal, format!("without TLS it answers HTTP {status}{to}")));
        }
        Some(Plain::Mqtt) => return Some(finding(Cause::NoTls, "without TLS it answers as an MQTT server")),
        _ => {}
    }
    match handshake {
        Handshake::Completed { alpn, .. } => trust(seen).or_else(|| chosen_alpn(seen, alpn.as_deref())),
        Handshake::NotTls => Some(finding(Cause::NoTls, "the answer to the TLS handshake is not TLS")),
        Handshake::TimedOut if seen.plain == Some(Plain::Silent) => {
            Some(finding(Cause::NoTls, "no answer to the TLS handshake, nor to anything else"))
        }
        Handshake::TimedOut => Some(finding(Cause::Silent, "no answer to the TLS handshake")),
        Handshake::Alert(alert) => Some(alert_finding(seen, alert)),
        Handshake::Incompatible(_) | Handshake::Closed | Handshake::Failed(_) => {
            Some(closed_in_handshake(seen, handshake))
        }
    }
}

/// Whether the handshake succeeds if one thing differs.
fn succeeds(seen: &Observations, wanted: &Variant) -> bool {
    seen.variants
        .iter()
        .any(|(variant, handshake)| variant == wanted && matches!(handshake, Handshake::Completed { .. }))
}

/// The protocol that the server chooses for the expected one alone.
fn accepts_expected_alpn(seen: &Observations) -> bool {
    succeeds(seen, &Variant::Alpn(vec![seen.intent.expected_alpn.clone()]))
}

fn alert_finding(seen: &Observations, alert: &str) -> Finding {
    let evidence = format!("the server sends the TLS alert `{alert}`");
    match alert {
        "no_application_protocol" if seen.intent.alpn.is_empty() => finding(Cause::NoAlpn, evidence),
        "no_application_protocol" if seen.intent.alpn.len() > 1 => finding(Cause::SeveralAlpn, evidence),
        "no_application_protocol" => finding(Cause::WrongAlpn, evidence),
        "unrecognised_name" if seen.intent.sni.is_none() => finding(Cause::NoSni, evidence),
        "unrecognised_name" => finding(Cause::UnknownSni, evidence),
        "protocol_version" | "handshake_failure" | "insufficient_security" => {
            if seen.intent.sni.is_none() && succeeds(seen, &Variant::WithSni) {
                finding(Cause::NoSni, evidence)
            } else {
                finding(Cause::TlsVersion, evidence)
            }
        }
        "certificate_required"
        | "bad_certificate"
        | "certificate_unknown"
        | "unknown_ca"
        | "certificate_expired"
        | "certificate_revoked"
        | "access_denied" => finding(Cause::ClientCertificate, evidence),
        _ if seen.intent.sni.is_none() && succeeds(seen, &Variant::WithSni) => {
            finding(Cause::NoSni, evidence)
        }
        _ => finding(Cause::TlsBroken, evidence),
    }
}

fn closed_in_handshake(seen: &Observations, handshake: &Handshake) -> Finding {
    let evidence = match handshake {
        Handshake::Incompatible(error) | Handshake::Failed(error) => error.clone(),
        _ => "the server closes the connection in the TLS handshake".to_owned(),
    };
    if seen.intent.sni.is_none() && succeeds(seen, &Variant::WithSni) {
        return finding(Cause::NoSni, evidence);
    }
    if seen.intent.alpn != [seen.intent.expected_alpn.as_str()] && accepts_expected_alpn(seen) {
        return finding(alpn_cause(seen), evidence);
    }
    if seen.variants.iter().any(|(variant, it)| {
        matches!(variant, Variant::Tls12 | Variant::Tls13) && matches!(it, Handshake::Completed { .. })
    }) {
        return finding(Cause::TlsVersion, evidence);
    }
    if matches!(handshake, Handshake::Incompatible(_)) {
        return finding(Cause::TlsVersion, evidence);
    }
    match seen.plain {
        Some(Plain::Other | Plain::Silent) | None => finding(Cause::TlsBroken, evidence),
        _ => finding(Cause::NoTls, evidence),
    }
}

fn alpn_cause(seen: &Observations) -> Cause {
    match seen.intent.alpn.len() {
        0 => Cause::NoAlpn,
        1 => Cause::WrongAlpn,
        _ => Cause::SeveralAlpn,
    }
}

fn trust(seen: &Observations) -> Option<Finding> {
    let leaf = seen.chain.first();
    match seen.trust.as_ref()? {
        Trust::Trusted => None,
        Trust::UnknownCa => {
            if seen.intent.sni.is_none()
                && succeeds(seen, &Variant::WithSni)
                && seen.intent.service != Service::Other
            {
                return Some(finding(Cause::NoSni, "without SNI the server shows another certificate"));
            }
            let issuer = seen.chain.last().map_or("unknown", |it| it.issuer.as_str());
            Some(finding(Cause::WrongCa, format!("the chain ends at the issuer `{issuer}`")))
        }
        Trust::WrongName => {
            let names = leaf.map_or(String::new(), |leaf| leaf.names.join(", "));
            let cause = if seen.intent.sni.is_none() { Cause::NoSni } else { Cause::WrongName };
            Some(finding(cause, format!("the certificate is for: {names}")))
        }
        Trust::Expired | Trust::NotYetValid => Some(dates(seen)),
        Trust::Other(error) => Some(finding(Cause::WrongCa, error.clone())),
    }
}

/// A certificate's dates against the device's clock, and this against any other clock.
fn dates(seen: &Observations) -> Finding {
    let device = seen.device_clock;
    let other = seen.server_clock.or(seen.machine_clock);
    let differs = other.is_some_and(|other| (other - device).abs() > CLOCK_TOLERANCE);
    let is_valid_at =
        |moment: i64| seen.chain.iter().all(|it| (it.not_before..=it.not_after).contains(&moment));
    let cause = if differs || device < EARLIEST || other.is_some_and(is_valid_at) {
        Cause::ClockWrong
    } else {
        Cause::CertificateDates
    };
    let leaf = seen.chain.first().map_or(String::new(), |leaf| {
        format!("the certificate is valid from {} to {}, ", day(leaf.not_before), day(leaf.not_after))
    });
    let other = other.map_or(String::new(), |other| format!(", and another clock says {}", day(other)));
    finding(cause, format!("{leaf}the device's clock says {}{other}", day(device)))
}

/// The day of a moment, as `2026-11-30`.
pub(super) fn day(moment: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(moment).map_or_else(
        |_| "a time that no calendar has".to_owned(),
        |it| format!("{:04}-{:02}-{:02}", it.year(), u8::from(it.month()), it.day()),
    )
}

/// TLS succeeded, and so did the certificate. What the server chose may still be another door's protocol.
fn chosen_alpn(seen: &Observations, chosen: Option<&str>) -> Option<Finding> {
    let is_refused = !matches!(seen.connect, None | Some(Connect::Accepted { .. }));
    let needs_none = match seen.intent.service {
        Service::Bridge => true,
        Service::Other => chosen.is_some(),
        Service::Aws | Service::Gateway => false,
    };
    if !is_refused || needs_none {
        return None;
    }
    let expected = seen.intent.expected_alpn.as_str();
    let is_expected = chosen == Some(expected) || (chosen.is_none() && accepts_without_alpn(seen));
    // A server that ignores ALPN chooses nothing, whatever is offered.
    if is_expected || !accepts_expected_alpn(seen) || !chooses_expected_alpn(seen) {
        return None;
    }
    let said = chosen.map_or("no ALPN protocol".to_owned(), |chosen| format!("the ALPN protocol `{chosen}`"));
    let evidence = format!("the server chose {said}, and the door for this device has `{expected}`");
    Some(finding(alpn_cause(seen), evidence))
}

/// Doors of HTTP, and those for certificates on ports of their own, need no ALPN.
fn accepts_without_alpn(seen: &Observations) -> bool {
    seen.intent.expected_alpn == "http/1.1" || seen.intent.alpn.is_empty() && seen.intent.has_certificate
}

fn chooses_expected_alpn(seen: &Observations) -> bool {
    let expected = &seen.intent.expected_alpn;
    seen.variants.iter().any(|(variant, handshake)| {
        matches!(variant, Variant::Alpn(offered) if offered == std::slice::from_ref(expected))
            && matches!(handshake, Handshake::Completed { alpn: Some(alpn), .. } if alpn == expected)
    })
}

fn connect(seen: &Observations) -> Option<Finding> {
    let first = seen.connect.as_ref()?;
    if matches!(first, Connect::Accepted { .. }) {
        return None;
    }
    if let Connect::Alert(alert) = first {
        return Some(alert_finding(seen, alert));
    }
    if matches!(seen.connect_without_will, Some(Connect::Accepted { .. })) {
        return Some(finding(Cause::WillNotAllowed, "without the last will the CONNECT is accepted"));
    }
    if let Some(found) = from_log(seen) {
        return Some(found);
    }
    // MQTT 5 gets the code that 3.1.1 does not.
    let answer = match (first, &seen.connect_v5) {
        (Connect::Closed | Connect::Refused { .. }, Some(other)) => other,
        _ => first,
    };
    if let Some(found) = by_bridge(seen, answer) {
        return Some(found);
    }
    match answer {
        Connect::Accepted { .. } => {
            Some(refused(seen, "the CONNECT is refused with MQTT 3.1.1, and accepted with 5"))
        }
        Connect::Refused { code, name, reason } => {
            let words = reason.as_ref().map_or(String::new(), |reason| format!(", `{reason}`"));
            let evidence = format!("CONNACK 0x{code:02x} ({name}){words}");
            match *code {
                NOT_AUTHORIZED => Some(refused(seen, evidence)),
                BAD_USER_NAME_OR_PASSWORD => Some(Finding {
                    alike: vec![Cause::UnknownDevice],
                    ..finding(Cause::WrongPassword, evidence)
                }),
                CLIENT_ID_NOT_VALID => Some(finding(Cause::ClientIdNotAllowed, evidence)),
                QUOTA_EXCEEDED | RATE_EXCEEDED => Some(finding(Cause::Throttled, evidence)),
                PACKET_TOO_LARGE => Some(finding(Cause::MessageTooLarge, evidence)),
                RETAIN_NOT_SUPPORTED => Some(finding(Cause::RetainNotAllowed, evidence)),
                QOS_NOT_SUPPORTED => Some(finding(Cause::Qos2, evidence)),
                UNSUPPORTED_VERSION => Some(finding(Cause::ProtocolVersion, evidence)),
                _ => Some(finding(Cause::OtherServerRefusal, evidence)),
            }
        }
        Connect::Closed => {
            Some(refused(seen, "the server closes the connection without an answer to CONNECT"))
        }
        Connect::Http(401 | 403) => Some(refused(seen, "the WebSocket is refused")),
        Connect::Http(status) => {
            Some(finding(Cause::OtherServerRefusal, format!("HTTP {status} in place of a WebSocket")))
        }
        Connect::TimedOut => Some(finding(Cause::Silent, "no answer to the CONNECT in time")),
        Connect::NotMqtt(error) => Some(finding(Cause::NotMqtt, error.clone())),
        Connect::Alert(alert) => Some(alert_finding(seen, alert)),
        Connect::Failed(error) => Some(finding(Cause::ConnectionLost, error.clone())),
    }
}

/// A refusal that is a bridge's own, and not AWS's.
fn by_bridge(seen: &Observations, answer: &Connect) -> Option<Finding> {
    let Connect::Refused { code, reason, .. } = answer else { return None };
    let words = reason.as_ref().map_or(String::new(), |reason| format!(", `{reason}`"));
    let evidence = format!("CONNACK 0x{code:02x} of `latchkey bridge`{words}");
    match (seen.bridge?, *code) {
        (Side::Upstream, _) => None,
        (Side::Unreachable, _) => Some(finding(Cause::BridgeUpstream, evidence)),
        (Side::Bridge, QUOTA_EXCEEDED | RATE_EXCEEDED) => Some(finding(Cause::Throttled, evidence)),
        (Side::Bridge, _) => Some(finding(Cause::BridgeRefuses, evidence)),
    }
}

/// A refusal without its cause. What the user name says is known, and AWS's limit shows by its time; else several causes look
/// alike.
fn refused(seen: &Observations, evidence: impl Into<String>) -> Finding {
    let evidence = evidence.into();
    // A bridge names the authorizer itself.
    let is_ours = !matches!(seen.intent.service, Service::Other | Service::Bridge);
    let certificate = seen.intent.has_certificate;
    let alike = match seen.intent.service {
        Service::Other => ALIKE_ELSEWHERE.to_vec(),
        _ if certificate => vec![Cause::ClientCertificate, Cause::ConnectDenied, Cause::DocumentsRegion],
        _ => ALIKE.to_vec(),
    };
    let by_name = match &seen.intent.authorizer {
        AuthorizerNaming::SecondMark => Some(Cause::AuthorizerSecondMark),
        AuthorizerNaming::Misspelt(_) => Some(Cause::AuthorizerMisspelt),
        AuthorizerNaming::Absent => Some(Cause::AuthorizerMissing),
        AuthorizerNaming::Named(_) => None,
    };
    let is_slow = is_slow(seen);
    // A line with a reason that is not known here has it; a log without any line is a finding of its own.
    let steps = match &seen.log {
        Log::Steps(steps) => Some(steps.as_slice()),
        Log::Unread => None,
    };
    let problem = steps.and_then(|steps| steps.iter().find(|step| step.problem && !is_bare(seen, step)));
    if let Some(step) = problem {
        return finding(Cause::OtherRefusal, logged(step));
    }
    let bare = steps.and_then(|steps| steps.iter().find(|step| step.problem));
    let is_allowed = steps.is_some_and(|steps| steps.iter().any(|step| step.step == DECISION));
    // The function let the device in, so what comes after it refused.
    let alike = if is_allowed { ALIKE_AFTER_THE_FUNCTION.to_vec() } else { alike };
    let evidence = match steps.and_then(|steps| steps.iter().find(|step| step.step == DECISION)).or(bare) {
        Some(step) => format!("{evidence}; {}", logged(step)),
        None => evidence,
    };
    let is_unlogged = steps.is_some() && bare.is_none();
    let cause = match by_name.filter(|_| !is_allowed) {
        Some(cause) if is_ours && !certificate => cause,
        _ if is_ours && is_slow => Cause::FunctionTimeout,
        _ if is_ours && is_unlogged => Cause::LoggingOff,
        _ => Cause::Refused,
    };
    Finding { cause, evidence, alike: alike.into_iter().filter(|other| *other != cause).collect() }
}

fn requests(seen: &Observations) -> Option<Finding> {
    let steps = [
        ("the connection", &seen.hold),
        ("the subscription", &seen.subscribe),
        ("the message", &seen.publish),
    ];
    for (what, outcome) in steps {
        let Some(Err(ended)) = outcome else { continue };
        return Some(from_log(seen).unwrap_or_else(|| ended_finding(seen, what, ended)));
    }
    if seen.receive == Some(false) {
        return Some(from_log(seen).unwrap_or_else(|| {
            finding(Cause::ReceiveNotAllowed, "the message is acknowledged, and does not come back")
        }));
    }
    None
}

fn ended_finding(seen: &Observations, what: &str, ended: &Ended) -> Finding {
    let is_message = what == "the message";
    let evidence = match ended {
        Ended::Code(code, words) => format!("{what}: 0x{code:02x}, {words}"),
        Ended::Http(status, words) => format!("{what}: HTTP {status}, {words}"),
        Ended::Closed => format!("{what}: the server closes the connection"),
        Ended::TimedOut => format!("{what}: no answer in time"),
        Ended::TooLarge => format!("{what}: larger than the server's maximum"),
        Ended::Other(words) => format!("{what}: {words}"),
    };
    let is_awss = seen.intent.service != Service::Other;
    if is_message && seen.intent.payload_bytes > MAX_PAYLOAD && is_awss {
        return finding(Cause::MessageTooLarge, evidence);
    }
    if is_message && seen.publish_plain == Some(Ok(())) {
        return finding(Cause::RetainNotAllowed, evidence);
    }
    match ended {
        Ended::TooLarge | Ended::Code(PACKET_TOO_LARGE, _) | Ended::Http(413, _) => {
            finding(Cause::MessageTooLarge, evidence)
        }
        Ended::Code(TAKEN_OVER, _) => finding(Cause::TakenOver, evidence),
        Ended::Code(QUOTA_EXCEEDED | RATE_EXCEEDED, _) | Ended::Http(429, _) => {
            finding(Cause::Throttled, evidence)
        }
        Ended::Code(RETAIN_NOT_SUPPORTED, _) => finding(Cause::RetainNotAllowed, evidence),
        Ended::Code(QOS_NOT_SUPPORTED, _) => finding(Cause::Qos2, evidence),
        Ended::Code(NOT_AUTHORIZED, _) | Ended::Http(403, _) if what != "the connection" => {
            finding(Cause::TopicNotAllowed, evidence)
        }
        Ended::Http(401, _) => refused(seen, evidence),
        // MQTT 3.1.1 has no negative answer to a message, and 0x80 alone for a subscription.
        Ended::Closed if what != "the connection" => Finding {
            alike: vec![Cause::TakenOver, Cause::MessageTooLarge],
            ..finding(Cause::TopicNotAllowed, evidence)
        },
        Ended::Closed => {
            Finding { alike: vec![Cause::TakenOver], ..finding(Cause::ConnectionLost, evidence) }
        }
        Ended::TimedOut if is_message => {
            Finding { alike: vec![Cause::Throttled], ..finding(Cause::Silent, evidence) }
        }
        Ended::TimedOut => finding(Cause::Silent, evidence),
        Ended::Code(0x80, _) if what == "the subscription" => finding(Cause::TopicNotAllowed, evidence),
        Ended::Code(..) | Ended::Http(..) => finding(Cause::OtherServerRefusal, evidence),
        Ended::Other(_) => finding(Cause::ConnectionLost, evidence),
    }
}

/// AWS's line about credentials that are not accepted, which does not say by whom.
fn is_bare(seen: &Observations, step: &LogStep) -> bool {
    seen.intent.service == Service::Aws && step.step != DECISION && step.reason == "NOT_AUTHENTICATED"
        || step.step == FUNCTION
}

/// What the log knows. The decision comes before the gateway's own line, which only says that there was one.
fn from_log(seen: &Observations) -> Option<Finding> {
    let Log::Steps(steps) = &seen.log else { return None };
    let cause_of = |step: &LogStep| cause_of(step, &seen.intent.authorizer);
    let problems = || steps.iter().filter(|step| step.problem);
    let decision = problems().find(|step| step.step == DECISION);
    let refused = problems().find(|step| step.step != FUNCTION && cause_of(step).is_some());
    // Lambda's line about a function that broke has no client: it is about this one if AWS says that the function failed.
    let function = problems().find(|step| step.step == FUNCTION);
    let step = decision.or(match refused {
        Some(step) if step.reason == FUNCTION_FAILED => function.or(Some(step)),
        Some(step) => Some(step),
        None => function.filter(|_| is_slow(seen)),
    })?;
    let cause = match cause_of(step)? {
        Cause::TopicNotAllowed if seen.publish_plain == Some(Ok(())) => Cause::RetainNotAllowed,
        Cause::FunctionFailing if step.reason == FUNCTION_FAILED && is_slow(seen) => Cause::FunctionTimeout,
        cause => cause,
    };
    Some(Finding { alike: alike_on_aws(seen, step, cause), ..finding(cause, logged(step)) })
}

/// AWS's own lines have one reason for several causes. The gateway's say more.
fn alike_on_aws(seen: &Observations, step: &LogStep, cause: Cause) -> Vec<Cause> {
    if seen.intent.service != Service::Aws || step.step == DECISION {
        return Vec::new();
    }
    match cause {
        Cause::ConnectDenied => vec![Cause::DocumentsRegion],
        Cause::AuthorizerMisspelt => vec![Cause::AuthorizerInactive],
        Cause::FunctionFailing if step.reason == FUNCTION_FAILED => {
            vec![Cause::FunctionPermission, Cause::FunctionTimeout]
        }
        _ => Vec::new(),
    }
}

fn is_slow(seen: &Observations) -> bool {
    seen.connect_millis.is_some_and(|millis| millis >= FUNCTION_LIMIT_MILLIS)
}

/// A line of the log as evidence.
fn logged(step: &LogStep) -> String {
    format!("the log: {} {}: {}", step.step, step.reason, step.text).replace("  ", " ")
}

/// The cause of a line of the gateway's, of AWS's or of the function's.
fn cause_of(step: &LogStep, named: &AuthorizerNaming) -> Option<Cause> {
    let says = |words: &str| step.text.contains(words);
    if step.step == FUNCTION {
        let is_late = step.reason == "timed_out";
        return Some(if is_late { Cause::FunctionTimeout } else { Cause::FunctionFailing });
    }
    if step.step == DECISION {
        return Some(match step.reason.as_str() {
            "wrong_password" | "wrong_signature" | "no_password" => Cause::WrongPassword,
            "unknown_device" => Cause::UnknownDevice,
            "device_disabled" | "not_yet_valid" | "expired" => Cause::DeviceDisabled,
            "client_id_not_allowed"
            | "client_id_reserved"
            | "client_id_invalid"
            | "client_id_too_long"
            | "no_client_id" => Cause::ClientIdNotAllowed,
            "user_name_second_query" => Cause::AuthorizerSecondMark,
            "signature_not_verified" | "token_not_verified" => Cause::TokenSignature,
            "no_certificate" | "certificate_not_allowed" | "certificate_invalid" => Cause::ClientCertificate,
            reason if reason.ends_with("_fault") => Cause::FunctionFailing,
            _ => Cause::OtherRefusal,
        });
    }
    match step.reason.as_str() {
        "CUSTOM_AUTHORIZER_NOT_FOUND" if says("INACTIVE") => Some(Cause::AuthorizerInactive),
        // One line for an unknown name and for none: the user name tells them apart.
        "CUSTOM_AUTHORIZER_NOT_FOUND" => Some(match named {
            AuthorizerNaming::SecondMark => Cause::AuthorizerSecondMark,
            AuthorizerNaming::Absent => Cause::AuthorizerMissing,
            AuthorizerNaming::Misspelt(_) | AuthorizerNaming::Named(_) => Cause::AuthorizerMisspelt,
        }),
        "CUSTOM_AUTHORIZER_PARAMETER_INVALID" => Some(Cause::TokenSignature),
        FUNCTION_FAILED if says("did not answer within") => Some(Cause::FunctionTimeout),
        FUNCTION_FAILED
            if says("403")
                || says("AccessDenied")
                || says("not authorized to perform: lambda:InvokeFunction") =>
        {
            Some(Cause::FunctionPermission)
        }
        FUNCTION_FAILED => Some(Cause::FunctionFailing),
        "THROTTLED" => Some(Cause::Throttled),
        "DUPLICATE_CLIENT_ID" | "DUPLICATE_CLIENTID" => Some(Cause::TakenOver),
        "AUTHORIZATION_FAILURE" if ["region `", "account `", "partition `"].iter().any(|part| says(part)) => {
            Some(Cause::DocumentsRegion)
        }
        "AUTHORIZATION_FAILURE" if says("its last will needs") => Some(Cause::WillNotAllowed),
        "AUTHORIZATION_FAILURE" if says("iot:Connect") => Some(Cause::ConnectDenied),
        "AUTHORIZATION_FAILURE" if says("iot:RetainPublish") => Some(Cause::RetainNotAllowed),
        "AUTHORIZATION_FAILURE" if says("iot:Receive") => Some(Cause::ReceiveNotAllowed),
        "AUTHORIZATION_FAILURE" => Some(Cause::TopicNotAllowed),
        "NOT_AUTHENTICATED" if says("token's signature") => Some(Cause::TokenSignature),
        "NOT_AUTHENTICATED" if says("client's certificate") => Some(Cause::ClientCertificate),
        reason if reason.starts_with("DEVICE_CERTIFICATE_") => Some(Cause::ClientCertificate),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
