//! A file of devices: CSV with a header.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::Context as _;
use cli::console::counted;
use device_auth::device_name::{DeviceName, DeviceNameError};
use iot_policy::limits::MAX_THING_NAME_LENGTH;

use super::device::Device;
use crate::{
    import::{
        self, Faults,
        table::{CsvError, Record, Table},
    },
    name_pattern::{THING_NAME, is_plain},
};

/// The beginning of an attribute's column in the header.
const ATTRIBUTE: &str = "attribute ";
/// How long an attribute's value may be (AWS IoT API reference, `AttributePayload`).
const MAX_VALUE: usize = 800;
/// How many attributes of yours a Thing with a type may have. Two more are ours (AWS IoT Core quotas, "Thing resource
/// limits").
const MAX_ATTRIBUTES: usize = 48;

/// A column of the file.
enum Column {
    Device,
    Grant,
    Attribute(String),
}

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
enum RowError {
    #[error(transparent)]
    Csv(#[from] CsvError),
    #[error("it has {}, the header has {wanted}", counted(found, "field"))]
    Fields { found: usize, wanted: usize },
    #[error("`device` is empty")]
    NoDevice,
    #[error("`{0}` can't be a Thing's name: up to {MAX_THING_NAME_LENGTH} of {THING_NAME}")]
    ThingName(String),
    #[error(transparent)]
    DeviceName(#[from] DeviceNameError),
    #[error(
        "the attribute `{0}` has something other than letters, digits and `_.,@/:#-`, or more than {MAX_VALUE} of them"
    )]
    Attribute(String),
    #[error("a duplicate of line {0}")]
    Duplicate(usize),
}

/// Reads a file, and checks every row.
///
/// # Errors
///
/// When the file can't be read, or its header is wrong; and all that is wrong with its rows, each with its line.
pub(super) fn read(path: &Path, grant: &str) -> anyhow::Result<Vec<Device>> {
    parse(&import::text(path)?, grant, &path.display().to_string())
}

fn parse(text: &str, grant: &str, shown: &str) -> anyhow::Result<Vec<Device>> {
    let table =
        Table::with_header(text.as_bytes()).and_then(|(table, header)| Ok((table, columns(&header)?)));
    let (table, columns) = table.with_context(|| format!("can't use `{shown}`"))?;
    let (mut devices, mut faults, mut first) = (Vec::new(), Faults::default(), HashMap::new());
    for (line, record) in table {
        let device = record.map_err(RowError::from).and_then(|record| device(&record, &columns, grant));
        let device = device.and_then(|device| match first.insert(device.name.clone(), line) {
            None => Ok(device),
            Some(first) => Err(RowError::Duplicate(first)),
        });
        match device {
            Ok(device) => devices.push(device),
            Err(error) => faults.add(line, error.to_string()),
        }
    }
    if !faults.is_empty() {
        return Err(import::error_list([faults.of_file(shown).as_str(), "nothing was provisioned"]).into());
    }
    anyhow::ensure!(!devices.is_empty(), "`{shown}` has no devices");
    Ok(devices)
}

fn columns(header: &Record) -> anyhow::Result<Vec<Column>> {
    let mut seen = Vec::new();
    let mut columns = Vec::new();
    for field in header.fields() {
        let text = field.trim();
        let column = match text.to_ascii_lowercase().as_str() {
            "device" => Column::Device,
            "grant" => Column::Grant,
            _ => Column::Attribute(attribute_name(text)?.to_owned()),
        };
        anyhow::ensure!(!seen.contains(&text), "its header has two columns `{text}`");
        seen.push(text);
        columns.push(column);
    }
    let has_device = columns.iter().any(|column| matches!(column, Column::Device));
    anyhow::ensure!(has_device, "its first line is the header, and has no column `device`");
    anyhow::ensure!(
        columns.len() <= MAX_ATTRIBUTES,
        "a Thing has up to {MAX_ATTRIBUTES} attributes of yours"
    );
    Ok(columns)
}

fn attribute_name(text: &str) -> anyhow::Result<&str> {
    let name = text.strip_prefix(ATTRIBUTE).map(str::trim);
    let name = name.with_context(|| {
        format!("its header has a column `{text}`; known are `device`, `grant` and `{ATTRIBUTE}NAME`")
    })?;
    anyhow::ensure!(
        !["grant", "scheme"].contains(&name),
        "the attribute `{name}` is set for every Thing already"
    );
    let fits = (1..=128).contains(&name.len()) && is_attribute(name);
    anyhow::ensure!(fits, "`{name}` is not an attribute's name: 1 to 128 of letters, digits and `_.,@/:#-`");
    Ok(name)
}

fn device(record: &Record, columns: &[Column], grant: &str) -> Result<Device, RowError> {
    let (found, wanted) = (record.fields().count(), columns.len());
    if found != wanted {
        return Err(RowError::Fields { found, wanted });
    }
    let (mut name, mut own_grant, mut attributes) = (None, grant, BTreeMap::new());
    for (field, column) in record.fields().zip(columns) {
        let text = field.trim();
        match column {
            Column::Device => name = Some(device_name(text)?),
            Column::Grant if !text.is_empty() => own_grant = text,
            Column::Attribute(_) | Column::Grant if text.is_empty() => {}
            Column::Attribute(attribute) if text.len() <= MAX_VALUE && is_attribute(text) => {
                attributes.insert(attribute.clone(), text.to_owned());
            }
            Column::Attribute(attribute) => return Err(RowError::Attribute(attribute.clone())),
            Column::Grant => {}
        }
    }
    let name = name.ok_or(RowError::NoDevice)?;
    Ok(Device { name, grant: own_grant.to_owned(), attributes })
}

fn device_name(text: &str) -> Result<DeviceName, RowError> {
    if text.is_empty() {
        return Err(RowError::NoDevice);
    }
    if !is_plain(text) || text.len() > MAX_THING_NAME_LENGTH {
        return Err(RowError::ThingName(text.to_owned()));
    }
    Ok(text.try_into()?)
}

/// Whether a text can be an attribute's name or value (AWS IoT API reference, `AttributePayload`).
fn is_attribute(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.,@/:#-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        format!("{:#}", parse(text, "sht20", "d.csv").unwrap_err())
    }

    #[test]
    fn rows_have_a_name_and_optionally_a_grant_and_attributes() {
        let text = "device;attribute room;Grant\n a ;hall-1;\n\nb:1;;own-topics\n";
        let devices = parse(text, "sht20", "d.csv").unwrap();
        let [a, b] = devices.as_slice() else { panic!("{devices:?}") };
        assert_eq!((a.name.as_str(), a.grant.as_str()), ("a", "sht20"));
        let attributes = [("grant", "sht20"), ("room", "hall-1"), ("scheme", "password")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(a.thing_attributes(), BTreeMap::from(attributes));
        assert_eq!((b.name.as_str(), b.grant.as_str(), b.attributes.len()), ("b:1", "own-topics", 0));
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let long = "x".repeat(129);
        let text = format!("device,attribute a\nok,1\na.b,1\n,1\nok,1\n{long},1\nd,ä\ne\n\"f,1\n");
        let printed = refusal(&text);
        assert!(
            printed.starts_with("`d.csv` has 7 bad rows\n")
                && printed.ends_with("\n  nothing was provisioned"),
            "{printed}"
        );
        for part in [
            "line 3: `a.b` can't be a Thing's name: up to 128 of letters, digits, `:`, `_` and `-`",
            "line 4: `device` is empty",
            "line 5: a duplicate of line 2",
            "line 6: `xxx",
            "line 7: the attribute `a` has something other than letters",
            "line 8: it has 1 field, the header has 2",
            "line 9: a quote opens here that nothing closes",
        ] {
            assert!(printed.contains(part), "{part}: {printed}");
        }
    }

    #[test]
    fn a_wrong_header_is_named() {
        for (text, part) in [
            ("", "it is empty"),
            ("device\n", "has no devices"),
            ("attribute a\nx\n", "has no column `device`"),
            ("device,grnat\n", "a column `grnat`; known are `device`, `grant` and `attribute NAME`"),
            ("device,device\n", "two columns `device`"),
            ("device,attribute scheme\n", "the attribute `scheme` is set for every Thing already"),
            ("device,attribute a b\n", "`a b` is not an attribute's name"),
        ] {
            let printed = refusal(text);
            assert!(printed.contains(part), "{part}: {printed}");
        }
    }
}
