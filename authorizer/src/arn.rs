//! The function's own ARN, from which the policies take partition, region and account.

use std::{array, str::FromStr};

/// Where the function runs: so `aws-cn` and `aws-us-gov` need no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn {
    /// What the ARNs of AWS IoT resources begin with, the last colon included.
    iot: String,
}

/// Why a text is not a Lambda function's ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function's ARN should read `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`")]
pub struct FunctionArnError;

impl FunctionArn {
    /// The ARN of an AWS IoT resource in the same partition, region and account: `kind` is `client`, `topic` or
    /// `topicfilter`.
    #[must_use]
    pub fn iot_resource(&self, kind: &str, name: &str) -> String {
        [self.iot.as_str(), kind, "/", name].concat()
    }
}

impl FromStr for FunctionArn {
    type Err = FunctionArnError;

    fn from_str(text: &str) -> Result<Self, FunctionArnError> {
        let mut parts = text.split(':');
        // A part that is missing is as wrong as an empty one.
        let parts = array::from_fn(|_| parts.next().unwrap_or_default());
        let ["arn", partition, "lambda", region, account, "function", name] = parts else {
            return Err(FunctionArnError);
        };
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let digits = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !(word(partition) && word(region) && digits(account)) || name.is_empty() {
            return Err(FunctionArnError);
        }
        Ok(Self { iot: format!("arn:{partition}:iot:{region}:{account}:") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_keeps_its_name() {
        let cases = [
            (
                "arn:aws:lambda:us-east-1:123456789012:function:f",
                "arn:aws:iot:us-east-1:123456789012:topic/t",
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:prod",
                "arn:aws-cn:iot:cn-north-1:123456789012:topic/t",
            ),
            (
                "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f",
                "arn:aws-us-gov:iot:us-gov-west-1:123456789012:topic/t",
            ),
        ];
        for (function, topic) in cases {
            assert_eq!(function.parse::<FunctionArn>().unwrap().iot_resource("topic", "t"), topic);
        }
    }

    #[test]
    fn nothing_else_is_an_arn() {
        for text in [
            "",
            "arn:aws:lambda:us-east-1:123456789012:function:",
            "arn:aws:lambda:us-east-1:123456789012:layer:f",
            "arn:aws:lambda:*:123456789012:function:f",
            "arn:aws:lambda:us-east-1:*:function:f",
            "arn:aws:lambda:us-east-1:12345678901:function:f",
            "arn:a/b:lambda:us-east-1:123456789012:function:f",
            "arn:aws:iot:us-east-1:123456789012:function:f",
        ] {
            assert_eq!(text.parse::<FunctionArn>(), Err(FunctionArnError), "{text}");
        }
    }
}
