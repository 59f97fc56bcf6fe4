//! Why a store can't tell.

use std::fmt;

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
