//! Calls to AWS: where their configuration comes from, and how those that go wrong are told.

use std::{error::Error, time::Duration};

use anyhow::{Context as _, anyhow};
use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::region::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::region::ProfileFileRegionProvider, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_sdk_iot::{
    config::{
        ProvideCredentials,
        retry::{RetryPartition, TokenBucket},
    },
    error::{ProvideErrorMetadata, SdkError},
};

/// For work that can wait, how often a call is tried: enough to sit out a throttled minute, for the pauses double from a
/// second up to [`LONGEST_PAUSE`].
pub const PATIENT: u32 = 8;
/// For what a person waits for.
pub const BRIEF: u32 = 2;
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);

/// The configuration of the environment or of a profile, in this region if one is given; calls are tried so often.
///
/// # Errors
///
/// When there is no region, or there are no credentials. The message says what to set.
pub async fn configuration(region: Option<&str>, attempts: u32) -> anyhow::Result<SdkConfig> {
    // The SDK's own chain would also ask EC2's metadata service, and wait for it where there is none.
    let chain = RegionProviderChain::first_try(region.map(|name| Region::new(name.to_owned())))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).operation_attempt_timeout(ATTEMPT_LIMIT);
    let retries = RetryConfig::standard().with_max_attempts(attempts).with_max_backoff(LONGEST_PAUSE);
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(chain);
    let configuration = loader.timeout_config(timeouts.build()).retry_config(retries).load().await;
    anyhow::ensure!(
        configuration.region().is_some(),
        "no AWS region is set: `--region` or AWS_REGION says which"
    );
    let provider = configuration.credentials_provider().context(MISSING)?;
    provider.provide_credentials().await.map_err(|error| anyhow!(causes(&error)).context(MISSING))?;
    Ok(configuration)
}

/// Retries that depend on nothing but a call's own attempts. The SDK's own partition lets a service be asked again some
/// hundred times and then gives up at once: too little for a fleet that an account throttles for a minute.
#[must_use]
pub fn patient() -> RetryPartition {
    RetryPartition::custom("latchkey-fleet").token_bucket(TokenBucket::unlimited()).build()
}

const MISSING: &str = "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
                       AWS_SECRET_ACCESS_KEY; of a single sign-on, `aws configure export-credentials --format env` \
                       makes those";

/// Why a call went wrong and what to do. `permission` is what the call needs, `iot:CreateThing` for example.
///
/// What the service said is told, for nothing that is sent here in the clear comes back in it.
pub fn told<E, R>(error: &SdkError<E, R>, permission: &str) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let Some(service) = error.as_service_error() else {
        return anyhow!("{permission}: AWS can't be reached: {}", causes(error));
    };
    let code = service.code().unwrap_or("no code");
    let said = service.message().map(|message| format!(": {message}")).unwrap_or_default();
    match code {
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedException" | "NotAuthorizedException" => {
            anyhow!(
                "the credentials may not {permission} ({code}): docs/deploy.md has the permissions that are needed"
            )
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException" => anyhow!(
            "AWS does not take the credentials ({code}): sign in anew, and look at AWS_PROFILE and at this machine's \
             clock"
        ),
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded" => anyhow!(
            "AWS throttles {permission} ({code}) again and again: wait a minute, or go on with a lower `--rate`"
        ),
        _ => anyhow!("AWS refused {permission} ({code}{said})"),
    }
}

/// Whether the service refused with this code.
pub fn has_code(error: &impl ProvideErrorMetadata, code: &str) -> bool {
    error.code() == Some(code)
}

/// An error and what caused it, from the outside in.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
