//! The rows of a file of devices.

use anyhow::bail;
use device_auth::{
    device_name::{DeviceName, DeviceNameError},
    record::ClientIdRule,
    verifier::{Verifier, VerifierError},
};
use zeroize::Zeroizing;

use super::{
    Credential, Format, Row,
    columns::{Column, Columns},
    table::{CsvError, Record, Table},
};
use crate::{
    secret::{SecretError, check_chosen},
    vendor::Vendor,
};

/// What is wrong with a row. No message repeats a field: it may be a password in the wrong column.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error(transparent)]
    Csv(#[from] CsvError),
    #[error("it has {found} fields, the header has {wanted}")]
    Fields { found: usize, wanted: usize },
    #[error("it is not `name:hash`")]
    NotNameHash,
    #[error("`{0}` is empty")]
    Empty(String),
    #[error("`{0}` goes over several lines; a quote may be missing")]
    SeveralLines(String),
    #[error(transparent)]
    Name(#[from] DeviceNameError),
    #[error(transparent)]
    Password(#[from] SecretError),
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    #[error("`client_ids` has something that is not a client id, nor a prefix of one followed by `*`")]
    ClientIds,
    #[error("{0:#}")]
    Vendor(anyhow::Error),
}

/// Lines, each with its row or what is wrong with it.
type Rows = Vec<(usize, Result<Row, RowError>)>;

/// The rows of lines of `name:hash`. Empty lines and comments are skipped.
pub(super) fn of_password_file(text: &str) -> Rows {
    let lines = text.lines().map(str::trim_end).zip(1_usize..);
    let lines = lines.filter(|(text, _)| !text.is_empty() && !text.starts_with('#'));
    let row = |line, text: &str| {
        let (name, hash) = text.split_once(':').ok_or(RowError::NotNameHash)?;
        Ok(Row { line, name: name.try_into()?, client_ids: None, credential: credential(hash)? })
    };
    lines.map(|(text, line)| (line, row(line, text))).collect()
}

/// The rows of CSV, each one checked by itself.
///
/// # Errors
///
/// When the header is wrong.
pub(super) fn of_table(text: &str, format: Format<'_>) -> anyhow::Result<Rows> {
    let mut table = Table::new(text);
    let header = match table.next() {
        Some((_, Ok(header))) => header,
        Some((line, Err(error))) => bail!("line {line}: {error}"),
        None => bail!("it is empty"),
    };
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
        Ok(Row { line, name, client_ids: (!rules.is_empty()).then_some(rules), credential })
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
