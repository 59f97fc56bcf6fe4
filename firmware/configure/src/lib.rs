//! Writes a device's configuration partition from `cfg.toml` and the credentials file that `latchkey fleet add
//! --credentials` writes.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use app::Configuration;
use app::configuration::partition::{Key, encode};

/// The entries of one device's partition. No `Debug`: one of them is its secret.
#[derive(Default)]
pub struct Entries(Vec<(Key, String)>);

impl Entries {
    /// The entries of `cfg.toml`, which has one key for each entry, under the entry's name. `ca`, `certificate` and
    /// `private_key` are the names of PEM files, relative to the folder of `cfg.toml`.
    ///
    /// # Errors
    ///
    /// If a file can't be read, or a key is unknown. No message contains a value.
    pub fn read_settings(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("can't read `{shown}`"))?;
        // The parser's error contains the line, and the line may contain a password.
        let table: toml::Table = text.parse().map_err(|_| anyhow::anyhow!("`{shown}` is not TOML"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut entries = Self::default();
        for (name, value) in table {
            let Some(key) = Key::ALL.iter().find(|key| key.name() == name) else {
                bail!("`{shown}` has the unknown key `{name}`; docs/firmware.md lists the keys");
            };
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                _ => bail!("`{name}` in `{shown}` is neither a string nor an integer"),
            };
            let is_file = matches!(key, Key::Ca | Key::Certificate | Key::PrivateKey);
            entries.set(*key, if is_file { read_pem(&folder.join(value))? } else { value });
        }
        Ok(entries)
    }

    /// Sets the client id, user name and secret from one device's row of the credentials file: CSV with the columns
    /// `device`, `client_id`, `user_name` and `password`.
    ///
    /// # Errors
    ///
    /// If the file can't be read, has other columns, or does not have the device. No message contains a row.
    pub fn read_credentials(&mut self, path: &Path, device: &str) -> anyhow::Result<()> {
        let shown = path.display();
        let mut table = csv::Reader::from_path(path).with_context(|| format!("can't read `{shown}`"))?;
        let header = table.headers().with_context(|| format!("`{shown}` has no header"))?.clone();
        let column = |name: &str| {
            let at = header.iter().position(|column| column == name);
            at.with_context(|| {
                format!("`{shown}` has no column `{name}`; `latchkey fleet add --credentials` writes it")
            })
        };
        let name = column("device")?;
        for row in table.records() {
            let row = row.map_err(|_| anyhow::anyhow!("`{shown}` has a row that is not CSV"))?;
            if row.get(name) != Some(device) {
                continue;
            }
            for (title, key) in
                [("client_id", Key::ClientId), ("user_name", Key::UserName), ("password", Key::Secret)]
            {
                self.set(key, row.get(column(title)?).unwrap_or_default());
            }
            return Ok(());
        }
        bail!("`{shown}` has no device `{device}`");
    }

    /// Sets an entry. It replaces an earlier one of the same key.
    pub fn set(&mut self, key: Key, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(existing, _)| *existing == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// The partition with these entries, ready to be flashed.
    ///
    /// # Errors
    ///
    /// If they do not fit, or if the device would refuse them.
    pub fn to_partition(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        encode(self.0.iter().map(|(key, value)| (*key, value.as_str())), &mut bytes)?;
        Configuration::parse(&bytes)?;
        Ok(bytes)
    }
}

fn read_pem(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))?;
    if !text.contains("-----BEGIN ") {
        bail!("`{}` is not a PEM file", path.display());
    }
    Ok(text)
}
