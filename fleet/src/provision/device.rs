//! A device that is to be provisioned, its record in the store, and why it was not provisioned.

use std::{collections::BTreeMap, error::Error};

use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use device_auth::device_name::DeviceName;

use crate::aws::call_error;

/// AWS's codes for a refusal that may concern one device only.
const DEVICE_CODES: [&str; 6] = [
    "ConflictException",
    "InvalidRequestException",
    "ResourceAlreadyExistsException",
    "ResourceNotFoundException",
    "ValidationException",
    "VersionConflictException",
];

/// A device that is to be provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Its name, which is also its client id, its user name and its Thing's name.
    pub(super) name: DeviceName,
    /// The grant's name.
    pub(super) grant: String,
    /// The Thing's own attributes, besides those that every Thing gets.
    pub(super) attributes: BTreeMap<String, String>,
}

/// Why a device was not provisioned.
#[derive(Debug)]
pub(crate) enum ProvisionError {
    /// It concerns one device. The run goes on.
    Device(String),
    /// It concerns every device. No other device is begun.
    Run(anyhow::Error),
}

/// A device's record in the store, compared with the one that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The device has no record.
    Absent,
    /// The records are equal.
    Equal,
    /// The records differ.
    Different,
}

impl Device {
    /// All attributes of its Thing: those that the deployment's thing type makes searchable, and its own.
    pub(super) fn thing_attributes(&self) -> BTreeMap<String, String> {
        let common = [("grant", self.grant.as_str()), ("scheme", "password")];
        let common = common.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.attributes.clone().into_iter().chain(common).collect()
    }
}

impl ProvisionError {
    /// What AWS refused for a device. `permission` is what the call needs.
    pub(super) fn of<E, R>(error: &SdkError<E, R>, permission: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let cause = call_error(error, permission);
        let is_of_device = error.code().is_some_and(|code| DEVICE_CODES.contains(&code));
        if is_of_device { Self::Device(format!("{cause}: run this again")) } else { Self::Run(cause) }
    }

    /// The cause, for a command that stops at the first error.
    pub(crate) fn into_cause(self) -> anyhow::Error {
        match self {
            Self::Device(why) => anyhow::anyhow!(why),
            Self::Run(error) => error,
        }
    }
}

impl From<anyhow::Error> for ProvisionError {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}
