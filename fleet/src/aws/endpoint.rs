//! Connections to AWS's endpoints. A failure that waiting does not change ends a call at once, and one after which the call is
//! tried again is reported on standard error.

use std::{error::Error, io, iter};

use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        result::ConnectorError,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use cli::console;
use mqtt::tls_failure::{End, TlsWords};

/// The settings that name another endpoint than AWS's own.
const SETTINGS: &str = "AWS_ENDPOINT_URL, its form for one service (AWS_ENDPOINT_URL_DYNAMODB, for example), or `endpoint_url` of the \
                        profile";

/// What a handshake with an endpoint that fails is called.
const WORDS: TlsWords = TlsWords {
    end: End::Client,
    peer: "the endpoint",
    own: "this program",
    no_tls: "use `http://` if it has no TLS, and check what may answer in its place: a proxy, or a network's login page",
    certificate: "check what the endpoint expects",
    trust: "check what may answer in its place, and add its CA to this machine's, or to a file that SSL_CERT_FILE names",
    dates: "check this machine's clock too",
    closed: "a firewall or a proxy on the way is the cause",
};

/// Why an endpoint did not answer. Each message ends with its cure.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("nothing accepts connections at `{0}`: start what should, or correct what names it ({SETTINGS})")]
    Refused(String),
    #[error(
        "the name of `{0}` is not found: correct the region, or what else names it ({SETTINGS}), and check this machine's DNS"
    )]
    NameNotFound(String),
    #[error("TLS with `{0}` fails: {1}")]
    Tls(String, String),
    #[error("`{0}` does not answer in time ({1}): check this machine's network and proxy")]
    Silent(String, BoxError),
    #[error("the connection to `{0}` failed ({1}): check this machine's network and proxy")]
    Broken(String, String),
}

impl Unreachable {
    /// What a connector's error means for a call to this host.
    fn of(host: String, error: ConnectorError) -> Self {
        let is_timeout = error.is_timeout();
        let source = error.into_source();
        if is_timeout {
            return Self::Silent(host, source);
        }
        for cause in causes(source.as_ref()) {
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(host, WORDS.describe_tls(tls));
            }
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                if io.kind() == io::ErrorKind::ConnectionRefused {
                    return Self::Refused(host);
                }
                if is_unknown_name(io) {
                    return Self::NameNotFound(host);
                }
            }
        }
        let last = causes(source.as_ref()).last().map(ToString::to_string);
        Self::Broken(host, last.unwrap_or_default())
    }

    /// Whether another attempt would fail in the same way.
    const fn lasts(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NameNotFound(_) | Self::Tls(..))
    }

    /// The error with what the SDK decides about another attempt from.
    fn into_connector_error(self) -> ConnectorError {
        if self.lasts() {
            return ConnectorError::other(self.into(), None);
        }
        match self {
            Self::Silent(..) => ConnectorError::timeout(self.into()),
            _ => ConnectorError::io(self.into()),
        }
    }
}

/// The resolver's own errors are no error numbers of the system. One of them is about the resolver, and may heal.
fn is_unknown_name(error: &io::Error) -> bool {
    /// `WSAHOST_NOT_FOUND`.
    const NOT_FOUND_ON_WINDOWS: i32 = 11_001;
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => cfg!(windows) && number == NOT_FOUND_ON_WINDOWS,
        None => {
            text.starts_with("failed to lookup address information") && !text.contains("emporary failure")
        }
    }
}

/// An error and its causes. The error in an `io::Error` is one of them, which its `source` leaves out.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The failure of a connection among the causes of a call's error.
pub(super) fn unreachable<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Unreachable> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The SDK's client of HTTP, which looks at the failures of connections.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    let client = Builder::new().build_with_connector_fn(|settings, components| {
        let provider = Provider::Rustls(CryptoMode::AwsLc);
        let mut builder = ConnectorBuilder::default().tls_provider(provider);
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.set_proxy_config(Some(ProxyConfig::from_env()));
        builder.build()
    });
    SharedHttpClient::new(WatchedClient(client))
}

#[derive(Debug)]
struct WatchedClient(SharedHttpClient);

impl HttpClient for WatchedClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(WatchedConnector(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

#[derive(Debug)]
struct WatchedConnector(SharedHttpConnector);

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = host(request.uri()).to_owned();
        let left = request.headers().get("amz-sdk-request").and_then(attempts_left);
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            answer.await.map_err(|error| {
                // What is wrong with the request itself is not the connection's.
                if error.is_user() {
                    return error;
                }
                let failure = Unreachable::of(host, error);
                if let (false, Some(left @ 1..)) = (failure.lasts(), left) {
                    console::status(&retrying(&failure, left));
                }
                failure.into_connector_error()
            })
        })
    }
}

fn retrying(failure: &Unreachable, left: u32) -> String {
    format!("{failure}; trying again, {} at most", console::counted(left, "time"))
}

/// Host and port of a URI, without what may be a user name and a password.
fn host(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// How many attempts a call has after this one, from the header in which the SDK says so: `attempt=1; max=8`.
fn attempts_left(header: &str) -> Option<u32> {
    let value = |name: &str| {
        let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, _)| *found == name)?.1.parse::<u32>().ok()
    };
    value("max")?.checked_sub(value("attempt")?)
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use aws_sdk_dynamodb::{Client, Config, config::retry::RetryConfig};

    use super::*;
    use crate::aws::call_error;

    #[derive(Debug, Clone)]
    struct Failing {
        attempts: Arc<AtomicU32>,
        error: fn() -> ConnectorError,
    }

    impl HttpConnector for Failing {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            self.attempts.fetch_add(1, Ordering::Relaxed);
            HttpConnectorFuture::ready(Err((self.error)()))
        }
    }

    impl HttpClient for Failing {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    const ATTEMPTS: u32 = 4;

    /// An error, the attempts after it, and what is said of it.
    type Case = (fn() -> ConnectorError, u32, &'static str);

    fn client(http: impl HttpClient + 'static, endpoint: &str) -> Client {
        let config = Config::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-west-1"))
            .allow_no_auth()
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .endpoint_url(endpoint)
            .http_client(http);
        Client::from_conf(config.build())
    }

    async fn told(client: &Client) -> String {
        let error = client.list_tables().send().await.unwrap_err();
        call_error(&error, "dynamodb:ListTables").to_string()
    }

    fn io_error(error: impl Into<BoxError>) -> ConnectorError {
        ConnectorError::io(Box::new(io::Error::other(error)))
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_change_is_tried_once() {
        let cases: [Case; 8] = [
            (
                || io_error(io::Error::from(io::ErrorKind::ConnectionRefused)),
                1,
                "nothing accepts connections at `h:1`: start what should, or correct what names it (AWS_ENDPOINT_URL",
            ),
            (
                || io_error("failed to lookup address information: Name or service not known"),
                1,
                "the name of `h:1` is not found: correct the region",
            ),
            (
                || {
                    io_error(io::Error::other(rustls::Error::InvalidMessage(
                        rustls::InvalidMessage::InvalidContentType,
                    )))
                },
                1,
                "TLS with `h:1` fails: the endpoint does not use TLS; use `http://`",
            ),
            (
                || {
                    let unknown = rustls::CertificateError::UnknownIssuer;
                    io_error(io::Error::other(rustls::Error::InvalidCertificate(unknown)))
                },
                1,
                "add its CA to this machine's",
            ),
            (
                || io_error("failed to lookup address information: Temporary failure in name resolution"),
                ATTEMPTS,
                "the connection to `h:1` failed (failed to lookup",
            ),
            (
                || io_error(io::Error::from(io::ErrorKind::ConnectionReset)),
                ATTEMPTS,
                "the connection to `h:1` failed (",
            ),
            (
                || ConnectorError::timeout("HTTP connect timeout occurred after 5s".into()),
                ATTEMPTS,
                "`h:1` does not answer in time (HTTP connect timeout occurred after 5s): check",
            ),
            (|| ConnectorError::user("a header".into()), 1, "a header"),
        ];
        for (error, attempts, text) in cases {
            let failing = Failing { attempts: Arc::default(), error };
            let counted = Arc::clone(&failing.attempts);
            let said =
                told(&client(WatchedClient(SharedHttpClient::new(failing)), "http://user:secret@h:1/x"))
                    .await;
            assert!(said.contains(text) && !said.contains("secret"), "{said}");
            assert_eq!(counted.load(Ordering::Relaxed), attempts, "{said}");
        }
    }

    /// The SDK's own client, whose errors have more layers.
    #[tokio::test]
    async fn a_closed_port_and_an_unknown_name_are_named() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = told(&client(http_client(), &format!("http://{port}"))).await;
        let expected = format!("dynamodb:ListTables: nothing accepts connections at `{port}`: ");
        assert!(said.starts_with(&expected), "{said}");
        // No resolver has a label of this length.
        let name = format!("{}.invalid", "x".repeat(64));
        let said = told(&client(http_client(), &format!("http://{name}"))).await;
        assert!(said.contains(&format!("the name of `{name}` is not found: ")), "{said}");
    }

    #[test]
    fn a_line_says_how_often_a_call_is_tried_again() {
        for (header, left) in [
            ("attempt=1; max=8", Some(7)),
            ("ttl=20261130T000000Z; attempt=8; max=8", Some(0)),
            ("attempt=2", None),
            ("", None),
        ] {
            assert_eq!(attempts_left(header), left, "{header}");
        }
        let failure = Unreachable::Broken("h:1".to_owned(), "connection reset".to_owned());
        assert_eq!(
            retrying(&failure, 1),
            "the connection to `h:1` failed (connection reset): check this machine's network and proxy; trying again, 1 time \
             at most"
        );
    }
}
