//! What can be wrong with an endpoint before anything is sent.

use std::path::PathBuf;

/// Why there is no [`Endpoint`](super::Endpoint).
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Amazon's roots, which are built in, can't be used.
    #[error("the built-in roots of Amazon can't be used: pass a PEM file with `--ca`")]
    Amazon,
    /// The CA's file is not there.
    #[error("there is no CA file `{}`: `latchkey local` writes one, or pass another with `--ca`", .0.display())]
    CaMissing(PathBuf),
    /// The CA's file can't be read.
    #[error("cannot read the CA file `{path}`: {error}", path = .0.display(), error = .1)]
    CaUnreadable(PathBuf, #[source] std::io::Error),
    /// The CA's file holds no certificate, or one that can't be used.
    #[error("no usable certificate in the CA file `{}`: it must be PEM, with `BEGIN CERTIFICATE`", .0.display())]
    CaInvalid(PathBuf),
    /// The server name is neither a DNS name nor an IP address.
    #[error("`{0}` is not a server name: pass a DNS name with `--sni`")]
    ServerName(String),
    /// TLS can't be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[source] rustls::Error),
}
