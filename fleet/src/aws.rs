//! Calls to AWS: their configuration, and messages about those that fail.

mod endpoint;

use std::{error::Error, time::Duration};

use device_sim::Deployment;

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

pub use self::endpoint::http_client;

/// Attempts of a call for work that can wait: enough for a throttled minute, because the pauses double from a second up to
/// [`LONGEST_PAUSE`].
pub const PATIENT: u32 = 8;
/// Attempts of a call for which a person waits.
pub const BRIEF: u32 = 2;
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Until an answer begins.
const ANSWER_LIMIT: Duration = Duration::from_secs(18);
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);

/// The configuration of the environment or of a profile, in this region if one is given. Each call has up to `attempts`
/// attempts.
///
/// # Errors
///
/// When there is no region, or there are no credentials. The message says what to set.
pub async fn configuration(region: Option<&str>, attempts: u32) -> anyhow::Result<SdkConfig> {
    // The SDK's own chain would also ask EC2's metadata service, and wait for it where there is none.
    let chain = RegionProviderChain::first_try(region.map(|name| Region::new(name.to_owned())))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(ANSWER_LIMIT)
        .operation_attempt_timeout(ATTEMPT_LIMIT);
    let retries = RetryConfig::standard().with_max_attempts(attempts).with_max_backoff(LONGEST_PAUSE);
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(chain).http_client(http_client());
    let configuration = loader.timeout_config(timeouts.build()).retry_config(retries).load().await;
    anyhow::ensure!(configuration.region().is_some(), "no AWS region is set: set `--region` or AWS_REGION");
    let provider = configuration.credentials_provider().context(MISSING)?;
    provider.provide_credentials().await.map_err(|error| anyhow!(causes(&error)).context(MISSING))?;
    Ok(configuration)
}

/// Retries that depend on nothing but a call's own attempts. The SDK's own partition allows some hundred retries for each
/// service and then none: too few for a fleet that an account throttles for a minute.
#[must_use]
pub fn patient() -> RetryPartition {
    RetryPartition::custom("latchkey-fleet").token_bucket(TokenBucket::unlimited()).build()
}

const MISSING: &str = "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
                       AWS_SECRET_ACCESS_KEY; after a single sign-on, `aws configure export-credentials --format env` \
                       prints those";

/// Why a call failed and what to do. `permission` is what the call needs, `iot:CreateThing` for example.
///
/// The service's own message is part of it: no secret that is sent here comes back in one.
pub fn call_error<E, R>(error: &SdkError<E, R>, permission: &str) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let Some(service) = error.as_service_error() else {
        if let Some(unreachable) = endpoint::unreachable(error) {
            return anyhow!("{permission}: {unreachable}");
        }
        return anyhow!(
            "{permission}: AWS can't be reached: {}; check this machine's network, the region, and AWS_ENDPOINT_URL",
            causes(error)
        );
    };
    let code = service.code().unwrap_or("no code");
    let said = service.message().map(|message| format!(": {message}")).unwrap_or_default();
    match code {
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedException" | "NotAuthorizedException" => {
            anyhow!(
                "the credentials may not {permission} ({code}): docs/deploy.md has the permissions that are needed"
            )
        }
        // AWS IoT's data plane answers so to a missing permission and to credentials that it does not accept
        // *(guess: the error of AWS IoT's data plane)*.
        "ForbiddenException" => anyhow!(
            "AWS refused {permission} ({code}{said}): the credentials lack the permission (docs/deploy.md has those that \
             are needed), or have expired: sign in again, and check AWS_PROFILE and the region"
        ),
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException" => anyhow!(
            "AWS does not accept the credentials ({code}): sign in again, and check AWS_PROFILE, the region and this machine's clock"
        ),
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded" => anyhow!(
            "AWS throttles {permission} ({code}) at every attempt: wait a minute and run this again, with a lower `--rate` \
             where the command has it"
        ),
        _ => anyhow!("AWS refused {permission} ({code}{said})"),
    }
}

/// Whether the service refused the call with this code.
pub fn has_code(error: &impl ProvideErrorMetadata, code: &str) -> bool {
    error.code() == Some(code)
}

/// Whether `TestInvokeAuthorizer` reports an answer without `principalId` or `policyDocuments` *(measured)*. At a connect
/// such an answer is a refusal.
pub fn is_bare_refusal(error: &impl ProvideErrorMetadata) -> bool {
    has_code(error, "InvalidResponseException")
        && error.message().is_some_and(|message| {
            message.contains("null at principalId") || message.contains("List of policies cannot be null")
        })
}

/// An error and its causes, from the outside in.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Checks that the credentials are for the deployment's account and region, as the ARN of its type says.
///
/// # Errors
///
/// When they are for another account or region, or the call fails.
pub async fn check_account(aws: &SdkConfig, deployment: &Deployment) -> anyhow::Result<()> {
    let call = aws_sdk_iot::Client::new(aws).describe_thing_type().thing_type_name(&deployment.thing_type);
    match call.send().await {
        Ok(found) => check_location(Some(deployment), found.thing_type_arn()),
        Err(error) if has_code(&error, "ResourceNotFoundException") => anyhow::bail!(
            "there is no thing type `{}` of the stage `{}` in this account and region: set AWS_PROFILE and `--region`, or \
             name the stage with `--stage`",
            deployment.thing_type,
            deployment.stage
        ),
        Err(error) => Err(call_error(&error, "iot:DescribeThingType")),
    }
}

/// Refuses a resource that is in another account or region than the deployment: the credentials are then another
/// account's. An ARN is what AWS itself says about both *(guess: the ARNs of `DescribeThingType`)*. Without a deployment
/// there is nothing to compare.
///
/// # Errors
///
/// When account or region differ. The message names both.
pub(crate) fn check_location(deployment: Option<&Deployment>, arn: Option<&str>) -> anyhow::Result<()> {
    let Some(Deployment { stage, account, region, .. }) = deployment else { return Ok(()) };
    let parts = arn.unwrap_or_default().split(':').collect::<Vec<_>>();
    let found = match parts.as_slice() {
        ["arn", _, _, region, account, _, ..] => Some((*account, *region)),
        _ => None,
    };
    let (in_account, in_region) = found.context("AWS does not say in which account this is")?;
    anyhow::ensure!(
        (in_account, in_region) == (account, region),
        "the stage `{stage}` is in the account {account} and the region {region}, and these credentials lead to the \
         account {in_account} and the region {in_region}: set AWS_PROFILE, or name the stage with `--stage` or its file \
         with `--outputs`"
    );
    Ok(())
}
