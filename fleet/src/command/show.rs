//! `latchkey fleet show`: one device's record, without hashes and secrets.

use cli::console::{Console, wrapped};
use device_auth::{
    device_name::DeviceName,
    seal::KeyId,
    store::{document::RecordDocument, loader},
    time::UnixTime,
};
use serde_json::{Map, Value, json};

use super::{added::joined, list::state};

/// Where the second column begins.
const INDENT: usize = 13;
const COLUMNS_OF_CSV: [&str; 13] = [
    "device",
    "scheme",
    "enabled",
    "grant",
    "client_ids",
    "parameters",
    "verifiers",
    "keys",
    "certificates",
    "not_before",
    "not_after",
    "refresh_after_seconds",
    "disconnect_after_seconds",
];

/// Prints the record.
pub(super) fn run(
    name: &DeviceName,
    record: &RecordDocument,
    console: &mut Console<'_>,
) -> anyhow::Result<()> {
    let verifiers = record.verifiers.iter().map(|live| {
        let kind = format!("{:?}", live.verifier);
        json!({"kind": kind.trim_end_matches("(…)"), "expires_at": live.expires_at})
    });
    let keys = record.sealed_secrets().map(|secret| secret.key().map(KeyId::as_str)).collect::<Vec<_>>();
    let client_ids = loader::client_ids(name, record);
    let json = json!({
        "device": name, "scheme": record.scheme, "enabled": record.enabled, "grant": record.grant,
        "client_ids": client_ids, "parameters": record.parameters, "verifiers": verifiers.collect::<Vec<_>>(),
        "keys": keys, "certificates": record.certificates.len(), "not_before": record.not_before,
        "not_after": record.not_after, "refresh_after_seconds": record.refresh_after_seconds,
        "disconnect_after_seconds": record.disconnect_after_seconds,
    });
    let mut text = format!("{:<INDENT$}{name}\n", "device");
    let mut line = |label: &str, value: String| {
        text += &wrapped(INDENT, &format!("{label:<INDENT$}{value}"));
        text.push('\n');
    };
    line("scheme", record.scheme.as_str().to_owned());
    line("state", state(record).to_owned());
    line("grant", record.grant.clone());
    line("client ids", joined(&client_ids));
    for (name, value) in &record.parameters {
        line("parameter", format!("{name}={value}"));
    }
    for live in &record.verifiers {
        let kind = format!("{:?}", live.verifier);
        line("password", format!("a hash, {}{}", kind.trim_end_matches("(…)"), until(live.expires_at)));
    }
    for (secret, document) in record.sealed_secrets().zip(&record.secrets) {
        let key =
            secret.key().map_or("in plain text".to_owned(), |key| format!("sealed under the key `{key}`"));
        line("secret", key + &until(document.expires_at));
    }
    if !record.certificates.is_empty() {
        line("certificates", record.certificates.len().to_string());
    }
    let times = [("not before", record.not_before), ("not after", record.not_after)];
    for (label, time) in times.into_iter().filter_map(|(label, time)| Some((label, time?))) {
        line(label, date(time));
    }
    let seconds =
        [("refresh", record.refresh_after_seconds), ("disconnect", record.disconnect_after_seconds)];
    for (label, seconds) in seconds.into_iter().filter_map(|(label, seconds)| Some((label, seconds?))) {
        line(label, format!("after {} s", seconds.get()));
    }
    let json = without_nulls(json);
    Ok(console.print_rows(&COLUMNS_OF_CSV, [json.clone()], &json, text)?)
}

fn until(expiry: Option<UnixTime>) -> String {
    expiry.map(|time| format!(", accepted until {}", date(time))).unwrap_or_default()
}

fn date(time: UnixTime) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(time.0));
    time.map_or_else(String::new, |time| humantime::format_rfc3339_seconds(time).to_string())
}

fn without_nulls(json: Value) -> Value {
    match json {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other,
    }
}
