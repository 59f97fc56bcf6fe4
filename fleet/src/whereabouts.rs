//! In which account and region something is: by its ARN, which is what AWS itself says *(unverified)*.

use anyhow::Context as _;
use device_sim::Deployment;

/// Refuses what is not where the deployment is, for the credentials are then another account's. Without a deployment
/// there is nothing to compare.
///
/// # Errors
///
/// When account or region differ, naming both.
pub(crate) fn check(deployment: Option<&Deployment>, arn: Option<&str>) -> anyhow::Result<()> {
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
