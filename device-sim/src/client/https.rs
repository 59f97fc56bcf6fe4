//! A device that publishes by HTTPS requests (AWS IoT Core developer guide, "Device communication protocols").

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use mqtt::{EncodeError, Publish, QoS};
use percent_encoding::utf8_percent_encode;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::connecting::{Limit, tcp, tls};
use super::{Closed, ConnectError, Options, RequestError, Step, TlsError};
use crate::endpoint::{Endpoint, ParameterPlace};
use crate::login::{Login, scheme::PARAMETER_VALUE, with_query};

/// What a request has in its header `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authorization {
    /// The user name and the password.
    #[default]
    Basic,
    /// The password, which is a token.
    Bearer,
    /// Nothing.
    None,
}

/// A device whose messages are requests of their own, on a connection that is opened again where the server has closed it.
/// The server judges the device at each of them.
pub struct HttpsPublisher {
    endpoint: Endpoint,
    open: Open,
    headers: HeaderMap,
    parameters: Vec<(String, String)>,
    time_limit: Duration,
}

/// A connection, which is driven by a task of its own.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
    /// Whether a request has gone over it.
    is_used: bool,
}

impl Open {
    /// TCP and TLS. Nothing is presented yet.
    async fn new(endpoint: &Endpoint, time_limit: Duration) -> Result<Self, ConnectError> {
        let limit = Limit::begin(time_limit);
        let stream = limit.within(Step::Tcp, tcp(endpoint)).await?;
        let stream = limit.within(Step::Tls, tls(endpoint, stream)).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|_| ConnectError::Tls(TlsError::Closed))?;
        let connection = tokio::spawn(async move { connection.await.unwrap_or_default() });
        Ok(Self { sender, connection, is_used: false })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl HttpsPublisher {
    /// Connects over TCP and TLS. Nothing is presented yet.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub async fn connect(
        endpoint: &Endpoint,
        login: &Login,
        authorization: Authorization,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let (user_name, mut parameters) = login.without_parameters();
        let mut headers = HeaderMap::new();
        let unsendable = || ConnectError::Unsendable(EncodeError::Invalid("a header can't be written"));
        let host = HeaderValue::try_from(endpoint.authority()).map_err(|_| unsendable())?;
        headers.insert(HOST, host);
        let password = login.password.expose();
        let credential = match authorization {
            Authorization::Basic => {
                let pair = Zeroizing::new([user_name.as_bytes(), b":", password].concat());
                Some(Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair))))
            }
            Authorization::Bearer => {
                let token = std::str::from_utf8(password).map_err(|_| unsendable())?;
                Some(Zeroizing::new(format!("Bearer {token}")))
            }
            Authorization::None => None,
        };
        if let Some(credential) = credential {
            headers.insert(AUTHORIZATION, secret(&credential).ok_or_else(unsendable)?);
        }
        if endpoint.parameters() == ParameterPlace::Headers {
            for (name, value) in std::mem::take(&mut parameters) {
                let name = HeaderName::try_from(name).map_err(|_| unsendable())?;
                headers.insert(name, secret(&value).ok_or_else(unsendable)?);
            }
        }
        let open = Open::new(endpoint, options.time_limit).await?;
        Ok(Self { endpoint: endpoint.clone(), open, headers, parameters, time_limit: options.time_limit })
    }

    /// Publishes a message. It has topic, payload, QoS and retain; properties are not sent.
    ///
    /// # Errors
    ///
    /// [`RequestError`].
    pub async fn publish(&mut self, publish: &Publish) -> Result<(), RequestError> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(RequestError::QosUnsupported);
        }
        let limit = self.time_limit;
        timeout(limit, self.exchange(publish)).await.unwrap_or(Err(RequestError::NotAcknowledged(limit)))
    }

    async fn exchange(&mut self, publish: &Publish) -> Result<(), RequestError> {
        loop {
            if self.open.sender.is_closed() {
                let opened = Open::new(&self.endpoint, self.time_limit).await;
                self.open = opened.map_err(|_| Closed::ByServer)?;
            }
            let was_used = std::mem::replace(&mut self.open.is_used, true);
            let answer = match self.open.sender.send_request(self.request(publish)?).await {
                Ok(answer) => answer,
                // A server may close a connection between two requests, and the client learns it from the next one. That
                // goes over a new connection, unless a second copy of a QoS 0 message could arrive.
                Err(error) if was_used && (error.is_canceled() || publish.qos == QoS::AtLeastOnce) => {
                    let opened = Open::new(&self.endpoint, self.time_limit).await;
                    self.open = opened.map_err(|_| Closed::ByServer)?;
                    continue;
                }
                Err(_) => return Err(Closed::ByServer.into()),
            };
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            if status == StatusCode::OK {
                return Ok(());
            }
            return Err(RequestError::HttpRefused { status: status.as_u16(), message: message(&body) });
        }
    }

    fn request(&self, publish: &Publish) -> Result<Request<Full<Bytes>>, RequestError> {
        let topic = publish.topic.as_ref().map(mqtt::TopicName::as_str).unwrap_or_default();
        let path = format!("/topics/{}", utf8_percent_encode(topic, PARAMETER_VALUE));
        let mut parameters = vec![("qos".to_owned(), u8::from(publish.qos).to_string())];
        if publish.retain {
            parameters.push(("retain".to_owned(), "true".to_owned()));
        }
        parameters.extend(self.parameters.iter().cloned());
        let mut request = Request::post(with_query(&path, &parameters))
            .body(Full::new(publish.payload.clone()))
            .map_err(|_| RequestError::Unsendable(EncodeError::Invalid("the request can't be written")))?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 4_096;
/// The most characters of its message that are shown.
const MAX_MESSAGE: usize = 200;

/// A server's message, or the beginning of its body.
fn message(body: &[u8]) -> Option<Arc<str>> {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let message = match &json {
        Some(json) => {
            let text = |name: &str| json.get(name).and_then(serde_json::Value::as_str);
            [text("message"), text("traceId")].into_iter().flatten().collect::<Vec<_>>().join(":")
        }
        None => String::from_utf8_lossy(body).into_owned(),
    };
    let message = message.chars().take(MAX_MESSAGE).collect::<String>();
    (!message.is_empty()).then(|| message.into())
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
