//! Errors of the APIs, in the shape of AWS's REST-JSON protocol: the status, the exception's name in `x-amzn-ErrorType`, and a
//! JSON body with `message`.
//!
//! Source: the API models of AWS IoT and AWS IoT data (names and statuses), Smithy's specification of `aws.protocols#restJson1` and
//! `aws.protocols#awsJson1_0`.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::signature::SignatureError;
use crate::{
    registry::RegistryError,
    shadow::{error::ShadowError, request::Rejected},
};

/// An error that a client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// AWS's exception.
    pub name: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The message.
    pub message: String,
    /// Further members of the exception, such as `resourceArn`.
    pub members: Map<String, Value>,
}

impl ApiError {
    fn new(name: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self { name, status, message: message.into(), members: Map::new() }
    }

    /// A request that can't be carried out as it is.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", StatusCode::BAD_REQUEST, message)
    }

    /// A body or parameter that is not what the API model says.
    #[must_use]
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", StatusCode::BAD_REQUEST, message)
    }

    /// A call that can't be carried out as it is, for a reason that AWS may leave out.
    #[must_use]
    pub fn invalid_request_with(message: Option<String>) -> Self {
        let is_absent = message.is_none();
        let mut error = Self::invalid_request(message.unwrap_or_default());
        if is_absent {
            error.members.insert("message".to_owned(), Value::Null);
        }
        error
    }

    /// A function's answer that AWS does not accept.
    #[must_use]
    pub fn invalid_response(message: impl Into<String>) -> Self {
        Self::new("InvalidResponseException", StatusCode::BAD_REQUEST, message)
    }

    /// Something that exists.
    #[must_use]
    pub fn already_exists(message: impl Into<String>, id: &str, arn: &str) -> Self {
        let mut error = Self::new("ResourceAlreadyExistsException", StatusCode::CONFLICT, message);
        error.members.insert("resourceId".to_owned(), json!(id));
        error.members.insert("resourceArn".to_owned(), json!(arn));
        error
    }

    /// Something that can't be deleted now.
    #[must_use]
    pub fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new("DeleteConflictException", StatusCode::CONFLICT, message)
    }

    /// More than AWS allows. 410 is the status of the API model.
    #[must_use]
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new("LimitExceededException", StatusCode::GONE, message)
    }

    /// A request beyond a rate.
    #[must_use]
    pub fn throttling(message: impl Into<String>) -> Self {
        Self::new("ThrottlingException", StatusCode::TOO_MANY_REQUESTS, message)
    }

    /// The data plane's error of this status.
    #[must_use]
    pub fn of_status(status: StatusCode, message: impl Into<String>) -> Self {
        let name = match status {
            StatusCode::FORBIDDEN => "ForbiddenException",
            StatusCode::NOT_FOUND => "ResourceNotFoundException",
            StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLargeException",
            StatusCode::TOO_MANY_REQUESTS => "ThrottlingException",
            StatusCode::INTERNAL_SERVER_ERROR => "InternalFailureException",
            StatusCode::GATEWAY_TIMEOUT => "GatewayTimeoutException",
            _ => return Self::invalid_request(message),
        };
        Self::new(name, status, message)
    }

    /// The error of a member of this structure, whose message names both.
    #[must_use]
    pub fn inside(self, structure: &str) -> Self {
        Self { message: self.message.replacen(" at '", &format!(" at '{structure}."), 1), ..self }
    }

    /// Something that does not exist.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", StatusCode::NOT_FOUND, message)
    }

    /// A body that is larger than this many bytes.
    #[must_use]
    pub fn too_large(max: usize) -> Self {
        let message = format!("the body is larger than {max} bytes");
        Self::new("RequestEntityTooLargeException", StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// An operation of AWS's that the gateway does not have.
    #[must_use]
    pub fn not_implemented(operation: &str) -> Self {
        let message = format!(
            "{operation} is not implemented by the gateway; docs/aws-apis.md lists the operations that are"
        );
        Self::new("NotImplementedException", StatusCode::NOT_IMPLEMENTED, message)
    }

    /// A method and path that no operation of the service has.
    #[must_use]
    pub fn unknown_operation() -> Self {
        Self::new("UnknownOperationException", StatusCode::NOT_FOUND, "no operation has this method and path")
    }

    /// A request that the port does not serve, even if it is signed.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new("ForbiddenException", StatusCode::FORBIDDEN, message)
    }

    /// A fault of the gateway's. What happened is in its log, not in the answer.
    #[must_use]
    pub fn internal_failure() -> Self {
        let message = "the gateway can't carry out the request; its log says why";
        Self::new("InternalFailureException", StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// The same error for a client of DynamoDB, which reads the exception's name in the body.
    #[must_use]
    pub fn for_json_protocol(mut self) -> Self {
        self.members.insert("__type".to_owned(), json!(self.name));
        self
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = self.members.clone();
        body.entry("message").or_insert_with(|| json!(self.message));
        Value::Object(body)
    }
}

/// The names are those that AWS's services answer with *(guess: the exceptions of a request that is not signed)*.
impl From<SignatureError> for ApiError {
    fn from(error: SignatureError) -> Self {
        let name = match error {
            SignatureError::Missing => "MissingAuthenticationTokenException",
            SignatureError::Incomplete(_) => "IncompleteSignatureException",
            SignatureError::UnknownKey => "UnrecognizedClientException",
            SignatureError::Scope(_) | SignatureError::Expired(_) | SignatureError::Mismatch => {
                "InvalidSignatureException"
            }
        };
        Self::new(name, StatusCode::FORBIDDEN, error.to_string())
    }
}

/// The messages are those of the service over MQTT.
impl From<ShadowError> for ApiError {
    fn from(error: ShadowError) -> Self {
        let (name, status) = match error.code() {
            404 => ("ResourceNotFoundException", StatusCode::NOT_FOUND),
            409 => ("ConflictException", StatusCode::CONFLICT),
            413 => ("RequestEntityTooLargeException", StatusCode::PAYLOAD_TOO_LARGE),
            415 => ("UnsupportedDocumentEncodingException", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            429 => ("ThrottlingException", StatusCode::TOO_MANY_REQUESTS),
            _ => ("InvalidRequestException", StatusCode::BAD_REQUEST),
        };
        Self::new(name, status, error.to_string())
    }
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        rejected.error.into()
    }
}

/// The names and statuses are those of the API model; the messages are the gateway's own *(guess: the messages of the registry's
/// exceptions)*.
impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::NotFound { .. } => Self::not_found(message),
            RegistryError::AlreadyExists { id, arn, .. } => Self::already_exists(message, &id, &arn),
            RegistryError::VersionConflict(_) => {
                Self::new("VersionConflictException", StatusCode::CONFLICT, message)
            }
            RegistryError::CertificateState(_) => {
                Self::new("CertificateStateException", StatusCode::NOT_ACCEPTABLE, message)
            }
            RegistryError::DeleteConflict(_) => Self::delete_conflict(message),
            RegistryError::Limit(_) => Self::limit_exceeded(message),
            RegistryError::MalformedPolicy(_) => {
                Self::new("MalformedPolicyException", StatusCode::BAD_REQUEST, message)
            }
            RegistryError::VersionsLimit(_) => {
                Self::new("VersionsLimitExceededException", StatusCode::CONFLICT, message)
            }
            RegistryError::Invalid(_)
            | RegistryError::OfSettingsFile { .. }
            | RegistryError::Twice { .. } => Self::invalid_request(message),
            RegistryError::Stopped => {
                Self::new("ServiceUnavailableException", StatusCode::SERVICE_UNAVAILABLE, message)
            }
            RegistryError::File(error) => {
                tracing::error!(%error, "the registry's file");
                Self::internal_failure()
            }
        }
    }
}
