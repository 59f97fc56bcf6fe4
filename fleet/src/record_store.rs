//! Where the records are: a file, a table of DynamoDB or a secret of Secrets Manager, with the same operations on each.
//!
//! [`whole`] has the stores that are read and written as a whole, [`table`] the one with an item for each device, and
//! [`claims`] what it writes besides, so that no two of its records contradict each other. A write succeeds only if no
//! other program has changed the same part since it was read; otherwise the operation begins again with what is there now.

#[cfg(feature = "aws")]
mod claims;
pub(crate) mod indexed;
#[cfg(feature = "aws")]
pub(crate) mod table;
pub(crate) mod whole;

#[cfg(feature = "aws")]
use std::error::Error;
use std::{collections::HashMap, fmt::Display, path::PathBuf};

use anyhow::Context as _;
#[cfg(feature = "aws")]
use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use device_auth::{
    device_name::DeviceName,
    location::StoreLocation,
    record::ClientIdRule,
    scheme::Scheme,
    store::{
        document::{RecordDocument, StoreDocument},
        text::StoreText,
    },
};

#[cfg(feature = "aws")]
use self::table::Table;
use self::whole::{Missing, WholeStore};
#[cfg(feature = "aws")]
use crate::aws::{self, call_error};

/// An opened store of records.
pub enum RecordStore {
    /// A table.
    #[cfg(feature = "aws")]
    Table(Box<Table>),
    /// A file or a secret.
    Whole(WholeStore),
}

/// How a store in AWS is reached, and where a table's grants are.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The region, if the command line or a deployment names one.
    pub region: Option<String>,
    /// The file with the function's grants, which a table does not have.
    pub grants: Option<PathBuf>,
}

/// A device's record in the store, compared with the one that is to be written.
#[cfg(feature = "aws")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The device has no record.
    Absent,
    /// The records are equal.
    Equal,
    /// The records differ.
    Different,
}

/// Why a record was not written.
#[cfg(feature = "aws")]
#[derive(Debug)]
pub(crate) enum WriteError {
    /// It concerns one device. A run goes on with the others.
    Device(String),
    /// It concerns every device. No other device is begun.
    Run(anyhow::Error),
}

/// All records of a store.
pub struct Contents {
    /// The records, and the grants with which they are used.
    pub document: StoreDocument,
    /// The items of a table that are not records, each with what is wrong with it.
    pub malformed: Vec<(String, String)>,
}

/// The records of a store that were read to look at them.
pub(crate) struct ReadRecords {
    /// The records, as far as they could be parsed.
    pub(crate) text: StoreText,
    /// The items of a table that are not records, each with what is wrong with it.
    pub(crate) malformed: Vec<(String, String)>,
    /// The line of each device and each grant in a file.
    pub(crate) lines: HashMap<String, u64>,
}

/// The line of each name that is the key of an object, in a file as `fleet` writes it.
fn lines_of(text: &str) -> HashMap<String, u64> {
    let keys = (1..).zip(text.lines()).filter_map(|(number, line)| {
        let name = line.trim_start().strip_prefix('"')?.strip_suffix("\": {")?;
        Some((name.to_owned(), number))
    });
    keys.collect()
}

/// Gives Alibaba's devices the client ids that they have in a table, where names are not compared at load.
pub(crate) fn only_qualified_ids(document: &mut StoreDocument) {
    for (name, record) in &mut document.devices {
        if record.scheme == Scheme::Alibaba
            && record.client_ids.is_none()
            && let Some((device, product)) = name.as_str().split_once('&')
            && let Ok(rule) = ClientIdRule::try_from(format!("{product}.{device}"))
        {
            record.client_ids = Some(vec![rule]);
        }
    }
}

/// What a table has besides its records, compared with what the records claim.
pub struct ClaimsReport {
    /// How many records don't have all that they claim.
    pub missing: u64,
    /// How many items belong to devices without a record.
    pub left_over: u64,
    /// Why something could not be claimed.
    pub refused: Vec<String>,
}

impl RecordStore {
    /// Opens a store. A file is not read yet; in AWS one call finds out whether the table can be read.
    ///
    /// # Errors
    ///
    /// When there are no region or credentials, or no such table, or when the file with the grants can't be used.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only a store in AWS waits"))]
    pub async fn open(location: &StoreLocation, access: &Access) -> anyhow::Result<Self> {
        let file = match location {
            StoreLocation::File(path) => WholeStore::File(path.clone()),
            StoreLocation::Indexed(path) => WholeStore::Indexed(path.clone()),
            #[cfg(feature = "aws")]
            StoreLocation::DynamoDb(table) => {
                let aws = aws::configuration(access.region.as_deref(), aws::PATIENT).await?;
                let table = Table::open(&aws, table, access.grants.as_deref()).await?;
                return Ok(Self::Table(Box::new(table)));
            }
            #[cfg(feature = "aws")]
            StoreLocation::SecretsManager(secret) => {
                let aws = aws::configuration(access.region.as_deref(), aws::PATIENT).await?;
                WholeStore::secret(&aws, secret)
            }
            #[cfg(not(feature = "aws"))]
            _ => anyhow::bail!(
                "a store in AWS needs a build with the feature `aws`: `cargo install --locked --path latchkey \
                 --features aws`"
            ),
        };
        anyhow::ensure!(
            access.grants.is_none(),
            "`--grants` is for a table: a file and a secret contain their grants"
        );
        Ok(Self::Whole(file))
    }

    /// Writes the record of a device that has none.
    ///
    /// # Errors
    ///
    /// When the device has one, or when another device owns what the record claims.
    pub async fn insert(&self, name: &DeviceName, record: &RecordDocument) -> anyhow::Result<()> {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(table) => table.insert(name, record).await.map_err(WriteError::into_cause),
            Self::Whole(whole) => {
                whole
                    .update(Missing::IsEmpty, |document| {
                        anyhow::ensure!(!document.devices.contains_key(name), exists(name));
                        document.devices.insert(name.clone(), record.clone());
                        Ok(())
                    })
                    .await
            }
        }
    }

    /// Changes the record of a device. `change` may be called again, if somebody else changes the record meanwhile.
    ///
    /// # Errors
    ///
    /// When there is no such device, when `change` fails, or when another device owns what the record then claims.
    pub async fn change<T>(
        &self,
        name: &DeviceName,
        mut change: impl FnMut(&mut RecordDocument) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(table) => table.change(name, change).await,
            Self::Whole(whole) => {
                whole
                    .update(Missing::IsAnError, |document| {
                        let record = document.devices.get_mut(name);
                        change(record.ok_or_else(|| whole.no_such_device(name))?)
                    })
                    .await
            }
        }
    }

    /// Removes the record of a device.
    ///
    /// # Errors
    ///
    /// When there is no such device.
    pub async fn remove(&self, name: &DeviceName) -> anyhow::Result<()> {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(table) => table.remove(name).await,
            Self::Whole(whole) => {
                whole
                    .update(Missing::IsAnError, |document| {
                        let removed = document.devices.remove(name);
                        removed.map(drop).ok_or_else(|| whole.no_such_device(name))
                    })
                    .await
            }
        }
    }

    /// The record of a device.
    ///
    /// # Errors
    ///
    /// When there is no such device, or the store can't be read.
    pub async fn get(&self, name: &DeviceName) -> anyhow::Result<RecordDocument> {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(table) => table.get(name).await,
            Self::Whole(whole @ WholeStore::Indexed(path)) => {
                indexed::get(path, name)?.ok_or_else(|| whole.no_such_device(name))
            }
            Self::Whole(whole) => {
                let mut document = whole.read(Missing::IsAnError).await?;
                document.devices.remove(name).ok_or_else(|| whole.no_such_device(name))
            }
        }
    }

    /// All records, or the one of a device, as far as they can be parsed. Whether the authorizer could use them is not
    /// checked.
    ///
    /// # Errors
    ///
    /// When the store can't be read, or is none as a whole. A table's device that has no record is an error too.
    #[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only a table is read in part"))]
    pub(crate) async fn text(&self, only: Option<&DeviceName>) -> anyhow::Result<ReadRecords> {
        match self {
            Self::Whole(whole) => {
                let text = whole.text().await?;
                let lines = lines_of(&text);
                let parsed = StoreText::parse(&text).with_context(|| format!("{whole} is not a store"))?;
                Ok(ReadRecords { text: parsed, malformed: Vec::new(), lines })
            }
            #[cfg(feature = "aws")]
            Self::Table(table) => {
                let mut read = match only {
                    None => table.contents().await?,
                    Some(name) => table.contents_of(name).await?,
                };
                only_qualified_ids(&mut read.document);
                let text = StoreText::of_document(read.document);
                Ok(ReadRecords { text, malformed: read.malformed, lines: HashMap::new() })
            }
        }
    }

    /// All records.
    ///
    /// # Errors
    ///
    /// When the store can't be read.
    pub async fn contents(&self) -> anyhow::Result<Contents> {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(table) => table.contents().await,
            Self::Whole(whole) => {
                let document = whole.read(Missing::IsAnError).await?;
                Ok(Contents { document, malformed: Vec::new() })
            }
        }
    }

    /// All records as they are, whether the authorizer accepts them or not.
    ///
    /// # Errors
    ///
    /// When the store can't be read.
    pub async fn unchecked(&self) -> anyhow::Result<Contents> {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(table) => table.contents().await,
            Self::Whole(whole) => {
                Ok(Contents { document: whole.read_unchecked().await?, malformed: Vec::new() })
            }
        }
    }

    /// Whether it is a table, whose records are not compared with each other when they are used.
    pub(crate) fn is_table(&self) -> bool {
        match self {
            #[cfg(feature = "aws")]
            Self::Table(_) => true,
            Self::Whole(_) => false,
        }
    }
}

/// What to do with a device that has a record already.
pub(crate) fn exists(name: &DeviceName) -> String {
    format!(
        "`{name}` has a record already: `latchkey fleet rotate '{name}'` gives it a new password or secret, and \
         `latchkey fleet remove '{name}'` removes it"
    )
}

/// What to do with a name that has no record in a store, which is named as in a sentence.
pub(crate) fn no_such_device(store: &dyn Display, name: &DeviceName) -> anyhow::Error {
    anyhow::anyhow!("{store} has no device `{name}`; `latchkey fleet list` lists its devices")
}

#[cfg(feature = "aws")]
impl WriteError {
    /// AWS's codes for a refusal that may concern one device only.
    const DEVICE_CODES: [&str; 6] = [
        "ConflictException",
        "InvalidRequestException",
        "ResourceAlreadyExistsException",
        "ResourceNotFoundException",
        "ValidationException",
        "VersionConflictException",
    ];

    /// What AWS refused for a device. `permission` is what the call needs.
    pub(crate) fn of<E, R>(error: &SdkError<E, R>, permission: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let cause = call_error(error, permission);
        let is_of_device = error.code().is_some_and(|code| Self::DEVICE_CODES.contains(&code));
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

#[cfg(feature = "aws")]
impl From<anyhow::Error> for WriteError {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}
