//! What a device does that does not work on AWS, and the way that it can move all the same.

use iot_policy::limits::{
    MAX_CLIENT_ID_BYTES, MAX_FILTERS_PER_SUBSCRIBE, MAX_KEEP_ALIVE_SECONDS, MAX_PAYLOAD_BYTES,
    MAX_TOPIC_BYTES, MAX_TOPIC_SLASHES,
};

/// How a device can move, from the least work to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Nothing changes: it connects to AWS already.
    Unchanged,
    /// Its host name is given to a domain in AWS: a change of DNS, and a certificate that the device trusts.
    Domain,
    /// A broker next to the device, a bridge, connects to AWS in its place.
    Bridge,
    /// It needs new firmware, or a new setting of it.
    Firmware,
    /// It can't move.
    Never,
}

/// Every way, the least work first.
pub(super) const WAYS: [Way; 5] = [Way::Unchanged, Way::Domain, Way::Bridge, Way::Firmware, Way::Never];

impl Way {
    /// The way in a sentence: `280 with a DNS or certificate change`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "with nothing changed",
            Self::Domain => "with a DNS or certificate change",
            Self::Bridge => "through a bridge",
            Self::Firmware => "with new firmware",
            Self::Never => "not at all",
        }
    }

    /// The key in JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Domain => "domain",
            Self::Bridge => "bridge",
            Self::Firmware => "firmware",
            Self::Never => "never",
        }
    }
}

/// Something that does not work on AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Problem {
    NoTls,
    OldTls,
    NoSni,
    NoAlpn,
    Port,
    VendorHost,
    OwnHost,
    Mqtt31,
    NotMqtt,
    Anonymous,
    Registration,
    NoRecord,
    ClientIdEmpty,
    ClientIdLong,
    ClientIdCharacters,
    ClientIdChanges,
    ClientIdOfTwo,
    ReservedTopic,
    TopicSlashes,
    TopicLong,
    TooManyFilters,
    Qos2,
    KeepAlive,
    PayloadLarge,
}

/// What a person reads of a problem.
pub(super) struct Explanation {
    /// A short name, which is also the key in JSON.
    pub(super) name: &'static str,
    /// What it is on AWS.
    pub(super) reason: String,
    /// What to do.
    pub(super) cure: &'static str,
    /// How the device can move.
    pub(super) way: Way,
}

impl Problem {
    /// The problem in words. What it says about AWS is in docs/migrating.md and docs/fidelity.md, with how it is known.
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    pub(super) fn explanation(self) -> Explanation {
        let (name, reason, cure, way) = match self {
            Self::NoTls => ("no-tls", "IoT Core accepts TLS only".into(), "TLS in the firmware, or a bridge", Way::Bridge),
            Self::OldTls => (
                "old-tls",
                "IoT Core accepts TLS 1.2 and 1.3".into(),
                "a newer TLS library in the firmware, or a bridge",
                Way::Bridge,
            ),
            Self::NoSni => (
                "no-sni",
                "IoT Core chooses a domain by the name in SNI".into(),
                "SNI in the firmware, or a bridge; that the default endpoint accepts such a client is a guess",
                Way::Bridge,
            ),
            Self::NoAlpn => (
                "no-alpn",
                "on port 443 ALPN `mqtt` means custom authentication".into(),
                "a domain of type CUSTOM_AUTH and SECURE_MQTT; that it needs no ALPN is a guess: try one device with \
                 `latchkey fleet smoke --alpn none`",
                Way::Domain,
            ),
            Self::Port => (
                "port",
                "IoT Core listens on 443, 8443 and 8883".into(),
                "a setting of the device, or a TCP proxy of your own on the old port that leaves TLS as it is",
                Way::Bridge,
            ),
            Self::VendorHost => (
                "vendor-host",
                "the devices connect to a name of their vendor's, and you can't change its DNS".into(),
                "the new name in the firmware or in its settings",
                Way::Firmware,
            ),
            Self::OwnHost => (
                "host",
                "the devices have to reach a domain in AWS under the name that they know".into(),
                "a custom domain of that name, whose certificate chains to a root on the devices (no capture shows their \
                 roots: look into the firmware), and a CNAME",
                Way::Domain,
            ),
            Self::Mqtt31 => {
                ("mqtt-3.1", "IoT Core speaks MQTT 3.1.1 and 5".into(), "often a setting of the library", Way::Bridge)
            }
            Self::NotMqtt => (
                "malformed",
                "a packet was not valid MQTT, and a strict server ends the connection".into(),
                "look at the packet, and try the device with `latchkey local`",
                Way::Firmware,
            ),
            Self::Anonymous => (
                "anonymous",
                "each client needs a user name and a password".into(),
                "give it a name and a password, or use a bridge",
                Way::Bridge,
            ),
            Self::Registration => (
                "registration",
                "the device asks its vendor for a secret when it connects, and nothing answers on AWS".into(),
                "let it register on the old platform once more and keep its secret; a device that keeps none can't move",
                Way::Never,
            ),
            Self::NoRecord => (
                "no-record",
                "no record can be made of its row in the export".into(),
                "see what `latchkey fleet import --dry-run` says about the row; often it needs a new password or name",
                Way::Firmware,
            ),
            Self::ClientIdEmpty => (
                "client-id-empty",
                "IoT Core then chooses an id, which no record allows".into(),
                "a client id in the firmware's settings, or a bridge",
                Way::Bridge,
            ),
            Self::ClientIdLong => (
                "client-id-length",
                format!("a client id has at most {MAX_CLIENT_ID_BYTES} bytes"),
                "a shorter id, with Alibaba's SDKs fewer parameters",
                Way::Bridge,
            ),
            Self::ClientIdCharacters => (
                "client-id-characters",
                "the authorizer accepts `A-Z a-z 0-9 _ . : @ = , | & ~ -` in a client id".into(),
                "another id in the firmware's settings, or a bridge",
                Way::Bridge,
            ),
            Self::ClientIdChanges => (
                "client-id-changes",
                "the device has another client id at each connect, so a session is never resumed and a take-over never \
                 happens"
                    .into(),
                "nothing if it needs no session: allow a prefix with `--client-id 'PREFIX*'`; otherwise a fixed id",
                Way::Domain,
            ),
            Self::ClientIdOfTwo => (
                "client-id-shared",
                "two users have one client id: on AWS the second connection ends the first one".into(),
                "a client id for each, or a bridge",
                Way::Bridge,
            ),
            Self::ReservedTopic => (
                "reserved-topic",
                "AWS reserves topics that begin with `$`; the use of one can end the connection".into(),
                "other topics in the firmware",
                Way::Firmware,
            ),
            Self::TopicSlashes => (
                "topic-slashes",
                format!("a topic has at most {MAX_TOPIC_SLASHES} slashes"),
                "a shorter topic, or a bridge that removes a prefix",
                Way::Bridge,
            ),
            Self::TopicLong => (
                "topic-length",
                format!("a topic has at most {MAX_TOPIC_BYTES} bytes"),
                "a shorter topic, or a bridge that removes a prefix",
                Way::Bridge,
            ),
            Self::TooManyFilters => (
                "subscribe-filters",
                format!("a SUBSCRIBE has at most {MAX_FILTERS_PER_SUBSCRIBE} filters"),
                "several SUBSCRIBEs in the firmware, or a bridge",
                Way::Bridge,
            ),
            Self::Qos2 => {
                ("qos-2", "IoT Core has QoS 0 and 1".into(), "QoS 1 in the firmware, or a bridge", Way::Bridge)
            }
            Self::KeepAlive => (
                "keep-alive",
                format!(
                    "0 and more than {MAX_KEEP_ALIVE_SECONDS} s become {MAX_KEEP_ALIVE_SECONDS} s, and MQTT 3.1.1 is not told: \
                     a silent client is disconnected"
                ),
                "a keep-alive of 30 to 1,200 s in the firmware, or a bridge",
                Way::Bridge,
            ),
            Self::PayloadLarge => (
                "payload",
                format!("a payload has at most {MAX_PAYLOAD_BYTES} bytes"),
                "smaller payloads in the firmware",
                Way::Firmware,
            ),
        };
        Explanation { name, reason, cure, way }
    }
}
