//! The account, region and partition that policies name.

use iot_policy::{Scope, arn::FunctionArn};

use crate::args::AccountArgs;

/// What `latchkey local` has by default.
const LOCAL_REGION: &str = "us-east-1";
const LOCAL_ACCOUNT: &str = "123456789012";

/// The account, region and partition that policies name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The scope of resources.
    pub scope: Scope,
    /// The ARN of a function there. Its name does not matter.
    pub function: FunctionArn,
}

impl Account {
    /// The account of the command line, of the deployment in this folder, or of `latchkey local`.
    ///
    /// # Errors
    ///
    /// When the deployment can't be read, or a part is malformed.
    pub fn find(args: &AccountArgs) -> anyhow::Result<Self> {
        let deployment = args.deployment.find(std::path::Path::new("."))?;
        let deployed = deployment.as_ref();
        let region = args.region.as_deref().or(deployed.map(|it| it.region.as_str()));
        let account = args.account.as_deref().or(deployed.map(|it| it.account.as_str()));
        Self::new(region, account)
    }

    /// This account and region, or those of `latchkey local`. The partition follows from the region.
    ///
    /// # Errors
    ///
    /// When a part is malformed.
    pub fn new(region: Option<&str>, account: Option<&str>) -> anyhow::Result<Self> {
        let (region, account) = (region.unwrap_or(LOCAL_REGION), account.unwrap_or(LOCAL_ACCOUNT));
        // AWS General Reference, "AWS service endpoints".
        let partition = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let scope = Scope::new(partition, region, account)?;
        let function = format!("arn:{partition}:lambda:{region}:{account}:function:latchkey").parse()?;
        Ok(Self { scope, function })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_follows_from_the_region() {
        for (region, client) in [
            (None, "arn:aws:iot:us-east-1:123456789012:client/c"),
            (Some("cn-north-1"), "arn:aws-cn:iot:cn-north-1:123456789012:client/c"),
            (Some("us-gov-west-1"), "arn:aws-us-gov:iot:us-gov-west-1:123456789012:client/c"),
        ] {
            let account = Account::new(region, None).unwrap();
            assert_eq!(account.scope.client("c").to_string(), client);
            assert_eq!(account.function.iot_resource("client", "c"), client);
        }
        for (region, account, part) in [
            (Some("*"), None, "`*` is not a region"),
            (None, Some("12"), "`12` is not an account"),
            (Some("EU"), None, "`EU` is not a region"),
        ] {
            let error = Account::new(region, account).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
