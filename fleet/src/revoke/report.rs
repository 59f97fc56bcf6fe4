//! What a revocation did.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
};

use cli::console::{counted, wrapped};
use device_auth::{device_name::DeviceName, location::StoreLocation};
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::{
    plan::Device,
    watch::{Client, End},
    worst_case::WorstCase,
};
use crate::store_option;

/// How many names of each kind a person is shown.
const SHOWN: usize = 10;
/// Where the second column begins.
const INDENT: usize = 13;

/// A device, what was done with its record, and its client ids.
pub(super) struct Revoked {
    pub(super) device: Device,
    /// Whether the record is disabled now.
    pub(super) is_disabled: bool,
    pub(super) clients: Vec<Client>,
}

/// What a revocation did.
pub(super) struct Report {
    pub(super) store: StoreLocation,
    pub(super) devices: Vec<Revoked>,
    /// Names without a record.
    pub(super) missing: Vec<DeviceName>,
    pub(super) worst_case: Option<WorstCase>,
    /// The file with which it is undone, if a record was changed.
    pub(super) undo: Option<PathBuf>,
    /// Why not everything was done.
    pub(super) stopped: Option<anyhow::Error>,
    pub(super) is_interrupted: bool,
}

impl Report {
    /// Whether every record is disabled, and no client that is known is connected or can connect again.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty()
            && self.stopped.is_none()
            && self.devices.iter().all(|revoked| revoked.is_disabled)
            && self.clients().all(|(_, client)| client.end == Some(End::Out))
    }

    pub(super) fn json(&self) -> Value {
        let devices = self.devices.iter().map(|Revoked { device, is_disabled, clients }| {
            let record = match (device.was_enabled, is_disabled) {
                (true, true) => "disabled",
                (false, _) => "was_disabled",
                (true, false) => "unchanged",
            };
            let clients = clients
                .iter()
                .map(|client| json!({"client_id": client.id, "ended": client.ended, "state": state(client)}));
            json!({
                "device": device.name, "record": record, "clients": clients.collect::<Vec<_>>(),
                "unknown": device.unknown,
            })
        });
        json!({
            "store": store_option::value(&self.store), "devices": devices.collect::<Vec<_>>(), "missing": self.missing,
            "worst_case": self.worst_case.as_ref().map(WorstCase::json), "undo": self.undo,
            "stopped": self.stopped.as_ref().map(|error| cli::error_text(error.as_ref())),
            "interrupted": self.is_interrupted, "complete": self.is_complete(),
        })
    }

    fn clients(&self) -> impl Iterator<Item = (&DeviceName, &Client)> {
        self.devices
            .iter()
            .flat_map(|revoked| revoked.clients.iter().map(move |client| (&revoked.device.name, client)))
    }
}

fn state(client: &Client) -> &'static str {
    match client.end {
        Some(End::Out) => "out",
        Some(End::OutForNow) => "out_for_now",
        Some(End::Connected) => "connected",
        None => "not_known",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |label: &str, text: &str| writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")));
        let with = |wanted: fn(&Revoked) -> bool| self.devices.iter().filter(|it| wanted(it)).count();
        let disabled = with(|it| it.device.was_enabled && it.is_disabled);
        let mut records = format!("{} disabled", counted(number(disabled), "record"));
        let before = with(|it| !it.device.was_enabled);
        if before > 0 {
            write!(records, ", {} disabled before", number(before))?;
        }
        let left = with(|it| !it.is_disabled);
        if left > 0 {
            write!(records, ", {} not disabled", number(left))?;
        }
        line("records", &format!("{records}, in {}", store_option::description(&self.store)))?;
        let ended = self.clients().filter(|(_, client)| client.ended > 0).count();
        let again = self.clients().filter(|(_, client)| client.ended > 1).count();
        let mut connections = format!("{} ended", counted(number(ended), "connection"));
        if again > 0 {
            write!(connections, " ({} more than once)", number(again))?;
        }
        let all = self.clients().count();
        line("connections", &format!("{connections}, {} checked", counted(number(all), "client id")))?;
        for (what, end) in
            [("connected", Some(End::Connected)), ("may return", Some(End::OutForNow)), ("not checked", None)]
        {
            let such = self.clients().filter(|(_, client)| client.end == end);
            let such = such.map(|(name, client)| of_device(name, &client.id)).collect::<Vec<_>>();
            if !such.is_empty() {
                line(what, &shown(&such))?;
            }
        }
        let unknown = self.devices.iter().flat_map(|it| {
            it.device.unknown.iter().map(|rule| of_device(&it.device.name, rule)).collect::<Vec<_>>()
        });
        let unknown = unknown.collect::<Vec<_>>();
        if !unknown.is_empty() {
            let text = format!(
                "{}: AWS IoT can't list such client ids. Find them with `latchkey fleet logs --device NAME`, and name one \
                 with `--client-id ID`",
                shown(&unknown)
            );
            line("not known", &text)?;
        }
        if !self.missing.is_empty() {
            line("no record", &shown(&self.missing.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>()))?;
        }
        if let Some(error) = &self.stopped {
            line("stopped", &cli::error_text(error.as_ref()))?;
        }
        if let Some(worst_case) = &self.worst_case {
            f.write_str(&worst_case.text(INDENT))?;
        }
        let mut line =
            |label: &str, text: &str| writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")));
        if let Some(undo) = &self.undo {
            line("undo", &format!("latchkey fleet revoke undo {}", undo.display()))?;
        }
        if self.is_complete() {
            return Ok(());
        }
        line("next", "the same command again: it goes on where this one ended")
    }
}

fn of_device(name: &DeviceName, client_id: &str) -> String {
    if name.as_str() == client_id { format!("`{name}`") } else { format!("`{client_id}` of `{name}`") }
}

/// The first few of a list.
pub(super) fn shown(list: &[String]) -> String {
    let first = list.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = list.len().saturating_sub(SHOWN);
    if more == 0 { first } else { format!("{first}, and {} more", number(more)) }
}

pub(super) fn number(count: usize) -> HumanCount {
    HumanCount(u64::try_from(count).unwrap_or(u64::MAX))
}
