//! The text of a store, read record by record: a record that can't be parsed is an error of its own device alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{
    document::{RecordDocument, StoreDocument, format_error},
    error::{InvalidRecord, RecordsError, StoreFormatError},
    loader::{Records, UnusableRecord},
};
use crate::{
    device_name::DeviceName, grant::GrantDefinition, record::FunctionSettings, scheme::Scheme,
    unique_keys::unique_keys,
};

/// The text of a store, parsed as far as it can be.
pub struct StoreText {
    /// Grants, and the records that could be parsed.
    document: StoreDocument,
    malformed: BTreeMap<DeviceName, MalformedRecord>,
}

/// A record that can't be parsed.
struct MalformedRecord {
    error: StoreFormatError,
    /// What could be read of it.
    remains: RecordDocument,
}

/// [`StoreDocument`] with the text of each record.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `version`, `grants` and `devices`")]
struct Envelope<'a> {
    version: u32,
    #[serde(default, deserialize_with = "unique_keys")]
    grants: BTreeMap<String, GrantDefinition>,
    #[serde(borrow, default, deserialize_with = "unique_keys")]
    devices: BTreeMap<DeviceName, &'a RawValue>,
}

impl StoreText {
    /// Reads a store's text.
    ///
    /// # Errors
    ///
    /// What is wrong with the text as a whole, and its line: it is not JSON, the grants are not grants, or a name is not a
    /// device's. The message does not quote the value, which may be a password in the wrong place.
    pub fn parse(text: &str) -> Result<Self, StoreFormatError> {
        let Envelope { version, grants, devices } =
            serde_json::from_str(text).map_err(|error| format_error(&error))?;
        let (mut records, mut malformed) = (BTreeMap::new(), BTreeMap::new());
        for (name, record) in devices {
            match serde_json::from_str(record.get()) {
                Ok(document) => _ = records.insert(name, document),
                Err(error) => {
                    let error = within(text, record, &format_error(&error));
                    let remains = remains(&name, record);
                    malformed.insert(name, MalformedRecord { error, remains });
                }
            }
        }
        Ok(Self { document: StoreDocument { version, grants, devices: records }, malformed })
    }

    /// Records that were parsed one by one, as those of a table are.
    #[must_use]
    pub fn of_document(document: StoreDocument) -> Self {
        Self { document, malformed: BTreeMap::new() }
    }

    /// The records, and for each one that can't be used what is wrong with it.
    ///
    /// # Errors
    ///
    /// What is wrong with the store as a whole: its version, a grant, or two records that contradict each other.
    pub fn records(self, function: FunctionSettings) -> Result<Records, RecordsError> {
        let records = self.load(function)?;
        records.check()?;
        Ok(records)
    }

    /// The grants, and the records that could be parsed.
    #[must_use]
    pub fn document(&self) -> &StoreDocument {
        &self.document
    }

    /// The same as [`StoreText::records`], without a comparison of the records.
    ///
    /// # Errors
    ///
    /// What is wrong with the store as a whole: its version, or a grant.
    pub fn load(self, function: FunctionSettings) -> Result<Records, RecordsError> {
        let mut records = self.document.load(function)?;
        for (device, MalformedRecord { error, remains }) in self.malformed {
            let error = InvalidRecord { device: device.clone(), error: error.into() };
            let unusable = UnusableRecord::new(&device, remains, error);
            records.unusable.insert(device, unusable);
        }
        Ok(records)
    }
}

/// The error of a record with its position in the whole text.
fn within(text: &str, record: &RawValue, error: &StoreFormatError) -> StoreFormatError {
    let offset = record.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(error.line);
    let column = match (error.line, before.rfind('\n')) {
        (0 | 1, Some(end)) => error.column.saturating_add(offset).saturating_sub(end.saturating_add(1)),
        (0 | 1, None) => error.column.saturating_add(offset),
        _ => error.column,
    };
    let message = error.message.split(" at line ").next().unwrap_or_default();
    StoreFormatError { message: format!("{message} at line {line} column {column}"), line, column }
}

/// What can be read of a malformed record. It stays reserved for the device, so that a mistake in its record gives none of it
/// to another one.
fn remains(name: &DeviceName, record: &RawValue) -> RecordDocument {
    let fields = serde_json::from_str::<Map<String, Value>>(record.get()).unwrap_or_default();
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let scheme = serde_json::from_value(field("scheme"));
    // Only the names of Alibaba's devices have two parts.
    let scheme =
        scheme.unwrap_or(if name.as_str().contains('&') { Scheme::Alibaba } else { Scheme::Password });
    let client_ids = serde_json::from_value::<Vec<Value>>(field("client_ids")).ok();
    let parameters =
        serde_json::from_value::<BTreeMap<String, Value>>(field("parameters")).unwrap_or_default();
    let parameters =
        parameters.into_iter().filter_map(|(name, value)| Some((name, serde_json::from_value(value).ok()?)));
    RecordDocument {
        client_ids: client_ids
            .map(|ids| ids.into_iter().filter_map(|id| serde_json::from_value(id).ok()).collect()),
        parameters: parameters.collect(),
        ..RecordDocument::new(scheme, String::new())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{record::Unsealing, time::Timers, verifier::budget::FunctionMemory};

    fn records(devices: &Value) -> Result<Records, String> {
        let timers =
            Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
        let function =
            FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed };
        let text = json!({"version": 1, "devices": devices}).to_string();
        StoreText::parse(&text).unwrap().records(function).map_err(|error| error.to_string())
    }

    #[test]
    fn malformed_record_is_named_with_its_line() {
        let text = "{\"version\": 1, \"devices\": {\n  \"a\": {\n    \"scheme\": \"jwt\", \"grant\": 5\n  },\n  \"b\": 7,\n  \"c\": {\"scheme\": \"jwt\", \"grant\": \"sht20\"}\n}}";
        let store = StoreText::parse(text).unwrap();
        let malformed = |name: &str| store.malformed[&DeviceName::try_from(name).unwrap()].error.clone();
        for (name, line, column) in [("a", 3, 31), ("b", 5, 8)] {
            let error = malformed(name);
            let place = format!(" at line {line} column {column}");
            assert!(
                (error.line, error.column) == (line, column) && error.message.ends_with(&place),
                "{error}"
            );
        }
        assert!(store.document.devices.contains_key("c") && store.malformed.len() == 2);
    }

    #[test]
    fn what_can_be_read_of_a_malformed_record_stays_its_devices() {
        let token = json!({"scheme": "token", "grant": "own-topics"});
        let with = |ids: Value| json!({"scheme": "token", "grant": "own-topics", "client_ids": ids});
        for (bad, other) in [
            (json!({"client_ids": ["x", 7], "x": 1}), ("b", with(json!(["x"])))),
            (json!({"client_ids": ["x-*"]}), ("x-1", token.clone())),
            (json!({"parameters": {"site": "hall", "n": 7}}), ("hall", token.clone())),
            (json!(7), ("b", with(json!(["a"])))),
        ] {
            let (name, record) = other;
            let loaded = records(&json!({"a": bad, name: record})).map(|_| ());
            assert!(loaded.is_err_and(|error| error.contains("`a`")), "{bad}");
        }
        let alibaba = json!({"d&pk": {"grant": "alibaba"}, "e&pk": {"scheme": "alibaba", "client_ids": ["d"],
            "secrets": [{"device_secret": "$plain$c2VjcmV0"}], "grant": "alibaba"}});
        assert!(records(&alibaba).is_err());
        assert_eq!(records(&json!({"a": 7, "b": token})).unwrap().by_name.len(), 1);
    }
}
