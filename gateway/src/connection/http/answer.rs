//! What an HTTP client reads. Which status AWS sends where is *(unverified)*.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde_json::json;

use crate::{custom_auth::AuthnError, lambda::InvokeError};

pub(super) type Body = Full<Bytes>;

/// Why a request is not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// It can't be understood.
    Request(String),
    /// The authorizer did not let it in, or could not be asked.
    NotAuthenticated(StatusCode),
    /// The policies don't allow it.
    Forbidden,
    /// There is nothing at its path.
    Path,
    /// This door takes no publish.
    NoPublish,
    /// This door takes no WebSocket.
    NoWebSocket,
    /// Its path takes another method.
    Method(&'static str),
    /// Its body did not come in time.
    Slow,
    /// Its body is too large.
    TooLarge,
    /// What was to be kept of it can't be written.
    NotWritten,
}

/// The answer to a request with this id.
pub(super) fn answer(result: &Result<(), Fault>, id: &str) -> Response<Body> {
    let (status, message) = match result {
        Ok(()) => (StatusCode::OK, "OK".to_owned()),
        Err(fault) => (fault.status(), fault.message()),
    };
    let body = json!({"message": message, "traceId": id}).to_string();
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Err(Fault::Method(allowed)) = result {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

impl Fault {
    /// What a refusal by the authorizer comes to.
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
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated(status) => *status,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Path | Self::NoPublish | Self::NoWebSocket => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::NotWritten => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// Whom nobody knows is told no more than the status says.
    fn message(&self) -> String {
        match self {
            Self::NotAuthenticated(_) | Self::Forbidden => {
                self.status().canonical_reason().unwrap_or_default().to_owned()
            }
            _ => self.details(),
        }
    }

    /// What is wrong, with what to do about it. Nothing of the request is in it but names.
    pub(super) fn details(&self) -> String {
        match self {
            Self::Request(details) => details.clone(),
            Self::NotAuthenticated(_) => "not authenticated".to_owned(),
            Self::Forbidden => "not allowed by the policies".to_owned(),
            Self::Path => {
                "nothing is at this path: use `POST /topics/TOPIC`, or WebSocket at `/mqtt`".to_owned()
            }
            Self::NoPublish => {
                "the domain configuration's `application_protocol` is MQTT_WSS: publish over WebSocket at `/mqtt`"
                    .to_owned()
            }
            Self::NoWebSocket => "WebSocket is not taken here: it is for custom authentication, at AWS's port 443 \
                                  without ALPN or with `http/1.1`"
                .to_owned(),
            Self::Method(allowed) => format!("this path takes the method {allowed}"),
            Self::Slow => format!("the body did not come within {:?}", super::publish::BODY_LIMIT),
            Self::NotWritten => "the gateway can't write its sessions' file".to_owned(),
            Self::TooLarge => "the body is too large (AWS takes 128 KiB)".to_owned(),
        }
    }
}
