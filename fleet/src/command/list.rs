//! The list of devices.

use std::{io::Write, iter};

use device_auth::{
    device_name::DeviceName,
    seal::{KeyId, SealedSecret},
    store::{
        document::{RecordDocument, StoreDocument},
        loader,
    },
};
use serde_json::json;

const COLUMNS: usize = 6;
const TITLES: [&str; COLUMNS] = ["device", "scheme", "grant", "state", "keys", "client ids"];
/// No key has such an id.
const IN_PLAIN_TEXT: &str = "(plain text)";

/// Prints it: for people in columns, for scripts as one line of JSON.
pub(super) fn print(store: &StoreDocument, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let devices = &store.devices;
    if json {
        let list = devices.iter().map(|(name, record)| {
            let RecordDocument { enabled, grant, scheme, .. } = record;
            let keys = secrets(record).map(SealedSecret::key).collect::<Vec<_>>();
            json!({
                "device": name, "scheme": scheme, "enabled": enabled, "grant": grant, "keys": keys,
                "client_ids": loader::client_ids(name, record),
            })
        });
        writeln!(output, "{}", serde_json::to_string(&list.collect::<Vec<_>>())?)?;
    } else if devices.is_empty() {
        writeln!(output, "no devices yet; `latchkey fleet add NAME` adds one")?;
    } else {
        let rows = devices.iter().map(|(name, record)| row(name, record)).collect::<Vec<_>>();
        columns(&rows, output)?;
    }
    Ok(())
}

fn row(name: &DeviceName, record: &RecordDocument) -> [String; COLUMNS] {
    let state = if record.enabled { "enabled" } else { "disabled" };
    let mut keys =
        secrets(record).map(|secret| secret.key().map_or(IN_PLAIN_TEXT, KeyId::as_str)).collect::<Vec<_>>();
    keys.dedup();
    let keys = if keys.is_empty() { "-".to_owned() } else { keys.join(", ") };
    let client_ids =
        loader::client_ids(name, record).into_iter().map(String::from).collect::<Vec<_>>().join(", ");
    [
        name.to_string(),
        record.scheme.as_str().to_owned(),
        record.grant.clone(),
        state.to_owned(),
        keys,
        client_ids,
    ]
}

fn secrets(record: &RecordDocument) -> impl Iterator<Item = &SealedSecret> {
    record.secrets.iter().flat_map(|s| [&s.device_secret, &s.device_token, &s.psk]).flatten()
}

fn columns(rows: &[[String; COLUMNS]], output: &mut impl Write) -> std::io::Result<()> {
    let titles = TITLES.map(str::to_owned);
    let mut widths = [0; COLUMNS];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in iter::once(&titles).chain(rows) {
        let line = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>();
        writeln!(output, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}
