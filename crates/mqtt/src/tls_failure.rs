//! Why a TLS handshake fails: the cause and its cure, as either end of a connection says it.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

/// Which end of a connection a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It connects.
    Client,
    /// It accepts connections.
    Server,
}

/// The words of one program for the failures of its handshakes.
#[derive(Debug, Clone, Copy)]
pub struct TlsWords {
    /// Which end the program is.
    pub end: End,
    /// The other end: `the client`.
    pub peer: &'static str,
    /// The program: `the gateway`.
    pub own: &'static str,
    /// What to do if the other end does not use TLS.
    pub no_tls: &'static str,
    /// What to do if the other end does not accept the program's certificate, or a client has none.
    pub certificate: &'static str,
    /// What to do if the one end does not trust the CA of the other one's certificate.
    pub trust: &'static str,
    /// What to do if a certificate has expired.
    pub dates: &'static str,
    /// What often is the cause when the other end ends the handshake without a reason.
    pub closed: &'static str,
}

/// The cure for bytes that are not what TLS allows.
const BYTES: &str = "update its TLS library, and look for a proxy that changes the bytes";

impl TlsWords {
    /// Cause and cure of a handshake's error, in one line.
    #[must_use]
    pub fn describe(&self, error: &io::Error) -> String {
        let Self { peer, closed, .. } = self;
        if let Some(inner) = tls_error(error) {
            return self.describe_tls(inner);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => {
                format!("{peer} closed the connection in the handshake ({error}); often {closed}")
            }
            _ => {
                format!("the connection to {peer} failed in the handshake ({error}): look at the network")
            }
        }
    }

    /// Cause and cure of an error that the other end can cause.
    ///
    /// rustls's enums may grow, so the compiler can't check that each variant has its words here; the tests do.
    #[must_use]
    pub fn describe_tls(&self, error: &Error) -> String {
        let Self { peer, own, no_tls, certificate, .. } = self;
        match error {
            error if is_not_tls(error) => format!("{peer} does not use TLS; {no_tls}"),
            Error::InvalidMessage(
                InvalidMessage::MessageTooLarge
                | InvalidMessage::HandshakePayloadTooLarge
                | InvalidMessage::CertificatePayloadTooLarge,
            )
            | Error::PeerSentOversizedRecord => format!(
                "a message of {peer} is larger than TLS allows ({error}): does it use TLS, and how long is its chain of \
                 certificates?"
            ),
            Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidEncryptedClientHello(_)
            | Error::DecryptError => {
                format!("{peer} does not speak TLS as it should ({error}): {BYTES}")
            }
            Error::PeerIncompatible(what) => self.describe_incompatible(what),
            Error::NoApplicationProtocol => {
                format!("{peer} offered no ALPN protocol of this port ({error}): set one, `mqtt` for example")
            }
            Error::AlertReceived(alert) => self.describe_alert(*alert),
            Error::InvalidCertificate(what) => self.describe_certificate(what),
            Error::NoCertificatesPresented => format!("{peer} has no certificate: {certificate}"),
            // Nothing that the other end sends leads to the others.
            _ => format!("{own} can't do the handshake ({error})"),
        }
    }

    fn describe_incompatible(&self, what: &PeerIncompatible) -> String {
        let Self { peer, own, .. } = self;
        let (cause, cure) = match what {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => (
                "offers only TLS 1.1 or older".to_owned(),
                "TLS 1.2 or 1.3 is needed: enable one of them, or update its TLS library",
            ),
            PeerIncompatible::NoCipherSuitesInCommon => (
                format!("offers no cipher suite that {own} has"),
                "enable ECDHE with AES-GCM or ChaCha20 for a certificate with an EC key",
            ),
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired
            | PeerIncompatible::KeyShareExtensionRequired
            | PeerIncompatible::EcPointsExtensionRequired
            | PeerIncompatible::NoEcPointFormatsInCommon
            | PeerIncompatible::UncompressedEcPointsRequired => (
                format!("offers no group for the key exchange that {own} has"),
                "enable X25519, P-256 or P-384, with uncompressed points",
            ),
            PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired => (
                format!("offers no signature scheme that fits {own}'s certificate"),
                "enable ECDSA on P-256 with SHA-256",
            ),
            PeerIncompatible::ExtendedMasterSecretExtensionRequired => {
                ("does not offer the extended master secret".to_owned(), "enable it, or TLS 1.3")
            }
            PeerIncompatible::NullCompressionRequired => ("requires compression".to_owned(), "disable it"),
            PeerIncompatible::IncorrectCertificateTypeExtension
            | PeerIncompatible::UnsolicitedCertificateTypeExtension => {
                ("wants raw public keys in place of certificates".to_owned(), "use X.509 certificates")
            }
            // The others are about QUIC and extensions that none of our programs has.
            _ => (
                format!("and {own} have no TLS in common"),
                "TLS 1.2 or 1.3 is needed, with a current cipher suite",
            ),
        };
        format!("{peer} {cause} ({what:?}): {cure}")
    }

    fn describe_certificate(&self, what: &CertificateError) -> String {
        let Self { peer, trust, dates, .. } = self;
        let (cause, cure) = match what {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                ("is not signed by a CA that is trusted here", *trust)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                ("is for another name", "use the name or address that it is for")
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => ("has expired or is not valid yet", *dates),
            CertificateError::Revoked => ("is revoked", "replace it"),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => (
                "is not for this use",
                "replace it by one whose extended key usage has `serverAuth` for a server, `clientAuth` for a client",
            ),
            CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. }
            | CertificateError::InvalidOcspResponse => {
                ("has no usable answer about its revocation", "ask who issued it for a current one")
            }
            CertificateError::Other(_) => (
                "can't be used by an end of a connection",
                "replace it: it must be an X.509 certificate of version 3, and not the CA's own",
            ),
            // Its form or its algorithm.
            _ => ("can't be used", "replace it by an X.509 certificate with ECDSA or RSA, and SHA-256"),
        };
        format!("the certificate of {peer} {cause} ({what}): {cure}")
    }

    fn describe_missing(&self, alert: AlertDescription) -> String {
        let peer = self.peer;
        match self.end {
            End::Server => format!(
                "{peer} reports that a client certificate is missing ({alert:?}): give it one, or use a user name and a \
                 password with ALPN `mqtt`"
            ),
            End::Client => format!(
                "{peer} requires a client certificate ({alert:?}): for a user name and a password use another port or ALPN \
                 protocol of it"
            ),
        }
    }

    /// Programs differ in the alert that they send for one and the same mistake.
    fn describe_alert(&self, alert: AlertDescription) -> String {
        let Self { end, peer, own, certificate, trust, dates, closed, .. } = self;
        let own_certificate = match end {
            End::Client => "this client's certificate",
            End::Server => "the server's certificate",
        };
        match (alert, end) {
            (AlertDescription::UnknownCA, _) => {
                format!("{peer} does not trust {own_certificate} (unknown_ca): {trust}")
            }
            (AlertDescription::CertificateExpired, _) => {
                format!("{peer} reports that {own_certificate} has expired ({alert:?}): {dates}")
            }
            // OpenSSL's clients report so that they do not accept a certificate.
            (AlertDescription::InternalError, End::Client) => {
                format!("{peer} reports an error of its own ({alert:?}): look into its log")
            }
            (
                AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::BadCertificateHashValue
                | AlertDescription::InternalError
                | AlertDescription::AccessDenied,
                _,
            ) => format!("{peer} does not accept {own_certificate} ({alert:?}): {certificate}"),
            (AlertDescription::BadCertificateStatusResponse, _) => format!(
                "{peer} requires an OCSP response with {own_certificate} ({alert:?}), which {own} does not send: turn that \
                 off at the other end"
            ),
            (
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
                | AlertDescription::ExportRestriction
                | AlertDescription::InappropriateFallback,
                _,
            ) => format!(
                "{peer} and {own} have no TLS in common ({alert:?}): TLS 1.2 or 1.3 is needed, with a current cipher suite"
            ),
            (
                AlertDescription::UnexpectedMessage
                | AlertDescription::BadRecordMac
                | AlertDescription::DecryptionFailed
                | AlertDescription::RecordOverflow
                | AlertDescription::DecompressionFailure
                | AlertDescription::DecodeError
                | AlertDescription::DecryptError
                | AlertDescription::IllegalParameter
                | AlertDescription::MissingExtension
                | AlertDescription::UnsupportedExtension,
                _,
            ) => {
                format!("{peer} can't read {own}'s part of the handshake ({alert:?}): {BYTES}")
            }
            (AlertDescription::NoApplicationProtocol | AlertDescription::UnrecognisedName, End::Server) => {
                format!(
                    "{peer} does not accept the ALPN protocol or the server name that it asked for itself ({alert:?}): look at \
                 both in its settings"
                )
            }
            (AlertDescription::NoApplicationProtocol | AlertDescription::UnrecognisedName, End::Client) => {
                format!(
                    "{peer} does not serve the ALPN protocol or the server name (SNI) that it is asked for ({alert:?}): correct \
                 them"
                )
            }
            (
                AlertDescription::NoCertificate
                | AlertDescription::CertificateUnobtainable
                | AlertDescription::CertificateRequired,
                _,
            ) => self.describe_missing(alert),
            (AlertDescription::UnknownPSKIdentity, _) => {
                format!("{peer} wants a pre-shared key ({alert:?}): configure it for certificates")
            }
            (AlertDescription::EncryptedClientHelloRequired, _) => {
                format!("{peer} requires an encrypted ClientHello ({alert:?}): turn that off in its settings")
            }
            (
                AlertDescription::CloseNotify
                | AlertDescription::UserCanceled
                | AlertDescription::NoRenegotiation,
                _,
            ) => format!("{peer} closed the connection in the handshake ({alert:?}); often {closed}"),
            _ => format!(
                "{peer} ended the handshake with an alert that TLS does not define ({}): {BYTES}",
                u8::from(alert)
            ),
        }
    }
}

/// The error of TLS that an error of a connection contains.
#[must_use]
pub fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// Whether the other end's bytes are not TLS at all. Every other invalid message came in a record of TLS.
#[must_use]
pub const fn is_not_tls(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
    )
}

#[cfg(test)]
mod tests {
    use rustls::{ContentType, HandshakeType, OtherError, PeerMisbehaved};

    use super::*;

    const SERVER: TlsWords = TlsWords {
        end: End::Server,
        peer: "the client",
        own: "the gateway",
        no_tls: "use `mqtts://`",
        certificate: "add its name",
        trust: "give it the CA",
        dates: "set its clock",
        closed: "it does not trust the CA",
    };
    const CLIENT: TlsWords = TlsWords { end: End::Client, peer: "the server", own: "this client", ..SERVER };

    /// All 256 numbers: those that TLS defines have a cause and a cure of their own.
    #[test]
    fn each_alert_that_tls_defines_has_its_cause_and_cure() {
        for words in [SERVER, CLIENT] {
            let mut defined = 0;
            for number in u8::MIN..=u8::MAX {
                let alert = AlertDescription::from(number);
                let error = io::Error::new(io::ErrorKind::InvalidData, Error::AlertReceived(alert));
                let text = words.describe(&error);
                let is_defined = !matches!(alert, AlertDescription::Unknown(_));
                assert_eq!(!text.contains("does not define"), is_defined, "{text}");
                assert!(text.starts_with(words.peer) && text.contains([':', ';']), "{text}");
                defined += usize::from(is_defined);
            }
            assert_eq!(defined, 35, "rustls knows other alerts than before: describe them");
        }
    }

    /// Each variant that the other end's bytes can cause.
    #[test]
    fn each_error_of_the_other_end_has_its_cause_and_cure() {
        use CertificateError as Certificate;
        use PeerIncompatible as Incompatible;

        let cases = [
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "does not use TLS; use `mqtts://`"),
            (Error::InvalidMessage(InvalidMessage::MessageTooLarge), "larger than TLS allows"),
            (Error::InvalidMessage(InvalidMessage::InvalidCcs), BYTES),
            (Error::PeerSentOversizedRecord, "larger than TLS allows"),
            (Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare), BYTES),
            (
                Error::InappropriateMessage {
                    expect_types: Vec::new(),
                    got_type: ContentType::ApplicationData,
                },
                BYTES,
            ),
            (
                Error::InappropriateHandshakeMessage {
                    expect_types: Vec::new(),
                    got_type: HandshakeType::Finished,
                },
                BYTES,
            ),
            (Error::DecryptError, BYTES),
            (Error::NoApplicationProtocol, "ALPN"),
            (Error::PeerIncompatible(Incompatible::Tls12NotOffered), "TLS 1.2 or 1.3"),
            (Error::PeerIncompatible(Incompatible::ServerDoesNotSupportTls12Or13), "TLS 1.2 or 1.3"),
            (Error::PeerIncompatible(Incompatible::NoCipherSuitesInCommon), "AES-GCM"),
            (Error::PeerIncompatible(Incompatible::NoKxGroupsInCommon), "X25519"),
            (Error::PeerIncompatible(Incompatible::NoSignatureSchemesInCommon), "ECDSA"),
            (Error::PeerIncompatible(Incompatible::ExtendedMasterSecretExtensionRequired), "master secret"),
            (Error::PeerIncompatible(Incompatible::NullCompressionRequired), "compression"),
            (Error::InvalidCertificate(Certificate::UnknownIssuer), "trusted here"),
            (Error::InvalidCertificate(Certificate::NotValidForName), "is for another name"),
            (Error::InvalidCertificate(Certificate::NotValidYet), "set its clock"),
            (Error::InvalidCertificate(Certificate::Revoked), "replace it"),
            (Error::InvalidCertificate(Certificate::InvalidPurpose), "`serverAuth`"),
            (Error::InvalidCertificate(Certificate::UnknownRevocationStatus), "about its revocation"),
            (Error::InvalidCertificate(Certificate::BadEncoding), "SHA-256"),
            (
                Error::InvalidCertificate(Certificate::Other(OtherError(std::sync::Arc::new(
                    io::Error::other("CaUsedAsEndEntity"),
                )))),
                "not the CA's own",
            ),
            (Error::NoCertificatesPresented, "add its name"),
        ];
        for words in [SERVER, CLIENT] {
            for (error, expected) in &cases {
                let text = words.describe_tls(error);
                assert!(text.contains(expected) && text.contains(words.peer), "{text}");
                assert!(!text.contains("can't do the handshake"), "{text}");
            }
            let eof = words.describe(&io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"));
            assert!(eof.ends_with("(tls handshake eof); often it does not trust the CA"), "{eof}");
        }
    }
}
