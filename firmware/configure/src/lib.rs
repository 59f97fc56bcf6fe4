//! Writes a device's configuration partition from `cfg.toml` and the credentials file that `latchkey fleet add
//! --credentials` writes.

use std::fs;
use std::path::Path;
use std::str::FromStr as _;

use anyhow::{Context, anyhow, bail};
use app::Configuration;
use app::configuration::ConfigurationError;
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
    /// If a file can't be read, or a key is unknown. No message contains a value, except the name of a file of certificates.
    pub fn read_settings(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| {
            format!("can't read `{shown}`; copy firmware/cfg.example.toml to it, or name another with `--settings`")
        })?;
        // The parser's own text contains the line, and the line may contain a password.
        let table = toml::Table::from_str(&text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow!("`{shown}` is not TOML at line {line}; a setting is `key = \"value\"`, once for each key")
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut entries = Self::default();
        for (name, value) in table {
            let Some(key) = Key::ALL.iter().find(|key| key.name() == name) else {
                bail!("`{shown}` has the unknown key `{name}`; docs/firmware.md lists the keys");
            };
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                _ => bail!(
                    "`{name}` in `{shown}` is neither a string nor an integer; write `{name} = \"value\"`"
                ),
            };
            let is_file = matches!(key, Key::Ca | Key::Certificate | Key::PrivateKey);
            entries.set(*key, if is_file { read_pem(*key, folder, &value)? } else { value });
        }
        Ok(entries)
    }

    /// Sets the client id, user name and secret from one device's row of the credentials file: CSV with the columns
    /// `device`, `client_id`, `user_name` and `password`.
    ///
    /// # Errors
    ///
    /// If the file can't be read, has other columns, or does not have the device in exactly one row. No message contains a
    /// row, except the names of devices.
    pub fn read_credentials(&mut self, path: &Path, device: &str) -> anyhow::Result<()> {
        let shown = path.display();
        let mut table = csv::Reader::from_path(path).with_context(|| format!("can't read `{shown}`"))?;
        let header = table.headers().map_err(|_| anyhow!("`{shown}` is not text in UTF-8"))?.clone();
        let column = |name: &str| {
            let at = header.iter().position(|column| column == name);
            at.with_context(|| {
                format!("`{shown}` has no column `{name}`; `latchkey fleet add --credentials` writes it")
            })
        };
        let columns = [Key::ClientId, Key::UserName, Key::Secret].into_iter().zip([
            column("client_id")?,
            column("user_name")?,
            column("password")?,
        ]);
        let (name, mut others, mut found) = (column("device")?, Vec::new(), None);
        for row in table.records() {
            // The parser's own text is of the row.
            let row = row.map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                anyhow!("line {line} of `{shown}` does not have the columns of its header, or is not UTF-8")
            })?;
            let line = row.position().map_or(0, csv::Position::line);
            match (row.get(name).unwrap_or_default(), &found) {
                (other, _) if other != device => others.push(format!("`{other}`")),
                (_, Some((first, _))) => {
                    bail!(
                        "`{shown}` has `{device}` in lines {first} and {line}; delete the row that is not valid any more"
                    )
                }
                _ => found = Some((line, row)),
            }
        }
        let Some((_, row)) = found else {
            let more = others.len().saturating_sub(SHOWN_DEVICES);
            others.truncate(SHOWN_DEVICES);
            let others = if others.is_empty() { "no device".to_owned() } else { others.join(", ") };
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            bail!("`{shown}` has no device `{device}`; it has {others}{more}");
        };
        for (key, column) in columns {
            self.set(key, row.get(column).unwrap_or_default());
        }
        Ok(())
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
        match Configuration::parse(&bytes) {
            Err(error @ ConfigurationError::Missing(Key::ClientId | Key::UserName | Key::Secret)) => {
                bail!("{error}; pass `--credentials FILE --device NAME`, or add it to the settings")
            }
            Err(error @ ConfigurationError::Missing(_)) => {
                bail!("{error}; add it to the settings: firmware/cfg.example.toml explains each key")
            }
            parsed => _ = parsed?,
        }
        Ok(bytes)
    }
}

/// How many of the devices of a credentials file an error names.
const SHOWN_DEVICES: usize = 5;

/// The PEM file of an entry. A value that is no file's name may be the private key itself, so no error contains it.
fn read_pem(key: Key, folder: &Path, value: &str) -> anyhow::Result<String> {
    if value.contains("-----BEGIN") {
        bail!("`{key}` has PEM text; write the text to a file, and the file's name here");
    }
    let path = folder.join(value);
    let shown = if key == Key::PrivateKey { String::new() } else { format!(" `{}`", path.display()) };
    let text = fs::read_to_string(&path).with_context(|| {
        format!("can't read the file{shown} that `{key}` names, relative to the settings' folder")
    })?;
    let (label, what) = if key == Key::PrivateKey {
        ("PRIVATE KEY-----", "private key")
    } else {
        ("-----BEGIN CERTIFICATE-----", "certificate")
    };
    if !text.contains(label) {
        bail!("the file{shown} that `{key}` names is not a PEM file with a {what}: it has no `{label}`");
    }
    if key == Key::PrivateKey && text.contains("ENCRYPTED") {
        bail!(
            "the file of `{key}` is encrypted, and the device has no password for it; `openssl pkey -in FILE -out OTHER` \
               writes it without"
        );
    }
    Ok(text)
}
