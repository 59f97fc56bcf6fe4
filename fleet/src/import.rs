//! Files of devices, read and checked row by row.

mod columns;
mod faults;
mod rows;
pub(crate) mod table;

use std::{fs, path::Path};

use anyhow::Context as _;
use zeroize::Zeroizing;

pub use self::{
    faults::Faults,
    rows::{Credential, Format, Row},
};

/// Reads a file, with all that is wrong with its rows.
///
/// # Errors
///
/// When the file can't be read, is not text, or has the wrong header.
pub fn read(path: &Path, format: Format<'_>) -> anyhow::Result<(Vec<Row>, Faults)> {
    let text = text(path)?;
    let (mut rows, mut faults) = (Vec::new(), Faults::default());
    let found = match format {
        Format::PasswordFile => rows::of_password_file(&text),
        Format::Vendor(..) | Format::Passwords => {
            rows::of_table(&text, format).with_context(|| format!("can't use `{}`", path.display()))?
        }
    };
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
    let bytes = Zeroizing::new(fs::read(path).with_context(|| format!("can't read `{}`", path.display()))?);
    let text = std::str::from_utf8(&bytes).ok();
    let text =
        text.with_context(|| format!("`{}` is not UTF-8; save it as \"CSV UTF-8\"", path.display()))?;
    Ok(Zeroizing::new(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()))
}
