//! Records in an indexed file, which `latchkey fleet build` makes: neither the start nor the memory grows with it.

use std::{
    fs::File,
    hash::{DefaultHasher, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use device_auth::{
    device_name::DeviceName,
    record::FunctionSettings,
    store::{
        Lookup,
        indexed::{IndexedError, IndexedRecords},
    },
};
use indexed_file::{Digest, HEADER_BYTES, IndexedFileError, Source as _};

use super::{
    Source, Store, StoreAnswer,
    followed::{Current, Followed, FollowedFile},
};
use crate::{
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
};

/// A store that reads what a look-up needs, and verifies that. Like a JSON file it follows its file: when another one is in
/// its place, the next look-up opens that, and if it can't be used the last one stays in force.
pub struct IndexedStore {
    records: Followed<IndexedRecords<Arc<File>>, OpenedFile>,
    path: PathBuf,
}

/// A file that was opened, and its header.
struct OpenedFile {
    path: PathBuf,
    opened: io::Result<(Arc<File>, Vec<u8>)>,
}

impl IndexedStore {
    /// Opens the file for a function with these settings. If `pinned` is given, it must be the digest of the file, and of each
    /// one that takes its place.
    ///
    /// # Errors
    ///
    /// The path, and what is wrong with the file, with the place of a damage.
    pub fn open(path: &Path, pinned: Option<Digest>, function: FunctionSettings) -> Result<Self, StoreFault> {
        let records = Followed::open(Some(path.to_owned()), function, move |file, function| {
            records(file, pinned, function)
        })?;
        Ok(Self { records, path: path.to_owned() })
    }

    /// The same store, which also follows changes of the keyring. `keyring` is the one that the function's settings have.
    #[must_use]
    pub fn following(self, keyring: KeyringSource) -> Self {
        Self { records: self.records.with_keyring(keyring), ..self }
    }
}

impl Store for IndexedStore {
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        let Current { value, is_stale, .. } = self.records.current().await;
        let lookup = value.look_up(name, token_grant).map_err(|error| fault(&self.path, &error))?;
        if let Lookup::Unusable { error, .. } = &lookup {
            super::report_unusable_record(name, &format_args!("`{}`: {error}", self.path.display()));
        }
        let source = if is_stale { Source::Stale } else { Source::Store };
        Ok(StoreAnswer { lookup, source })
    }
}

impl FollowedFile for OpenedFile {
    fn read(path: PathBuf) -> Self {
        let opened = File::open(&path).and_then(|file| {
            let mut header = vec![0; HEADER_BYTES];
            match file.read_at(0, &mut header) {
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
                // The reader says what a shorter file is.
                _ => Ok((Arc::new(file), header)),
            }
        });
        Self { path, opened }
    }

    fn digest(&self) -> Option<u64> {
        let (file, header) = self.opened.as_ref().ok()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(header);
        hasher.write_u64(file.length().ok()?);
        Some(hasher.finish())
    }
}

/// The records of a file.
fn records(
    file: Option<&OpenedFile>,
    pinned: Option<Digest>,
    function: FunctionSettings,
) -> Result<IndexedRecords<Arc<File>>, StoreFault> {
    let Some(OpenedFile { path, opened }) = file else {
        return Err(StoreFault::new(FaultKind::NotFound, "no file of device records is set"));
    };
    let (file, _) = opened.as_ref().map_err(|error| unreadable(path, error))?;
    let records = IndexedRecords::open(Arc::clone(file), pinned, function);
    let records = records.map_err(|error| fault(path, &error))?;
    super::report_wildcards(records.loader().grants());
    Ok(records)
}

fn unreadable(path: &Path, error: &io::Error) -> StoreFault {
    let message = format!(
        "can't read the device records in `{}`: {error}; check LATCHKEY_STORE, or make the file with `latchkey fleet build`",
        path.display()
    );
    StoreFault::new(FaultKind::Unavailable, message)
}

fn fault(path: &Path, error: &IndexedError) -> StoreFault {
    let (kind, fix) = match error {
        IndexedError::File(IndexedFileError::Io(_)) => (FaultKind::Unavailable, ""),
        IndexedError::File(IndexedFileError::OtherDigest { .. }) => (
            FaultKind::Refused,
            "; deploy the file whose digest LATCHKEY_STORE_DIGEST has, or set it to that of this file",
        ),
        IndexedError::File(_) => (FaultKind::BadRecord, "; build it again with `latchkey fleet build`"),
        _ => (FaultKind::BadRecord, ""),
    };
    StoreFault::new(kind, format!("`{}`: {error}{fix}", path.display()))
}
