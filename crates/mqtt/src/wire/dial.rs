//! The way to a server's TCP port: directly, or through a proxy.
//!
//! TLS, with a server name (SNI) and ALPN protocols of its own, is opened on the stream that [`dial`] returns:
//! [`super::client_config`] makes its configuration.

use std::convert::Infallible;
use std::future::pending;
use std::str::FromStr;
use std::{fmt, io};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode, Uri, client::conn::http1};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::{TcpStream, lookup_host};
use tokio_socks::{Error as SocksError, tcp::Socks5Stream};
use zeroize::Zeroizing;

/// Opens a TCP connection to a host, without a delay for small packets. With a proxy, the proxy finds the host's name.
///
/// # Errors
///
/// [`DialError`], which tells the host's faults from the proxy's.
pub async fn dial(host: &str, port: u16, proxy: Option<&Proxy>) -> Result<TcpStream, DialError> {
    let Some(proxy) = proxy else { return direct(host, port).await };
    let failed = |error| DialError::Proxy { proxy: proxy.to_string(), error };
    let stream = direct(&proxy.host, proxy.port).await.map_err(|error| failed(unreachable(error)))?;
    proxy.tunnel(stream, host, port).await.map_err(failed)
}

/// Why there is no TCP connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host's name leads to no address.
    #[error("the name `{host}` is not found: {source}")]
    NameNotFound {
        /// The name.
        host: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The host could not be reached.
    #[error("can't reach `{address}`: {source}")]
    Tcp {
        /// Host and port.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The proxy did not open the connection.
    #[error("the proxy `{proxy}` {error}")]
    Proxy {
        /// The proxy, without its user name and password.
        proxy: String,
        /// What it did instead.
        error: ProxyError,
    },
}

/// What a proxy did instead of opening the connection. Texts of the proxy are not escaped.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its name leads to no address, or nothing answers there.
    #[error("can't be reached: {0}; check its address, and whether it runs")]
    Unreachable(#[source] io::Error),
    /// It wants a user name and a password, or others.
    #[error(
        "asks for a user name and a password, or does not accept the given ones: write them into its URL"
    )]
    Unauthorized,
    /// It refuses this host or port, or can't reach it: its own words.
    #[error(
        "did not connect to the server: {0}; ask its operator whether it may connect to the server's address and port"
    )]
    Refused(String),
    /// It speaks another protocol than the proxy's.
    #[error("does not answer as such a proxy does: {0}; check its protocol and its port")]
    NotAProxy(String),
    /// It closed the connection, or the connection broke.
    #[error("closed the connection: check its protocol, and whether it lets this machine in")]
    Closed,
}

/// A proxy: `http://HOST:PORT` (the method CONNECT) or `socks5://HOST:PORT`, with `USER:PASSWORD@` before the host if it
/// wants them. The values are percent-encoded.
///
/// `Debug` and `Display` show neither user name nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    protocol: ProxyProtocol,
    host: String,
    port: u16,
    credentials: Option<(Zeroizing<String>, Zeroizing<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyProtocol {
    Http,
    Socks5,
}

impl Proxy {
    /// Whether a user name or a password is part of it, so that it is a secret.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// The proxy's own host, without brackets, and port.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Asks the proxy, on a connection to it, for a connection to a host.
    ///
    /// # Errors
    ///
    /// [`ProxyError`].
    pub async fn tunnel(&self, stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        match self.protocol {
            ProxyProtocol::Http => self.http_connect(stream, host, port).await,
            ProxyProtocol::Socks5 => {
                let target = (host, port);
                let opened = match &self.credentials {
                    Some((user, password)) => {
                        Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
                    }
                    None => Socks5Stream::connect_with_socket(stream, target).await,
                };
                opened.map(Socks5Stream::into_inner).map_err(socks_error)
            }
        }
    }

    async fn http_connect(&self, stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = Request::connect(&target).header(HOST, &target);
        if let Some((user, password)) = &self.credentials {
            let pair = Zeroizing::new(format!("{}:{}", **user, **password));
            let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
            let mut value = HeaderValue::try_from(&**text).map_err(|_| ProxyError::Unauthorized)?;
            value.set_sensitive(true);
            request = request.header(PROXY_AUTHORIZATION, value);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|_| ProxyError::Refused("the host can't be written in a request".to_owned()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| http_error(&error))?;
        let exchange = async move {
            let answer = sender.send_request(request).await.map_err(|error| http_error(&error))?;
            match answer.status() {
                status if status.is_success() => {}
                StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(ProxyError::Unauthorized),
                status => return Err(ProxyError::Refused(format!("HTTP {status}"))),
            }
            let upgraded = hyper::upgrade::on(answer).await.map_err(|error| http_error(&error))?;
            let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| ProxyError::Closed)?;
            // A server of TLS does not speak first, so these would be the proxy's.
            if parts.read_buf.is_empty() {
                Ok(parts.io.into_inner())
            } else {
                Err(ProxyError::NotAProxy("it sends bytes after its answer".to_owned()))
            }
        };
        // The exchange makes progress only while the connection is driven, and says itself when that has ended.
        let driven = async {
            connection.with_upgrades().await.unwrap_or_default();
            pending::<Infallible>().await
        };
        tokio::select! {
            opened = exchange => opened,
            never = driven => match never {},
        }
    }
}

impl FromStr for Proxy {
    type Err = ParseProxyError;

    fn from_str(text: &str) -> Result<Self, ParseProxyError> {
        let uri = text.parse::<Uri>().map_err(|_| ParseProxyError::Form)?;
        let protocol = match uri.scheme_str() {
            Some("http") => ProxyProtocol::Http,
            // With `socks5h` other tools ask for what is always done here: the proxy finds the name.
            Some("socks5" | "socks5h") => ProxyProtocol::Socks5,
            Some(_) => return Err(ParseProxyError::Protocol),
            None => return Err(ParseProxyError::Form),
        };
        let authority = uri.authority().ok_or(ParseProxyError::Form)?;
        let credentials = match authority.as_str().rsplit_once('@') {
            Some((pair, _)) => {
                let (user, password) = pair.split_once(':').unwrap_or((pair, ""));
                Some((decoded(user)?, decoded(password)?))
            }
            None => None,
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        match authority.port_u16() {
            Some(port) if port > 0 && is_bare && !host.is_empty() => {
                Ok(Self { protocol, host: host.to_owned(), port, credentials })
            }
            _ => Err(ParseProxyError::Form),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, host, port, .. } = self;
        let scheme = match protocol {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Socks5 => "socks5",
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Why a text is not a [`Proxy`]. It may have a password, so no message repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseProxyError {
    /// It has another form.
    #[error("a proxy is `http://HOST:PORT` or `socks5://HOST:PORT`")]
    Form,
    /// It has another protocol.
    #[error("a proxy's protocol is `http` or `socks5`: one that is reached by TLS (`https`) can't be used")]
    Protocol,
    /// The user name or the password is not percent-encoded UTF-8.
    #[error("the proxy's user name and password are percent-encoded UTF-8")]
    Encoding,
}

fn decoded(text: &str) -> Result<Zeroizing<String>, ParseProxyError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| ParseProxyError::Encoding)?;
    Ok(Zeroizing::new(decoded.into_owned()))
}

async fn direct(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let failed = |source| {
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        DialError::Tcp { address, source }
    };
    let found = lookup_host((host, port)).await;
    let found = found.map(Vec::from_iter).map_err(|source| match source.raw_os_error() {
        Some(_) => failed(source),
        // The resolver's own errors have no number of the operating system.
        None => DialError::NameNotFound { host: host.to_owned(), source },
    })?;
    let stream = TcpStream::connect(found.as_slice()).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

fn unreachable(error: DialError) -> ProxyError {
    match error {
        DialError::NameNotFound { source, .. } | DialError::Tcp { source, .. } => {
            ProxyError::Unreachable(source)
        }
        DialError::Proxy { error, .. } => error,
    }
}

fn http_error(error: &hyper::Error) -> ProxyError {
    if error.is_parse() { ProxyError::NotAProxy(error.to_string()) } else { ProxyError::Closed }
}

fn socks_error(error: SocksError) -> ProxyError {
    match error {
        SocksError::PasswordAuthFailure(_)
        | SocksError::NoAcceptableAuthMethods
        | SocksError::AuthorizationRequired
        | SocksError::InvalidAuthValues(_) => ProxyError::Unauthorized,
        SocksError::InvalidResponseVersion
        | SocksError::UnknownAuthMethod
        | SocksError::InvalidReservedByte => ProxyError::NotAProxy(error.to_string()),
        SocksError::Io(_) => ProxyError::Closed,
        other => ProxyError::Refused(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_accepted_or_refused() {
        for (text, shown) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1"),
            ("socks5://[::1]:1080", "socks5://[::1]:1080"),
            ("socks5h://proxy:1080", "socks5://proxy:1080"),
        ] {
            let proxy = text.parse::<Proxy>().unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.has_credentials()), (shown, false));
        }
        for text in
            ["", "proxy:3128", "http://proxy", "http://proxy:0", "http://:1", "http://p:1/x", "http://p:1/?x"]
        {
            assert_eq!(text.parse::<Proxy>(), Err(ParseProxyError::Form), "{text}");
        }
        for text in ["https://proxy:1", "socks4://proxy:1", "ftp://proxy:1"] {
            assert_eq!(text.parse::<Proxy>(), Err(ParseProxyError::Protocol), "{text}");
        }
        assert_eq!("http://%ff:x@proxy:1".parse::<Proxy>(), Err(ParseProxyError::Encoding));
    }

    #[test]
    fn credentials_are_decoded_and_never_shown() {
        let proxy = "http://us%40er:pa%3Ass%21@[::1]:1".parse::<Proxy>().unwrap();
        assert_eq!(proxy.address(), ("::1", 1));
        let (user, password) = proxy.credentials.clone().unwrap();
        assert_eq!((user.as_str(), password.as_str()), ("us@er", "pa:ss!"));
        for shown in [proxy.to_string(), format!("{proxy:?}")] {
            assert!(!shown.contains("us") && !shown.contains("pa"), "{shown}");
        }
    }
}
