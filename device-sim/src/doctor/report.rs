//! What was seen and found, for a person.

use std::fmt::{self, Display, Formatter};

use cli::console::wrapped;
use cli::output::escaped;
use serde_json::{Value, json};

use super::cause::Cause;
use super::diagnosis::{Finding, day};
use super::observation::{
    AuthorizerNaming, Connect, Ended, Handshake, Log, Observations, Plain, Service, TcpFailure, Trust,
    Variant,
};

/// The columns before a step's text.
const INDENT: usize = 14;

/// The report of a run.
pub(super) struct Report<'a> {
    pub(super) seen: &'a Observations,
    pub(super) findings: &'a [Finding],
}

/// The exit code if there were no credentials to connect with.
pub(super) const INCOMPLETE: u8 = 2;

impl Report<'_> {
    pub(super) fn exit_code(&self) -> u8 {
        match self.findings.first() {
            Some(finding) => finding.cause.exit_code(),
            None if self.seen.intent.has_credentials => 0,
            None => INCOMPLETE,
        }
    }

    /// What `--json` prints.
    pub(super) fn json(&self) -> Value {
        let findings = self.findings.iter().map(|Finding { cause, evidence, alike }| {
            json!({
                "cause": cause, "exit_code": cause.exit_code(), "evidence": evidence, "sentence": cause.sentence(),
                "cure": cause.cure(), "alike": alike,
            })
        });
        let findings = findings.collect::<Vec<_>>();
        json!({"findings": findings, "exit_code": self.exit_code(), "seen": self.seen})
    }

    /// The steps to a TLS session, each with what was seen. One that was not reached is left out.
    fn network_steps(&self) -> Vec<(&'static str, String)> {
        let seen = self.seen;
        let intent = &seen.intent;
        let mut steps = Vec::new();
        let mut step = |name, text: Option<String>| steps.extend(text.map(|text| (name, text)));
        let service = match intent.service {
            Service::Aws => ", AWS IoT Core",
            Service::Gateway => ", `latchkey local`",
            Service::Bridge => ", `latchkey bridge`",
            Service::Other => "",
        };
        step("endpoint", Some(format!("{}{service}", intent.endpoint)));
        step(
            "name",
            seen.name.as_ref().map(|name| match name {
                Ok(addresses) => addresses.join(", "),
                Err(error) => format!("not found: {error}"),
            }),
        );
        step(
            "TCP",
            seen.tcp.as_ref().map(|tcp| match tcp {
                Ok(peer) => format!("connected to {peer}"),
                Err(TcpFailure::Refused) => "refused".to_owned(),
                Err(TcpFailure::TimedOut) => "no answer".to_owned(),
                Err(TcpFailure::Other(error)) => error.clone(),
                Err(TcpFailure::Proxy(error)) => format!("the proxy {error}"),
            }),
        );
        step("TLS", seen.tls.as_ref().map(handshake));
        let sni = intent.sni.as_ref().map_or("none sent".to_owned(), |sni| format!("`{sni}`"));
        step("SNI", seen.tls.as_ref().map(|_| sni));
        let offered = if intent.alpn.is_empty() { "none".to_owned() } else { intent.alpn.join(", ") };
        step(
            "ALPN",
            seen.tls.as_ref().map(|tls| match tls {
                Handshake::Completed { alpn: Some(alpn), .. } => {
                    format!("offered {offered}, the server chose {alpn}")
                }
                Handshake::Completed { .. } => format!("offered {offered}, the server chose none"),
                _ => format!("offered {offered}"),
            }),
        );
        for (name, handshake_of_it) in &seen.variants {
            step("also tried", Some(format!("{}: {}", variant(name), handshake(handshake_of_it))));
        }
        step(
            "without TLS",
            seen.plain.as_ref().map(|plain| match plain {
                Plain::Http { status, location: Some(to) } => format!("HTTP {status}, which leads to {to}"),
                Plain::Http { status, location: None } => format!("HTTP {status}"),
                Plain::Mqtt => "an MQTT server answers".to_owned(),
                Plain::Other => "something answers that is neither HTTP nor MQTT".to_owned(),
                Plain::Silent => "nothing answers".to_owned(),
            }),
        );
        steps
    }

    /// The certificates, the credentials, and everything that came after the CONNECT.
    fn session_steps(&self) -> Vec<(&'static str, String)> {
        let seen = self.seen;
        let intent = &seen.intent;
        let mut steps = Vec::new();
        let mut step = |name, text: Option<String>| steps.extend(text.map(|text| (name, text)));
        for certificate in &seen.chain {
            let dates = format!("{} to {}", day(certificate.not_before), day(certificate.not_after));
            let names = certificate.names.join(", ");
            let names = if names.is_empty() { names } else { format!(" for {names}") };
            step(
                "certificate",
                Some(format!("{}{names}, {dates}, by {}", certificate.subject, certificate.issuer)),
            );
        }
        step(
            "trust",
            seen.trust.as_ref().map(|trust| match trust {
                Trust::Trusted => "the device trusts it".to_owned(),
                Trust::UnknownCa => "not by a CA that the device trusts".to_owned(),
                Trust::Expired => "expired, by the device's clock".to_owned(),
                Trust::NotYetValid => "not valid yet, by the device's clock".to_owned(),
                Trust::WrongName => "for other names".to_owned(),
                Trust::Other(error) => error.clone(),
            }),
        );
        let other = match (seen.server_clock, seen.machine_clock) {
            (Some(server), _) => format!(", the server's {}", day(server)),
            (None, Some(machine)) => format!(", this machine's {}", day(machine)),
            (None, None) => String::new(),
        };
        step("clock", Some(format!("the device's says {}{other}", day(seen.device_clock))));
        step(
            "authorizer",
            matches!(intent.service, Service::Aws | Service::Gateway).then(|| match &intent.authorizer {
                AuthorizerNaming::Absent => "not named: the endpoint's default one decides".to_owned(),
                AuthorizerNaming::Named(name) => format!("`{name}`"),
                AuthorizerNaming::Misspelt(parameter) => format!("the parameter is `{parameter}`"),
                AuthorizerNaming::SecondMark => "the user name has a second `?`".to_owned(),
            }),
        );
        if !intent.has_credentials {
            step("CONNECT", Some("not tried: no credentials, see --device, -u and --cert".to_owned()));
        }
        let took = seen.connect_millis.map_or(String::new(), |millis| format!(" after {millis} ms"));
        step(
            "CONNECT",
            seen.connect.as_ref().map(|it| format!("MQTT {}: {}{took}", intent.mqtt, connect(it))),
        );
        step("CONNECT", seen.connect_v5.as_ref().map(|it| format!("MQTT 5: {}", connect(it))));
        step(
            "CONNECT",
            seen.connect_without_will.as_ref().map(|it| format!("without the last will: {}", connect(it))),
        );
        step("connection", seen.hold.as_ref().map(|it| outcome(it, "stays open")));
        step("subscribe", seen.subscribe.as_ref().map(|it| outcome(it, "granted")));
        step("publish", seen.publish.as_ref().map(|it| outcome(it, "acknowledged")));
        step(
            "publish",
            seen.publish_plain.as_ref().map(|it| format!("without RETAIN: {}", outcome(it, "acknowledged"))),
        );
        step(
            "receive",
            seen.receive.map(|came| if came { "the message came back" } else { "nothing came" }.to_owned()),
        );
        for note in &seen.log_notes {
            step("log", Some(note.clone()));
        }
        if let Log::Steps(lines) = &seen.log {
            if lines.is_empty() {
                step("log", Some("no line about this client id".to_owned()));
            }
            for line in lines {
                step("log", Some(format!("{} {} {}", line.step, line.reason, line.text).replace("  ", " ")));
            }
        }
        steps
    }
}

fn variant(variant: &Variant) -> String {
    match variant {
        Variant::Alpn(offered) if offered.is_empty() => "no ALPN".to_owned(),
        Variant::Alpn(offered) => format!("ALPN {}", offered.join(", ")),
        Variant::WithSni => "with SNI".to_owned(),
        Variant::WithoutSni => "without SNI".to_owned(),
        Variant::Tls12 => "TLS 1.2 alone".to_owned(),
        Variant::Tls13 => "TLS 1.3 alone".to_owned(),
    }
}

fn handshake(handshake: &Handshake) -> String {
    match handshake {
        Handshake::Completed { version, alpn } => {
            let alpn = alpn.as_ref().map_or(String::new(), |alpn| format!(", ALPN {alpn}"));
            format!("{}{alpn}", version.replace("TLSv1_", "TLS 1."))
        }
        Handshake::Alert(alert) => format!("the server sends the alert `{alert}`"),
        Handshake::NotTls => "the answer is not TLS".to_owned(),
        Handshake::Closed => "the server closes the connection".to_owned(),
        Handshake::TimedOut => "no answer".to_owned(),
        Handshake::Incompatible(error) | Handshake::Failed(error) => error.clone(),
    }
}

fn connect(connect: &Connect) -> String {
    match connect {
        Connect::Accepted { .. } => "accepted".to_owned(),
        Connect::Refused { code, name, reason } => {
            let words = reason.as_ref().map_or(String::new(), |reason| format!(", `{reason}`"));
            format!("refused with 0x{code:02x} ({}){words}", name.replace('_', " "))
        }
        Connect::Closed => "the server closes the connection without an answer".to_owned(),
        Connect::Alert(alert) => format!("the server sends the TLS alert `{alert}`"),
        Connect::Http(status) => format!("HTTP {status} in place of a WebSocket"),
        Connect::TimedOut => "no answer".to_owned(),
        Connect::NotMqtt(error) | Connect::Failed(error) => error.clone(),
    }
}

fn outcome(outcome: &Result<(), Ended>, good: &str) -> String {
    match outcome {
        Ok(()) => good.to_owned(),
        Err(Ended::Code(code, words)) => format!("0x{code:02x}, {words}"),
        Err(Ended::Http(status, words)) => format!("HTTP {status}, {words}"),
        Err(Ended::Closed) => "the server closes the connection".to_owned(),
        Err(Ended::TimedOut) => "no answer".to_owned(),
        Err(Ended::TooLarge) => "larger than the server's maximum".to_owned(),
        Err(Ended::Other(words)) => words.clone(),
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, text) in self.network_steps().into_iter().chain(self.session_steps()) {
            writeln!(f, "{}", wrapped(INDENT, &format!("{name:<12}  {}", escaped(text.trim()))))?;
        }
        let service = match self.seen.intent.service {
            Service::Other => "The server",
            Service::Aws | Service::Gateway | Service::Bridge => "AWS",
        };
        for Finding { cause, evidence, alike } in self.findings {
            writeln!(f)?;
            writeln!(
                f,
                "{}",
                wrapped(INDENT, &format!("{:<12}  {}", cause.name(), escaped(evidence.as_str())))
            )?;
            writeln!(f, "{}", wrapped(INDENT, &format!("{:<12}  {}.", "cause", cause.sentence())))?;
            writeln!(f, "{}", wrapped(INDENT, &format!("{:<12}  {}.", "cure", cause.cure())))?;
            if !alike.is_empty() {
                let names = alike.iter().map(|cause| cause.name()).collect::<Vec<_>>().join(", ");
                let text = if self.seen.intent.service == Service::Other || *cause != Cause::Refused {
                    format!("{service} does not say which: from outside these look alike: {names}")
                } else {
                    format!(
                        "{service} refuses without saying why; these causes look alike from outside, and the log tells \
                         them apart: {names}"
                    )
                };
                writeln!(f, "{}", wrapped(INDENT, &format!("{:<12}  {text}.", "alike")))?;
            }
        }
        if self.findings.is_empty() {
            let text = if self.seen.intent.has_credentials {
                "nothing is wrong on this path"
            } else {
                "nothing is wrong up to TLS; the CONNECT needs credentials"
            };
            writeln!(f, "\n{}", wrapped(INDENT, &format!("{:<12}  {text}", "result")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(cause: Cause) -> Finding {
        Finding { cause, evidence: "what shows it".to_owned(), alike: Vec::new() }
    }

    #[test]
    fn a_run_ends_with_the_code_of_its_first_cause_and_so_says_its_json() {
        let seen = Observations::default();
        for cause in Cause::ALL {
            // The one after it is another one.
            let findings = [finding(*cause), finding(Cause::KeepAlive), finding(Cause::Qos2)];
            let report = Report { seen: &seen, findings: &findings };
            assert_eq!(report.exit_code(), cause.exit_code());
            let json = report.json();
            assert_eq!(json["exit_code"], cause.exit_code());
            let first = &json["findings"][0];
            assert_eq!(
                (&first["cause"], &first["exit_code"]),
                (&json!(cause.name()), &json!(cause.exit_code()))
            );
            assert_eq!(
                (&first["sentence"], &first["cure"]),
                (&json!(cause.sentence()), &json!(cause.cure()))
            );
            let text = report.to_string();
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [cause.name(), cause.sentence(), cause.cure()] {
                assert!(words(&text).contains(&words(part)), "{part}: {text}");
            }
        }
    }

    #[test]
    fn a_run_without_a_finding_ends_with_0_and_without_credentials_with_2() {
        let mut seen = Observations::default();
        for (has_credentials, code) in [(true, 0), (false, INCOMPLETE)] {
            seen.intent.has_credentials = has_credentials;
            let report = Report { seen: &seen, findings: &[] };
            assert_eq!((report.exit_code(), &report.json()["exit_code"]), (code, &json!(code)));
        }
    }
}
