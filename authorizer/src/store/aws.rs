//! For the stores in AWS: the SDK's configuration, timeouts, and the faults of failed calls.

use std::{error::Error, time::Duration};

use aws_config::{
    BehaviorVersion, SdkConfig, environment::region::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::region::ProfileFileRegionProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
// The same types under two names.
#[cfg(feature = "dynamodb")]
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
#[cfg(not(feature = "dynamodb"))]
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::{
    config::store::Deadline,
    fault::{FaultKind, StoreFault},
};

/// One retry. More do not fit into the deadline.
const ATTEMPTS: u32 = 2;
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The configuration of Lambda's environment: `AWS_REGION` and the role's keys. Developers can also use a profile, and
/// `AWS_ENDPOINT_URL` or, for example, `AWS_ENDPOINT_URL_DYNAMODB` for local services.
///
/// This reads files and makes no call. The first call loads the credentials.
///
/// # Errors
///
/// When no region is set.
pub async fn configuration() -> Result<SdkConfig, StoreFault> {
    // The SDK's own chain would also ask EC2's metadata service, and delay a start without a region.
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let configuration = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
    if configuration.region().is_none() {
        return Err(StoreFault::new(FaultKind::Refused, "no AWS region is set; set AWS_REGION"));
    }
    Ok(configuration)
}

/// Both attempts must end by the deadline. After an attempt that exceeds its own limit, the other one follows.
pub(super) fn timeouts(deadline: Deadline) -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_timeout(deadline.get())
        .operation_attempt_timeout(deadline.attempt())
        .connect_timeout(deadline.attempt())
        .build()
}

pub(super) fn retries() -> RetryConfig {
    let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
    retries.with_initial_backoff(LONGEST_PAUSE).with_max_backoff(LONGEST_PAUSE)
}

const UNREADABLE: &str = "its answer can't be read";

/// A kind of call, as its faults name it.
pub(crate) struct Call {
    /// The service's name.
    pub(crate) service: &'static str,
    /// The table or secret that is read: `the table …`.
    pub(crate) subject: String,
    /// The permission that the function's role needs.
    pub(crate) permission: &'static str,
    /// How to fix throttling.
    pub(crate) more_capacity: &'static str,
    /// The time limit.
    pub(crate) deadline: Deadline,
}

impl Call {
    /// The fault of a call that exceeded the deadline.
    pub(crate) fn timeout(&self) -> StoreFault {
        let Self { service, subject, deadline, .. } = self;
        StoreFault::new(
            FaultKind::Timeout,
            format!(
                "{service} gave no answer about {subject} within {} ms; the function needs credentials and, in a \
                 VPC, an endpoint for {service}",
                deadline.get().as_millis()
            ),
        )
    }

    /// The fault of a failed call. It does not quote what the service sent, because that may be a record.
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
                format!("{service} does not accept the function's credentials for {subject} ({code})"),
            ),
            "ResourceNotFoundException" => (
                FaultKind::NotFound,
                format!("{subject} is not in this account and region ({code}); check LATCHKEY_STORE"),
            ),
            _ if status >= 500 => (
                FaultKind::Unavailable,
                format!("{service} failed to read {subject} ({code}); this should end by itself"),
            ),
            _ => (
                FaultKind::Refused,
                format!("{service} refused to read {subject} ({code}); its API reference explains the code"),
            ),
        };
        StoreFault::new(kind, message)
    }
}

/// The messages of an error and its causes, the outermost first.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
