//! Records in an indexed file, which is read, and made again instead of being changed.

use std::{fs::File, path::Path};

use anyhow::Context as _;
use cli::console::ErrorList;
use device_auth::{
    device_name::DeviceName,
    store::{
        document::{RecordDocument, StoreDocument},
        indexed::{IndexedRecords, Scanned},
    },
};

use crate::store_file::any_function;

/// Opens the file.
pub(crate) fn open(path: &Path) -> anyhow::Result<IndexedRecords<File>> {
    let file = File::open(path).with_context(|| {
        format!("can't read `{}`; `latchkey fleet build` makes an indexed file", path.display())
    })?;
    let opened = IndexedRecords::open(file, None, any_function()?);
    opened.with_context(|| unusable(path))
}

/// All records of the file, none of them damaged.
pub(crate) fn read(path: &Path) -> anyhow::Result<StoreDocument> {
    let Scanned { document, damaged } = open(path)?.scan().with_context(|| unusable(path))?;
    if damaged.is_empty() {
        return Ok(document);
    }
    let head = format!("{}; build it again with `latchkey fleet build`", unusable(path));
    Err(ErrorList::new(head, damaged).into())
}

/// The record of one device, without a look at the others.
pub(crate) fn get(path: &Path, name: &DeviceName) -> anyhow::Result<Option<RecordDocument>> {
    open(path)?.document_of(name).with_context(|| unusable(path))
}

fn unusable(path: &Path) -> String {
    format!("`{}` can't be used", path.display())
}

/// Why nothing in the file is changed.
pub(crate) fn read_only(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "`{}` is an indexed file, which is not changed: change the JSON file that it was made of, and make it again with \
         `latchkey fleet build`",
        path.display()
    )
}
