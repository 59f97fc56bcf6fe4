//! The answers to HTTP requests. Those to a publish that succeeds or that the policies deny were measured
//! (`docs/fidelity.md`), and so were those to calls about shadows that succeed; the others were not *(guess: the other statuses of an HTTPS publish)*
//! *(guess: the error types of the other statuses)*.
//!
//! Source: API reference, `API_iotdata_Publish`.

use bytes::Bytes;
use cli::output::escaped;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::json;

use crate::{
    custom_auth::AuthnError, direct_message::DirectFault, lambda::InvokeError, quotas::LimitError,
    shadow::error::ShadowError,
};

pub(super) type Body = Full<Bytes>;

/// The request's id, which is also the body's `traceId` and that of the request's lines in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The name of the exception, and a colon.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A request that is not carried out.
#[derive(Debug)]
pub(super) enum RequestError {
    /// The request is malformed.
    Malformed(String),
    /// The client is not authenticated, or the authorizer can't be asked.
    NotAuthenticated(StatusCode),
    /// It exceeds a rate.
    Throttled(LimitError),
    /// The policies don't allow it.
    Forbidden,
    /// The path does not exist.
    NotFound,
    /// Neither SNI nor the `Host` header names a domain configuration.
    UnknownHost,
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
    /// A call about a shadow is rejected.
    Shadow(ShadowError),
    /// A call about a shadow comes from a client without a certificate.
    CertificateNeeded,
    /// A direct message was not sent, or is not known to have arrived.
    Direct(DirectFault),
}

/// The answer to a request with this id, which has a body of its own or none.
pub(super) fn answer(result: &Result<Option<Bytes>, RequestError>, id: &str) -> Response<Body> {
    let message = |message: Option<String>| {
        escaped(json!({"message": message, "traceId": id}).to_string()).into_owned().into()
    };
    let (status, body) = match result {
        Ok(Some(body)) => (StatusCode::OK, body.clone()),
        Ok(None) => (StatusCode::OK, message(Some("OK".to_owned()))),
        Err(error) => (error.status(), message(error.message())),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(HeaderValue::from_str(id).ok().map(|id| (REQUEST_ID, id)));
    if let Err(error) = result {
        headers.insert(ERROR_TYPE, HeaderValue::from_static(error.error_type()));
    }
    if let Err(RequestError::Method(allowed)) = result {
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

impl From<ShadowError> for RequestError {
    fn from(error: ShadowError) -> Self {
        Self::Shadow(error)
    }
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
            Self::Malformed(_) | Self::UnknownHost => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated(status) => *status,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden | Self::CertificateNeeded => StatusCode::FORBIDDEN,
            Self::NotFound | Self::PublishNotAllowed | Self::WebSocketNotAllowed => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotWritten => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Shadow(error) => {
                StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Direct(fault) => fault.status(),
        }
    }

    /// The exception of the status (API reference, `API_iotdata_Publish` and `API_Operations_AWS_IoT_Data_Plane`).
    fn error_type(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "UnauthorizedException:",
            StatusCode::FORBIDDEN => "ForbiddenException:",
            StatusCode::NOT_FOUND => "ResourceNotFoundException:",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowedException:",
            StatusCode::CONFLICT => "ConflictException:",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedDocumentEncodingException:",
            StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLargeException:",
            StatusCode::TOO_MANY_REQUESTS => "ThrottlingException:",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableException:",
            StatusCode::GATEWAY_TIMEOUT => "GatewayTimeoutException:",
            StatusCode::INTERNAL_SERVER_ERROR => "InternalFailureException:",
            _ => "InvalidRequestException:",
        }
    }

    /// The body's message. A client that is not authenticated reads no more than the status, and one that the policies deny
    /// reads nothing.
    fn message(&self) -> Option<String> {
        match self {
            Self::Forbidden => None,
            Self::NotAuthenticated(status) => Some(status.canonical_reason().unwrap_or_default().to_owned()),
            _ => Some(self.details()),
        }
    }

    /// The error in words, with what to do about it. It repeats no values of the request.
    pub(super) fn details(&self) -> String {
        match self {
            Self::Malformed(details) => details.clone(),
            Self::NotAuthenticated(_) => "not authenticated".to_owned(),
            Self::Throttled(error) => error.to_string(),
            Self::Forbidden => "not allowed by the policies".to_owned(),
            Self::NotFound => {
                "nothing is at this path: use `POST /topics/TOPIC`, `/things/THING/shadow`, or WebSocket at `/mqtt`".to_owned()
            }
            Self::UnknownHost => {
                "the client sends no server name (SNI), and its Host header names no domain configuration of this gateway: \
                 connect to one of its names, or add the name with `--name`"
                    .to_owned()
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
            Self::Shadow(error) => error.to_string(),
            Self::CertificateNeeded => {
                "calls about shadows need a client certificate, at AWS's port 8443, or at 443 with ALPN `x-amzn-http-ca`: \
                 without one use MQTT, or `POST /topics/$aws/things/THING/shadow/update`"
                    .to_owned()
            }
            Self::Direct(fault) => fault.to_string(),
            Self::TooLarge(max) => format!("the body is larger than {max} bytes"),
        }
    }
}
