//! The errors of calls that the registry does not carry out.

use std::path::PathBuf;

use super::Kind;

/// A call that the registry does not carry out.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Something does not exist.
    #[error("{kind} {name} not found")]
    NotFound {
        /// What it would be.
        kind: Kind,
        /// Its name or id.
        name: String,
    },
    /// Something exists that is not the same.
    #[error("{message}")]
    AlreadyExists {
        /// What differs.
        message: String,
        /// The id of what exists.
        id: String,
        /// Its ARN.
        arn: String,
    },
    /// A certificate's status does not allow the call.
    #[error("{0}")]
    CertificateState(String),
    /// Something is still in use.
    #[error("{0}")]
    DeleteConflict(String),
    /// A limit of AWS's is reached.
    #[error("{0}")]
    Limit(String),
    /// A policy document can't be used.
    #[error("{0}")]
    MalformedPolicy(String),
    /// A policy has as many versions as it can have.
    #[error("{0}")]
    VersionsLimit(String),
    /// Something has another version than the call expects.
    #[error("{0}")]
    VersionConflict(String),
    /// The call can't be carried out as it is.
    #[error("{0}")]
    Invalid(String),
    /// The settings file defines what the call would change.
    #[error("the settings file `{path}` defines the {kind} `{name}`: change it there")]
    OfSettingsFile {
        /// What it is.
        kind: Kind,
        /// Its name or id.
        name: String,
        /// The settings file.
        path: PathBuf,
    },
    /// The settings file defines what an API call has made.
    #[error(
        "the settings file `{path}` defines the {kind} `{name}`, and so did an API call: remove it from the file, or delete it \
         with an API call while it is not in the file"
    )]
    Twice {
        /// What it is.
        kind: Kind,
        /// Its name or id.
        name: String,
        /// The settings file.
        path: PathBuf,
    },
    /// The file can't be read or written.
    #[error("the registry's file can't be used: {0}")]
    File(String),
    /// The gateway stops.
    #[error("the gateway stops")]
    Stopped,
}

impl RegistryError {
    /// The error of an entry that does not exist.
    #[must_use]
    pub fn not_found(kind: Kind, name: &str) -> Self {
        Self::NotFound { kind, name: name.to_owned() }
    }
}

impl From<rusqlite::Error> for RegistryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error.to_string())
    }
}
