//! The rows of a file of devices.

use std::{
    io::{ErrorKind, Read},
    iter,
};

use anyhow::bail;
use device_auth::{device_name::DeviceName, record::ClientIdRule, scheme::Scheme, verifier::Verifier};
use zeroize::Zeroizing;

use super::{
    columns::{Column, Columns},
    faults::RowError,
    hash::{self, EmqxHash},
    source::Source,
    table::{self, CsvError, Record, Table},
    window::Window,
};
use crate::{secret::check_chosen, vendor::Vendor};

/// The form of a file.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    /// CSV with a vendor's columns. The product is that of all devices, if the file has no column for it.
    Vendor(Vendor, Option<&'a str>),
    /// CSV with user names, and passwords or verifiers.
    Passwords,
    /// Lines of `name:hash`, as `mosquitto_passwd` and `htpasswd` write them. Lines that begin with `#` are comments.
    PasswordFile(Source),
    /// The file of mosquitto's dynamic security.
    Dynsec,
    /// An export of EMQX's built-in database.
    Emqx(EmqxHash),
    /// Django's users.
    Django,
}

/// A device of the file.
pub struct Row {
    /// The line in which it begins, counted from 1.
    pub line: usize,
    /// Its record's name.
    pub name: DeviceName,
    /// Its client ids, if the file has them.
    pub client_ids: Option<Vec<ClientIdRule>>,
    /// How it proves itself.
    pub credential: Credential,
    /// Whether it may connect.
    pub enabled: bool,
    /// Whether its broker asks no rule about it.
    pub is_superuser: bool,
}

/// How a device of the file proves itself. It has no `Debug`.
pub enum Credential {
    /// A secret from its vendor.
    Secret(Zeroizing<String>),
    /// A password that a person chose.
    Password(Zeroizing<String>),
    /// The hash of a password.
    Verifier(Verifier),
}

impl<'a> Format<'a> {
    /// The scheme of the devices.
    #[must_use]
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Vendor(vendor, _) => vendor.scheme(),
            Self::Passwords | Self::PasswordFile(_) | Self::Dynsec | Self::Emqx(_) | Self::Django => {
                Scheme::Password
            }
        }
    }

    /// The form of a source's file.
    #[must_use]
    pub fn of(source: Source, product: Option<&'a str>, hash: EmqxHash) -> Self {
        match source {
            Source::Alibaba => Self::Vendor(Vendor::Alibaba, product),
            Source::Tencent => Self::Vendor(Vendor::Tencent, product),
            Source::Csv => Self::Passwords,
            Source::MosquittoDynsec => Self::Dynsec,
            Source::Emqx => Self::Emqx(hash),
            Source::Django => Self::Django,
            Source::Mosquitto | Source::MosquittoGoAuth | Source::Passlib | Source::Htpasswd => {
                Self::PasswordFile(source)
            }
        }
    }

    /// What wrote such a file.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::Vendor(Vendor::Alibaba, _) => Source::Alibaba,
            Self::Vendor(Vendor::Tencent, _) => Source::Tencent,
            Self::Passwords => Source::Csv,
            Self::PasswordFile(source) => source,
            Self::Dynsec => Source::MosquittoDynsec,
            Self::Emqx(_) => Source::Emqx,
            Self::Django => Source::Django,
        }
    }
}

impl Row {
    /// A device that may connect, with the client id that is its name.
    #[must_use]
    pub fn new(line: usize, name: DeviceName, credential: Credential) -> Self {
        Self { line, name, client_ids: None, credential, enabled: true, is_superuser: false }
    }
}

/// Lines, each with its row or what is wrong with it, as they are read. An error is one of the file, and the last item.
pub(crate) type Rows<'a> = Box<dyn Iterator<Item = anyhow::Result<(usize, Result<Row, RowError>)>> + 'a>;

/// The rows of lines of `name:hash`. Empty lines and comments are skipped.
pub(super) fn of_password_file<'a>(source: impl Read + 'a) -> Rows<'a> {
    let mut window = Window::new(source);
    let mut number = 0_usize;
    let next = move || {
        loop {
            number = number.saturating_add(1);
            let (length, used) = match window.line() {
                Ok(Some(found)) => found,
                Ok(None) => return None,
                // The rest of such a line is not looked for.
                Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                    window.cut();
                    window.consume(usize::MAX);
                    return Some(Ok((number, Err(RowError::NotNameHash))));
                }
                Err(error) => {
                    window.cut();
                    window.consume(usize::MAX);
                    return Some(Err(anyhow::Error::new(error).context("it can't be read")));
                }
            };
            let row = password_line(number, window.at_hand().get(..length).unwrap_or_default());
            window.consume(used);
            if let Some(row) = row {
                return Some(Ok((number, row)));
            }
        }
    };
    Box::new(iter::from_fn(next))
}

/// The row of a line. None if it is empty or a comment.
fn password_line(line: usize, bytes: &[u8]) -> Option<Result<Row, RowError>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Some(Err(CsvError::NotUtf8 { column: table::not_utf8(bytes).unwrap_or(1) }.into()));
    };
    let text = text.trim_end();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let row = || {
        let (name, hash) = text.split_once(':').ok_or(RowError::NotNameHash)?;
        Ok(Row::new(line, name.try_into()?, Credential::Verifier(hash::verifier(hash)?)))
    };
    Some(row())
}

/// The rows of CSV, each one checked by itself.
///
/// # Errors
///
/// When the header is wrong.
pub(super) fn of_table<'a>(source: impl Read + 'a, format: Format<'a>) -> anyhow::Result<Rows<'a>> {
    let (table, header) = Table::with_header(source)?;
    let columns = Columns::of(&header);
    let wanted = columns.len();
    let credentials = CredentialColumns::new(&columns, format)?;
    let client_ids = columns.find(&["client_ids", "client_id"])?;
    Ok(of_records(table, move |line, record| {
        let found = record.fields().count();
        if found != wanted {
            return Err(RowError::Fields { found, wanted });
        }
        let (name, credential) = credentials.read(record)?;
        let client_ids = client_ids.as_ref().map(|column| column.text(record)).unwrap_or_default();
        let rules = client_ids.split_whitespace().map(|text| {
            // The error would repeat the text.
            ClientIdRule::try_from(text.to_owned()).map_err(|_| RowError::ClientIds)
        });
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        Ok(Row { client_ids: (!rules.is_empty()).then_some(rules), ..Row::new(line, name, credential) })
    }))
}

/// The rows of the records of a table.
pub(super) fn of_records<'a, R: Read + 'a>(
    mut table: Table<R>,
    row: impl Fn(usize, &Record) -> Result<Row, RowError> + 'a,
) -> Rows<'a> {
    Box::new(iter::from_fn(move || match table.next() {
        Some((line, record)) => {
            Some(Ok((line, record.map_err(RowError::from).and_then(|record| row(line, &record)))))
        }
        None => table.take_failure().map(|error| Err(anyhow::Error::new(error).context("it can't be read"))),
    }))
}

/// The columns with the devices' names and credentials.
enum CredentialColumns<'a> {
    Vendor { vendor: Vendor, device: Column, product: Product<'a>, secret: Column },
    Passwords { name: Column, password: Column },
    Verifiers { name: Column, verifier: Column },
}

/// The devices' product: of each, or of all.
enum Product<'a> {
    Column(Column),
    OfAll(&'a str),
}

impl<'a> CredentialColumns<'a> {
    fn new(columns: &Columns, format: Format<'a>) -> anyhow::Result<Self> {
        let Format::Vendor(vendor, of_all) = format else { return Self::passwords(columns) };
        let (product, secret) = match vendor {
            Vendor::Alibaba => ("ProductKey", &["DeviceSecret"][..]),
            Vendor::Tencent => ("ProductID", &["DevicePsk", "psk"][..]),
        };
        let product = match (columns.find(&[product])?, of_all) {
            (Some(column), None) => Product::Column(column),
            (None, Some(of_all)) => Product::OfAll(of_all),
            (Some(_), Some(_)) => bail!("it has a column `{product}`; leave `--product` out"),
            (None, None) => bail!(
                "its first line is the header, and has no column `{product}`; `--product` sets it for all devices"
            ),
        };
        let (device, secret) = (columns.get(&["DeviceName"])?, columns.get(secret)?);
        Ok(Self::Vendor { vendor, device, product, secret })
    }

    fn passwords(columns: &Columns) -> anyhow::Result<Self> {
        let name = columns.get(&["username"])?;
        match (columns.find(&["password"])?, columns.find(&["verifier"])?) {
            (Some(password), None) => Ok(Self::Passwords { name, password }),
            (None, Some(verifier)) => Ok(Self::Verifiers { name, verifier }),
            (Some(_), Some(_)) => bail!("it has a column `password` and a column `verifier`; leave one out"),
            (None, None) => bail!("its first line is the header, and has no column `password` or `verifier`"),
        }
    }

    fn read(&self, record: &Record) -> Result<(DeviceName, Credential), RowError> {
        match self {
            Self::Vendor { vendor, device, product, secret } => {
                let product = match product {
                    Product::Column(column) => column.word(record)?,
                    Product::OfAll(of_all) => of_all,
                };
                let name = vendor.name(device.word(record)?, Some(product)).map_err(RowError::Vendor)?;
                let secret = secret.word(record)?;
                vendor.secret(secret, None).map_err(RowError::Vendor)?;
                Ok((name, Credential::Secret(Zeroizing::new(secret.to_owned()))))
            }
            Self::Passwords { name, password } => {
                // White space around a password may be part of it.
                let password = password.text(record);
                if password.is_empty() {
                    return Err(RowError::Empty("password".to_owned()));
                }
                check_chosen(password)?;
                let name = name.word(record)?.try_into()?;
                Ok((name, Credential::Password(Zeroizing::new(password.to_owned()))))
            }
            Self::Verifiers { name, verifier } => {
                Ok((name.word(record)?.try_into()?, credential(verifier.word(record)?)?))
            }
        }
    }
}

fn credential(verifier: &str) -> Result<Credential, RowError> {
    Ok(Credential::Verifier(Verifier::try_from(verifier.to_owned())?))
}
