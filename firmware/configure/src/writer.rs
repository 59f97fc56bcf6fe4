//! The bytes of a partition: `app::configuration::partition` has the format.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use app::Configuration;
use app::configuration::partition::{HEADER_LEN, Key, MAGIC, MAX_LEN, crc32};

/// The entries of one device. No `Debug`: one of them is its secret.
#[derive(Default)]
pub struct Entries(BTreeMap<u8, String>);

impl Entries {
    /// Sets an entry, in the place of an earlier one.
    pub fn set(&mut self, key: Key, value: impl Into<String>) {
        self.0.insert(key.number(), value.into());
    }
}

/// The partition with these entries, as it is flashed.
///
/// # Errors
///
/// If the device would refuse it, or it does not fit.
pub fn partition(entries: &Entries) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    for (number, value) in &entries.0 {
        let length = u16::try_from(value.len()).context("an entry has more than 65,535 bytes")?;
        body.push(*number);
        body.extend(length.to_le_bytes());
        body.extend(value.as_bytes());
        body.push(0);
    }
    if body.len() > MAX_LEN - HEADER_LEN {
        bail!(
            "the configuration has {} bytes, the partition {MAX_LEN}; trust fewer roots",
            body.len() + HEADER_LEN
        );
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(u32::try_from(body.len())?.to_le_bytes());
    bytes.extend(crc32(&body).to_le_bytes());
    bytes.extend(body);
    Configuration::parse(&bytes)?;
    Ok(bytes)
}
