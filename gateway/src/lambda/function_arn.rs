//! The ARN of a function in AWS.

use std::{fmt, str::FromStr};

/// The longest name of a function, and of a version or an alias (API reference, `Invoke`).
const MAX_NAME: usize = 64;
const MAX_QUALIFIER: usize = 128;

/// A function's ARN, with or without an alias or a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn(String);

/// Why a text is not a [`FunctionArn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a function's ARN: {0}; it should read `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, with `:ALIAS` or \
     `:VERSION` behind it where one is meant"
)]
pub struct FunctionArnError(&'static str);

impl FunctionArn {
    /// The whole of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the function is.
    #[must_use]
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

impl fmt::Display for FunctionArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FunctionArn {
    type Err = FunctionArnError;

    fn from_str(text: &str) -> Result<Self, FunctionArnError> {
        let parts = text.split(':').collect::<Vec<_>>();
        let (["arn", partition, service, region, account, kind, name], qualifier) = (match parts.as_slice() {
            [first @ .., qualifier] if parts.len() == 8 => (first, Some(*qualifier)),
            all => (all, None),
        }) else {
            return Err(FunctionArnError("it has not the seven or eight parts of one"));
        };
        let lower = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let plain = |text: &str, longest| {
            (1..=longest).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let checks = [
            (
                lower(partition) && partition.starts_with("aws"),
                "the partition is `aws`, `aws-cn` or `aws-us-gov`",
            ),
            (*service == "lambda", "the service is `lambda`"),
            (lower(region), "the region has lower-case letters, digits and `-`"),
            (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()), "the account has 12 digits"),
            (*kind == "function", "the resource is `function`"),
            (plain(name, MAX_NAME), "the name has 1 to 64 of `A-Z a-z 0-9 - _`"),
            (
                qualifier.is_none_or(|text| text == "$LATEST" || plain(text, MAX_QUALIFIER)),
                "the alias or version has 1 to 128 of `A-Z a-z 0-9 - _`, or is `$LATEST`",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, wrong)) => Err(FunctionArnError(wrong)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_or_without_an_alias_or_a_version() {
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
    fn an_error_says_which_part_is_wrong() {
        let long = format!("arn:aws:lambda:us-east-1:123456789012:function:{}", "x".repeat(65));
        for (arn, part) in [
            ("", "seven or eight parts"),
            ("latchkey-authorizer", "seven or eight parts"),
            ("123456789012:function:f", "seven or eight parts"),
            ("arn:aws:lambda:us-east-1:123456789012:function", "seven or eight parts"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f:1:2", "seven or eight parts"),
            ("ARN:aws:lambda:us-east-1:123456789012:function:f", "seven or eight parts"),
            ("arn:azure:lambda:us-east-1:123456789012:function:f", "the partition"),
            ("arn:aws:s3:us-east-1:123456789012:function:f", "the service"),
            ("arn:aws:lambda::123456789012:function:f", "the region"),
            ("arn:aws:lambda:us-east-1.evil.example:123456789012:function:f", "the region"),
            ("arn:aws:lambda:us-east-1:12345678901:function:f", "the account"),
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
