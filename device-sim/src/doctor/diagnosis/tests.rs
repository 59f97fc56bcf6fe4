use std::collections::BTreeSet;

use super::*;
use crate::doctor::observation::{Certificate, Intent};

const NOW: i64 = 1_796_000_000;
const DAY: i64 = 24 * 3_600;

/// A password device on AWS that gets through.
fn healthy() -> Observations {
    Observations {
        intent: Intent {
            endpoint: "x.iot.eu-west-1.amazonaws.com:443".to_owned(),
            service: Service::Aws,
            tls: true,
            is_mqtt: true,
            alpn: vec!["mqtt".to_owned()],
            expected_alpn: "mqtt".to_owned(),
            sni: Some("x.iot.eu-west-1.amazonaws.com".to_owned()),
            authorizer: AuthorizerNaming::Named("latchkey".to_owned()),
            has_credentials: true,
            client_id: "hall-1".to_owned(),
            mqtt: "5".to_owned(),
            qos: 1,
            keep_alive: 60,
            payload_bytes: 16,
            ..Intent::default()
        },
        device_clock: NOW,
        name: Some(Ok(vec!["192.0.2.1".to_owned()])),
        tcp: Some(Ok("192.0.2.1:443".to_owned())),
        tls: Some(completed(Some("mqtt"))),
        chain: vec![certificate(NOW - DAY, NOW + 300 * DAY)],
        trust: Some(Trust::Trusted),
        connect: Some(accepted(None, 1)),
        hold: Some(Ok(())),
        subscribe: Some(Ok(())),
        publish: Some(Ok(())),
        receive: Some(true),
        ..Observations::default()
    }
}

fn completed(alpn: Option<&str>) -> Handshake {
    Handshake::Completed { version: "TLSv1_3".to_owned(), alpn: alpn.map(str::to_owned) }
}

fn accepted(keep_alive: Option<u16>, maximum_qos: u8) -> Connect {
    Connect::Accepted { keep_alive, maximum_qos, maximum_packet: Some(149_504) }
}

fn refused_with(code: u8) -> Connect {
    Connect::Refused { code, name: "a_name".to_owned(), reason: Some("a reason".to_owned()) }
}

/// A bridge answers with this code. The device offers no ALPN protocol and names no authorizer, which a bridge does.
fn by_bridge(side: Side, code: u8) -> Observations {
    at_connect(refused_with(code), |seen| {
        seen.bridge = Some(side);
        seen.intent.service = Service::Bridge;
        seen.intent.authorizer = AuthorizerNaming::Absent;
        (seen.intent.alpn, seen.intent.keep_alive) = (Vec::new(), 5);
        seen.tls = Some(completed(None));
        let expected = seen.intent.expected_alpn.clone();
        seen.variants = vec![(Variant::Alpn(vec![expected.clone()]), completed(Some(&expected)))];
    })
}

fn certificate(not_before: i64, not_after: i64) -> Certificate {
    Certificate {
        subject: "CN=server".to_owned(),
        issuer: "CN=ca".to_owned(),
        names: vec!["other.example.com".to_owned()],
        not_before,
        not_after,
    }
}

/// Ends before the CONNECT.
fn in_tls(change: impl FnOnce(&mut Observations)) -> Observations {
    let mut seen = Observations {
        connect: None,
        hold: None,
        subscribe: None,
        publish: None,
        receive: None,
        ..healthy()
    };
    change(&mut seen);
    seen
}

/// Ends with this answer to the CONNECT.
fn at_connect(connect: Connect, change: impl FnOnce(&mut Observations)) -> Observations {
    in_tls(|seen| {
        seen.connect = Some(connect);
        change(seen);
    })
}

fn changed(change: impl FnOnce(&mut Observations)) -> Observations {
    let mut seen = healthy();
    change(&mut seen);
    seen
}

fn logged(name: &str, reason: &str, text: &str) -> Log {
    let step = |name: &str, problem, reason: &str, text: &str| LogStep {
        step: name.to_owned(),
        problem,
        reason: reason.to_owned(),
        text: text.to_owned(),
    };
    Log::Steps(vec![step("tls", false, "", "TLS 1.3"), step(name, true, reason, text)])
}

/// A refused CONNECT, with this line in the log.
fn refused_and_logged(name: &str, reason: &str, text: &str) -> Observations {
    at_connect(refused_with(0x87), |seen| seen.log = logged(name, reason, text))
}

fn alert(name: &str, change: impl FnOnce(&mut Observations)) -> Observations {
    in_tls(|seen| {
        seen.tls = Some(Handshake::Alert(name.to_owned()));
        seen.trust = None;
        change(seen);
    })
}

/// Everything that was seen, and the first cause.
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn cases() -> Vec<(Observations, Cause)> {
    let error = "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR";
    let denied = "AUTHORIZATION_FAILURE";
    vec![
        (in_tls(|seen| seen.name = Some(Err("no such name".into()))), Cause::NameNotFound),
        (in_tls(|seen| seen.tcp = Some(Err(TcpFailure::Refused))), Cause::PortClosed),
        (in_tls(|seen| seen.tcp = Some(Err(TcpFailure::TimedOut))), Cause::Unreachable),
        (in_tls(|seen| seen.tcp = Some(Err(TcpFailure::Other("no route".into())))), Cause::Unreachable),
        (in_tls(|seen| seen.tcp = Some(Err(TcpFailure::Proxy("HTTP 403".into())))), Cause::Proxy),
        (in_tls(|seen| seen.tls = Some(Handshake::NotTls)), Cause::NoTls),
        (
            in_tls(|seen| {
                (seen.tls, seen.plain) = (Some(Handshake::Closed), Some(Plain::Mqtt));
            }),
            Cause::NoTls,
        ),
        (
            in_tls(|seen| {
                seen.tls = Some(Handshake::NotTls);
                seen.plain = Some(Plain::Http { status: 302, location: Some("http://portal".into()) });
            }),
            Cause::CaptivePortal,
        ),
        (alert("protocol_version", |_| {}), Cause::TlsVersion),
        (
            in_tls(|seen| {
                seen.tls = Some(Handshake::Closed);
                seen.variants = vec![(Variant::Tls12, completed(None))];
            }),
            Cause::TlsVersion,
        ),
        (in_tls(|seen| seen.tls = Some(Handshake::Incompatible("no suite".into()))), Cause::TlsVersion),
        (in_tls(|seen| seen.tls = Some(Handshake::Failed("larger than".into()))), Cause::TlsBroken),
        (in_tls(|seen| seen.tls = Some(Handshake::Closed)), Cause::TlsBroken),
        (alert("internal_error", |_| {}), Cause::TlsBroken),
        (in_tls(|seen| seen.tls = Some(Handshake::TimedOut)), Cause::Silent),
        (in_tls(|seen| seen.trust = Some(Trust::UnknownCa)), Cause::WrongCa),
        (in_tls(|seen| seen.trust = Some(Trust::Other("bad encoding".into()))), Cause::WrongCa),
        (in_tls(|seen| seen.trust = Some(Trust::WrongName)), Cause::WrongName),
        // 1970 and 2000, without another clock; the future, and a day that is only wrong by the server's clock.
        (dated(Trust::NotYetValid, 0, None), Cause::ClockWrong),
        (dated(Trust::NotYetValid, 946_684_800, None), Cause::ClockWrong),
        (dated(Trust::Expired, NOW + 3_650 * DAY, Some(NOW)), Cause::ClockWrong),
        (dated(Trust::NotYetValid, NOW - 2 * DAY, Some(NOW)), Cause::ClockWrong),
        (dated(Trust::Expired, NOW + 301 * DAY, Some(NOW + 301 * DAY)), Cause::CertificateDates),
        (dated(Trust::Expired, NOW + 301 * DAY, None), Cause::CertificateDates),
        (alert("no_application_protocol", |seen| seen.intent.alpn.clear()), Cause::NoAlpn),
        (alert("no_application_protocol", |seen| seen.intent.alpn = vec!["x".into()]), Cause::WrongAlpn),
        (
            alert("no_application_protocol", |seen| seen.intent.alpn = vec!["x".into(), "y".into()]),
            Cause::SeveralAlpn,
        ),
        (closed_by_alpn(&[], None), Cause::NoAlpn),
        (closed_by_alpn(&["http/1.1"], Some("http/1.1")), Cause::WrongAlpn),
        (closed_by_alpn(&["http/1.1", "mqtt"], Some("http/1.1")), Cause::SeveralAlpn),
        (alert("unrecognised_name", |_| {}), Cause::UnknownSni),
        (alert("unrecognised_name", |seen| seen.intent.sni = None), Cause::NoSni),
        (
            alert("handshake_failure", |seen| {
                seen.intent.sni = None;
                seen.variants = vec![(Variant::WithSni, completed(Some("mqtt")))];
            }),
            Cause::NoSni,
        ),
        (in_tls(|seen| (seen.trust, seen.intent.sni) = (Some(Trust::WrongName), None)), Cause::NoSni),
        (at_connect(Connect::Alert("certificate_required".into()), |_| {}), Cause::ClientCertificate),
        (
            refused_and_logged("refused", "DEVICE_CERTIFICATE_INACTIVE", "is INACTIVE"),
            Cause::ClientCertificate,
        ),
        (
            at_connect(Connect::Closed, |seen| seen.intent.authorizer = AuthorizerNaming::Absent),
            Cause::AuthorizerMissing,
        ),
        (
            at_connect(refused_with(0x87), |seen| {
                seen.intent.authorizer = AuthorizerNaming::Misspelt("x-amz-authorizer".into());
            }),
            Cause::AuthorizerMisspelt,
        ),
        (
            refused_and_logged("refused", "CUSTOM_AUTHORIZER_NOT_FOUND", "the client asks"),
            Cause::AuthorizerMisspelt,
        ),
        (
            at_connect(Connect::Closed, |seen| seen.intent.authorizer = AuthorizerNaming::SecondMark),
            Cause::AuthorizerSecondMark,
        ),
        (
            refused_and_logged("refused", "CUSTOM_AUTHORIZER_NOT_FOUND", "`l` is INACTIVE"),
            Cause::AuthorizerInactive,
        ),
        (
            refused_and_logged("refused", "CUSTOM_AUTHORIZER_PARAMETER_INVALID", "no token"),
            Cause::TokenSignature,
        ),
        (
            refused_and_logged("refused", "NOT_AUTHENTICATED", "the token's signature was not made"),
            Cause::TokenSignature,
        ),
        (refused_and_logged("decision", "wrong_password", "compare"), Cause::WrongPassword),
        (at_connect(refused_with(0x86), |_| {}), Cause::WrongPassword),
        (refused_and_logged("decision", "unknown_device", "add it"), Cause::UnknownDevice),
        (refused_and_logged("decision", "device_disabled", "enable it"), Cause::DeviceDisabled),
        (refused_and_logged("decision", "client_id_not_allowed", "use"), Cause::ClientIdNotAllowed),
        (at_connect(refused_with(0x85), |_| {}), Cause::ClientIdNotAllowed),
        (refused_and_logged("decision", "scheme_mismatch", "the record"), Cause::OtherRefusal),
        (refused_and_logged("refused", denied, "iot:Connect denied: nothing"), Cause::ConnectDenied),
        (
            refused_and_logged(
                "refused",
                denied,
                "iot:Connect would, but in region `us-east-1` instead of `eu`",
            ),
            Cause::DocumentsRegion,
        ),
        (
            refused_and_logged(
                "refused",
                denied,
                "iot:Connect denied: its last will needs iot:Publish on `t`",
            ),
            Cause::WillNotAllowed,
        ),
        (
            at_connect(refused_with(0x87), |seen| seen.connect_without_will = Some(accepted(None, 1))),
            Cause::WillNotAllowed,
        ),
        (refused_and_logged("refused", error, "the authorizer reported `x`"), Cause::FunctionFailing),
        (refused_and_logged("decision", "store_fault", "the store"), Cause::FunctionFailing),
        (
            refused_and_logged("refused", error, "the authorizer did not answer within 5s"),
            Cause::FunctionTimeout,
        ),
        (at_connect(Connect::Closed, |seen| seen.connect_millis = Some(5_100)), Cause::FunctionTimeout),
        (refused_and_logged("refused", error, "AccessDeniedException: lambda"), Cause::FunctionPermission),
        (at_connect(refused_with(0x97), |_| {}), Cause::Throttled),
        (refused_and_logged("refused", "THROTTLED", "one CONNECT a second"), Cause::Throttled),
        (changed(|seen| seen.hold = Some(Err(Ended::Code(0x8e, "taken over".into())))), Cause::TakenOver),
        (
            changed(|seen| {
                seen.hold = Some(Err(Ended::Closed));
                seen.log = logged("disconnected", "DUPLICATE_CLIENT_ID", "another");
            }),
            Cause::TakenOver,
        ),
        (changed(|seen| seen.hold = Some(Err(Ended::Closed))), Cause::ConnectionLost),
        (changed(|seen| seen.subscribe = Some(Err(Ended::Code(0x87, "no".into())))), Cause::TopicNotAllowed),
        (changed(|seen| seen.publish = Some(Err(Ended::Closed))), Cause::TopicNotAllowed),
        (changed(|seen| seen.publish = Some(Err(Ended::Http(403, "no".into())))), Cause::TopicNotAllowed),
        (
            changed(|seen| {
                seen.publish = Some(Err(Ended::Code(0x87, "no".into())));
                seen.publish_plain = Some(Ok(()));
            }),
            Cause::RetainNotAllowed,
        ),
        (changed(|seen| seen.publish = Some(Err(Ended::Code(0x9a, "no".into())))), Cause::RetainNotAllowed),
        (changed(|seen| seen.receive = Some(false)), Cause::ReceiveNotAllowed),
        (changed(|seen| seen.intent.qos = 2), Cause::Qos2),
        (at_connect(refused_with(0x9b), |_| {}), Cause::Qos2),
        (changed(|seen| seen.intent.keep_alive = 10), Cause::KeepAlive),
        (changed(|seen| seen.connect = Some(accepted(Some(30), 1))), Cause::KeepAlive),
        (changed(|seen| seen.publish = Some(Err(Ended::TooLarge))), Cause::MessageTooLarge),
        (
            changed(|seen| {
                seen.publish = Some(Err(Ended::Closed));
                seen.intent.payload_bytes = 200_000;
            }),
            Cause::MessageTooLarge,
        ),
        (at_connect(Connect::Closed, |seen| seen.log = Log::Steps(Vec::new())), Cause::LoggingOff),
        (at_connect(Connect::Closed, |_| {}), Cause::Refused),
        (at_connect(refused_with(0x84), |_| {}), Cause::ProtocolVersion),
        (at_connect(Connect::NotMqtt("bytes".into()), |_| {}), Cause::NotMqtt),
        (at_connect(Connect::TimedOut, |_| {}), Cause::Silent),
        (by_bridge(Side::Unreachable, 0x88), Cause::BridgeUpstream),
        (by_bridge(Side::Bridge, 0x89), Cause::BridgeRefuses),
        (by_bridge(Side::Bridge, 0x9f), Cause::Throttled),
        (by_bridge(Side::Upstream, 0x87), Cause::Refused),
        (at_connect(refused_with(0x88), |_| {}), Cause::OtherServerRefusal),
        (at_connect(Connect::Http(404), |_| {}), Cause::OtherServerRefusal),
    ]
}

fn dated(trust: Trust, device: i64, server: Option<i64>) -> Observations {
    in_tls(|seen| {
        (seen.trust, seen.device_clock, seen.server_clock) = (Some(trust), device, server);
    })
}

/// The handshake succeeds, the CONNECT does not, and the protocol of the door would have.
fn closed_by_alpn(offered: &[&str], chosen: Option<&str>) -> Observations {
    at_connect(Connect::Closed, |seen| {
        seen.intent.alpn = offered.iter().map(|it| (*it).to_owned()).collect();
        seen.tls = Some(completed(chosen));
        seen.variants = vec![(Variant::Alpn(vec!["mqtt".to_owned()]), completed(Some("mqtt")))];
    })
}

#[test]
fn what_was_seen_leads_to_its_cause_and_every_cause_is_reached() {
    let mut reached = BTreeSet::new();
    for (seen, cause) in cases() {
        let findings = diagnose(&seen);
        let first = findings.first().map(|finding| finding.cause);
        assert_eq!(first, Some(cause), "{findings:?}\n{seen:?}");
        assert!(findings.iter().all(|finding| !finding.alike.contains(&finding.cause)), "{findings:?}");
        reached.insert(cause);
    }
    let missing = Cause::ALL.iter().filter(|cause| !reached.contains(cause)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_healthy_path_has_no_finding() {
    let other = |seen: &mut Observations| {
        seen.intent.service = Service::Other;
        seen.intent.authorizer = AuthorizerNaming::Absent;
    };
    let paths = [
        healthy(),
        changed(|seen| seen.intent.service = Service::Gateway),
        // A broker that ignores ALPN, has QoS 2 and no limit of the keep-alive.
        changed(|seen| {
            other(seen);
            seen.tls = Some(completed(None));
            seen.connect = Some(accepted(None, 2));
            (seen.intent.qos, seen.intent.keep_alive) = (2, 10);
        }),
        // Without TLS, and without credentials.
        changed(|seen| {
            other(seen);
            (seen.tls, seen.trust, seen.intent.tls) = (None, None, false);
        }),
        in_tls(|seen| seen.intent.has_credentials = false),
        // A default authorizer lets a client in that names none.
        changed(|seen| seen.intent.authorizer = AuthorizerNaming::Absent),
    ];
    for seen in paths {
        assert_eq!(diagnose(&seen), [], "{seen:?}");
    }
}

#[test]
fn causes_that_look_alike_are_named_and_the_log_tells_them_apart() {
    let silent = &diagnose(&at_connect(Connect::Closed, |_| {}))[0];
    assert_eq!((silent.cause, silent.alike.as_slice()), (Cause::Refused, &ALIKE[..]));
    let elsewhere = at_connect(refused_with(0x87), |seen| seen.intent.service = Service::Other);
    assert_eq!(diagnose(&elsewhere)[0].alike, ALIKE_ELSEWHERE);
    // MQTT 5 gets a code where 3.1.1 gets nothing.
    let by_v5 = at_connect(Connect::Closed, |seen| seen.connect_v5 = Some(refused_with(0x97)));
    assert_eq!(diagnose(&by_v5)[0].cause, Cause::Throttled);
    let known = diagnose(&refused_and_logged("decision", "wrong_password", "compare it"));
    assert!(known[0].alike.is_empty() && known[0].evidence.contains("compare it"), "{known:?}");
    let certificate = at_connect(Connect::Closed, |seen| seen.intent.has_certificate = true);
    assert!(!diagnose(&certificate)[0].alike.contains(&Cause::WrongPassword));
}

/// A step of the log that is not a problem, and then these.
fn in_the_log(steps: &[(&str, &str, &str)]) -> Log {
    let step = |(step, reason, text): &(&str, &str, &str)| LogStep {
        step: (*step).to_owned(),
        problem: !text.starts_with("grant"),
        reason: (*reason).to_owned(),
        text: (*text).to_owned(),
    };
    Log::Steps(steps.iter().map(step).collect())
}

#[test]
fn awss_own_lines_are_joined_with_the_functions() {
    let failed = ("refused", FUNCTION_FAILED, "Authorization Failure");
    let timed_out = ("function", "timed_out", "the function took too long");
    let exited = ("function", "runtime_exited", "the function's program ended");
    let allowed = (DECISION, "", "grant `own-topics`");
    let bare = ("refused", "NOT_AUTHENTICATED", "Authorization Failure");
    let denied = ("refused", "AUTHORIZATION_FAILURE", "iot:Connect: Authorization Failure");
    let wrong = (DECISION, "wrong_password", "the password is wrong");
    let unknown = ("refused", "CUSTOM_AUTHORIZER_NOT_FOUND", "Authorization Failure");
    let none: &[Cause] = &[];
    let cases = [
        (vec![bare, wrong], 20, Cause::WrongPassword, none),
        (vec![failed], 20, Cause::FunctionFailing, &[Cause::FunctionPermission, Cause::FunctionTimeout]),
        (vec![failed], 5_000, Cause::FunctionTimeout, none),
        (vec![failed, timed_out], 20, Cause::FunctionTimeout, none),
        (vec![failed, exited], 20, Cause::FunctionFailing, none),
        // Another device's call may have broken.
        (vec![unknown, timed_out], 20, Cause::AuthorizerMisspelt, &[Cause::AuthorizerInactive]),
        (vec![timed_out], 5_000, Cause::FunctionTimeout, none),
        (vec![allowed, denied], 20, Cause::ConnectDenied, &[Cause::DocumentsRegion]),
        (vec![allowed], 20, Cause::LoggingOff, &ALIKE_AFTER_THE_FUNCTION),
        (vec![], 20, Cause::LoggingOff, &ALIKE),
        (vec![bare], 20, Cause::Refused, &ALIKE),
        (vec![timed_out], 20, Cause::Refused, &ALIKE),
    ];
    for (steps, millis, cause, alike) in cases {
        let seen = at_connect(Connect::Closed, |seen| {
            (seen.log, seen.connect_millis) = (in_the_log(&steps), Some(millis));
        });
        let found = &diagnose(&seen)[0];
        assert_eq!((found.cause, found.alike.as_slice()), (cause, alike), "{steps:?}");
        assert!(is_logged(&seen));
    }
    let retained = changed(|seen| {
        (seen.publish, seen.publish_plain) = (Some(Err(Ended::Closed)), Some(Ok(())));
        seen.log = in_the_log(&[("denied", "AUTHORIZATION_FAILURE", "iot:Publish: Authorization Failure")]);
    });
    assert_eq!(diagnose(&retained)[0].cause, Cause::RetainNotAllowed);
    for healthy in [healthy(), in_tls(|_| {}), at_connect(Connect::Alert("x".into()), |_| {})] {
        assert!(!is_logged(&healthy), "{healthy:?}");
    }
}

#[test]
fn two_things_may_be_wrong_at_the_same_time() {
    let seen = at_connect(Connect::Closed, |seen| seen.intent.qos = 2);
    let causes = diagnose(&seen).into_iter().map(|finding| finding.cause).collect::<Vec<_>>();
    assert_eq!(causes, [Cause::Refused, Cause::Qos2]);
}
