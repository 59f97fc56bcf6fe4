//! A file of devices: CSV with a header.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context as _, bail};
use device_auth::device_name::DeviceName;

use super::device::Device;
use crate::{
    import::{
        Faults,
        table::{Record, Table},
    },
    name_pattern::{THING_NAME, is_plain},
};

/// What stands before an attribute's name in the header.
const ATTRIBUTE: &str = "attribute ";
/// How long an attribute's value may be (AWS IoT API reference, `AttributePayload`).
const MAX_VALUE: usize = 800;
/// How many a Thing with a type may have; two are ours (AWS IoT Core quotas, "Thing resource limits").
const MAX_ATTRIBUTES: usize = 48;

/// What a column is.
enum Column {
    Device,
    Grant,
    Attribute(String),
}

/// Reads a file, every row checked.
///
/// # Errors
///
/// When the file can't be read, or has no header that fits; and all that is wrong with its rows, each with its line.
pub(super) fn read(path: &Path, grant: &str) -> anyhow::Result<Vec<Device>> {
    let shown = path.display();
    let bytes = fs::read(path).with_context(|| format!("can't read `{shown}`"))?;
    let text = str::from_utf8(&bytes).ok();
    let text = text.with_context(|| format!("`{shown}` is not UTF-8; save it as \"CSV UTF-8\""))?;
    parse(text.strip_prefix('\u{feff}').unwrap_or(text), grant, &shown.to_string())
}

fn parse(text: &str, grant: &str, shown: &str) -> anyhow::Result<Vec<Device>> {
    let mut table = Table::new(text);
    let columns = match table.next() {
        Some(Ok(header)) => columns(&header).with_context(|| format!("can't use `{shown}`"))?,
        Some(Err((line, why))) => bail!("can't use `{shown}`: line {line}: {why}"),
        None => bail!("can't use `{shown}`: it is empty"),
    };
    let (mut devices, mut faults, mut first) = (Vec::new(), Faults::default(), HashMap::new());
    for record in table {
        let (line, found) = match record {
            Ok(record) => (record.line, device(&record, &columns, grant)),
            Err((line, why)) => (line, Err(why.to_owned())),
        };
        let found = found.and_then(|device| match first.insert(device.name.clone(), line) {
            None => Ok(device),
            Some(first) => Err(format!("the same device as in line {first}")),
        });
        match found {
            Ok(device) => devices.push(device),
            Err(why) => faults.add(line, why),
        }
    }
    anyhow::ensure!(faults.is_empty(), "`{shown}` has {faults}\nnothing was provisioned");
    anyhow::ensure!(!devices.is_empty(), "`{shown}` has no devices");
    Ok(devices)
}

fn columns(header: &Record<'_>) -> anyhow::Result<Vec<Column>> {
    let mut seen = Vec::new();
    let mut columns = Vec::new();
    for field in &header.fields {
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
        "a Thing has no more than {MAX_ATTRIBUTES} attributes of yours"
    );
    Ok(columns)
}

fn attribute_name(text: &str) -> anyhow::Result<&str> {
    let name = text.strip_prefix(ATTRIBUTE).map(str::trim);
    let name = name.with_context(|| {
        format!("its header has a column `{text}`; there are `device`, `grant` and `{ATTRIBUTE}NAME`")
    })?;
    anyhow::ensure!(
        !["grant", "scheme"].contains(&name),
        "the attribute `{name}` is set for every Thing already"
    );
    let fits = (1..=128).contains(&name.len()) && is_attribute(name);
    anyhow::ensure!(fits, "`{name}` is no attribute's name: 1 to 128 of letters, digits and `_.,@/:#-`");
    Ok(name)
}

fn device(record: &Record<'_>, columns: &[Column], grant: &str) -> Result<Device, String> {
    if record.fields.len() != columns.len() {
        return Err(format!("it has {} fields, the header has {}", record.fields.len(), columns.len()));
    }
    let (mut name, mut own_grant, mut attributes) = (None, grant, BTreeMap::new());
    for (field, column) in record.fields.iter().zip(columns) {
        let text = field.trim();
        match column {
            Column::Device => name = Some(device_name(text)?),
            Column::Grant if !text.is_empty() => own_grant = text,
            Column::Attribute(_) | Column::Grant if text.is_empty() => {}
            Column::Attribute(attribute) if text.len() <= MAX_VALUE && is_attribute(text) => {
                attributes.insert(attribute.clone(), text.to_owned());
            }
            Column::Attribute(attribute) => {
                return Err(format!(
                    "the attribute `{attribute}` has something other than letters, digits and `_.,@/:#-`, or more \
                     than {MAX_VALUE} of them"
                ));
            }
            Column::Grant => {}
        }
    }
    let name = name.ok_or("it has no device")?;
    Ok(Device { name, grant: own_grant.to_owned(), attributes })
}

fn device_name(text: &str) -> Result<DeviceName, String> {
    if text.is_empty() {
        return Err("`device` is empty".to_owned());
    }
    if !is_plain(text) || text.len() > 128 {
        return Err(format!("`{text}` can't be a Thing's name: up to 128 of {THING_NAME}"));
    }
    DeviceName::try_from(text).map_err(|error| error.to_string())
}

/// AWS IoT API reference, `AttributePayload`.
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
    fn rows_have_a_name_and_perhaps_a_grant_and_attributes() {
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
        let told = refusal(&text);
        assert!(
            told.starts_with("`d.csv` has 7 bad rows\n") && told.ends_with("\nnothing was provisioned"),
            "{told}"
        );
        for part in [
            "line 3: `a.b` can't be a Thing's name: up to 128 of letters, digits, `:`, `_` and `-`",
            "line 4: `device` is empty",
            "line 5: the same device as in line 2",
            "line 6: `xxx",
            "line 7: the attribute `a` has something other than letters",
            "line 8: it has 1 fields, the header has 2",
            "line 9: a quote opens here that nothing closes",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn a_header_that_does_not_fit_is_told() {
        for (text, part) in [
            ("", "it is empty"),
            ("device\n", "has no devices"),
            ("attribute a\nx\n", "has no column `device`"),
            ("device,grnat\n", "a column `grnat`; there are `device`, `grant` and `attribute NAME`"),
            ("device,device\n", "two columns `device`"),
            ("device,attribute scheme\n", "the attribute `scheme` is set for every Thing already"),
            ("device,attribute a b\n", "`a b` is no attribute's name"),
        ] {
            let told = refusal(text);
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
