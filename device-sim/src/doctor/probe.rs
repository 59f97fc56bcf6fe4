//! What the doctor does on the network. Credentials are sent only over a connection that the device itself would trust.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mqtt::tls_failure::{is_not_tls, tls_error};
use mqtt::wire::client_config;
use mqtt::wire::dial::{DialError, dial};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DEFAULT_VERSIONS, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::observation::{Certificate, Handshake, Plain, TcpFailure, Trust, Variant};
use crate::client::error::{WORDS, snake_case};
use crate::endpoint::{Endpoint, EndpointError, Target, Transport, client_certificate, trusted};

/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// How long a server may take to say something without TLS.
const PLAIN_LIMIT: Duration = Duration::from_secs(3);
/// The bytes of an answer that are looked at.
const HEAD_BYTES: usize = 4_096;

/// The probes of one target.
pub(super) struct Prober {
    target: Target,
    /// The server name, which need not be sent.
    name: ServerName<'static>,
    sends_sni: bool,
    device_clock: SystemTime,
    verifier: Arc<WebPkiServerVerifier>,
}

/// A handshake, and the server's certificates as the device would judge them.
pub(super) struct Shaken {
    pub(super) handshake: Handshake,
    pub(super) chain: Vec<Certificate>,
    pub(super) trust: Option<Trust>,
    stream: Option<TlsStream<TcpStream>>,
}

impl Prober {
    /// Reads the CA. `device_clock` is the device's own.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::new`].
    pub(super) fn new(
        target: Target,
        sends_sni: bool,
        device_clock: SystemTime,
    ) -> Result<Self, EndpointError> {
        let name = target.sni.clone().unwrap_or_else(|| target.address.host().to_owned());
        let Ok(server_name) = ServerName::try_from(name.clone()) else {
            return Err(EndpointError::ServerName(name));
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Without TLS no file is needed.
        let ca = target.ca.as_deref().filter(|_| target.transport != Transport::Tcp);
        let roots = Arc::new(trusted(ca)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| EndpointError::Tls(Error::General(error.to_string())))?;
        Ok(Self { target, name: server_name, sends_sni, device_clock, verifier })
    }

    /// The server name that the device sends: an address sends none.
    pub(super) fn sni(&self) -> Option<String> {
        match &self.name {
            ServerName::DnsName(name) if self.sends_sni => Some(name.as_ref().to_owned()),
            _ => None,
        }
    }

    /// The addresses of the endpoint's name.
    pub(super) async fn addresses(&self) -> Result<Vec<String>, String> {
        let address = &self.target.address;
        match timeout(STEP_LIMIT, lookup_host((address.host(), address.port()))).await {
            Ok(Ok(found)) => Ok(found.map(|it| it.ip().to_string()).collect()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer from DNS in time".to_owned()),
        }
    }

    /// A TCP connection, by the proxy if there is one.
    pub(super) async fn tcp(&self) -> Result<TcpStream, TcpFailure> {
        let address = &self.target.address;
        let dialled = dial(address.host(), address.port(), self.target.proxy.as_ref());
        match timeout(STEP_LIMIT, dialled).await {
            Ok(Ok(stream)) => Ok(stream),
            Err(_) => Err(TcpFailure::TimedOut),
            Ok(Err(DialError::Proxy { proxy, error })) => {
                Err(TcpFailure::Proxy(format!("`{proxy}` {error}")))
            }
            Ok(Err(DialError::Tcp { source, .. })) => Err(match source.kind() {
                io::ErrorKind::ConnectionRefused => TcpFailure::Refused,
                io::ErrorKind::TimedOut => TcpFailure::TimedOut,
                _ => TcpFailure::Other(source.to_string()),
            }),
            Ok(Err(error @ DialError::NameNotFound { .. })) => Err(TcpFailure::Other(error.to_string())),
        }
    }

    /// The handshake as the device makes it. No certificate ends it, so that all can be seen.
    pub(super) async fn device_handshake(&self) -> Shaken {
        let alpn = self.target.alpn.protocols();
        self.handshake(&alpn, self.sends_sni, DEFAULT_VERSIONS).await
    }

    /// A handshake that differs in one thing.
    pub(super) async fn variant(&self, variant: &Variant) -> Handshake {
        let own = self.target.alpn.protocols();
        let shaken = match variant {
            Variant::Alpn(offered) => {
                let offered = offered.iter().map(String::as_str).collect::<Vec<_>>();
                self.handshake(&offered, self.sends_sni, DEFAULT_VERSIONS).await
            }
            Variant::WithSni => self.handshake(&own, true, DEFAULT_VERSIONS).await,
            Variant::WithoutSni => self.handshake(&own, false, DEFAULT_VERSIONS).await,
            Variant::Tls12 => self.handshake(&own, self.sends_sni, &[&TLS12]).await,
            Variant::Tls13 => self.handshake(&own, self.sends_sni, &[&TLS13]).await,
        };
        shaken.handshake
    }

    async fn handshake(
        &self,
        alpn: &[&str],
        sni: bool,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Shaken {
        let failed = |handshake| Shaken { handshake, chain: Vec::new(), trust: None, stream: None };
        let Ok(tcp) = self.tcp().await else { return failed(Handshake::Closed) };
        let recorder = match self.recorder() {
            Ok(recorder) => recorder,
            Err(error) => return failed(Handshake::Failed(error)),
        };
        let config = match self.config(alpn, sni, versions, &recorder) {
            Ok(config) => config,
            Err(error) => return failed(Handshake::Failed(error)),
        };
        let connected = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), tcp);
        let (handshake, stream) = match timeout(STEP_LIMIT, connected).await {
            Err(_) => (Handshake::TimedOut, None),
            Ok(Err(error)) => (handshake_of(&error), None),
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                let version = session.protocol_version().map_or(String::new(), |it| format!("{it:?}"));
                let alpn = session.alpn_protocol().map(|it| String::from_utf8_lossy(it).into_owned());
                (Handshake::Completed { version, alpn }, Some(stream))
            }
        };
        let (chain, trust) = recorder.seen();
        Shaken { handshake, chain, trust, stream }
    }

    fn recorder(&self) -> Result<Arc<Recorder>, String> {
        let since = self.device_clock.duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
        let now = UnixTime::since_unix_epoch(since);
        Ok(Arc::new(Recorder { inner: Arc::clone(&self.verifier), now, seen: Mutex::default() }))
    }

    fn config(
        &self,
        alpn: &[&str],
        sni: bool,
        versions: &[&'static SupportedProtocolVersion],
        recorder: &Arc<Recorder>,
    ) -> Result<ClientConfig, String> {
        let certificate = self.target.certificate.as_ref().map(client_certificate);
        let certificate = certificate.transpose().map_err(|error| error.to_string())?;
        let roots = trusted(self.target.ca.as_deref()).map_err(|error| error.to_string())?;
        let mut config =
            client_config(roots, alpn, versions, certificate).map_err(|error| error.to_string())?;
        config.resumption = Resumption::disabled();
        config.enable_sni = sni;
        config.dangerous().set_certificate_verifier(Arc::<Recorder>::clone(recorder));
        Ok(config)
    }

    /// What the server says to an HTTP request, and to a CONNECT of MQTT without any credential, without TLS.
    pub(super) async fn plain(&self) -> Plain {
        let host = self.target.address.host();
        let get = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut plain = self.said(get.as_bytes()).await;
        if !matches!(plain, Plain::Http { .. }) {
            match self.said(ANONYMOUS_CONNECT).await {
                Plain::Mqtt => plain = Plain::Mqtt,
                Plain::Other => plain = Plain::Other,
                Plain::Http { .. } | Plain::Silent => {}
            }
        }
        plain
    }

    async fn said(&self, request: &[u8]) -> Plain {
        let Ok(mut tcp) = self.tcp().await else { return Plain::Silent };
        let mut head = Vec::new();
        let exchange = async {
            tcp.write_all(request).await?;
            (&mut tcp).take(HEAD_BYTES as u64).read_to_end(&mut head).await
        };
        // A server may close, or keep the connection open: what came before counts.
        _ = timeout(PLAIN_LIMIT, exchange).await;
        if head.is_empty() {
            return Plain::Silent;
        }
        if head.starts_with(&[CONNACK, 2]) {
            return Plain::Mqtt;
        }
        let text = String::from_utf8_lossy(&head);
        let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        match status {
            Some(status) => Plain::Http { status, location: header(&text, "location") },
            None => Plain::Other,
        }
    }

    /// The server's clock, from the date of an HTTP answer over TLS. Nothing is presented.
    pub(super) async fn server_clock(&self) -> Option<i64> {
        let shaken = self.handshake(&["http/1.1"], self.sends_sni, DEFAULT_VERSIONS).await;
        let mut stream = shaken.stream?;
        let host = self.target.sni.as_deref().unwrap_or(self.target.address.host());
        let get = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut head = Vec::new();
        let exchange = async {
            stream.write_all(get.as_bytes()).await?;
            stream.flush().await?;
            (&mut stream).take(HEAD_BYTES as u64).read_to_end(&mut head).await
        };
        _ = timeout(PLAIN_LIMIT, exchange).await;
        let date = header(&String::from_utf8_lossy(&head), "date")?;
        let date = time::OffsetDateTime::parse(&date, &time::format_description::well_known::Rfc2822).ok()?;
        Some(date.unix_timestamp())
    }
}

/// The first byte of a CONNACK.
const CONNACK: u8 = 0x20;
/// A CONNECT of MQTT 3.1.1 without a client id and credentials.
const ANONYMOUS_CONNECT: &[u8] = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00";

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    let mut pairs = lines.filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim().to_owned())
}

fn handshake_of(error: &io::Error) -> Handshake {
    use io::ErrorKind as Kind;
    match (tls_error(error), error.kind()) {
        (Some(Error::AlertReceived(alert)), _) => Handshake::Alert(snake_case(alert)),
        (Some(inner), _) if is_not_tls(inner) => Handshake::NotTls,
        (Some(inner @ Error::PeerIncompatible(_)), _) => Handshake::Incompatible(WORDS.describe_tls(inner)),
        (Some(inner), _) => Handshake::Failed(WORDS.describe_tls(inner)),
        (None, Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe) => {
            Handshake::Closed
        }
        (None, _) => Handshake::Failed(WORDS.describe(error)),
    }
}

/// Accepts every certificate, and remembers it with what the device would have said. No secret is sent over such a
/// connection.
#[derive(Debug)]
struct Recorder {
    inner: Arc<WebPkiServerVerifier>,
    now: UnixTime,
    seen: Mutex<(Vec<Certificate>, Option<Trust>)>,
}

impl Recorder {
    fn seen(&self) -> (Vec<Certificate>, Option<Trust>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, self.now);
        let trust = verified.map_or_else(|error| trust(&error), |_| Trust::Trusted);
        let chain = std::iter::once(end_entity).chain(intermediates).filter_map(certificate).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (chain, Some(trust));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn trust(error: &Error) -> Trust {
    use CertificateError as Kind;
    match error {
        Error::InvalidCertificate(kind) => match kind {
            Kind::UnknownIssuer | Kind::BadSignature => Trust::UnknownCa,
            Kind::Expired | Kind::ExpiredContext { .. } => Trust::Expired,
            Kind::NotValidYet | Kind::NotValidYetContext { .. } => Trust::NotYetValid,
            Kind::NotValidForName | Kind::NotValidForNameContext { .. } => Trust::WrongName,
            _ => Trust::Other(WORDS.describe_tls(error)),
        },
        _ => Trust::Other(WORDS.describe_tls(error)),
    }
}

fn certificate(der: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| &*names.value.general_names).unwrap_or_default();
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    });
    Some(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names.collect(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

/// What connects with credentials: only where the device would trust the server.
pub(super) fn endpoint(target: &Target) -> Result<Endpoint, EndpointError> {
    Endpoint::new(target.clone())
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, PeerMisbehaved};

    use super::*;

    fn of(error: Error) -> Handshake {
        handshake_of(&io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn only_what_is_no_record_of_tls_is_called_not_tls() {
        let not_tls = [InvalidMessage::InvalidContentType, InvalidMessage::UnknownProtocolVersion];
        for what in not_tls {
            assert_eq!(of(Error::InvalidMessage(what)), Handshake::NotTls);
        }
        // What the TLS library says is never all of the words: they have the cause, and what to do.
        let broken = [
            (Error::InvalidMessage(InvalidMessage::MessageTooLarge), "larger than TLS allows"),
            (Error::InvalidMessage(InvalidMessage::CertificatePayloadTooLarge), "chain of certificates"),
            (Error::InvalidMessage(InvalidMessage::MissingData("x")), "does not speak TLS as it should"),
            (Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments), "update its TLS library"),
            (Error::DecryptError, "update its TLS library"),
        ];
        for (error, words) in broken {
            let Handshake::Failed(text) = of(error.clone()) else { panic!("{error:?}") };
            assert!(text.contains(words) && text.contains("the server"), "{text}");
        }
        let incompatible = of(Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon));
        let Handshake::Incompatible(text) = incompatible else { panic!("{incompatible:?}") };
        assert!(text.contains("the server offers no cipher suite that this client has"), "{text}");
        assert_eq!(
            of(Error::AlertReceived(AlertDescription::UnknownCA)),
            Handshake::Alert("unknown_ca".to_owned())
        );
        let reset = handshake_of(&io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(reset, Handshake::Closed);
        let Handshake::Failed(text) = handshake_of(&io::Error::from(io::ErrorKind::HostUnreachable)) else {
            panic!("another error")
        };
        assert!(text.contains("look at the network"), "{text}");
    }

    #[test]
    fn a_certificate_that_cant_be_used_has_its_cause_and_cure() {
        let text = |kind| match trust(&Error::InvalidCertificate(kind)) {
            Trust::Other(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(text(CertificateError::Revoked).ends_with(": replace it"));
        assert!(text(CertificateError::InvalidPurpose).contains("`serverAuth`"));
    }
}
