//! The list of devices.

use std::io::Write;

use authorizer::{
    device_name::DeviceName,
    store::document::{RecordDocument, StoreDocument},
};
use serde_json::json;

const TITLES: [&str; 4] = ["device", "grant", "state", "client ids"];

/// Prints it: for people in columns, for scripts as one line of JSON.
pub(super) fn print(store: &StoreDocument, json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    let devices = &store.devices;
    if json {
        let list = devices.iter().map(|(name, record)| {
            let RecordDocument { enabled, grant, .. } = record;
            json!({"device": name, "enabled": enabled, "grant": grant, "client_ids": client_ids(name, record)})
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

fn row(name: &DeviceName, record: &RecordDocument) -> [String; 4] {
    let state = if record.enabled { "enabled" } else { "disabled" };
    [name.to_string(), record.grant.clone(), state.to_owned(), client_ids(name, record).join(", ")]
}

fn client_ids(name: &DeviceName, record: &RecordDocument) -> Vec<String> {
    match &record.client_ids {
        Some(rules) => rules.iter().cloned().map(String::from).collect(),
        None => vec![name.to_string()],
    }
}

fn columns(rows: &[[String; 4]], output: &mut impl Write) -> std::io::Result<()> {
    let titles = TITLES.map(str::to_owned);
    let mut widths = [0; 4];
    for row in rows.iter().chain([&titles]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [first, second, third, _] = widths;
    [&titles].into_iter().chain(rows).try_for_each(|[name, grant, state, ids]| {
        writeln!(output, "{name:<first$}  {grant:<second$}  {state:<third$}  {ids}")
    })
}
