//! Why a TLS handshake fails, with the cure.

use std::{fmt, io};

use mqtt::tls_failure::{End, TlsWords};
use rustls::{CertificateError, Error};

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
            Self::Tls(error) => f.write_str(&WORDS.describe(error)),
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

/// The gateway's words about its clients' handshakes.
const WORDS: TlsWords = TlsWords {
    end: End::Server,
    peer: "the client",
    own: "the gateway",
    no_tls: "this port accepts only TLS (`mqtts://`)",
    certificate: "the name or address that it connects to is not in the certificate (add it with `--name`), or it does not \
                  trust this gateway's ca.pem; its clock may also be wrong",
    trust: "give it this gateway's ca.pem",
    dates: "set its clock; if the gateway has run for more than a year, start it again, because its certificate is new at \
            each start",
    closed: "the name or address that it connects to is not in the certificate (add it with `--name`), or it does not trust \
             this gateway's ca.pem",
};
