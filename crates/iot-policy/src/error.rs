//! Why a policy document is refused, and where.

use thiserror::Error;

use crate::limits::MAX_POLICY_DOCUMENT_CHARACTERS;

/// A policy document that can't be read, with the place that is at fault, such as `Statement[1].Effect`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {problem}", place_in_message(place))]
pub struct PolicyError {
    place: String,
    problem: Problem,
}

impl PolicyError {
    pub(crate) fn new(place: &str, problem: impl Into<Problem>) -> Self {
        Self { place: place.to_owned(), problem: problem.into() }
    }

    /// The place: keys joined with `.`, list indexes from 0 in brackets; empty for the document as a whole.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// What is wrong with a policy document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text isn't JSON, or nests too deep to be read.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// The document counts more characters than AWS accepts.
    #[error("{0} characters, more than the {max} that AWS accepts", max = MAX_POLICY_DOCUMENT_CHARACTERS)]
    TooLong(usize),
    /// The value nests deeper than any policy does.
    #[error("nested deeper than any policy, take out the inner lists and objects")]
    TooDeep,
    /// A key that every policy needs isn't there.
    #[error("missing, and every policy needs it")]
    Missing,
    /// A key that policies don't have.
    #[error("unknown key, expected one of {0}")]
    UnknownKey(&'static str),
    /// A key that contradicts another one in the same object.
    #[error("conflicts with `{0}`, leave one of them out")]
    Conflict(&'static str),
    /// A key that an object has more than once.
    #[error("duplicate key, leave one of them out")]
    DuplicateKey,
    /// A part of the policy language that AWS has and this crate hasn't.
    #[error("not supported by Latchkey, leave it out and try it on AWS itself")]
    NotSupported,
    /// A value of the wrong JSON type.
    #[error("must be {expected}, not {found}")]
    WrongType {
        /// The types that are accepted.
        expected: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// A list or object without entries where at least one is needed.
    #[error("must not be empty, name at least one")]
    Empty,
    /// A policy language version other than the one that AWS IoT accepts.
    #[error("`{}` is not supported, write `2012-10-17`", .0.escape_debug())]
    Version(String),
    /// An effect that is neither of the two.
    #[error("`{}` is not an effect, write `Allow` or `Deny`", .0.escape_debug())]
    Effect(String),
    /// An action that is misspelt.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// A resource or condition value that is misspelt.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A condition that can't be evaluated.
    #[error(transparent)]
    Condition(#[from] ConditionError),
}

/// A text that isn't an action pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{}` is not an action, write `*` or one like `iot:Publish` or `iot:*`", .0.escape_debug())]
pub struct ActionError(pub(crate) String);

/// A text that isn't a pattern of AWS IoT resources.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Neither `*` nor an ARN.
    #[error("`{}` is not an ARN, write `*` or `arn:aws:iot:REGION:ACCOUNT:…`", .0.escape_debug())]
    NotArn(String),
    /// An ARN with fewer than six parts, or an empty one.
    #[error(
        "`{}` is not a whole ARN, write `arn:PARTITION:iot:REGION:ACCOUNT:` and `client/…`, `topic/…` or `topicfilter/…`",
        .0.escape_debug()
    )]
    IncompleteArn(String),
    /// An ARN of another AWS service.
    #[error("`{}` belongs to another service, AWS IoT's ARNs have `iot` as their third part", .0.escape_debug())]
    OtherService(String),
    /// A variable before the fifth colon.
    #[error("`{}` has a policy variable before the fifth colon, where none is allowed, write out partition, region and account", .0.escape_debug())]
    EarlyVariable(String),
    /// `${` without `}`.
    #[error("`{}` has no closing `}}`, write `${{$}}` for a plain `$`", .0.escape_debug())]
    Unterminated(String),
    /// A variable for all values of a certificate's field, where one text is required.
    #[error(
        "`{}` has several values, leave out the suffix for the first one or write `.1` for the second",
        .0.escape_debug()
    )]
    SeveralValues(String),
    /// A variable that AWS IoT doesn't have.
    #[error(
        "`{}` is not a policy variable, expected one of `iot:ClientId`, `aws:SourceIp`, `iot:DomainName`, \
         `iot:CertificateId`, `iot:Connection.Thing.…`, `iot:Certificate.…`",
        .0.escape_debug()
    )]
    UnknownVariable(String),
}

/// A condition that can't be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// A key that never has a value: a Deny on it would deny nothing.
    #[error(
        "unknown condition key, expected one of `iot:ClientId`, `aws:SourceIp`, `iot:DomainName`, \
         `iot:ConnectAttributes`, `iot:LastWillTopic`, `iot:Topic`, `iot:CertificateId`, \
         `iot:Connection.Thing.…`, `iot:Certificate.…`, `aws:CurrentTime`, `aws:EpochTime`"
    )]
    UnknownKey,
    /// An operator that IAM doesn't have.
    #[error("unknown condition operator, write one of IAM's in its own case, such as `StringEquals`")]
    UnknownOperator,
    /// An operator that can't compare the key's kind of value; the named ones can.
    #[error("the operator can't compare the key's value, write {0}")]
    OtherOperator(&'static str),
    /// A Deny that compares a key of several values as if it had one.
    #[error(
        "the key has several values and a Deny must see them all, write `ForAnyValue:` before the operator"
    )]
    DenyOnSet,
    /// A value that an ARN operator can't compare.
    #[error("`{}` does not have an ARN's six parts, write one like `arn:aws:iot:REGION:ACCOUNT:topic/…`", .0.escape_debug())]
    NotArn(String),
    /// A value that `Bool` and `Null` can't compare.
    #[error("`{}` is neither `true` nor `false`, write one of them", .0.escape_debug())]
    NotBool(String),
    /// A value that `IpAddress` can't compare.
    #[error(
        "`{}` is not a range of addresses, write one like `192.0.2.0/24` or `2001:db8::/32`, for one IPv6 address \
         with `/128`",
        .0.escape_debug()
    )]
    NotNetwork(String),
    /// A value that `Date…` can't compare.
    #[error(
        "`{}` is not a time from 1970 on, write one like `2024-05-06T07:08:09Z` or whole seconds since 1970",
        .0.escape_debug()
    )]
    NotDate(String),
    /// A value that `Numeric…` can't compare.
    #[error("`{}` is not a whole number, write one without a sign", .0.escape_debug())]
    NotNumber(String),
}

fn place_in_message(place: &str) -> String {
    if place.is_empty() { "policy document".to_owned() } else { format!("`{}`", place.escape_debug()) }
}
