//! What a gateway says when it is ready.

use std::{
    io::{self, IsTerminal},
    net::SocketAddr,
    path::Path,
};

use serde_json::{Map, json};

use super::DEVICES_FILE;
use crate::{
    door::route::Port,
    gateway::Addresses,
    settings::{LOCAL_NAMES, Settings},
};

/// What there is to say.
pub(super) struct Greeting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) addresses: &'a Addresses,
    pub(super) log: &'a Path,
}

impl Greeting<'_> {
    /// For a script: one line of JSON.
    pub(super) fn json(&self) -> String {
        let Addresses { doors, status } = self.addresses;
        let ports: Map<_, _> =
            doors.iter().map(|(port, address)| (port.to_string(), json!(address))).collect();
        let line = json!({
            "ready": true, "address": self.main(), "ports": ports, "status": status,
            "ca": self.settings.data.join("ca.pem"), "log": self.log,
        });
        format!("{line}\n")
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let Self { settings, addresses, log } = self;
        let colour = io::stdout().is_terminal();
        let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let mut lines = match self.main() {
            Some(address) => vec![format!("{bold}latchkey local{plain} listens on {address}")],
            None => vec![format!("{bold}latchkey local{plain} is ready")],
        };
        let others = addresses.doors.iter().filter(|(port, _)| **port != Port::P443);
        let others = others.map(|(port, address)| format!("{} for AWS's {port}", address.port()));
        let others = others.collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            lines.push(format!("  also    {others}: client certificates"));
        }
        if let Some(status) = addresses.status {
            lines.push(format!("  status  http://{status}/metrics"));
        }
        if let Some(config) = &settings.config {
            lines.push(format!("  file    {}", config.display()));
        }
        lines.push(format!("  CA      {}", settings.data.join("ca.pem").display()));
        lines.push(format!("  log     {}", log.display()));
        if settings.names.len() <= LOCAL_NAMES.len() && settings.listen.is_unspecified() {
            lines.push(
                "  note    devices elsewhere need `--name ADDRESS`: this machine's, as they dial it"
                    .to_owned(),
            );
        }
        lines.push(format!("  next    latchkey fleet add my-device{}", self.store()));
        lines.push("  stop    Ctrl-C\n".to_owned());
        lines.join("\n")
    }

    fn main(&self) -> Option<SocketAddr> {
        self.addresses.doors.get(&Port::P443).copied()
    }

    fn store(&self) -> String {
        if self.settings.data == Path::new(".latchkey") {
            return String::new();
        }
        format!(" --store {}", self.settings.data.join(DEVICES_FILE).display())
    }
}
