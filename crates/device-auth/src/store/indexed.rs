//! The indexed form of a store: one file that is made of a store's JSON, for look-ups whose cost does not grow with it.
//!
//! [`write`] checks all records, each one and with the others, so a look-up makes a record of one entry and
//! compares it with nothing. The trees of the file:
//!
//! | tree | key | value |
//! |---|---|---|
//! | [`RECORDS`] | a device's name | its record, in JSON |
//! | [`COMMON`] | `grants`, `prefix_lengths`, `version` | the store's grants; the lengths of the texts that end with `*` below; the version of the JSON form |
//! | [`DECOYS`] | a digest of verifiers | a record with these verifiers, in JSON |
//! | [`TAKEN`] | `=` and a text, or `*` and the beginning of texts | the device to which a client id or a value with that text belongs |

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io::{Seek, Write},
    sync::Arc,
};

use indexed_file::{Damage, Digest, IndexedFileError, Part, Reader, Source, TreeWriter, WriteError, Writer};
use serde::Serialize;

use super::{
    Lookup,
    decoys::{self, Decoys},
    document::{RecordDocument, StoreDocument, VERSION},
    error::{InvalidRecord, RecordsError},
    id_ranges::IdRangeError,
    loader::{RecordLoader, Records},
};
use crate::{
    device_name::DeviceName,
    grant::{GrantDefinition, Grants},
    record::{FunctionSettings, Record},
    verifier::LiveVerifier,
};

/// The tree of the records.
pub const RECORDS: usize = 0;
/// The tree of what concerns all records.
pub const COMMON: usize = 1;
/// The tree of verifiers for names without a record.
pub const DECOYS: usize = 2;
/// The tree of names that a device without a record can't have.
pub const TAKEN: usize = 3;

const GRANTS: &[u8] = b"grants";
const PREFIX_LENGTHS: &[u8] = b"prefix_lengths";
const FORMAT: &[u8] = b"version";
const EXACT: u8 = b'=';
const PREFIX: u8 = b'*';

/// How many records have their verifiers among the decoys. A record that is added or removed changes the decoy of one name
/// in this number, at most.
const MOST_DECOYS: usize = 1_024;

/// An indexed file of records, opened.
pub struct IndexedRecords<S> {
    reader: Reader<S>,
    loader: RecordLoader,
    prefix_lengths: BTreeSet<usize>,
    /// The decoy of a store without passwords.
    only: Arc<[LiveVerifier]>,
}

/// Why an indexed file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexedError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] IndexedFileError),
    /// Its grants can't be used, or its records have another version.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A part that has its digest can't be read: another program made the file.
    #[error("its {0} can't be read; build it again with `latchkey fleet build`")]
    Content(&'static str),
}

/// Why no indexed file was made of a store.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A record can't be used, or two contradict each other.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A record has no JSON form. This never happens.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What is wrong with one record.
#[derive(Debug, thiserror::Error)]
#[error("device `{device}`: {damage}")]
struct DamagedRecord {
    device: DeviceName,
    damage: Damage,
}

/// All records of an indexed file, and what is damaged.
pub struct Scanned {
    /// The records that could be read, and the grants.
    pub document: StoreDocument,
    /// What could not be read, each with its place, and with its device where that is known.
    pub damaged: Vec<String>,
}

/// Checks all records, and writes their indexed form. `function` is what the records are checked with. `progress` is told
/// how many records are written, of those that `document` has.
///
/// The same records make the same file.
///
/// # Errors
///
/// What is wrong with a record or between two of them, or why the file can't be written. What was written until then is not a
/// file that can be opened.
pub fn write<W: Write + Seek>(
    document: StoreDocument,
    function: FunctionSettings,
    output: W,
    mut progress: impl FnMut(usize),
) -> Result<Digest, BuildError> {
    let mut writer = Writer::new(output)?;
    let mut tree = writer.tree()?;
    for (count, (name, record)) in (1..).zip(&document.devices) {
        tree.push(name.as_str().as_bytes(), &serde_json::to_vec(record)?)?;
        progress(count);
    }
    tree.finish()?;
    let decoys = decoys::sample(document.devices.values(), MOST_DECOYS);
    let decoys = decoys.into_iter().map(|(position, record)| Ok((position, serde_json::to_vec(record)?)));
    let decoys = decoys.collect::<Result<Vec<_>, serde_json::Error>>()?;
    let grants = document.grants.clone();
    let records = document.records(function)?;
    let taken = taken(&records)?;
    let prefixes = taken.keys().filter(|key| key.first() == Some(&PREFIX));
    let prefix_lengths = prefixes.map(|key| key.len().saturating_sub(1)).collect::<BTreeSet<_>>();

    let mut tree = writer.tree()?;
    push(&mut tree, GRANTS, &grants)?;
    push(&mut tree, PREFIX_LENGTHS, &prefix_lengths)?;
    push(&mut tree, FORMAT, &VERSION)?;
    tree.finish()?;

    let mut tree = writer.tree()?;
    for (position, record) in &decoys {
        tree.push(position, record)?;
    }
    tree.finish()?;

    let mut tree = writer.tree()?;
    for (key, owner) in &taken {
        tree.push(key, owner.as_str().as_bytes())?;
    }
    tree.finish()?;
    Ok(writer.finish()?)
}

fn push<W: Write + Seek>(
    tree: &mut TreeWriter<'_, W>,
    key: &[u8],
    value: &(impl Serialize + ?Sized),
) -> Result<(), BuildError> {
    Ok(tree.push(key, &serde_json::to_vec(value)?)?)
}

/// What [`TAKEN`] has: all that a device without a record can't have as its name, but the names of records.
fn taken(records: &Records) -> Result<BTreeMap<Vec<u8>, DeviceName>, RecordsError> {
    let mut taken = BTreeMap::new();
    for (text, is_exact, owner) in records.taken_names()?.all() {
        let has_record = || is_exact && text == owner.as_str();
        if !has_record() {
            let kind = if is_exact { EXACT } else { PREFIX };
            taken.entry([&[kind], text.as_bytes()].concat()).or_insert_with(|| owner.clone());
        }
    }
    Ok(taken)
}

impl<S: Source> IndexedRecords<S> {
    /// Opens a file for a function with these settings. If `pinned` is given, it must be the digest of the file.
    ///
    /// # Errors
    ///
    /// When it is not such a file, not the pinned one, when a part that every look-up needs is damaged, or when its grants
    /// can't be used.
    pub fn open(source: S, pinned: Option<Digest>, function: FunctionSettings) -> Result<Self, IndexedError> {
        let reader = Reader::open(source, pinned)?;
        for tree in [RECORDS, COMMON, DECOYS, TAKEN] {
            // A file with fewer trees is not one of records.
            reader.get(tree, b"").map_err(IndexedError::from)?;
        }
        let version: u32 = common(&reader, FORMAT, "version")?;
        if version != VERSION {
            return Err(RecordsError::Version { found: version, known: VERSION }.into());
        }
        let grants: BTreeMap<String, GrantDefinition> = common(&reader, GRANTS, "grants")?;
        let grants = Grants::new(grants).map_err(RecordsError::from)?;
        let prefix_lengths = common(&reader, PREFIX_LENGTHS, "index of names")?;
        let loader = RecordLoader::new(grants, function);
        Ok(Self { reader, loader, prefix_lengths, only: Decoys::of_no_records() })
    }

    /// The loader of its records.
    #[must_use]
    pub fn loader(&self) -> &RecordLoader {
        &self.loader
    }

    /// The digest of the file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.reader.digest()
    }

    /// How many records it has.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.reader.entries(RECORDS)
    }

    /// Looks up the device called `name`. `token_grant` is the grant that the device's verified JSON Web Token names: the
    /// token then stands in for a missing record, if the device can have that grant.
    ///
    /// A record that is damaged or can't be used is [`Lookup::Unusable`], so that it refuses its own device alone.
    ///
    /// # Errors
    ///
    /// When the index is damaged at a place that this look-up needs, or the file can't be read.
    pub fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<Lookup, IndexedError> {
        let record = self.reader.get(RECORDS, name.as_str().as_bytes());
        // For a name with a record too, so that the time does not show which names have one.
        let decoy = self.decoy(name);
        let error: Arc<dyn Error + Send + Sync> = match record {
            Ok(Some(text)) => match self.record(name, &text) {
                // A damaged decoy is of no importance here.
                Ok(record) => return Ok(Lookup::Found(Arc::new(record))),
                Err(error) => Arc::new(error),
            },
            Ok(None) => return self.without_record(name, token_grant, self.verifiers(name, decoy?)),
            Err(IndexedFileError::Damaged(damage)) if damage.part == Part::Value => {
                Arc::new(DamagedRecord { device: name.clone(), damage })
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Lookup::Unusable { error, decoy: self.verifiers(name, decoy?) })
    }

    fn record(&self, name: &DeviceName, text: &[u8]) -> Result<Record, InvalidRecord> {
        let document = serde_json::from_slice(text).map_err(|error| InvalidRecord {
            device: name.clone(),
            error: super::document::format_error(&error).into(),
        })?;
        self.loader.load(name, document)
    }

    /// The JSON form of one record.
    ///
    /// # Errors
    ///
    /// When something that the look-up needs is damaged or can't be read.
    pub fn document_of(&self, name: &DeviceName) -> Result<Option<RecordDocument>, IndexedError> {
        let text = self.reader.get(RECORDS, name.as_str().as_bytes())?;
        text.map(|text| parsed(&text, "record")).transpose()
    }

    /// Reads and verifies the whole file.
    ///
    /// # Errors
    ///
    /// When the file can't be read.
    pub fn scan(&self) -> Result<Scanned, IndexedError> {
        let grants = common(&self.reader, GRANTS, "grants")?;
        let mut document = StoreDocument { grants, ..StoreDocument::empty() };
        let mut damaged = Vec::new();
        self.reader.scan::<IndexedError>(RECORDS, |entry| {
            let entry = entry.map_err(|(key, damage)| at(key, &damage)).and_then(|(key, value)| {
                let name = std::str::from_utf8(key).ok().and_then(|name| DeviceName::try_from(name).ok());
                let name = name.ok_or_else(|| "a name that is not a device's".to_owned())?;
                let record = serde_json::from_slice(&value);
                let record = record
                    .map_err(|error| format!("device `{name}`: {}", super::document::format_error(&error)));
                Ok((name, record?))
            });
            match entry {
                Ok((name, record)) => _ = document.devices.insert(name, record),
                Err(why) => damaged.push(why),
            }
            Ok(())
        })?;
        for tree in [COMMON, DECOYS, TAKEN] {
            self.reader.scan::<IndexedError>(tree, |entry| {
                damaged.extend(entry.err().map(|(_, damage)| damage.to_string()));
                Ok(())
            })?;
        }
        Ok(Scanned { document, damaged })
    }

    /// The record whose verifiers a name without a record is checked against, always the same one for the same name.
    fn decoy(&self, name: &DeviceName) -> Result<Option<RecordDocument>, IndexedError> {
        let position = decoys::position(name);
        let found = self.reader.at_or_after(DECOYS, &position)?;
        let found = match found {
            None => self.reader.at_or_after(DECOYS, b"")?,
            found => found,
        };
        found.map(|(_, record)| parsed(&record, "decoys")).transpose()
    }

    /// The verifiers of a decoy. It is loaded as a device's own record would be, which takes that time, and refuses verifiers
    /// that this function can't check.
    fn verifiers(&self, name: &DeviceName, decoy: Option<RecordDocument>) -> Arc<[LiveVerifier]> {
        match decoy.and_then(|record| self.loader.load(name, record).ok()) {
            Some(record) => Arc::from(record.proof.verifiers()),
            None => Arc::clone(&self.only),
        }
    }

    fn without_record(
        &self,
        name: &DeviceName,
        token_grant: Option<&str>,
        decoy: Arc<[LiveVerifier]>,
    ) -> Result<Lookup, IndexedError> {
        let Some(grant) = token_grant else { return Ok(Lookup::Unknown { decoy }) };
        let owner = self.owner(name)?;
        let is_free = || match owner {
            Some(owner) => Err(IdRangeError::Taken { name: name.clone(), owner }.into()),
            None => Ok(()),
        };
        Ok(match self.loader.newcomer(name, grant, is_free) {
            Ok(record) => Lookup::Found(Arc::new(record)),
            Err(error) => Lookup::UnusableGrant { error: Arc::new(error), decoy },
        })
    }

    /// The device to which this name belongs as a client id or as a value that grants write into topics.
    fn owner(&self, name: &DeviceName) -> Result<Option<DeviceName>, IndexedError> {
        let text = name.as_str().as_bytes();
        let beginnings = self.prefix_lengths.iter().filter_map(|length| text.get(..*length));
        let keys = [(EXACT, text)].into_iter().chain(beginnings.map(|beginning| (PREFIX, beginning)));
        for (kind, text) in keys {
            if let Some(owner) = self.reader.get(TAKEN, &[&[kind], text].concat())? {
                let owner =
                    std::str::from_utf8(&owner).ok().and_then(|owner| DeviceName::try_from(owner).ok());
                return owner.ok_or(IndexedError::Content("index of names")).map(Some);
            }
        }
        Ok(None)
    }
}

fn at(key: Option<&[u8]>, damage: &Damage) -> String {
    match key {
        Some(name) => format!("device `{}`: {damage}", String::from_utf8_lossy(name)),
        None => damage.to_string(),
    }
}

/// A part of [`COMMON`].
fn common<T: serde::de::DeserializeOwned>(
    reader: &Reader<impl Source>,
    key: &[u8],
    what: &'static str,
) -> Result<T, IndexedError> {
    let text = reader.get(COMMON, key)?.ok_or(IndexedError::Content(what))?;
    parsed(&text, what)
}

fn parsed<T: serde::de::DeserializeOwned>(text: &[u8], what: &'static str) -> Result<T, IndexedError> {
    serde_json::from_slice(text).map_err(|_| IndexedError::Content(what))
}
