//! How a call to AWS that went wrong is told.

use std::error::Error;

// The same types under two names.
#[cfg(feature = "dynamodb")]
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
#[cfg(not(feature = "dynamodb"))]
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::store::{FaultKind, StoreFault, deadline::Deadline};

const UNREADABLE: &str = "its answer can't be read";

/// One kind of call, as its faults name it.
pub(crate) struct Call {
    /// The service's name.
    pub(crate) service: &'static str,
    /// What is read: `the table …`.
    pub(crate) subject: String,
    /// What a role has to be allowed.
    pub(crate) permission: &'static str,
    /// What helps against throttling.
    pub(crate) more_capacity: &'static str,
    /// How long it may take.
    pub(crate) deadline: Deadline,
}

impl Call {
    /// The fault of a call that ran out of time.
    pub(crate) fn timeout(&self) -> StoreFault {
        let Self { service, subject, deadline, .. } = self;
        StoreFault::new(
            FaultKind::Timeout,
            format!(
                "{service} gave no answer about {subject} within {} ms; the function needs a way to it, which in \
                 a VPC is an endpoint, and credentials",
                deadline.get().as_millis()
            ),
        )
    }

    /// The fault of a call that failed. What the service sent stays out of it, because it may be a record.
    pub(crate) fn fault<E>(&self, error: &SdkError<E>) -> StoreFault
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Self { service, subject, .. } = self;
        let unavailable = |what: &str| {
            StoreFault::new(
                FaultKind::Unavailable,
                format!("{service} can't be asked about {subject}: {what}"),
            )
        };
        match error {
            SdkError::TimeoutError(_) => self.timeout(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => self.timeout(),
            SdkError::ServiceError(failure) if failure.raw().status().is_success() => unavailable(UNREADABLE),
            SdkError::ServiceError(failure) => {
                self.refused(failure.err().meta().code(), failure.raw().status().as_u16())
            }
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => unavailable(&causes(error)),
            _ => unavailable(UNREADABLE),
        }
    }

    /// The codes are those of the API references, "Common errors" and each call's own.
    fn refused(&self, code: Option<&str>, status: u16) -> StoreFault {
        let Self { service, subject, permission, more_capacity, .. } = self;
        let code = code.map_or_else(|| format!("HTTP status {status}"), str::to_owned);
        let (kind, message) = match code.as_str() {
            "ThrottlingException"
            | "Throttling"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "LimitExceededException" => (
                FaultKind::Throttled,
                format!("{service} throttles reads of {subject} ({code}); {more_capacity}"),
            ),
            "AccessDeniedException" | "AccessDenied" => (
                FaultKind::AccessDenied,
                format!("the function may not read {subject} ({code}); allow its role {permission}"),
            ),
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "ExpiredToken"
            | "ExpiredTokenException" => (
                FaultKind::AccessDenied,
                format!("{service} does not take the function's credentials for {subject} ({code})"),
            ),
            "ResourceNotFoundException" => (
                FaultKind::NotFound,
                format!(
                    "{subject} is not in this account and region ({code}); LATCHKEY_STORE says which it is"
                ),
            ),
            _ if status >= 500 => (
                FaultKind::Unavailable,
                format!("{service} failed to read {subject} ({code}); it should pass"),
            ),
            _ => (
                FaultKind::Refused,
                format!(
                    "{service} refused to read {subject} ({code}); its API reference says what that means"
                ),
            ),
        };
        StoreFault::new(kind, message)
    }
}

/// An error and what caused it, from the outside in.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
