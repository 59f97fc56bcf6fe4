//! What keeps the function from deciding.

use std::fmt;

use device_auth::{jwt::keys::KeysError, policy::DocumentError};
use iot_policy::arn::FunctionArnError;
use lambda_runtime::Diagnostic;

/// What keeps the function from deciding. IoT Core lets nobody in then; it is never a refusal.
#[derive(Debug, thiserror::Error)]
pub enum FunctionFault {
    /// The store can't tell.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The function's own ARN can't be read.
    #[error(transparent)]
    FunctionArn(#[from] FunctionArnError),
    /// There are no keys to check a token with.
    #[error(transparent)]
    Jwks(#[from] JwksFault),
    /// A grant doesn't fit AWS's limits.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl FunctionFault {
    /// The fixed name under which logs and metrics count it.
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

/// Why a store can't tell: what happened, and what to do about it where that is known. It says nothing of what
/// stands in a record beside names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreFault {
    kind: FaultKind,
    message: String,
}

/// The kinds of faults, as logs and metrics count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The store takes no more calls for now.
    Throttled,
    /// The store did not answer in time.
    Timeout,
    /// The store can't be reached, or failed.
    Unavailable,
    /// The function may not read the store, or can't prove who it is.
    AccessDenied,
    /// The table or the secret is not there.
    NotFound,
    /// The store refused the call for another reason.
    Refused,
    /// What is stored is no record.
    BadRecord,
}

impl StoreFault {
    /// A fault. The message is for the operator: lower case, no full stop, never a secret.
    #[must_use]
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}

impl FaultKind {
    /// The fixed name under which logs and metrics count it.
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

    /// Whether nobody meant it and it goes by itself. Only then may an old record stand in for a new one: who
    /// takes away a permission, or spoils a record while disabling it, must not be answered with what was before.
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

/// Why the JWKS URL gave no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksFault {
    /// No whole answer came within the time limit.
    #[error("the JWKS URL did not answer in time")]
    TimedOut,
    /// There was no connection, or it broke.
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
