//! `latchkey-bridge` as a process of its own, as people run it, in front of a gateway.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, path::Path};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    eventually::eventually,
    mqtt_client::Reachable,
    programs::program,
    running::{Finished, Running},
};

/// A running bridge. Dropping it kills it.
pub struct BridgeProcess {
    addresses: BTreeMap<String, SocketAddr>,
    running: Running,
}

/// The settings of a bridge to a gateway, on free ports of this machine.
pub fn settings(gateway: &impl Reachable, more: &str) -> String {
    settings_to(gateway.address(), &gateway.ca(), more)
}

/// The settings of a bridge to an address that can be a gateway's.
pub fn settings_to(address: SocketAddr, ca: &Path, more: &str) -> String {
    let mut text = String::new();
    // A literal string, so that a path of Windows needs no escapes.
    write!(
        text,
        "endpoints = [\"localhost:{}\"]\nca = '{}'\nauthorizer = \"latchkey\"\nconnects_per_second = 1000\n{more}\n",
        address.port(),
        ca.display(),
    )
    .unwrap();
    if !more.contains("[ports]") {
        text.push_str("[ports]\nmqtt = 0\nwebsocket = 0\nstatus = 0\n");
    }
    text
}

impl BridgeProcess {
    /// Starts a bridge with these settings, in `folder`, and waits until it listens.
    pub async fn start(folder: &Path, settings: &str) -> Self {
        Self::start_with(folder, settings, &[]).await
    }

    /// The same with these variables.
    pub async fn start_with(folder: &Path, settings: &str, variables: &[(&str, &str)]) -> Self {
        let file = folder.join("latchkey-bridge.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program("latchkey-bridge"));
        command.args(["--json", "--stop-with-stdin"]).current_dir(folder).envs(variables.iter().copied());
        Self::started(Running::start(command)).await
    }

    /// A bridge that is starting, with `--json`.
    pub async fn started(mut running: Running) -> Self {
        let ready = |line: &str| {
            let mut ready = serde_json::from_str::<Value>(line).ok()?;
            serde_json::from_value::<BTreeMap<String, SocketAddr>>(ready["addresses"].take()).ok()
        };
        let addresses = running.line("the bridge's greeting", ready).await;
        Self { addresses, running }
    }

    /// Where devices connect without TLS.
    pub fn mqtt(&self) -> SocketAddr {
        self.address("mqtt")
    }

    /// Where it listens for this.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// The lines that it has written so far.
    pub fn lines(&self) -> Vec<Value> {
        let out = self.running.out();
        out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Everything that it has written so far.
    pub fn written(&self) -> String {
        self.running.out() + &self.running.err()
    }

    /// Waits for a line with these values.
    pub async fn logged(&self, values: &[(&str, &str)]) -> Value {
        let wanted = |line: &Value| values.iter().all(|(key, value)| line[*key] == **value);
        let what = format!("{values:?} in the bridge's log");
        eventually(&what, || self.lines().into_iter().find(wanted)).await
    }

    /// What it holds of the memory, in KiB.
    #[cfg(target_os = "linux")]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub async fn kill(self) {
        self.running.kill().await;
    }

    /// Stops it.
    pub async fn stop(self) -> Finished {
        self.running.finish().await
    }
}
