//! Why a TLS handshake fails, with the cure.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::{
    client_certificate::ClientCertificateError,
    route::{Authentication, Port},
};
use crate::{
    event_log::authn_reason::AuthnReason,
    registry::certificate::{CertificateStatus, InvalidCertificate},
};

/// A TLS handshake that failed, and what was known of the connection by then.
#[derive(Debug)]
pub struct FailedHandshake {
    /// Why it failed.
    pub error: HandshakeError,
    /// The server name that the client asked for (SNI), if any.
    pub server_name: Option<String>,
    /// How the client was to authenticate, once its route was known.
    pub authentication: Option<Authentication>,
}

/// Why a TLS handshake fails.
#[derive(Debug)]
pub enum HandshakeError {
    /// The client offers no ALPN protocol that this port accepts.
    Alpn {
        /// The port.
        port: Port,
        /// The offered protocols, for the log.
        offered: Vec<String>,
        /// The accepted protocols; `None` means no ALPN.
        accepted: Vec<Option<&'static str>>,
    },
    /// The client asks for a server name that the gateway does not have.
    ServerName,
    /// The client sends no server name, and the settings require one.
    NoServerName,
    /// The domain configuration of the server name is disabled.
    Disabled,
    /// The client's certificate is not accepted.
    Certificate(ClientCertificateError),
    /// The client has no certificate.
    NoCertificate,
    /// The handshake fails for another reason.
    Tls(io::Error),
}

/// How many of the offered protocols are logged.
const SHOWN_PROTOCOLS: usize = 4;

impl HandshakeError {
    /// Why the client is not authenticated; `None` if the handshake fails for another reason.
    #[must_use]
    pub fn authn_reason(&self) -> Option<AuthnReason> {
        let refusal = match self {
            Self::Certificate(refusal) => refusal,
            Self::NoCertificate => return Some(AuthnReason::NotAuthenticated),
            Self::Disabled => return Some(AuthnReason::DomainDisabled),
            Self::Alpn { .. } | Self::ServerName | Self::NoServerName | Self::Tls(_) => return None,
        };
        Some(match refusal {
            ClientCertificateError::Unknown(_) => AuthnReason::CertificateNotRegistered,
            ClientCertificateError::InvalidCertificate(InvalidCertificate::Status(status)) => match status {
                CertificateStatus::Revoked => AuthnReason::CertificateRevoked,
                CertificateStatus::Active | CertificateStatus::Inactive => AuthnReason::CertificateInactive,
            },
            // *(guess: a certificate out of its dates, without its key, or none)*
            ClientCertificateError::InvalidCertificate(_)
            | ClientCertificateError::NotItsKey
            | ClientCertificateError::Unreadable => AuthnReason::NotAuthenticated,
        })
    }

    /// The reason in the log. AWS logs nothing of a handshake that fails for another reason than the client's certificate.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Alpn { .. } => "ALPN_NOT_SUPPORTED",
            Self::ServerName | Self::NoServerName => "SNI_MISUSED",
            Self::Tls(_) => "TLS_HANDSHAKE_FAILED",
            Self::Certificate(_) | Self::NoCertificate | Self::Disabled => {
                self.authn_reason().map_or("NOT_AUTHENTICATED", AuthnReason::as_str)
            }
        }
    }
}

impl From<HandshakeError> for FailedHandshake {
    fn from(error: HandshakeError) -> Self {
        Self { error, server_name: None, authentication: None }
    }
}

/// Finds the error about the client's certificate that the handshake's error contains.
impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(CertificateError::BadSignature)) => {
                Self::Certificate(ClientCertificateError::NotItsKey)
            }
            Some(Error::InvalidCertificate(CertificateError::Other(other))) => {
                let refusal = other.0.downcast_ref::<ClientCertificateError>();
                Self::Certificate(refusal.cloned().unwrap_or(ClientCertificateError::Unreadable))
            }
            Some(Error::InvalidCertificate(_)) => Self::Certificate(ClientCertificateError::Unreadable),
            _ => Self::Tls(error),
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alpn { port, offered, accepted } => write_alpn(f, *port, offered, accepted),
            Self::ServerName => f.write_str(
                "the client asked for a server name (SNI) that this gateway doesn't have; add it with `--name`",
            ),
            Self::NoServerName => f.write_str(
                "the client sent no server name (SNI), and `require_server_name` is set; connect by a name, not by an address",
            ),
            Self::Disabled => f.write_str(
                "the domain configuration of the client's server name (SNI) is DISABLED: set its `status` to ENABLED",
            ),
            Self::Certificate(refusal) => refusal.fmt(f),
            Self::NoCertificate => f.write_str(
                "the client has no certificate, and this port needs one; with a user name and a password use AWS's port \
                 443 and ALPN `mqtt`",
            ),
            Self::Tls(error) => f.write_str(&describe(error)),
        }
    }
}

fn write_alpn(
    f: &mut fmt::Formatter<'_>,
    port: Port,
    offered: &[String],
    accepted: &[Option<&'static str>],
) -> fmt::Result {
    let (shown, more) = offered.split_at(offered.len().min(SHOWN_PROTOCOLS));
    match (shown, more.len()) {
        ([], _) => f.write_str("the client offered no ALPN")?,
        (_, 0) => write!(f, "the client offered ALPN {shown:?}")?,
        (_, more) => write!(f, "the client offered ALPN {shown:?} and {more} more")?,
    }
    let names = accepted.iter().map(|alpn| alpn.map_or("none".to_owned(), |name| format!("`{name}`")));
    let names = names.collect::<Vec<_>>();
    match names.split_last() {
        None => write!(f, "; AWS's port {port} is not for this server name"),
        Some((only, [])) => write!(f, "; AWS's port {port} accepts {only}"),
        Some((last, others)) => write!(f, "; AWS's port {port} accepts {} or {last}", others.join(", ")),
    }
}

/// What the client sees wrong with the server's certificate, and the cure.
const NAME: &str = "the name or address that it connects to is not in the certificate (add it with `--name`), or it does not trust \
                    this gateway's ca.pem";

/// The cure for a client whose bytes are not what TLS allows.
const BYTES: &str = "update its TLS library, and look for a proxy that changes the bytes";

/// The cause of an error and its cure, where a client can cause it.
///
/// rustls's enums may grow, so the compiler can't check that each variant has its words here; the tests do.
fn describe(error: &io::Error) -> String {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                format!("the client closed the connection in the handshake ({error}); often {NAME}")
            }
            _ => {
                format!("the connection to the client failed in the handshake ({error}): look at the network")
            }
        };
    };
    match inner {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "the client does not use TLS; this port accepts only TLS (`mqtts://`)".to_owned(),
        Error::InvalidMessage(
            InvalidMessage::MessageTooLarge
            | InvalidMessage::HandshakePayloadTooLarge
            | InvalidMessage::CertificatePayloadTooLarge,
        )
        | Error::PeerSentOversizedRecord => format!(
            "a message of the client is larger than TLS allows ({inner}): does it use TLS, and how long is its chain of \
             certificates?"
        ),
        Error::InvalidMessage(_)
        | Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::InvalidEncryptedClientHello(_)
        | Error::DecryptError => {
            format!("the client does not speak TLS as it should ({inner}): {BYTES}")
        }
        Error::PeerIncompatible(what) => describe_incompatible(what),
        Error::NoApplicationProtocol => {
            format!("the client offered no ALPN protocol of this port ({inner}): set one, `mqtt` for example")
        }
        Error::AlertReceived(alert) => describe_alert(*alert),
        // Nothing that a client sends leads to the others.
        _ => format!("the gateway can't do the handshake ({inner})"),
    }
}

fn describe_incompatible(what: &PeerIncompatible) -> String {
    let (cause, cure) = match what {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => (
            "offers only TLS 1.1 or older",
            "TLS 1.2 or 1.3 is needed: enable one of them, or update its TLS library",
        ),
        PeerIncompatible::NoCipherSuitesInCommon => (
            "offers no cipher suite that the gateway has",
            "enable ECDHE with AES-GCM or ChaCha20 for a certificate with an EC key",
        ),
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired
        | PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::UncompressedEcPointsRequired => (
            "offers no group for the key exchange that the gateway has",
            "enable X25519, P-256 or P-384, with uncompressed points",
        ),
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => (
            "offers no signature scheme that fits the gateway's certificate",
            "enable ECDSA on P-256 with SHA-256",
        ),
        PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
            ("does not offer the extended master secret", "enable it, or TLS 1.3")
        }
        PeerIncompatible::NullCompressionRequired => ("requires compression", "disable it"),
        PeerIncompatible::IncorrectCertificateTypeExtension
        | PeerIncompatible::UnsolicitedCertificateTypeExtension => {
            ("wants raw public keys in place of certificates", "use X.509 certificates")
        }
        // The others are errors of a client about its server, or of QUIC.
        _ => {
            ("and the gateway have no TLS in common", "TLS 1.2 or 1.3 is needed, with a current cipher suite")
        }
    };
    format!("the client {cause} ({what:?}): {cure}")
}

/// Clients differ in the alert that they send for one and the same mistake.
fn describe_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => {
            "the client does not trust the server's certificate (unknown_ca): give it this gateway's ca.pem"
                .to_owned()
        }
        AlertDescription::CertificateExpired => format!(
            "the client reports that the certificate has expired ({alert:?}): set its clock; if the gateway has run for more \
             than a year, start it again, because its certificate is new at each start"
        ),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::BadCertificateHashValue
        | AlertDescription::InternalError
        | AlertDescription::AccessDenied => {
            format!(
                "the client does not accept the server's certificate ({alert:?}): {NAME}; its clock may also be wrong"
            )
        }
        AlertDescription::BadCertificateStatusResponse => format!(
            "the client requires an OCSP response with the server's certificate ({alert:?}), which the gateway does not send: \
             turn that off in the client"
        ),
        AlertDescription::ProtocolVersion
        | AlertDescription::HandshakeFailure
        | AlertDescription::InsufficientSecurity
        | AlertDescription::ExportRestriction
        | AlertDescription::InappropriateFallback => {
            format!(
                "the client and the gateway have no TLS in common ({alert:?}): TLS 1.2 or 1.3 is needed, with a current \
                 cipher suite"
            )
        }
        AlertDescription::UnexpectedMessage
        | AlertDescription::BadRecordMac
        | AlertDescription::DecryptionFailed
        | AlertDescription::RecordOverflow
        | AlertDescription::DecompressionFailure
        | AlertDescription::DecodeError
        | AlertDescription::DecryptError
        | AlertDescription::IllegalParameter
        | AlertDescription::MissingExtension
        | AlertDescription::UnsupportedExtension => {
            format!("the client can't read the gateway's part of the handshake ({alert:?}): {BYTES}")
        }
        AlertDescription::NoApplicationProtocol | AlertDescription::UnrecognisedName => {
            format!(
                "the client does not accept the ALPN protocol or the server name that it asked for itself ({alert:?}): look \
                 at both in its settings"
            )
        }
        AlertDescription::NoCertificate
        | AlertDescription::CertificateUnobtainable
        | AlertDescription::CertificateRequired => format!(
            "the client reports that a client certificate is missing ({alert:?}): give it one, or use a user name and a \
             password with ALPN `mqtt`"
        ),
        AlertDescription::UnknownPSKIdentity => {
            format!("the client wants a pre-shared key ({alert:?}): configure it for certificates")
        }
        AlertDescription::EncryptedClientHelloRequired => {
            format!("the client requires an encrypted ClientHello ({alert:?}): turn that off in the client")
        }
        AlertDescription::CloseNotify
        | AlertDescription::UserCanceled
        | AlertDescription::NoRenegotiation => {
            format!("the client closed the connection in the handshake ({alert:?}); often {NAME}")
        }
        _ => format!(
            "the client ended the handshake with an alert that TLS does not define ({}): {BYTES}",
            u8::from(alert)
        ),
    }
}

#[cfg(test)]
mod tests {
    use rustls::PeerMisbehaved;

    use super::*;

    fn described(error: Error) -> String {
        HandshakeError::from(io::Error::new(io::ErrorKind::InvalidData, error)).to_string()
    }

    /// All 256 numbers: those that TLS defines have a cause and a cure of their own.
    #[test]
    fn each_alert_that_tls_defines_has_its_cause_and_cure() {
        let mut defined = 0;
        for number in u8::MIN..=u8::MAX {
            let alert = AlertDescription::from(number);
            let text = described(Error::AlertReceived(alert));
            let is_defined = !matches!(alert, AlertDescription::Unknown(_));
            assert_eq!(!text.contains("does not define"), is_defined, "{text}");
            assert!(text.starts_with("the client ") && text.contains([':', ';']), "{text}");
            defined += usize::from(is_defined);
        }
        assert_eq!(defined, 35, "rustls knows other alerts than before: describe them");
    }

    /// Each variant that a peer's bytes can cause.
    #[test]
    fn each_error_of_a_client_has_its_cause_and_cure() {
        use PeerIncompatible as Incompatible;

        let cases = [
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "`mqtts://`"),
            (Error::InvalidMessage(InvalidMessage::MessageTooLarge), "larger than TLS allows"),
            (Error::InvalidMessage(InvalidMessage::InvalidCcs), BYTES),
            (Error::PeerSentOversizedRecord, "larger than TLS allows"),
            (Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare), BYTES),
            (
                Error::InappropriateMessage {
                    expect_types: Vec::new(),
                    got_type: rustls::ContentType::ApplicationData,
                },
                BYTES,
            ),
            (
                Error::InappropriateHandshakeMessage {
                    expect_types: Vec::new(),
                    got_type: rustls::HandshakeType::Finished,
                },
                BYTES,
            ),
            (Error::DecryptError, BYTES),
            (Error::NoApplicationProtocol, "ALPN"),
            (Error::PeerIncompatible(Incompatible::Tls12NotOffered), "TLS 1.2 or 1.3"),
            (Error::PeerIncompatible(Incompatible::NoCipherSuitesInCommon), "AES-GCM"),
            (Error::PeerIncompatible(Incompatible::NoKxGroupsInCommon), "X25519"),
            (Error::PeerIncompatible(Incompatible::NoSignatureSchemesInCommon), "ECDSA"),
            (Error::PeerIncompatible(Incompatible::ExtendedMasterSecretExtensionRequired), "master secret"),
            (Error::PeerIncompatible(Incompatible::NullCompressionRequired), "compression"),
        ];
        for (error, expected) in cases {
            let text = described(error);
            assert!(text.contains(expected) && !text.contains("the gateway can't"), "{text}");
        }
        let eof = HandshakeError::from(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"));
        assert!(eof.to_string().contains("(tls handshake eof); often the name or address"), "{eof}");
    }
}
