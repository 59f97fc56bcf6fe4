//! TLS 1.2 or 1.3 by mbedtls: a certificate is required, its chain, name and dates are checked, SNI is sent, and the
//! protocol is agreed on by ALPN.

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

use crate::alert::Heard;
use crate::clock::{UnixTime, WallClock};
use crate::configuration::{Configuration, Identity};

/// What every handshake of this device asks for.
pub struct Security<'a> {
    ca: Certificate<'a>,
    credentials: Option<Credentials<'a>>,
    host: &'a CStr,
    alpn: Alpn,
}

/// How AWS IoT Core is told what is wanted (developer guide, "Device communication protocols").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alpn {
    /// MQTT with a user name and a password, at port 443.
    Mqtt,
    /// MQTT with a client certificate, at port 443.
    MqttCertificate,
    /// Nothing is asked for: MQTT with a client certificate at port 8883.
    None,
}

impl<'a> Security<'a> {
    /// Reads the certificates and the key of a configuration.
    ///
    /// # Errors
    ///
    /// If mbedtls can't read one.
    pub fn new(configuration: &Configuration<'a>) -> Result<Self, SecurityError> {
        let ca = Certificate::new(X509::PEM(configuration.ca)).map_err(|_| SecurityError::Ca)?;
        let credentials = match &configuration.identity {
            Identity::Certificate { certificate, key, .. } => Some(Credentials {
                certificate: Certificate::new(X509::PEM(certificate))
                    .map_err(|_| SecurityError::Certificate)?,
                private_key: PrivateKey::new(X509::PEM(key), None).map_err(|_| SecurityError::PrivateKey)?,
            }),
            _ => None,
        };
        let alpn = Alpn::of(credentials.is_some(), configuration.endpoint.port);
        Ok(Self { ca, credentials, host: configuration.endpoint.host, alpn })
    }

    fn config(&self) -> SessionConfig<'a> {
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
            // AWS's port, and the local gateway's for it.
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

/// What of the configuration mbedtls can't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// The roots.
    #[error("`ca` in the configuration is no PEM certificate")]
    Ca,
    /// The client certificate.
    #[error("`certificate` in the configuration is no PEM certificate")]
    Certificate,
    /// Its key.
    #[error("`private_key` in the configuration is no PEM key")]
    PrivateKey,
}

/// Why there is no TLS connection, as a user meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The clock was never set.
    #[error("the time is not known, so no certificate can be checked (-0x2700)")]
    NoClock,
    /// The certificate's last day is over.
    #[error("the server's certificate is expired at {0} (-0x2700); is that the right time?")]
    Expired(UnixTime),
    /// The certificate's first day has not come.
    #[error("the server's certificate is not valid yet at {0} (-0x2700); is that the right time?")]
    NotYetValid(UnixTime),
    /// The certificate is for somebody else.
    #[error(
        "the server's certificate is for another name than `host` (-0x2700); is `host` the endpoint's full name?"
    )]
    WrongHost,
    /// The chain's issuer is no CA.
    #[error("the server's certificate is issued by one that is no CA (-0x2700); somebody may be in between")]
    LeafAsIssuer,
    /// The chain leads elsewhere.
    #[error("the server's certificate does not lead to `ca` (-0x2700); is it this server's root?")]
    WrongCa,
    /// The server answered nothing to ALPN.
    #[error("the server takes no ALPN; port 443 of an AWS IoT endpoint does")]
    AlpnMissing,
    /// The server knows ALPN, but not what was asked for.
    #[error(
        "the server does not speak what ALPN asks for (alert 120); is this the port of an AWS IoT endpoint?"
    )]
    AlpnRefused,
    /// The server does not know the name.
    #[error("the server does not know the name in `host` (alert 112)")]
    NameRefused,
    /// The server ended the handshake for another reason.
    #[error("the server ended the handshake with alert {0}")]
    Alert(u8),
    /// The connection broke.
    #[error("the connection broke off in the handshake")]
    Broken,
    /// Anything else of mbedtls's.
    #[error("the handshake failed ({0})")]
    Other(Code),
}

/// An error code of mbedtls's, in the way in which its header files write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(i32);

impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "-0x{:04x}", self.0.unsigned_abs())
    }
}

/// Does the handshake over a connection on which nothing was sent yet.
///
/// # Errors
///
/// Why there is no TLS; nothing secret was sent then.
pub async fn connect<'a, S: Read + Write>(
    tls: TlsReference<'a>,
    stream: S,
    security: &Security<'a>,
    clock: &WallClock,
) -> Result<Session<'a, S>, TlsFailure> {
    let now = clock.now().ok_or(TlsFailure::NoClock)?;
    let mut session = Session::new(tls, stream, &security.config()).map_err(other)?;
    Heard::nothing();
    debug_log(PEER_CERTIFICATES);
    let done = session.connect().await;
    debug_log(NOTHING);
    match done {
        Ok(()) if security.alpn.offered().is_some() && session.tls_alpn().is_none() => {
            Err(TlsFailure::AlpnMissing)
        }
        Ok(()) => Ok(session),
        Err(error) => Err(failure(error, session.tls_verification_details(), Heard::so_far(), now)),
    }
}

/// Levels of mbedtls's debug log.
const NOTHING: i32 = 0;
const PEER_CERTIFICATES: i32 = 3;

#[expect(unsafe_code, reason = "mbedtls's debug level is a global that only its C function sets")]
fn debug_log(level: i32) {
    // SAFETY: it stores a number.
    unsafe { mbedtls_debug_set_threshold(level) }
}

fn failure(error: SessionError, flags: u32, heard: Heard, now: UnixTime) -> TlsFailure {
    let SessionError::MbedTls(code) = error else { return TlsFailure::Broken };
    match (code.code(), heard.alert) {
        (MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, _) => distrust(flags, heard, now),
        (MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, Some(120)) => TlsFailure::AlpnRefused,
        (MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, Some(112)) => TlsFailure::NameRefused,
        (MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, Some(alert)) => TlsFailure::Alert(alert),
        (MBEDTLS_ERR_SSL_CONN_EOF, _) => TlsFailure::Broken,
        _ => other(error),
    }
}

/// Several things can be wrong with a certificate; what explains most is told.
fn distrust(flags: u32, heard: Heard, now: UnixTime) -> TlsFailure {
    let has = |flag: u32| flags & flag == flag;
    if has(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE) {
        TlsFailure::NoClock
    } else if has(MBEDTLS_X509_BADCERT_EXPIRED) {
        TlsFailure::Expired(now)
    } else if has(MBEDTLS_X509_BADCERT_FUTURE) {
        TlsFailure::NotYetValid(now)
    } else if has(MBEDTLS_X509_BADCERT_CN_MISMATCH) {
        TlsFailure::WrongHost
    } else if heard.leaf_as_issuer() {
        TlsFailure::LeafAsIssuer
    } else {
        TlsFailure::WrongCa
    }
}

fn other(error: SessionError) -> TlsFailure {
    match error {
        SessionError::MbedTls(code) => TlsFailure::Other(Code(code.code())),
        SessionError::Io(_) => TlsFailure::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_goes_without_alpn() {
        for port in [443, 8_883, 10_443, 18_883] {
            assert_eq!(Alpn::of(false, port), Alpn::Mqtt);
        }
        assert_eq!([443, 10_443].map(|port| Alpn::of(true, port)), [Alpn::MqttCertificate; 2]);
        assert_eq!([8_883, 18_883].map(|port| Alpn::of(true, port)), [Alpn::None; 2]);
    }

    #[test]
    fn what_explains_most_is_told() {
        let now = UnixTime::EARLIEST;
        let (expired, future) = (MBEDTLS_X509_BADCERT_EXPIRED, MBEDTLS_X509_BADCERT_FUTURE);
        let cases = [
            (expired | future, TlsFailure::NoClock),
            (expired | MBEDTLS_X509_BADCERT_CN_MISMATCH, TlsFailure::Expired(now)),
            (future, TlsFailure::NotYetValid(now)),
            (MBEDTLS_X509_BADCERT_CN_MISMATCH, TlsFailure::WrongHost),
            (0, TlsFailure::WrongCa),
        ];
        for (flags, failure) in cases {
            assert_eq!(distrust(flags, Heard::default(), now), failure, "{flags:#x}");
        }
    }
}
