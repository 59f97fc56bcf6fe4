//! The answers to HTTP requests. Which status AWS sends in which case is *(unverified)*.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde_json::json;

use crate::{custom_auth::AuthnError, lambda::InvokeError};

pub(super) type Body = Full<Bytes>;

/// A request that is not carried out.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The request is malformed.
    Malformed(String),
    /// The client is not authenticated, or the authorizer can't be asked.
    NotAuthenticated(StatusCode),
    /// The policies don't allow it.
    Forbidden,
    /// The path does not exist.
    NotFound,
    /// The domain configuration does not allow HTTPS publish.
    PublishNotAllowed,
    /// This door does not accept WebSocket.
    WebSocketNotAllowed,
    /// The path needs this method.
    Method(&'static str),
    /// The body did not come in time.
    Timeout,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The sessions' file can't be written.
    NotWritten,
}

/// The answer to a request with this id.
pub(super) fn answer(result: &Result<(), RequestError>, id: &str) -> Response<Body> {
    let (status, message) = match result {
        Ok(()) => (StatusCode::OK, "OK".to_owned()),
        Err(error) => (error.status(), error.message()),
    };
    let body = json!({"message": message, "traceId": id}).to_string();
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Err(RequestError::Method(allowed)) = result {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

impl RequestError {
    /// The error of a request that is not authenticated.
    pub(super) fn not_authenticated(refusal: &AuthnError) -> Self {
        Self::NotAuthenticated(match refusal {
            AuthnError::Crowded
            | AuthnError::Invoke(InvokeError::Throttled | InvokeError::TooManyRequests { .. }) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            AuthnError::Invoke(_) | AuthnError::Answer(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        })
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated(status) => *status,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::PublishNotAllowed | Self::WebSocketNotAllowed => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotWritten => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// The body's message. A client that is not authenticated reads no more than the status.
    fn message(&self) -> String {
        match self {
            Self::NotAuthenticated(_) | Self::Forbidden => {
                self.status().canonical_reason().unwrap_or_default().to_owned()
            }
            _ => self.details(),
        }
    }

    /// The error in words, with what to do about it. It repeats no values of the request.
    pub(super) fn details(&self) -> String {
        match self {
            Self::Malformed(details) => details.clone(),
            Self::NotAuthenticated(_) => "not authenticated".to_owned(),
            Self::Forbidden => "not allowed by the policies".to_owned(),
            Self::NotFound => {
                "nothing is at this path: use `POST /topics/TOPIC`, or WebSocket at `/mqtt`".to_owned()
            }
            Self::PublishNotAllowed => {
                "the domain configuration's `application_protocol` is MQTT_WSS: publish over WebSocket at `/mqtt`"
                    .to_owned()
            }
            Self::WebSocketNotAllowed => "this door does not accept WebSocket, which is for custom authentication, at AWS's port 443 \
                                  without ALPN or with `http/1.1`"
                .to_owned(),
            Self::Method(allowed) => format!("this path needs the method {allowed}"),
            Self::Timeout => format!("the body did not come within {:?}", super::publish::BODY_TIMEOUT),
            Self::NotWritten => "the gateway can't write its sessions' file".to_owned(),
            Self::TooLarge(max) => format!("the body is larger than {max} bytes"),
        }
    }
}
