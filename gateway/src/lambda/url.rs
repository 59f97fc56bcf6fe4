//! A function at an Invoke URL: `cargo lambda watch`, an emulator, or anything else that answers Lambda's Invoke call.
//!
//! Source: AWS Lambda API reference, `Invoke`.

use std::{error::Error, io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use mqtt::tls_failure::{End, TlsWords, tls_error};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

use super::{
    Call, InvokeError, MAX_ANSWER_BYTES, innermost, invoke_url::InvokeUrl, runtime_api::function_fault,
    slots::Slots,
};

/// The header that marks an answer as a function's error.
const FUNCTION_ERROR: &str = "x-amz-function-error";
const NOT_RUNNING: &str = "is the function running? start it, for example with `cargo lambda watch`";

const NO_NAME: &str = "correct the host in its URL";

/// The gateway's words about its handshakes with a function's URL.
const WORDS: TlsWords = TlsWords {
    end: End::Client,
    peer: "the server there",
    own: "the gateway",
    no_tls: "write `http://` if it runs on this machine without TLS",
    certificate: "check what it expects",
    trust: "add the CA to this machine's, or to a file that SSL_CERT_FILE names",
    dates: "check this machine's clock too",
    closed: "it has no TLS (write `http://` on this machine), or a proxy or a firewall is on the way",
};

/// The function at one URL.
pub struct UrlFunction {
    url: InvokeUrl,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    slots: Slots,
}

/// Why `https` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// TLS can't be set up.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The system's certificate authorities can't be read.
    #[error(
        "this system's certificate authorities can't be read: {0}; SSL_CERT_FILE may name a file with some"
    )]
    Roots(#[from] io::Error),
}

impl UrlFunction {
    /// Reads the system's certificate authorities where the URL calls for TLS.
    ///
    /// # Errors
    ///
    /// When TLS can't be set up.
    pub fn new(url: InvokeUrl, slots: Slots) -> Result<Self, TlsError> {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?;
        let tls = if url.is_https() {
            tls.with_native_roots()?
        } else {
            tls.with_root_certificates(RootCertStore::empty())
        };
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        // `InvokeUrl` decides which schemes are allowed.
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // The client repeats only a call that was not sent, over a new connection.
        let http = legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Ok(Self { url, http, slots })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &InvokeUrl {
        &self.url
    }

    /// Waits for a slot, then calls the function with one event.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn invoke(&self, call: Call, payload: impl FnOnce() -> Bytes) -> Result<Bytes, InvokeError> {
        // Boxed: the call's state is large, and every connection would need memory for it.
        self.slots.run(call, || Box::pin(self.post(payload()))).await
    }

    async fn post(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let mut request = Request::new(Full::new(payload));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.uri().clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.http.request(request).await.map_err(|error| self.fault(&error))?;
        let (head, body) = answer.into_parts();
        let failed = head.headers.contains_key(FUNCTION_ERROR);
        if head.status != StatusCode::OK && !failed {
            return Err(self.status(head.status));
        }
        let body = match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(InvokeError::TooLarge),
            Err(error) => return Err(self.broken(error.as_ref())),
        };
        if failed { Err(InvokeError::Function(function_fault(&body))) } else { Ok(body) }
    }

    fn fault(&self, error: &legacy::Error) -> InvokeError {
        if !error.is_connect() {
            return self.broken(error);
        }
        let (text, cure) = match handshake_failure(error) {
            Some(error) => (error, "nothing was sent to it"),
            None => (innermost(error), NOT_RUNNING),
        };
        // Neither has a type of its own that could be asked for.
        let is_name = ["failed to lookup address", "invalid dns name"].iter().any(|part| text.contains(part));
        let cure = if is_name { NO_NAME } else { cure };
        InvokeError::Unreachable { place: self.url.to_string(), error: text, cure }
    }

    fn broken(&self, error: &(dyn Error + 'static)) -> InvokeError {
        InvokeError::Broken { place: self.url.to_string(), error: innermost(error) }
    }

    /// The error for a status other than 200.
    fn status(&self, status: StatusCode) -> InvokeError {
        if status == StatusCode::TOO_MANY_REQUESTS {
            return InvokeError::TooManyRequests { place: self.url.to_string() };
        }
        let cure = match status {
            _ if status.is_redirection() => "; redirects are not followed: use the URL that it leads to",
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "; is the path that of Lambda's Invoke call, `/2015-03-31/functions/NAME/invocations`?"
            }
            _ => "; the log of what runs there may say why",
        };
        let answer = format!("status {}", status.as_u16());
        InvokeError::Refused { place: self.url.to_string(), answer, cure }
    }
}

/// What is wrong with the TLS handshake, if that is why there is no connection. An error in an `io::Error` is not its `source`.
fn handshake_failure(error: &(dyn Error + 'static)) -> Option<String> {
    let causes = std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    });
    let mut errors = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    // An end in the handshake: a TCP connection that is not made ends otherwise.
    let ends = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
    let found = errors.find(|error| tls_error(error).is_some() || ends.contains(&error.kind()));
    found.map(|error| WORDS.describe(error))
}
