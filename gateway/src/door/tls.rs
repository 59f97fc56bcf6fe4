//! The TLS configurations of a domain: one for each ALPN protocol of the server's answer, with and without a client
//! certificate.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{NoClientAuth, NoServerSessionStorage, danger::ClientCertVerifier},
    sign::CertifiedKey,
};

use super::{
    client_certificate::ClientCertificates,
    route::{PROTOCOLS, Route},
};
use crate::registry::Registry;

/// The TLS configurations of one domain.
pub struct Tls(Vec<Variant>);

struct Variant {
    alpn: Option<&'static str>,
    with_certificate: bool,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// TLS 1.2 and 1.3 with this certificate, without session resumption, as in AWS. Client certificates are those of the
    /// registry.
    ///
    /// # Errors
    ///
    /// When the key is not the certificate's.
    pub fn new(key: CertifiedKey, registry: Arc<dyn Registry>) -> Result<Self, rustls::Error> {
        key.keys_match()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = Arc::new(key);
        let certificates = ClientCertificates::new(registry, &provider);
        let verifiers: [(bool, Arc<dyn ClientCertVerifier>); 2] =
            [(false, Arc::new(NoClientAuth)), (true, Arc::new(certificates))];
        let mut variants = Vec::new();
        for (with_certificate, verifier) in verifiers {
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(&key))));
            config.send_tls13_tickets = 0;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            for alpn in [None].into_iter().chain(PROTOCOLS.map(Some)) {
                let mut config = config.clone();
                config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
                variants.push(Variant { alpn, with_certificate, config: Arc::new(config) });
            }
        }
        Ok(Self(variants))
    }

    /// The configuration for a connection with this route.
    #[must_use]
    pub fn config(&self, route: Route) -> Option<Arc<ServerConfig>> {
        let wanted = (route.alpn, route.authentication.needs_certificate());
        let found = self.0.iter().find(|variant| (variant.alpn, variant.with_certificate) == wanted);
        found.map(|variant| Arc::clone(&variant.config))
    }
}
