//! `latchkey fleet list`: lists the devices.

use std::iter;

use cli::console::Console;
use device_auth::{
    device_name::DeviceName,
    seal::{KeyId, SealedSecret},
    store::{
        document::{RecordDocument, StoreDocument},
        loader,
    },
};
use serde_json::json;

use super::added::joined;

const COLUMNS: usize = 6;
const TITLES: [&str; COLUMNS] = ["device", "scheme", "grant", "state", "keys", "client ids"];
/// No key has such an id.
const IN_PLAIN_TEXT: &str = "(plain text)";

/// Prints the list: columns for people, one line of JSON for scripts.
pub(super) fn run(store: &StoreDocument, console: &mut Console<'_>) -> anyhow::Result<()> {
    let devices = &store.devices;
    if console.json {
        let list = devices.iter().map(|(name, record)| {
            let RecordDocument { enabled, grant, scheme, .. } = record;
            let keys = secrets(record).map(SealedSecret::key).collect::<Vec<_>>();
            json!({
                "device": name, "scheme": scheme, "enabled": enabled, "grant": grant, "keys": keys,
                "client_ids": loader::client_ids(name, record),
            })
        });
        writeln!(console.output, "{}", serde_json::to_string(&list.collect::<Vec<_>>())?)?;
    } else if devices.is_empty() {
        writeln!(console.output, "no devices yet; `latchkey fleet add NAME` adds one")?;
    } else {
        let titles = TITLES.map(str::to_owned);
        let rows = devices.iter().map(|(name, record)| row(name, record)).collect::<Vec<_>>();
        let mut widths = [0; COLUMNS];
        for row in rows.iter().chain([&titles]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in iter::once(&titles).chain(&rows) {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(console.output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
    }
    Ok(())
}

fn row(name: &DeviceName, record: &RecordDocument) -> [String; COLUMNS] {
    let state = if record.enabled { "enabled" } else { "disabled" };
    let mut keys =
        secrets(record).map(|secret| secret.key().map_or(IN_PLAIN_TEXT, KeyId::as_str)).collect::<Vec<_>>();
    keys.dedup();
    [
        name.to_string(),
        record.scheme.as_str().to_owned(),
        record.grant.clone(),
        state.to_owned(),
        if keys.is_empty() { "-".to_owned() } else { keys.join(", ") },
        joined(&loader::client_ids(name, record)),
    ]
}

fn secrets(record: &RecordDocument) -> impl Iterator<Item = &SealedSecret> {
    record.secrets.iter().flat_map(|s| [&s.device_secret, &s.device_token, &s.psk]).flatten()
}
