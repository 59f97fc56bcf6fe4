//! `cfg.toml`: one key for each entry of the partition, under the entry's name.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use app::configuration::partition::Key;

use crate::Entries;

/// Reads the settings. `ca`, `certificate` and `private_key` are files, relative to the settings' own folder.
///
/// # Errors
///
/// If a file can't be read, or a key is unknown.
pub fn read(path: &Path) -> anyhow::Result<Entries> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{shown}`"))?;
    // The error would show the line, and the line may hold a password.
    let table: toml::Table = text.parse().map_err(|_| anyhow::anyhow!("`{shown}` is no TOML"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut entries = Entries::default();
    for (name, value) in table {
        let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) else {
            bail!("`{shown}` has the unknown key `{name}`; docs/firmware.md lists them");
        };
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            _ => bail!("`{name}` in `{shown}` is neither a text nor a whole number"),
        };
        let is_file = matches!(key, Key::Ca | Key::Certificate | Key::PrivateKey);
        entries.set(key, if is_file { pem(&folder.join(value))? } else { value });
    }
    Ok(entries)
}

/// A PEM file's text.
///
/// # Errors
///
/// If it can't be read, or is no PEM.
pub fn pem(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))?;
    if !text.contains("-----BEGIN ") {
        bail!("`{}` is no PEM file", path.display());
    }
    Ok(text)
}
