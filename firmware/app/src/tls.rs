//! TLS 1.2 or 1.3 by mbedtls. The server needs a certificate, whose chain, name and dates are checked; the client sends
//! SNI, and negotiates the protocol by ALPN unless its configuration says that the server needs none.

use core::ffi::CStr;

use embedded_io_async::{Read, Write};
use mbedtls_rs::sys::{
    MBEDTLS_ERR_SSL_CONN_EOF, MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, MBEDTLS_ERR_X509_CERT_VERIFY_FAILED,
    MBEDTLS_X509_BADCERT_CN_MISMATCH, MBEDTLS_X509_BADCERT_EXPIRED, MBEDTLS_X509_BADCERT_FUTURE,
    mbedtls_debug_set_threshold,
};
use mbedtls_rs::{
    AuthMode, Certificate, ClientSessionConfig, Credentials, PrivateKey, Session, SessionConfig,
    SessionError, TlsReference, TlsVersion, X509,
};

use crate::clock::{UnixTime, WallClock};
use crate::configuration::{Configuration, Endpoint, Identity};
use crate::serial_log::HandshakeDetails;

/// What every handshake of this device uses.
pub struct TlsConfig<'a> {
    ca: Certificate<'a>,
    credentials: Option<Credentials<'a>>,
    host: &'a CStr,
    alpn: Alpn,
}

/// The protocol that AWS IoT Core is asked for (developer guide, "Device communication protocols").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alpn {
    /// MQTT with a user name and a password, on port 443.
    Mqtt,
    /// MQTT with a client certificate, on port 443.
    MqttCertificate,
    /// No ALPN: MQTT with a client certificate on port 8883, or a bridge.
    None,
}

impl<'a> TlsConfig<'a> {
    /// Parses the certificates and the key of a configuration.
    ///
    /// # Errors
    ///
    /// If mbedtls can't parse one.
    pub fn new(configuration: &Configuration<'a>) -> Result<Self, TlsConfigError> {
        let ca = Certificate::new(X509::PEM(configuration.ca)).map_err(|_| TlsConfigError::Ca)?;
        let credentials = match &configuration.identity {
            Identity::Certificate { certificate, key, .. } => Some(Credentials {
                certificate: Certificate::new(X509::PEM(certificate))
                    .map_err(|_| TlsConfigError::Certificate)?,
                private_key: PrivateKey::new(X509::PEM(key), None).map_err(|_| TlsConfigError::PrivateKey)?,
            }),
            _ => None,
        };
        let Endpoint { port, alpn, .. } = configuration.endpoint;
        let alpn = if alpn { Alpn::of(credentials.is_some(), port) } else { Alpn::None };
        Ok(Self { ca, credentials, host: configuration.endpoint.host, alpn })
    }

    fn session(&self) -> SessionConfig<'a> {
        SessionConfig::Client(ClientSessionConfig {
            ca_chain: Some(self.ca.clone()),
            creds: self.credentials.clone(),
            server_name: Some(self.host),
            auth_mode: AuthMode::Required,
            min_version: TlsVersion::Tls1_2,
            alpn_protocols: self.alpn.offered(),
            ..ClientSessionConfig::new()
        })
    }
}

impl Alpn {
    const fn of(certificate: bool, port: u16) -> Self {
        match (certificate, port) {
            (false, _) => Self::Mqtt,
            // AWS's port, and the local gateway's.
            (true, 8_883 | 18_883) => Self::None,
            (true, _) => Self::MqttCertificate,
        }
    }

    const fn offered(self) -> Option<&'static [&'static CStr]> {
        match self {
            Self::Mqtt => Some(&[c"mqtt"]),
            Self::MqttCertificate => Some(&[c"x-amzn-mqtt-ca"]),
            Self::None => None,
        }
    }
}

/// The entry of the configuration that mbedtls can't parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsConfigError {
    /// The roots.
    #[error("`ca` in the configuration is not a PEM certificate")]
    Ca,
    /// The client certificate.
    #[error("`certificate` in the configuration is not a PEM certificate")]
    Certificate,
    /// Its key.
    #[error("`private_key` in the configuration is not a PEM key")]
    PrivateKey,
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The clock was never set.
    #[error("the time is not known, so no certificate can be checked (-0x2700)")]
    NoClock,
    /// The certificate has expired.
    #[error("the server's certificate expired before {0} (-0x2700); is that the current time?")]
    Expired(UnixTime),
    /// The certificate becomes valid later.
    #[error("the server's certificate is not valid yet at {0} (-0x2700); is that the current time?")]
    NotYetValid(UnixTime),
    /// The certificate has another name.
    #[error(
        "the server's certificate is for another name than `host` (-0x2700); is `host` the endpoint's full name?"
    )]
    NameMismatch,
    /// An issuer in the chain is not a CA.
    #[error(
        "the issuer of the server's certificate is not a CA (-0x2700); the connection may be intercepted"
    )]
    IssuerNotCa,
    /// The chain ends at another root.
    #[error("the server's certificate does not chain to `ca` (-0x2700); is `ca` this server's root?")]
    UntrustedRoot,
    /// The server ignored ALPN.
    #[error("the server does not support ALPN; port 443 of an AWS IoT endpoint does")]
    AlpnIgnored,
    /// The server supports ALPN, but not this protocol.
    #[error(
        "the server does not support the protocol offered by ALPN (alert 120); is this the port of an AWS IoT endpoint?"
    )]
    NoApplicationProtocol,
    /// The server does not know the name.
    #[error("the server does not know the name in `host` (alert 112)")]
    UnrecognizedName,
    /// The server ended the handshake for another reason.
    #[error("the server ended the handshake with alert {0}")]
    Alert(u8),
    /// The connection was closed or failed.
    #[error("the connection was closed during the handshake")]
    Closed,
    /// Any other error of mbedtls.
    #[error("the handshake failed ({0})")]
    Mbedtls(ErrorCode),
}

/// An error code of mbedtls, printed as in its header files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(i32);

impl core::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "-0x{:04x}", self.0.unsigned_abs())
    }
}

/// Does the handshake over a new TCP connection.
///
/// # Errors
///
/// Why the handshake failed. No secret was sent.
pub async fn connect<'a, S: Read + Write>(
    tls: TlsReference<'a>,
    stream: S,
    config: &TlsConfig<'a>,
    clock: &WallClock,
) -> Result<Session<'a, S>, TlsError> {
    let now = clock.now().ok_or(TlsError::NoClock)?;
    let mut session = Session::new(tls, stream, &config.session()).map_err(session_error)?;
    HandshakeDetails::reset();
    set_debug_level(DEBUG_PEER_CERTIFICATES);
    let outcome = session.connect().await;
    set_debug_level(DEBUG_NOTHING);
    match outcome {
        Ok(()) if config.alpn.offered().is_some() && session.tls_alpn().is_none() => {
            Err(TlsError::AlpnIgnored)
        }
        Ok(()) => Ok(session),
        Err(error) => {
            Err(handshake_error(error, session.tls_verification_details(), HandshakeDetails::current(), now))
        }
    }
}

// Levels of mbedtls's debug log.
const DEBUG_NOTHING: i32 = 0;
const DEBUG_PEER_CERTIFICATES: i32 = 3;

#[expect(unsafe_code, reason = "mbedtls's debug level is a global with a C setter")]
fn set_debug_level(level: i32) {
    // SAFETY: it stores a number.
    unsafe { mbedtls_debug_set_threshold(level) }
}

fn handshake_error(error: SessionError, flags: u32, details: HandshakeDetails, now: UnixTime) -> TlsError {
    let SessionError::MbedTls(code) = error else { return TlsError::Closed };
    match (code.code(), details.alert) {
        (MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, _) => certificate_error(flags, details, now),
        (MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, Some(120)) => TlsError::NoApplicationProtocol,
        (MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, Some(112)) => TlsError::UnrecognizedName,
        (MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, Some(alert)) => TlsError::Alert(alert),
        (MBEDTLS_ERR_SSL_CONN_EOF, _) => TlsError::Closed,
        _ => session_error(error),
    }
}

/// Several things can be wrong with a certificate; this is the one that explains most.
fn certificate_error(flags: u32, details: HandshakeDetails, now: UnixTime) -> TlsError {
    let has = |flag: u32| flags & flag == flag;
    if has(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE) {
        TlsError::NoClock
    } else if has(MBEDTLS_X509_BADCERT_EXPIRED) {
        TlsError::Expired(now)
    } else if has(MBEDTLS_X509_BADCERT_FUTURE) {
        TlsError::NotYetValid(now)
    } else if has(MBEDTLS_X509_BADCERT_CN_MISMATCH) {
        TlsError::NameMismatch
    } else if details.issuer_is_not_ca() {
        TlsError::IssuerNotCa
    } else {
        TlsError::UntrustedRoot
    }
}

fn session_error(error: SessionError) -> TlsError {
    match error {
        SessionError::MbedTls(code) => TlsError::Mbedtls(ErrorCode(code.code())),
        SessionError::Io(_) => TlsError::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_sent_without_alpn_only_if_the_configuration_says_so() {
        for port in [443, 8_883, 10_443, 18_883] {
            assert_eq!(Alpn::of(false, port), Alpn::Mqtt);
        }
        assert_eq!([443, 10_443].map(|port| Alpn::of(true, port)), [Alpn::MqttCertificate; 2]);
        assert_eq!([8_883, 18_883].map(|port| Alpn::of(true, port)), [Alpn::None; 2]);
    }

    #[test]
    fn certificate_error_is_the_one_that_explains_most() {
        let now = UnixTime::EARLIEST;
        let (expired, future) = (MBEDTLS_X509_BADCERT_EXPIRED, MBEDTLS_X509_BADCERT_FUTURE);
        let cases = [
            (expired | future, TlsError::NoClock),
            (expired | MBEDTLS_X509_BADCERT_CN_MISMATCH, TlsError::Expired(now)),
            (future, TlsError::NotYetValid(now)),
            (MBEDTLS_X509_BADCERT_CN_MISMATCH, TlsError::NameMismatch),
            (0, TlsError::UntrustedRoot),
        ];
        for (flags, error) in cases {
            assert_eq!(certificate_error(flags, HandshakeDetails::default(), now), error, "{flags:#x}");
        }
    }
}
