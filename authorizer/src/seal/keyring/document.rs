//! A keyring's JSON form.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::{data_key::DataKey, error::KeyringError};
use crate::seal::key_id::KeyId;

const VERSION: u32 = 1;

/// Read on its own, so that a later version is told as one whatever else it changes.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: u32,
    current: String,
    keys: Entries,
}

/// Every key in the file's order, a doubled one as often as it stands there: serde's own maps keep the last.
struct Entries(Vec<(String, Zeroizing<String>)>);

pub(super) fn parse(json: &str) -> Result<(KeyId, BTreeMap<KeyId, DataKey>), KeyringError> {
    let Versioned { version } = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    if version != VERSION {
        return Err(KeyringError::Version { found: version, known: VERSION });
    }
    let document = serde_json::from_str::<Document>(json).map_err(|error| unreadable(&error))?;
    let current = KeyId::try_from(document.current).map_err(KeyringError::CurrentId)?;
    let mut keys = BTreeMap::new();
    for (position, (id, key)) in (1..).zip(document.keys.0) {
        let id = KeyId::try_from(id).map_err(|error| KeyringError::Id { position, error })?;
        let key = DataKey::parse(&key).ok_or_else(|| KeyringError::Key(id.clone()))?;
        if keys.insert(id.clone(), key).is_some() {
            return Err(KeyringError::Doubled(id));
        }
    }
    if !keys.contains_key(&current) {
        return Err(KeyringError::NoCurrent(current));
    }
    Ok((current, keys))
}

/// Written by hand into a buffer that is large enough: one that grows leaves copies behind. Neither ids nor
/// base64 have anything that JSON escapes.
pub(super) fn to_json(current: &KeyId, keys: &BTreeMap<KeyId, DataKey>) -> Zeroizing<String> {
    const LONGEST_ENTRY: usize = 128;
    let room = LONGEST_ENTRY.saturating_mul(keys.len().saturating_add(1));
    let mut json = Zeroizing::new(String::with_capacity(room));
    let head = format!("{{\"version\":{VERSION},\"current\":\"{current}\",\"keys\":{{");
    json.push_str(&head);
    for (position, (id, key)) in keys.iter().enumerate() {
        let before = if position == 0 { "\"" } else { ",\"" };
        for part in [before, id.as_str(), "\":\"", &key.to_text(), "\""] {
            json.push_str(part);
        }
    }
    json.push_str("}}");
    json
}

/// Where it is wrong, but not serde's words: they may quote a key.
fn unreadable(error: &serde_json::Error) -> KeyringError {
    let (line, column) = (error.line(), error.column());
    if error.is_data() { KeyringError::Shape { line, column } } else { KeyringError::Syntax { line, column } }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> de::Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
