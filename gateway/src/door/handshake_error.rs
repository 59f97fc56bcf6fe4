//! Why a connection did not come in, in words that name the cure.

use std::{fmt, io};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::{client_certificate::ClientCertificateError, route::Port};
use crate::event_log::EventType;

/// Why a connection did not come in.
#[derive(Debug)]
pub enum HandshakeError {
    /// It offered no ALPN protocol that leads anywhere at this port.
    Alpn {
        /// Where it knocked.
        port: Port,
        /// What it offered, for the log.
        offered: Vec<String>,
        /// What it should offer; `None` among them is none at all.
        taken: Vec<Option<&'static str>>,
    },
    /// It asked for a server name that is not ours.
    ServerName,
    /// Its certificate is not taken.
    Certificate(ClientCertificateError),
    /// It has no certificate.
    NoCertificate,
    /// The handshake failed.
    Tls(io::Error),
}

/// How many of the offered protocols, and how much of each, goes into the log.
const SHOWN_PROTOCOLS: usize = 4;

impl HandshakeError {
    /// AWS's event for it (developer guide, `cwl-format`): who is not who he should be is one, the rest is a connect
    /// that failed *(unverified)*.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match self {
            Self::ServerName | Self::Certificate(_) | Self::NoCertificate => EventType::AuthNError,
            Self::Alpn { .. } | Self::Tls(_) => EventType::Connect,
        }
    }

    /// AWS's name for it in the log; those of the events that AWS does not have are our own.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Alpn { .. } => "ALPN_NOT_SUPPORTED",
            Self::ServerName => "SNI_MISUSED",
            Self::Certificate(_) | Self::NoCertificate => "NOT_AUTHENTICATED",
            Self::Tls(_) => "TLS_HANDSHAKE_FAILED",
        }
    }
}

/// What the handshake's error says about the client's certificate comes first.
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
            Self::Alpn { port, offered, taken } => write_alpn(f, *port, offered, taken),
            Self::ServerName => f.write_str(
                "the client asked for a server name (SNI) that this gateway doesn't have; add it with `--name`",
            ),
            Self::Certificate(refusal) => refusal.fmt(f),
            Self::NoCertificate => f.write_str(
                "the client has no certificate, and this door asks for one; with a user name and a password it is \
                 AWS's port 443 with ALPN `mqtt`",
            ),
            Self::Tls(error) => f.write_str(&describe(error)),
        }
    }
}

fn write_alpn(
    f: &mut fmt::Formatter<'_>,
    port: Port,
    offered: &[String],
    taken: &[Option<&'static str>],
) -> fmt::Result {
    let (shown, more) = offered.split_at(offered.len().min(SHOWN_PROTOCOLS));
    match (shown, more.len()) {
        ([], _) => f.write_str("the client offered no ALPN")?,
        (_, 0) => write!(f, "the client offered ALPN {shown:?}")?,
        (_, more) => write!(f, "the client offered ALPN {shown:?} and {more} more")?,
    }
    let names = taken.iter().map(|alpn| alpn.map_or("none".to_owned(), |name| format!("`{name}`")));
    let names = names.collect::<Vec<_>>();
    match names.split_last() {
        None => write!(f, "; AWS's port {port} is not for this server name"),
        Some((only, [])) => write!(f, "; AWS's port {port} accepts {only}"),
        Some((last, others)) => write!(f, "; AWS's port {port} accepts {} or {last}", others.join(", ")),
    }
}

/// What people get wrong most often.
fn describe(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client does not use TLS; this port accepts only TLS (`mqtts://`)".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::UnknownCA)) => {
            "the client does not trust the server's certificate (unknown_ca): give it this gateway's ca.pem"
                .to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::CertificateExpired)) => {
            "the client says that the certificate has expired: its clock is wrong".to_owned()
        }
        _ => error.to_string(),
    }
}
