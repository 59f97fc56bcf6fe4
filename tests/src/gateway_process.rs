//! `latchkey-gateway` as a process of its own, as people run it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use device_sim::{Client, ConnectError, Endpoint, Login, Options, Password, Target, Version};
use tokio::process::Command;

use crate::{
    programs::program,
    running::{Finished, Running},
};

/// A settings file for tests that connect and publish faster than AWS lets anybody.
pub const AT_ANY_RATE: &str = "[quotas]\nconnects_per_second_per_client_id = 0\npublishes_per_second = 0\n\
    stored_messages_per_second = 0\nretained_publishes_per_second_per_topic = 0\npackets_per_second = 0\n\
    bytes_per_second = 0\n";

/// A running gateway process. Dropping it kills it.
pub struct GatewayProcess {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where else, if it writes for a script: by AWS's ports.
    pub ports: BTreeMap<String, SocketAddr>,
    ca: PathBuf,
    running: Running,
}

impl GatewayProcess {
    /// Starts one on a free port, with its data in `folder`, and waits until it is ready. `json` is whether it
    /// writes for a script or for a person; `variables` are for it and its authorizer.
    pub async fn start(folder: &Path, authorizer: &str, json: bool, variables: &[(&str, &str)]) -> Self {
        let authorizer = program(authorizer).display().to_string();
        let flags = ["--authorizer", &authorizer, "--json"];
        Self::start_with(folder, &flags[..if json { 3 } else { 2 }], variables).await
    }

    /// The same with these flags, in `folder`.
    pub async fn start_with(folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_by(Command::new(program("latchkey-gateway")), folder, 0, flags, variables).await
    }

    /// The same on this port, on which an earlier one may have been.
    pub async fn start_on(folder: &Path, port: u16, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_by(Command::new(program("latchkey-gateway")), folder, port, flags, variables).await
    }

    /// A gateway that can write files of up to this many KiB, as on a full disk.
    #[cfg(unix)]
    pub async fn start_on_a_full_disk(
        folder: &Path,
        kib: u32,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut shell = Command::new("sh");
        let blocks = (kib * 2).to_string();
        shell
            .args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &blocks])
            .arg(program("latchkey-gateway"));
        Self::start_by(shell, folder, 0, flags, variables).await
    }

    async fn start_by(
        mut command: Command,
        folder: &Path,
        port: u16,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let json = flags.contains(&"--json");
        command.args(["--port", &port.to_string(), "--stop-with-stdin", "--data"]).arg(folder).args(flags);
        command.envs(variables.iter().copied()).current_dir(folder);
        let mut running = Running::start(command);
        let (address, ports) = running.line("the gateway's greeting", |line| greeted(line, json)).await;
        Self { address, ports, ca: folder.join("ca.pem"), running }
    }

    /// How devices reach it.
    pub fn endpoint(&self) -> Endpoint {
        let address = format!("localhost:{}", self.address.port()).parse().unwrap();
        Endpoint::new(Target { ca: Some(self.ca.clone()), ..Target::new(address) }).unwrap()
    }

    /// The CA's certificate, as PEM.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Where it says how it is doing, if it writes for a person and has `--port-status`.
    pub fn status(&self) -> Option<SocketAddr> {
        let address =
            |line: &str| line.trim().strip_prefix("status  http://")?.strip_suffix("/metrics")?.parse().ok();
        self.running.out().lines().find_map(address)
    }

    /// Connects a device that presents this.
    ///
    /// # Errors
    ///
    /// Why it is not connected.
    pub async fn connect(
        &self,
        version: Version,
        client_id: &str,
        user_name: &str,
        password: &[u8],
    ) -> Result<Client, ConnectError> {
        let login = Login {
            client_id: client_id.to_owned(),
            user_name: user_name.to_owned(),
            password: Password::from(password.to_vec()),
        };
        Client::connect(&self.endpoint(), &login, &Options { version, ..Options::default() }).await
    }

    /// What it holds of the memory, in KiB.
    #[cfg(target_os = "linux")]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What it has written to standard error so far: a person's terminal, unless it writes for a script.
    pub fn terminal(&self) -> String {
        self.running.err()
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

fn greeted(line: &str, json: bool) -> Option<(SocketAddr, BTreeMap<String, SocketAddr>)> {
    if !json {
        return Some((line.split_once("listens on ")?.1.parse().ok()?, BTreeMap::new()));
    }
    let mut ready = serde_json::from_str::<serde_json::Value>(line).ok()?;
    let ports = serde_json::from_value(ready["ports"].take()).ok()?;
    Some((ready["address"].as_str()?.parse().ok()?, ports))
}
