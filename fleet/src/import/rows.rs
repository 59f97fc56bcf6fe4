//! The rows of a table of devices.

use anyhow::bail;
use device_auth::{device_name::DeviceName, record::ClientIdRule, verifier::Verifier};
use zeroize::Zeroizing;

use super::{
    Credential, Format, Found, Row,
    columns::{Column, Columns},
    table::{Field, Table},
};
use crate::vendor::Vendor;

/// The longest password that MQTT can carry.
const MOST_BYTES: usize = 65_535;

/// The rows of a text, each one checked by itself.
///
/// # Errors
///
/// When its header doesn't fit.
pub(super) fn rows(text: &str, format: Format<'_>) -> anyhow::Result<Vec<Found>> {
    let mut table = Table::new(text);
    let header = match table.next() {
        Some(Ok(header)) => header,
        Some(Err((line, why))) => bail!("line {line}: {why}"),
        None => bail!("it is empty"),
    };
    let columns = Columns::of(&header);
    let reader = Reader {
        devices: Devices::new(&columns, format)?,
        client_ids: columns.find(&["client_ids", "client_id"])?,
    };
    let rows = table.map(|record| match record {
        Ok(record) if record.fields.len() == columns.len() => {
            (record.line, reader.row(record.line, &record.fields))
        }
        Ok(record) => {
            let (found, wanted) = (record.fields.len(), columns.len());
            (record.line, Err(format!("it has {found} fields, the header has {wanted}")))
        }
        Err((line, why)) => (line, Err(why.to_owned())),
    });
    Ok(rows.collect())
}

struct Reader<'a> {
    devices: Devices<'a>,
    client_ids: Option<Column>,
}

/// Where a row has the device's name and credential.
enum Devices<'a> {
    Vendor { vendor: Vendor, device: Column, product: Product<'a>, secret: Column },
    Passwords { name: Column, password: Column },
    Verifiers { name: Column, verifier: Column },
}

enum Product<'a> {
    Column(Column),
    Given(&'a str),
}

impl<'a> Devices<'a> {
    fn new(columns: &Columns, format: Format<'a>) -> anyhow::Result<Self> {
        let Format::Vendor(vendor, given) = format else { return Self::passwords(columns) };
        let (product, secret) = match vendor {
            Vendor::Alibaba => ("ProductKey", &["DeviceSecret"][..]),
            Vendor::Tencent => ("ProductID", &["DevicePsk", "psk"][..]),
        };
        let product = match (columns.find(&[product])?, given) {
            (Some(column), None) => Product::Column(column),
            (None, Some(given)) => Product::Given(given),
            (Some(_), Some(_)) => bail!("it has a column `{product}`; leave `--product` out"),
            (None, None) => bail!(
                "its first line is the header, and has no column `{product}`; `--product` says it for all"
            ),
        };
        Ok(Self::Vendor {
            vendor,
            device: columns.get(&["DeviceName"])?,
            product,
            secret: columns.get(secret)?,
        })
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

    fn device(&self, fields: &[Field<'_>]) -> Result<(DeviceName, Credential), String> {
        match self {
            Self::Vendor { vendor, device, product, secret } => {
                let product = match product {
                    Product::Column(column) => column.word(fields)?,
                    Product::Given(given) => given,
                };
                let name =
                    vendor.name(device.word(fields)?, Some(product)).map_err(|error| format!("{error:#}"))?;
                let secret = secret.word(fields)?;
                vendor.secret(secret, None).map_err(|error| format!("{error:#}"))?;
                Ok((name, Credential::Secret(Zeroizing::new(secret.to_owned()))))
            }
            Self::Passwords { name, password } => {
                // Blanks around a password may be part of it.
                let password = password.text(fields);
                match password.len() {
                    0 => Err("`password` is empty".to_owned()),
                    1..=MOST_BYTES => Ok((
                        user_name(name.word(fields)?)?,
                        Credential::Password(Zeroizing::new(password.to_owned())),
                    )),
                    _ => Err(format!("`password` is longer than MQTT can carry: {MOST_BYTES} bytes")),
                }
            }
            Self::Verifiers { name, verifier } => {
                Ok((user_name(name.word(fields)?)?, credential_of(verifier.word(fields)?)?))
            }
        }
    }
}

impl Reader<'_> {
    fn row(&self, line: usize, fields: &[Field<'_>]) -> Result<Row, String> {
        let (name, credential) = self.devices.device(fields)?;
        let client_ids = self.client_ids.as_ref().map(|column| column.text(fields)).unwrap_or_default();
        let rules = client_ids.split_whitespace().map(client_id_rule).collect::<Result<Vec<_>, _>>()?;
        Ok(Row { line, name, client_ids: (!rules.is_empty()).then_some(rules), credential })
    }
}

/// A name, or what is wrong with it, without repeating it: it may be a password in the wrong column.
pub(super) fn user_name(text: &str) -> Result<DeviceName, String> {
    DeviceName::try_from(text).map_err(|error| error.to_string())
}

/// A hash, or what is wrong with it, without repeating it: it may be a password.
pub(super) fn credential_of(verifier: &str) -> Result<Credential, String> {
    let verifier = Verifier::try_from(verifier.to_owned()).map_err(|error| error.to_string())?;
    Ok(Credential::Verifier(verifier))
}

fn client_id_rule(text: &str) -> Result<ClientIdRule, String> {
    let why = "`client_ids` has something that is not a client id, nor a prefix of one followed by `*`";
    ClientIdRule::try_from(text.to_owned()).map_err(|_quotes_it| why.to_owned())
}
