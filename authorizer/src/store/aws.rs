//! What the stores in AWS have in common: where the configuration comes from, deadlines, and how errors are told.

mod call;

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig, environment::region::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::region::ProfileFileRegionProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};

pub(super) use self::call::Call;
use super::{FaultKind, StoreFault, deadline::Deadline};

/// Once more, should the first attempt meet a bad moment. More don't fit the deadline.
const ATTEMPTS: u32 = 2;
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The configuration that Lambda's environment gives: `AWS_REGION` and the role's keys. For developers, a profile,
/// and `AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_DYNAMODB` and its like for services that run elsewhere.
///
/// It reads files and makes no call; credentials come with the first call.
///
/// # Errors
///
/// When nothing names a region.
pub async fn configuration() -> Result<SdkConfig, StoreFault> {
    // The SDK's own chain would also ask EC2's metadata service, and have a start without a region wait for it.
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let configuration = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
    if configuration.region().is_none() {
        return Err(StoreFault::new(FaultKind::Refused, "no AWS region is set; AWS_REGION says which"));
    }
    Ok(configuration)
}

/// Both attempts have to end by the deadline. An attempt that runs out of its own time is followed by another.
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
