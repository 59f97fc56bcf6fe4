//! The ARN of a Lambda function.
//!
//! The authorizer takes partition, region and account of its policies from its own, so `aws-cn` and `aws-us-gov` need no
//! setting; the gateway invokes functions by it.

use std::{fmt, str::FromStr};

/// The longest name of a function (API reference, `Invoke`).
const MAX_NAME: usize = 64;
const ACCOUNT_DIGITS: usize = 12;
/// The longest version or alias (API reference, `Invoke`).
const MAX_QUALIFIER: usize = 128;

/// A function's ARN, with or without an alias or a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn {
    text: String,
    /// Where the partition ends, in bytes; it begins after `arn:`.
    partition_end: usize,
    /// Where region and account begin, with a colon between them.
    region_start: usize,
    /// Where the account ends.
    account_end: usize,
}

/// Why a text is not a [`FunctionArn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a function's ARN: {0}; it should read `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, optionally with `:ALIAS` \
     or `:VERSION` after it"
)]
pub struct FunctionArnError(&'static str);

impl FunctionArn {
    /// The longest ARN, up to its account, that AWS has: its IoT resources are the longest too.
    #[must_use]
    pub fn longest() -> Self {
        let text = "arn:aws-us-gov:lambda:ap-southeast-1:000000000000:function:f";
        Self::new(text, "aws-us-gov", "ap-southeast-1")
    }

    fn new(text: &str, partition: &str, region: &str) -> Self {
        let partition_end = "arn:".len() + partition.len();
        let region_start = partition_end + ":lambda:".len();
        let account_end = region_start + region.len() + ":".len() + ACCOUNT_DIGITS;
        Self { text: text.to_owned(), partition_end, region_start, account_end }
    }

    /// The whole ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The function's region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.text.split(':').nth(3).unwrap_or_default()
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.split(':').nth(6).unwrap_or_default()
    }

    /// The ARN without its alias or version.
    #[must_use]
    pub fn unqualified(&self) -> &str {
        let end = self.account_end + ":function:".len() + self.name().len();
        self.text.get(..end).unwrap_or(&self.text)
    }

    /// The ARN of an AWS IoT resource in the same partition, region and account: `kind` is `client`, `topic` or
    /// `topicfilter`.
    #[must_use]
    pub fn iot_resource(&self, kind: &str, name: &str) -> String {
        let partition = self.text.get(..self.partition_end).unwrap_or_default();
        let account = self.text.get(self.region_start..self.account_end).unwrap_or_default();
        [partition, ":iot:", account, ":", kind, "/", name].concat()
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for FunctionArn {
    type Err = FunctionArnError;

    fn from_str(text: &str) -> Result<Self, FunctionArnError> {
        let mut parts = text.split(':');
        let all = std::array::from_fn(|_| parts.next());
        let [
            Some("arn"),
            Some(partition),
            Some(service),
            Some(region),
            Some(account),
            Some(kind),
            Some(name),
        ] = all
        else {
            return Err(FunctionArnError("it does not have the seven or eight parts of one"));
        };
        let qualifier = parts.next();
        if parts.next().is_some() {
            return Err(FunctionArnError("it does not have the seven or eight parts of one"));
        }
        let checks = [
            (
                is_lower(partition) && partition.starts_with("aws"),
                "the partition is `aws`, `aws-cn` or `aws-us-gov`",
            ),
            (service == "lambda", "the service is `lambda`"),
            (is_lower(region), "the region has lower-case letters, digits and `-`"),
            (
                account.len() == ACCOUNT_DIGITS && account.bytes().all(|b| b.is_ascii_digit()),
                "the account has 12 digits",
            ),
            (kind == "function", "the resource is `function`"),
            (is_name(name, MAX_NAME), "the name has 1 to 64 of `A-Z a-z 0-9 - _`"),
            (
                qualifier.is_none_or(|text| text == "$LATEST" || is_name(text, MAX_QUALIFIER)),
                "the alias or version has 1 to 128 of `A-Z a-z 0-9 - _`, or is `$LATEST`",
            ),
        ];
        if let Some((_, wrong)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(FunctionArnError(wrong));
        }
        Ok(Self::new(text, partition, region))
    }
}

fn is_lower(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_with_and_without_alias_or_version_are_accepted() {
        for arn in [
            "arn:aws:lambda:us-east-1:123456789012:function:f",
            "arn:aws:lambda:eu-central-1:123456789012:function:latchkey-authorizer:live",
            "arn:aws:lambda:us-east-1:123456789012:function:a_B-9:7",
            "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f",
            "arn:aws-cn:lambda:cn-north-1:123456789012:function:f",
        ] {
            assert_eq!(arn.parse::<FunctionArn>().unwrap().to_string(), arn);
        }
        let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live".parse::<FunctionArn>().unwrap();
        assert_eq!(arn.region(), "cn-north-1");
    }

    #[test]
    fn iot_resource_has_the_functions_partition_region_and_account() {
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
    fn error_says_which_part_is_wrong() {
        let long = format!("arn:aws:lambda:us-east-1:123456789012:function:{}", "x".repeat(65));
        for (arn, part) in [
            ("", "seven or eight parts"),
            ("latchkey-authorizer", "seven or eight parts"),
            ("123456789012:function:f", "seven or eight parts"),
            ("arn:aws:lambda:us-east-1:123456789012:function", "seven or eight parts"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f:1:2", "seven or eight parts"),
            ("ARN:aws:lambda:us-east-1:123456789012:function:f", "seven or eight parts"),
            ("arn:azure:lambda:us-east-1:123456789012:function:f", "the partition"),
            ("arn:a/b:lambda:us-east-1:123456789012:function:f", "the partition"),
            ("arn:aws:s3:us-east-1:123456789012:function:f", "the service"),
            ("arn:aws:iot:us-east-1:123456789012:function:f", "the service"),
            ("arn:aws:lambda::123456789012:function:f", "the region"),
            ("arn:aws:lambda:*:123456789012:function:f", "the region"),
            ("arn:aws:lambda:us-east-1.evil.example:123456789012:function:f", "the region"),
            ("arn:aws:lambda:us-east-1:12345678901:function:f", "the account"),
            ("arn:aws:lambda:us-east-1:*:function:f", "the account"),
            ("arn:aws:lambda:us-east-1:123456789012:layer:f", "the resource"),
            ("arn:aws:lambda:us-east-1:123456789012:function:", "the name"),
            ("arn:aws:lambda:us-east-1:123456789012:function:a/b", "the name"),
            (&long, "the name"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f:", "the alias"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f:$X", "the alias"),
        ] {
            let error = arn.parse::<FunctionArn>().unwrap_err().to_string();
            assert!(error.contains(part), "{arn}: {error}");
        }
    }
}
