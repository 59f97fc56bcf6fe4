//! The rows of a file of devices.

use anyhow::bail;
use device_auth::{device_name::DeviceName, record::ClientIdRule, scheme::Scheme, verifier::Verifier};
use zeroize::Zeroizing;

use super::{
    columns::{Column, Columns},
    faults::RowError,
    hash::{self, EmqxHash},
    source::Source,
    table::{Record, Table},
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

/// Lines, each with its row or what is wrong with it.
pub(super) type Rows = Vec<(usize, Result<Row, RowError>)>;

/// The rows of lines of `name:hash`. Empty lines and comments are skipped.
pub(super) fn of_password_file(text: &str) -> Rows {
    let lines = text.lines().map(str::trim_end).zip(1_usize..);
    let lines = lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#'));
    let row = |line, text: &str| {
        let (name, hash) = text.split_once(':').ok_or(RowError::NotNameHash)?;
        Ok(Row::new(line, name.try_into()?, Credential::Verifier(hash::verifier(hash)?)))
    };
    lines.map(|(text, line)| (line, row(line, text))).collect()
}

/// The rows of CSV, each one checked by itself.
///
/// # Errors
///
/// When the header is wrong.
pub(super) fn of_table(text: &str, format: Format<'_>) -> anyhow::Result<Rows> {
    let (table, header) = Table::with_header(text)?;
    let columns = Columns::of(&header);
    let wanted = columns.len();
    let credentials = CredentialColumns::new(&columns, format)?;
    let client_ids = columns.find(&["client_ids", "client_id"])?;
    let row = |line, record: Record| {
        let found = record.fields().count();
        if found != wanted {
            return Err(RowError::Fields { found, wanted });
        }
        let (name, credential) = credentials.read(&record)?;
        let client_ids = client_ids.as_ref().map(|column| column.text(&record)).unwrap_or_default();
        let rules = client_ids.split_whitespace().map(|text| {
            // The error would repeat the text.
            ClientIdRule::try_from(text.to_owned()).map_err(|_| RowError::ClientIds)
        });
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        Ok(Row { client_ids: (!rules.is_empty()).then_some(rules), ..Row::new(line, name, credential) })
    };
    Ok(table
        .map(|(line, record)| (line, record.map_err(RowError::from).and_then(|it| row(line, it))))
        .collect())
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
