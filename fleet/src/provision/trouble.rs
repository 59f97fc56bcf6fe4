//! What can go wrong while devices are provisioned.

use std::error::Error;

use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};

use crate::aws::told;

/// Codes about what was asked for, not about who asks or how often: the next device may have none of it.
const OF_ONE: [&str; 6] = [
    "ConflictException",
    "InvalidRequestException",
    "ResourceAlreadyExistsException",
    "ResourceNotFoundException",
    "ValidationException",
    "VersionConflictException",
];

/// Whose trouble it is.
#[derive(Debug)]
pub(super) enum Trouble {
    /// One device's: the others go on.
    Device(String),
    /// Everybody's: nothing more is begun.
    Run(anyhow::Error),
}

impl Trouble {
    /// What AWS refused for a device. `permission` is what the call needs.
    pub(super) fn of<E, R>(error: &SdkError<E, R>, permission: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let told = told(error, permission);
        let is_of_one = error.code().is_some_and(|code| OF_ONE.contains(&code));
        if is_of_one { Self::Device(format!("{told}: run this again")) } else { Self::Run(told) }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}
