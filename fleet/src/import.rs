//! Files of devices, read and checked row by row.
//!
//! [`rows`] reads tables and lines, [`users`] what other programs write, and [`hash`] their hashes. [`acl`] reads the access
//! rules of brokers, and [`grants`] makes grants of them. [`source`] tells one file from another.

mod acl;
mod columns;
mod cost;
mod faults;
mod grants;
mod hash;
mod json_lines;
mod rows;
mod rules;
mod source;
pub(crate) mod table;
mod users;

use std::{fs, path::Path};

use anyhow::Context as _;
use zeroize::Zeroizing;

pub use self::{
    cost::Cost,
    faults::{Faults, error_list},
    hash::EmqxHash,
    rows::{Credential, Format, Row},
    rules::{GrantsOfRules, Rules},
    source::{SOURCES, Source, hint},
};

/// Reads a file, with all that is wrong with its rows.
///
/// # Errors
///
/// When the file can't be read, is not text, or has the wrong header.
pub fn read(path: &Path, format: Format<'_>) -> anyhow::Result<(Vec<Row>, Faults)> {
    let text = text(path)?;
    let (mut rows, mut faults) = (Vec::new(), Faults::default());
    if let Some(found) = source::recognise(&text).filter(|found| !format.source().accepts(*found)) {
        anyhow::bail!("`{}` is {found}", path.display());
    }
    let found = match format {
        Format::PasswordFile(_) => Ok(rows::of_password_file(&text)),
        Format::Vendor(..) | Format::Passwords => rows::of_table(&text, format),
        Format::Dynsec => users::of_dynsec(&text),
        Format::Emqx(hash) => users::of_emqx(&text, hash),
        Format::Django => users::of_django(&text),
    };
    let found = found.with_context(|| format!("can't use `{}`", path.display()))?;
    anyhow::ensure!(!found.is_empty(), "can't use `{}`: it has no devices", path.display());
    for (line, row) in found {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => faults.add(line, error.to_string()),
        }
    }
    Ok((rows, faults))
}

/// Reads a file of text, which may begin with the mark that spreadsheets write. It is wiped when dropped.
pub(crate) fn text(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let bytes = fs::read(path).with_context(|| format!("can't read `{}`", path.display()))?;
    if let Some(kind) = binary_kind(&bytes) {
        anyhow::bail!("`{}` is {kind}", path.display());
    }
    // The bytes are not copied: a file may be large, and what is wiped later is then all of it.
    let mut text = Zeroizing::new(String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let bytes = Zeroizing::new(error.into_bytes());
        let valid = bytes.get(..end).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        let before = valid.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(before).chars().count().saturating_add(1);
        let path = path.display();
        anyhow::anyhow!("`{path}` is not UTF-8 in line {line}, column {column}; save it as \"CSV UTF-8\"")
    })?);
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
}

/// What a file that is not text in UTF-8 is, by its first bytes, and what to do with it.
fn binary_kind(bytes: &[u8]) -> Option<&'static str> {
    let kinds: [(&[&[u8]], _); 3] = [
        (&[b"PK\x03\x04", b"\xd0\xcf\x11\xe0"], "a spreadsheet or an archive; save it as \"CSV UTF-8\""),
        (&[b"\xff\xfe", b"\xfe\xff"], "UTF-16; save it as \"CSV UTF-8\""),
        (&[b"SQLite format 3"], "a SQLite database; export its table as CSV with a header"),
    ];
    let known = kinds.into_iter().find(|(starts, _)| starts.iter().any(|of| bytes.starts_with(of)));
    let has_zeros = bytes.iter().take(1_024).any(|byte| *byte == 0);
    known.map(|(_, kind)| kind).or(has_zeros.then_some("not text; name the file that the export wrote"))
}
