//! Every cause that the doctor can name, each with its exit code, a sentence and what to do. docs/doctor.md has the same
//! table.

use serde::{Serialize, Serializer};

/// The causes, in the order of a connection: variant, exit code, name, cause, cure.
macro_rules! causes {
    ($($variant:ident = $code:literal, $name:literal, $cause:literal, $cure:literal;)+) => {
        /// Why a device can't connect, or can't do what it should.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $(#[doc = $cause] $variant,)+
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// A stable `snake_case` name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The exit code of a run whose first finding it is.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The cause, as one sentence without its full stop.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $cause,)+ }
            }

            /// The cure, as one sentence without its full stop.
            #[must_use]
            pub const fn cure(self) -> &'static str {
                match self { $(Self::$variant => $cure,)+ }
            }
        }
    };
}

causes! {
    NameNotFound = 10, "name_not_found",
        "The endpoint's name leads to no address",
        "Check its spelling and this network's DNS; `aws iot describe-endpoint --endpoint-type iot:Data-ATS` prints AWS's";
    PortClosed = 11, "port_closed",
        "Nothing listens on this port",
        "Start the server (`latchkey local`), or correct the port: AWS has 443, 8883 and 8443, the gateway 10443, 18883 and 18443";
    Unreachable = 12, "unreachable",
        "The server does not answer: a firewall drops the packets, or the address is another machine's",
        "Allow outgoing TCP to this port, use port 443, which most networks allow, or name a proxy with `--proxy`";
    Proxy = 13, "proxy",
        "The proxy does not open the connection",
        "Check its address and password (`--proxy`, LATCHKEY_PROXY), and allow this host and port on it";
    NoTls = 14, "no_tls",
        "The port accepts TCP and does not speak TLS",
        "Use the server's TLS port; a broker without TLS needs `--transport tcp`, and AWS has no such port";
    CaptivePortal = 15, "captive_portal",
        "Something on the way answers with HTTP in the server's place: a network's login page, or a proxy",
        "Log in to the network with a browser, use another network, or name the proxy with `--proxy`";
    TlsVersion = 16, "tls_version",
        "Device and server have no version or cipher suite of TLS in common",
        "Use TLS 1.2 or 1.3 with a current cipher suite on the device";
    TlsBroken = 17, "tls_broken",
        "The TLS handshake breaks off: the server ends it without a reason, or does not keep to TLS",
        "Check that the port is the server's, and what stands between: a firewall that inspects TLS often does this";
    WrongCa = 20, "wrong_ca",
        "The server's certificate is not signed by a CA that the device trusts",
        "Give the device the server's CA: Amazon Root CA 1 to 4 for AWS, `.latchkey/ca.pem` for the gateway";
    ClockWrong = 21, "clock_wrong",
        "The device's clock is wrong, so the server's certificate looks expired or not valid yet",
        "Set the clock by SNTP before TLS, and wait for it";
    CertificateDates = 22, "certificate_dates",
        "The server's certificate has expired, or is not valid yet, by every clock",
        "Renew the server's certificate";
    WrongName = 23, "wrong_name",
        "The server's certificate is for other names than the one that the device connects to",
        "Connect to a name of the certificate or send one as SNI; `latchkey local --name NAME` adds a name";
    NoAlpn = 24, "no_alpn",
        "The device offers no ALPN protocol, so this door takes it for an HTTP client",
        "Set ALPN to `mqtt`: AWS accepts a user name and a password on port 443 with it only";
    WrongAlpn = 25, "wrong_alpn",
        "The ALPN protocol is not the one of this door",
        "Offer `mqtt` for a user name and a password, `x-amzn-mqtt-ca` for a certificate, `http/1.1` for WebSocket and HTTPS";
    SeveralAlpn = 26, "several_alpn",
        "The device offers several ALPN protocols, and the server chooses another than the device needs",
        "Offer one ALPN protocol alone";
    NoSni = 27, "no_sni",
        "The device sends no server name (SNI), and the server needs one",
        "Connect to the endpoint's name and not to an address, and turn SNI on in the TLS library";
    UnknownSni = 28, "unknown_sni",
        "The server does not serve the name that the device asks for (SNI)",
        "Connect to the endpoint's own name; for `latchkey local` add this one with `--name`";
    ClientCertificate = 29, "client_certificate",
        "This door asks for a client certificate, and the device shows none that the server accepts",
        "Use port 443 with ALPN `mqtt` for a user name and a password, or register the certificate and make it ACTIVE";
    AuthorizerMissing = 30, "authorizer_missing",
        "The user name does not name an authorizer, and the endpoint has no default one",
        "Append `?x-amz-customauthorizer-name=NAME` to the user name, or set a default authorizer";
    AuthorizerMisspelt = 31, "authorizer_misspelt",
        "The user name asks for an authorizer that does not exist, or its parameter is misspelt",
        "Write `?x-amz-customauthorizer-name=NAME` with a name that `aws iot list-authorizers` shows; the case counts";
    AuthorizerSecondMark = 32, "authorizer_second_mark",
        "The user name has a second `?`, which becomes part of the authorizer's name",
        "Separate further parameters by `&`; some SDKs append their own with `?`";
    AuthorizerInactive = 33, "authorizer_inactive",
        "The authorizer is INACTIVE",
        "Activate it: `aws iot update-authorizer --authorizer-name NAME --status ACTIVE`";
    TokenSignature = 34, "token_signature",
        "The authorizer wants a signed token, and the device sends none, or one that its keys did not sign",
        "Send the token and its signature once each, URL-encoded, or turn signing off";
    WrongPassword = 35, "wrong_password",
        "The password is wrong",
        "Check the device's password byte for byte, without a line end; `latchkey fleet rotate DEVICE` makes a new one";
    UnknownDevice = 36, "unknown_device",
        "The authorizer knows no device of this name",
        "Add the device with `latchkey fleet add DEVICE`, or correct the user name before its `?`";
    DeviceDisabled = 37, "device_disabled",
        "The device is disabled, or its time has not come or is over",
        "Enable it with `latchkey fleet enable DEVICE`, or change `not_before` and `not_after` in its record";
    ClientIdNotAllowed = 38, "client_id_not_allowed",
        "The device may not use this client id",
        "Use a client id that its record lists, which is its own name by default; it has 1 to 128 bytes";
    ConnectDenied = 39, "connect_denied",
        "The policies do not allow iot:Connect for this client id or this session",
        "Allow `iot:Connect` on `client/CLIENT_ID` in the authorizer's documents, and a persistent session if it has one";
    DocumentsRegion = 40, "documents_region",
        "The policy documents name another region, account or partition than the endpoint's",
        "Build the documents' ARNs from the function's own ARN; the endpoint's region and account are the ones that count";
    WillNotAllowed = 41, "will_not_allowed",
        "The policies do not allow the last will",
        "Allow `iot:Publish` on the will's topic, and `iot:RetainPublish` if it is retained, or leave the will out";
    OtherRefusal = 42, "other_refusal",
        "The authorizer refuses the device for another reason, which the log names",
        "Do what the log's line says; docs/authorizer.md has every reason";
    FunctionFailing = 43, "function_failing",
        "The authorizer's function fails, or its answer breaks AWS's rules",
        "Read the function's own log: `aws logs tail /aws/lambda/FUNCTION`, or the terminal of `latchkey local`";
    FunctionTimeout = 44, "function_timeout",
        "The authorizer's function takes longer than AWS's limit of 5 s",
        "Read the function's own log for what it waits for: a store, a network without a route, a start that is too slow";
    FunctionPermission = 45, "function_permission",
        "AWS IoT may not invoke the authorizer's function",
        "Grant it: `aws lambda add-permission --principal iot.amazonaws.com --source-arn AUTHORIZER_ARN …`";
    Throttled = 46, "throttled",
        "The server throttles: too many connects or messages",
        "Wait longer between attempts, with backoff and jitter; AWS allows one CONNECT a second for a client id";
    TakenOver = 47, "taken_over",
        "Another connection uses the same client id and takes this one over",
        "Give each device a client id of its own, and switch the device off while you run the doctor";
    TopicNotAllowed = 48, "topic_not_allowed",
        "The policies do not allow this topic",
        "Allow the topic in the device's grant, or use one that it has: `latchkey fleet explain DEVICE` lists them";
    RetainNotAllowed = 49, "retain_not_allowed",
        "The policies do not allow retained messages on this topic",
        "Allow `iot:RetainPublish` (`retain` in a grant), or publish without RETAIN";
    ReceiveNotAllowed = 50, "receive_not_allowed",
        "The message does not come back: the policies do not allow iot:Receive on this topic",
        "Allow `iot:Receive` on `topic/TOPIC` besides `iot:Subscribe`";
    Qos2 = 51, "qos_2",
        "The device uses QoS 2, and the server supports QoS 0 and 1",
        "Use QoS 1 for messages, subscriptions and the last will";
    KeepAlive = 52, "keep_alive",
        "The keep-alive is outside 30 to 1,200 seconds, and the server uses another",
        "Use 30 to 1,200 seconds; MQTT 3.1.1 has no way to learn the server's, so the connection may end unexpectedly";
    MessageTooLarge = 53, "message_too_large",
        "The message is larger than the server accepts",
        "Send at most 128 KB in a message to AWS";
    LoggingOff = 54, "logging_off",
        "The log has no line about this refusal: logging is off for its event type",
        "Turn `Connection.AuthNError` and `Connect` on: `aws iot put-event-configurations`, or `[logging]` of latchkey.toml";
    Refused = 55, "refused",
        "The server refuses the CONNECT, and several causes look alike from outside",
        "Read the log, which tells them apart: `latchkey why CLIENT_ID` for the gateway, AWSIotLogsV2 for AWS";
    ProtocolVersion = 56, "protocol_version",
        "The server does not support this version of MQTT",
        "Use MQTT 3.1.1 or 5";
    NotMqtt = 57, "not_mqtt",
        "The server does not answer the CONNECT as MQTT has it",
        "Check that host and port are those of an MQTT server, and the transport";
    Silent = 58, "silent",
        "The server accepts the connection and does not answer in time",
        "Try again; then look at the server's own log, and at what stands between";
    ConnectionLost = 59, "connection_lost",
        "The connection ends without a reason after it was accepted",
        "Connect with MQTT 5, which gets a reason, and read the log: a twin of the client id, or a denied topic, looks like this";
    OtherServerRefusal = 60, "server_refusal",
        "The server refuses a request with a reason of its own",
        "The line above has the server's words";
    BridgeUpstream = 61, "bridge_upstream",
        "The bridge answers, and can't reach AWS",
        "Read the bridge's log, whose line UNREACHABLE names the step; then run the doctor there, for AWS's endpoint";
    BridgeRefuses = 62, "bridge_refuses",
        "The bridge itself refuses the device, before AWS is asked",
        "Read the bridge's log for the reason: too many devices or connects, or a rule of MQTT that the device broke";
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_codes_are_different_and_leave_room_for_those_of_every_program() {
        let codes = Cause::ALL.iter().map(|cause| cause.exit_code()).collect::<BTreeSet<_>>();
        let names = Cause::ALL.iter().map(|cause| cause.name()).collect::<BTreeSet<_>>();
        assert_eq!((codes.len(), names.len()), (Cause::ALL.len(), Cause::ALL.len()));
        // 64 is a wrong command line, 126 and above belong to shells.
        assert!(codes.iter().all(|code| (10..64).contains(code)), "{codes:?}");
    }

    #[test]
    fn sentences_begin_in_upper_case_and_have_no_full_stop() {
        for cause in Cause::ALL {
            for text in [cause.sentence(), cause.cure()] {
                assert!(text.starts_with(char::is_uppercase) && !text.ends_with('.'), "{text}");
                assert!(text.len() <= 160, "{text}");
            }
        }
    }
}
