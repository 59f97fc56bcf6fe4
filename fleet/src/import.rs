//! Files of devices, read and checked row by row.
//!
//! [`rows`] reads tables and lines, [`users`] what other programs write, and [`hash`] their hashes. [`acl`] reads the access
//! rules of brokers, and [`grants`] makes grants of them. [`source`] tells one file from another.

mod acl;
mod claimed;
mod columns;
mod cost;
mod faults;
mod grants;
mod hash;
mod input;
mod json_lines;
mod rows;
mod rules;
mod source;
pub(crate) mod table;
mod users;
pub(crate) mod window;

use std::{fs, path::Path};

use anyhow::Context as _;
use zeroize::Zeroizing;

pub(crate) use self::{claimed::Claimed, grants::GrantNames, input::Input, rows::Rows};
pub use self::{
    cost::Cost,
    faults::{Faults, error_list},
    hash::EmqxHash,
    rows::{Credential, Format, Row},
    rules::{GrantsOfRules, Rules},
    source::{SOURCES, Source, hint},
};

/// Checks that a file is from this source, as far as it is known.
pub(crate) fn check_source(input: &Input, source: Source) -> anyhow::Result<()> {
    match source::recognise(input.head()).filter(|found| !source.accepts(*found)) {
        Some(found) => anyhow::bail!("`{}` is {found}", input.shown()),
        None => Ok(()),
    }
}

/// The rows of a file, as they are read.
///
/// # Errors
///
/// When the file has the wrong header, or is JSON of another form.
pub(crate) fn rows<'i>(input: &'i Input, format: Format<'i>) -> anyhow::Result<Rows<'i>> {
    let found = match format {
        Format::PasswordFile(_) => Ok(rows::of_password_file(input.reader()?)),
        Format::Vendor(..) | Format::Passwords => rows::of_table(input.reader()?, format),
        Format::Dynsec => users::of_dynsec(input),
        Format::Emqx(hash) => users::of_emqx(input, hash),
        Format::Django => users::of_django(input),
    };
    found.with_context(|| format!("can't use `{}`", input.shown()))
}

/// What a file without rows is.
pub(crate) fn no_devices(input: &Input) -> anyhow::Error {
    anyhow::anyhow!("can't use `{}`: it has no devices", input.shown())
}

/// Reads a file, with all that is wrong with its rows.
///
/// # Errors
///
/// When the file can't be read, is not text, or has the wrong header.
pub fn read(path: &Path, format: Format<'_>) -> anyhow::Result<(Vec<Row>, Faults)> {
    let input = Input::open(path)?;
    check_source(&input, format.source())?;
    let (mut good, mut faults) = (Vec::new(), Faults::default());
    for row in rows(&input, format)? {
        match row.with_context(|| format!("can't use `{}`", input.shown()))? {
            (_, Ok(row)) => good.push(row),
            (line, Err(error)) => faults.add(line, error.to_string()),
        }
    }
    anyhow::ensure!(!good.is_empty() || !faults.is_empty(), no_devices(&input));
    Ok((good, faults))
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
