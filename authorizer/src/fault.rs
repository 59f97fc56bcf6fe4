//! Faults: errors that prevent a decision.

use std::fmt;

use device_auth::{jwt::keys::KeysError, policy::DocumentError};
use iot_policy::arn::FunctionArnError;
use lambda_runtime::Diagnostic;

/// An error that prevents a decision. IoT Core then rejects the connection, but it is not a refusal.
#[derive(Debug, thiserror::Error)]
pub enum FunctionFault {
    /// The store gave no usable answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Lambda gave the function an ARN that can't be parsed.
    #[error(transparent)]
    FunctionArn(#[from] FunctionArnError),
    /// The JWKS URL gave no keys for JSON Web Tokens.
    #[error(transparent)]
    Jwks(#[from] JwksFault),
    /// A grant doesn't fit AWS's limits.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl FunctionFault {
    /// The fixed name in logs and metrics.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Store(_) => "store_fault",
            Self::FunctionArn(_) => "function_arn_fault",
            Self::Jwks(_) => "jwks_fault",
            Self::Document(_) => "document_fault",
        }
    }
}

impl From<FunctionFault> for Diagnostic {
    fn from(fault: FunctionFault) -> Self {
        Self { error_type: fault.error_type().to_owned(), error_message: fault.to_string() }
    }
}

/// Why a store gave no usable answer: what happened, and how to fix it if that is known. The message has nothing of a record
/// but names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreFault {
    kind: FaultKind,
    message: String,
}

/// The kinds of faults, as logs and metrics count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The store accepts no more calls for now.
    Throttled,
    /// The store did not answer in time.
    Timeout,
    /// The store can't be reached, or failed.
    Unavailable,
    /// The function may not read the store, or its credentials are not valid.
    AccessDenied,
    /// The table or the secret is not there.
    NotFound,
    /// The store refused the call for another reason.
    Refused,
    /// The store has a malformed record.
    BadRecord,
}

impl StoreFault {
    /// A fault with a message for the operator: lower case, no full stop, no secret.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The kind of the fault.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}

impl FaultKind {
    /// The fixed name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::AccessDenied => "access_denied",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::BadRecord => "bad_record",
        }
    }

    /// Whether the fault is an outage, which ends by itself. Only in an outage may an old record be used. An operator who
    /// removes a permission, or makes a mistake in a record while disabling it, must not see the old record in force.
    #[must_use]
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Throttled | Self::Timeout | Self::Unavailable)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the JWKS URL gave no keys for JSON Web Tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    /// The whole answer did not come within the time limit.
    #[error("the JWKS URL did not answer in time")]
    TimedOut,
    /// No connection could be made, or it broke.
    #[error("the JWKS URL can't be reached: {0}")]
    Unreachable(String),
    /// The answer was not 200. Redirects are not followed: they could lead anywhere.
    #[error("the JWKS URL answered with status {0}, not with 200")]
    Status(u16),
    /// The answer was longer than 64 KiB.
    #[error("the JWKS URL answered with more than 64 KiB")]
    TooLarge,
    /// The answer was not a JWKS with a key that can be used.
    #[error("the JWKS URL answered with {0}")]
    NotJwks(#[source] KeysError),
}
