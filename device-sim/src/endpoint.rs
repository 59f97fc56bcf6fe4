//! The server that devices connect to, the CA that they trust, and what their packets travel in.

mod address;
mod transport;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use mqtt::wire::{ClientCertificate, client_config, dial::Proxy};
use rustls::client::Resumption;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{DEFAULT_VERSIONS, RootCertStore};
use tokio_rustls::TlsConnector;

pub use self::address::{Address, AddressError, Alpn, AlpnError};
pub use self::transport::{CertificateFiles, ParameterPlace, Transport};

/// The settings of an [`Endpoint`].
#[derive(Debug, Clone)]
pub struct Target {
    /// The host and the port.
    pub address: Address,
    /// The server name to ask for (SNI), and to expect in the certificate. Without it, the host is used.
    pub sni: Option<String>,
    /// The application protocol to offer. On port 443, AWS IoT Core accepts passwords only with `mqtt` (AWS IoT Core
    /// developer guide, "Device communication protocols").
    pub alpn: Alpn,
    /// The PEM file of the only CA to trust. Without it, Amazon's roots are trusted (AWS IoT Core developer guide, "Server
    /// authentication").
    pub ca: Option<PathBuf>,
    /// What packets travel in.
    pub transport: Transport,
    /// Where the authorizer's parameters are sent.
    pub parameters: ParameterPlace,
    /// The device's certificate, for a door that asks for one.
    pub certificate: Option<CertificateFiles>,
    /// The proxy on the way.
    pub proxy: Option<Proxy>,
    /// What the device's clock shows when it checks certificates. Without it, the machine's clock is used.
    pub clock: Option<SystemTime>,
}

impl Target {
    /// MQTT over TLS to an address, with ALPN `mqtt`, Amazon's roots and no proxy.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            sni: None,
            alpn: Alpn::default(),
            ca: None,
            transport: Transport::default(),
            parameters: ParameterPlace::default(),
            certificate: None,
            proxy: None,
            clock: None,
        }
    }
}

/// A clock that does not run, of a device that never set it.
#[derive(Debug)]
struct StoppedClock(UnixTime);

impl TimeProvider for StoppedClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// Why an [`Endpoint`] can't be made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Amazon's roots, which are built in, can't be used.
    #[error("the built-in roots of Amazon can't be used: pass a PEM file with `--ca`")]
    Amazon,
    /// The CA's file does not exist.
    #[error("there is no CA file `{}`: `latchkey local` writes one, or pass another with `--ca`", .0.display())]
    CaMissing(PathBuf),
    /// The CA's file can't be read.
    #[error("cannot read the CA file `{path}`: {error}", path = .0.display(), error = .1)]
    CaUnreadable(PathBuf, #[source] std::io::Error),
    /// The CA's file has no certificate, or one that can't be used.
    #[error("no usable certificate in the CA file `{}`: it must be PEM, with `BEGIN CERTIFICATE`", .0.display())]
    CaInvalid(PathBuf),
    /// The server name is neither a DNS name nor an IP address.
    #[error("`{0}` is not a server name: pass a DNS name with `--sni`")]
    ServerName(String),
    /// A file of the device's certificate can't be read, or has nothing that can be used.
    #[error("cannot use the {what} `{path}`: {error}; it must be PEM", path = .path.display())]
    Certificate {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: PemError,
    },
    /// The private key is another certificate's.
    #[error("the private key `{}` does not belong to the certificate `{}`", .0.key.display(), .0.certificate.display())]
    OtherKey(CertificateFiles),
    /// TLS can't be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] rustls::Error),
}

/// A server's TLS port. It can be connected to any number of times.
///
/// Sessions are never resumed: simulated devices would share each other's tickets, and AWS IoT Core issues none.
#[derive(Clone)]
pub struct Endpoint {
    address: Address,
    server_name: ServerName<'static>,
    alpn: Alpn,
    ca: Option<PathBuf>,
    transport: Transport,
    parameters: ParameterPlace,
    proxy: Option<Proxy>,
    connector: TlsConnector,
}

impl Endpoint {
    /// Reads the CA file and prepares TLS 1.2 and 1.3. Nothing is sent.
    ///
    /// # Errors
    ///
    /// If the CA's file can't be read or has no usable certificate, or the server name is not one.
    pub fn new(target: Target) -> Result<Self, EndpointError> {
        let name = target.sni.unwrap_or_else(|| target.address.host().to_owned());
        let Ok(server_name) = ServerName::try_from(name.clone()) else {
            return Err(EndpointError::ServerName(name));
        };
        // Without TLS nothing is trusted, and no file is needed.
        let roots = match target.transport {
            Transport::Tcp => RootCertStore::empty(),
            _ => trusted(target.ca.as_deref())?,
        };
        let alpn = target.alpn.protocols();
        let certificate = target.certificate.as_ref().map(client_certificate).transpose()?;
        let config = client_config(roots, &alpn, DEFAULT_VERSIONS, certificate);
        let mut config = config.map_err(|error| match (error, target.certificate) {
            (rustls::Error::InconsistentKeys(_), Some(files)) => EndpointError::OtherKey(files),
            (error, _) => EndpointError::Tls(error),
        })?;
        config.resumption = Resumption::disabled();
        if let Some(clock) = target.clock {
            let since = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
            config.time_provider = Arc::new(StoppedClock(UnixTime::since_unix_epoch(since)));
        }
        Ok(Self {
            address: target.address,
            server_name,
            alpn: target.alpn,
            ca: target.ca,
            transport: target.transport,
            parameters: target.parameters,
            proxy: target.proxy,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// What packets travel in.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Where the authorizer's parameters are sent.
    #[must_use]
    pub const fn parameters(&self) -> ParameterPlace {
        self.parameters
    }

    /// The proxy on the way.
    #[must_use]
    pub const fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The name that is asked for and expected in the server's certificate.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.server_name.to_str().into_owned()
    }

    /// The application protocol that is offered.
    #[must_use]
    pub fn alpn(&self) -> &Alpn {
        &self.alpn
    }

    /// The file of the trusted CA; none if Amazon's roots are trusted.
    #[must_use]
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The server as an HTTP request names it.
    pub(crate) fn authority(&self) -> String {
        let name = self.server_name();
        let (colon, port) = (name.contains(':'), self.address.port());
        if colon { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
    }

    /// What opens TLS on a connection to it, and the server name to do that with.
    #[must_use]
    pub fn tls(&self) -> (&TlsConnector, ServerName<'static>) {
        (&self.connector, self.server_name.clone())
    }
}

/// Amazon's roots, as Debian's `ca-certificates` has them.
pub const AMAZON_ROOTS: &str = include_str!("endpoint/amazon_roots.pem");

/// The certificates of a CA file, or Amazon's roots.
pub(crate) fn trusted(ca: Option<&Path>) -> Result<RootCertStore, EndpointError> {
    let Some(ca) = ca else { return amazon() };
    let certificates = CertificateDer::pem_file_iter(ca).map_err(|error| unreadable(ca, error))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(ca, error))?;
        roots.add(certificate).map_err(|_| EndpointError::CaInvalid(ca.to_owned()))?;
    }
    if roots.is_empty() { Err(EndpointError::CaInvalid(ca.to_owned())) } else { Ok(roots) }
}

/// The device's chain and key.
pub(crate) fn client_certificate(files: &CertificateFiles) -> Result<ClientCertificate, EndpointError> {
    let failed = |what, path: &Path, error| EndpointError::Certificate { what, path: path.to_owned(), error };
    let certificate = |error| failed("certificate", &files.certificate, error);
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(certificate)?;
    if chain.is_empty() {
        return Err(certificate(PemError::NoItemsFound));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed("private key", &files.key, error))?;
    Ok((chain, key))
}

fn amazon() -> Result<RootCertStore, EndpointError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(AMAZON_ROOTS.as_bytes()) {
        let certificate = certificate.map_err(|_| EndpointError::Amazon)?;
        roots.add(certificate).map_err(|_| EndpointError::Amazon)?;
    }
    Ok(roots)
}

fn unreadable(ca: &Path, error: PemError) -> EndpointError {
    match error {
        PemError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
            EndpointError::CaMissing(ca.to_owned())
        }
        PemError::Io(error) => EndpointError::CaUnreadable(ca.to_owned(), error),
        _ => EndpointError::CaInvalid(ca.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(ca: Option<PathBuf>) -> Target {
        Target { ca, ..Target::new("localhost:1".parse().unwrap()) }
    }

    fn message(target: Target) -> String {
        Endpoint::new(target).err().unwrap().to_string()
    }

    #[test]
    fn amazons_roots_are_those_that_it_publishes() {
        // Amazon Trust Services' page lists their SHA-256 fingerprints.
        let published = [
            "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
            "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
            "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
            "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
        ];
        let digest = |certificate: CertificateDer<'_>| {
            hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate))
        };
        let ours = CertificateDer::pem_slice_iter(AMAZON_ROOTS.as_bytes())
            .map(|it| digest(it.unwrap()))
            .collect::<Vec<_>>();
        assert_eq!(ours, published);
        assert_eq!(Endpoint::new(target(None)).ok().unwrap().ca(), None);
    }

    #[test]
    fn a_named_ca_file_must_have_a_certificate() {
        let missing = message(target(Some("/nowhere/ca.pem".into())));
        assert_eq!(
            missing,
            "there is no CA file `/nowhere/ca.pem`: `latchkey local` writes one, or pass another with `--ca`"
        );
        let folder = tempfile::tempdir().unwrap();
        for content in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let file = folder.path().join("ca.pem");
            std::fs::write(&file, content).unwrap();
            assert!(message(target(Some(file))).starts_with("no usable certificate in the CA file `"));
        }
    }

    #[test]
    fn the_server_name_is_the_host_unless_another_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let ca = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        std::fs::write(&file, ca.cert.pem()).unwrap();
        let endpoint = Endpoint::new(target(Some(file.clone()))).unwrap();
        assert_eq!(endpoint.server_name(), "localhost");
        let other = Target { sni: Some("iot.example.com".into()), ..target(Some(file.clone())) };
        assert_eq!(Endpoint::new(other).unwrap().server_name(), "iot.example.com");
        let bad = Target { sni: Some("not a name".into()), ..target(Some(file)) };
        assert_eq!(message(bad), "`not a name` is not a server name: pass a DNS name with `--sni`");
    }

    #[test]
    fn a_certificate_needs_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let [own, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap());
        let certificate = write("device.pem", &own.cert.pem());
        let with = |certificate: &Path, key: &Path| {
            let files = CertificateFiles { certificate: certificate.to_owned(), key: key.to_owned() };
            Endpoint::new(Target { certificate: Some(files), ..target(None) })
        };
        let own_key = write("own.key", &own.signing_key.serialize_pem());
        assert!(with(&certificate, &own_key).is_ok());
        let other_key = write("other.key", &other.signing_key.serialize_pem());
        let message = with(&certificate, &other_key).err().unwrap().to_string();
        assert!(message.starts_with("the private key `") && message.contains("does not belong"), "{message}");
        let nothing = write("nothing.pem", "");
        for (certificate, key, what) in
            [(&nothing, &own_key, "certificate"), (&certificate, &nothing, "private key")]
        {
            let message = with(certificate, key).err().unwrap().to_string();
            assert!(message.starts_with(&format!("cannot use the {what} `")), "{message}");
        }
    }
}
