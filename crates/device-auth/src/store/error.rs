//! Errors in records. No message quotes a value that may be a secret.

use std::sync::Arc;

use credentials::{SecretError, alibaba, tencent};

use super::{id_ranges::IdRangeError, topic_overlap::TopicOverlap};
use crate::{
    client_id::ClientIdError,
    device_name::{DeviceName, DeviceNameError},
    grant::GrantError,
    policy::DocumentError,
    record::MAX_VERIFIERS,
    scheme::Scheme,
    seal::SealError,
    verifier::budget::BudgetError,
};

/// Why a store's text is not a [`StoreDocument`](super::document::StoreDocument): what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreFormatError {
    pub(super) message: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1; 0 in an empty line.
    pub column: usize,
}

/// Why a store's records can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The text has another version of the format.
    #[error(
        "the format's version is {found}, and this program reads {known}: run a version that reads it, or put back an earlier \
         file"
    )]
    Version {
        /// The version of the text.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
    /// One of the store's own grants is wrong.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A record is wrong.
    #[error(transparent)]
    Record(Arc<InvalidRecord>),
    /// Two records contradict each other.
    #[error(transparent)]
    IdRange(#[from] IdRangeError),
    /// Two devices share a topic.
    #[error(transparent)]
    TopicOverlap(#[from] Box<TopicOverlap>),
}

impl From<InvalidRecord> for RecordsError {
    fn from(error: InvalidRecord) -> Self {
        Self::Record(Arc::new(error))
    }
}

/// A record that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("device `{device}`: {error}")]
pub struct InvalidRecord {
    /// The device's name.
    pub device: DeviceName,
    /// What is wrong.
    #[source]
    pub error: RecordError,
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The text of the record is not one.
    #[error(transparent)]
    Format(#[from] StoreFormatError),
    /// The item in DynamoDB is not a record.
    #[cfg(feature = "dynamodb")]
    #[error(transparent)]
    Item(#[from] super::item::ItemError),
    /// There are too many certificates.
    #[error("`certificates` has {0} entries, at most {MAX_VERIFIERS} are allowed")]
    Certificates(usize),
    /// The scheme has verifiers or secrets, and there are too few or too many.
    #[error("`{field}` has {found} entries, it should have 1 or {MAX_VERIFIERS}")]
    Count {
        /// `verifiers` or `secrets`.
        field: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The scheme does not have this field.
    #[error("`{field}` is not for the scheme `{}`", scheme.as_str())]
    OtherScheme {
        /// `verifiers` or `secrets`.
        field: &'static str,
        /// The record's scheme.
        scheme: Scheme,
    },
    /// The list of client ids is empty.
    #[error("`client_ids` is an empty list; leave it out to allow the device's own name")]
    NoClientIds,
    /// A client id of an Alibaba device has parameters.
    #[error("`{0}` in `client_ids` has a `|`: here an id is the text before it")]
    IdWithParameters(String),
    /// A client id has the form of Alibaba's scheme.
    #[error("`{0}` in `client_ids` has a `|`: that makes a client id one of the scheme `alibaba`")]
    IdOfAlibaba(String),
    /// A parameter has the name of a placeholder that is the device's own.
    #[error("`{0}` can't be a parameter: `{{{0}}}` is the device's own")]
    OwnPlaceholder(&'static str),
    /// A vendor's device name is unique only in its product.
    #[error(
        "grant `{grant}` has `{{device}}` without `{{product}}` in `{template}`: two products may have a device of \
         that name"
    )]
    DeviceWithoutProduct {
        /// The grant.
        grant: String,
        /// The topic template.
        template: String,
    },
    /// A value would give the device topics that a grant names literally.
    #[error(
        "`{value}` as `{{{placeholder}}}` of grant `{grant}` would own topics that a grant names literally"
    )]
    Reserved {
        /// The value.
        value: String,
        /// The placeholder.
        placeholder: String,
        /// The grant.
        grant: String,
    },
    /// The record's name has no product key.
    #[error("an Alibaba device's record is called `deviceName&productKey`")]
    AlibabaName,
    /// A part of the name is not one of Alibaba's.
    #[error(transparent)]
    AlibabaIdentity(#[from] alibaba::IdentityError),
    /// The name is not one of Tencent's.
    #[error("a Tencent device's record is called by its product id and device name: {0}")]
    TencentIdentity(#[from] tencent::IdentityError),
    /// A part of the name can't be in a policy.
    #[error(transparent)]
    Name(#[from] DeviceNameError),
    /// The longest client id is not valid. This never happens.
    #[error(transparent)]
    ClientId(#[from] ClientIdError),
    /// A secret has fields of another kind.
    #[error("{}", match scheme {
        Scheme::Tencent => "a secret of the scheme `tencent` has `psk` and nothing else",
        _ => "a secret of the scheme `alibaba` has `device_secret`, or `device_token` with its `id`",
    })]
    SecretKind {
        /// The record's scheme.
        scheme: Scheme,
    },
    /// A sealed secret can't be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An opened secret is malformed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The grant does not exist.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The grant can't become policy documents.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The function can't check the verifiers in time.
    #[error(transparent)]
    Budget(#[from] BudgetError),
}
