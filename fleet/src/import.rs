//! A file of devices, read and checked row by row.

mod columns;
mod faults;
mod password_file;
mod rows;
pub(crate) mod table;

use std::{fs, path::Path};

use anyhow::Context as _;
use device_auth::{device_name::DeviceName, record::ClientIdRule, scheme::Scheme, verifier::Verifier};
use zeroize::Zeroizing;

pub use self::faults::Faults;
use crate::vendor::Vendor;

/// What kind of file it is.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    /// CSV with a vendor's columns; the product of devices in a file without a column for it.
    Vendor(Vendor, Option<&'a str>),
    /// CSV with user names, and passwords or verifiers.
    Passwords,
    /// Lines of `name:hash`.
    PasswordFile,
}

/// A device of the file.
pub struct Row {
    /// The line that it begins in, from 1 on.
    pub line: usize,
    /// Its record's name.
    pub name: DeviceName,
    /// Its client ids, where the file says them.
    pub client_ids: Option<Vec<ClientIdRule>>,
    /// How it proves itself.
    pub credential: Credential,
}

/// How a device of the file proves itself. No `Debug`.
pub enum Credential {
    /// By a secret that its vendor gave.
    Secret(Zeroizing<String>),
    /// By a password that somebody chose.
    Password(Zeroizing<String>),
    /// By a password whose hash this is.
    Verifier(Verifier),
}

impl Format<'_> {
    /// The scheme of the devices.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Vendor(vendor, _) => vendor.scheme(),
            Self::Passwords | Self::PasswordFile => Scheme::Password,
        }
    }
}

/// Reads a file, with all that is wrong with its rows.
///
/// # Errors
///
/// When the file can't be read, is not text, or has no header that fits.
pub fn read(path: &Path, format: Format<'_>) -> anyhow::Result<(Vec<Row>, Faults)> {
    let shown = path.display();
    let bytes = Zeroizing::new(fs::read(path).with_context(|| format!("can't read `{shown}`"))?);
    let text = std::str::from_utf8(&bytes);
    let text = text.ok().with_context(|| format!("`{shown}` is not UTF-8; save it as \"CSV UTF-8\""))?;
    parse(text, format).with_context(|| format!("can't use `{shown}`"))
}

fn parse(text: &str, format: Format<'_>) -> anyhow::Result<(Vec<Row>, Faults)> {
    // Spreadsheets begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = match format {
        Format::PasswordFile => password_file::rows(text).collect::<Vec<_>>(),
        Format::Vendor(..) | Format::Passwords => rows::rows(text, format)?,
    };
    anyhow::ensure!(!found.is_empty(), "it has no devices");
    let (mut rows, mut faults) = (Vec::with_capacity(found.len()), Faults::default());
    for (line, row) in found {
        match row {
            Ok(row) => rows.push(row),
            Err(why) => faults.add(line, why),
        }
    }
    Ok((rows, faults))
}

/// A line, and its device or what is wrong with it.
type Found = (usize, Result<Row, String>);
