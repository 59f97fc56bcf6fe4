//! Why a request for a shadow is rejected, with AWS's codes and messages.
//!
//! Source: AWS IoT Core developer guide, `device-shadow-error-messages`.

use iot_policy::limits;

/// Why a request is rejected. It displays as AWS's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShadowError {
    /// The payload is not JSON.
    #[error("Invalid JSON")]
    InvalidJson,
    /// There is no `state`.
    #[error("Missing required node: state")]
    MissingState,
    /// `state` is neither an object nor `null`.
    #[error("State node must be an object")]
    StateNotObject,
    /// `desired` is neither an object nor `null`.
    #[error("Desired node must be an object")]
    DesiredNotObject,
    /// `reported` is neither an object nor `null`.
    #[error("Reported node must be an object")]
    ReportedNotObject,
    /// `version` is not a whole number from 0 on.
    #[error("Invalid version")]
    InvalidVersion,
    /// `clientToken` is not a string of at most 64 bytes.
    #[error("Invalid clientToken")]
    InvalidClientToken,
    /// A section has more levels than this. AWS's page names 6 in the message and 8 in the quota *(guess: names the quota's
    /// number of levels)*.
    #[error("JSON contains too many levels of nesting; maximum is {0}")]
    TooDeep(usize),
    /// `state` has another member than `desired` and `reported`, or an array has a `null` in it *(guess: an array with a
    /// `null` is an invalid node)*.
    #[error("State contains an invalid node: '{0}'")]
    InvalidNode(String),
    /// The Thing's name has another form than AWS's API asks for *(guess: a name that AWS's API refuses)*.
    #[error("Invalid thing name: 1 to {max} of [a-zA-Z0-9:_-]", max = limits::MAX_THING_NAME_LENGTH)]
    InvalidThingName,
    /// The shadow's name has another form than AWS's API asks for.
    #[error("Invalid shadow name: 1 to {max} of [$a-zA-Z0-9:_-]", max = limits::MAX_SHADOW_NAME_LENGTH)]
    InvalidShadowName,
    /// There is no such shadow. A classic shadow has its Thing's name in the message.
    #[error("No shadow exists with name: '{0}'")]
    NotFound(String),
    /// `version` is not that of the document.
    #[error("Version conflict")]
    Conflict,
    /// The document would be too large.
    #[error("The payload exceeds the maximum size allowed")]
    TooLarge,
    /// The payload is not UTF-8.
    #[error("Unsupported documented encoding; supported encoding is UTF-8")]
    NotUtf8,
    /// A rate is exceeded, or too many requests wait for their answers. AWS's page has no message *(guess: the message of
    /// 429)*.
    #[error("Too many requests")]
    TooManyRequests,
    /// The gateway keeps no more shadows, which AWS does not limit.
    #[error(
        "the gateway has no room for more shadows: delete some, or set `shadows` or `shadow_bytes` higher in [quotas]"
    )]
    NoRoom,
}

/// Characters of a member's name that a message repeats.
const REPEATED: usize = 64;

impl ShadowError {
    /// The error of a node with this name.
    #[must_use]
    pub fn invalid_node(name: &str) -> Self {
        Self::InvalidNode(name.chars().take(REPEATED).collect())
    }

    /// The code, which is the status of the answer over HTTPS.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::InvalidJson
            | Self::MissingState
            | Self::StateNotObject
            | Self::DesiredNotObject
            | Self::ReportedNotObject
            | Self::InvalidVersion
            | Self::InvalidClientToken
            | Self::TooDeep(_)
            | Self::InvalidNode(_)
            | Self::InvalidThingName
            | Self::InvalidShadowName => 400,
            Self::NotFound(_) => 404,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::NotUtf8 => 415,
            Self::TooManyRequests | Self::NoRoom => 429,
        }
    }
}
