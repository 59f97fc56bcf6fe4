//! What a gateway says when it is ready.

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    path::Path,
};

use cli::output::{self, escaped};
use serde_json::{Map, json};

use super::DEVICES_FILE;
use crate::{
    console::access,
    door::route::Port,
    gateway::Addresses,
    settings::{LOCAL_NAMES, Settings},
    test_api,
};

/// The command, in bold on a terminal.
const COMMAND: &str = "latchkey local";

/// Prints a greeting.
///
/// # Errors
///
/// When standard output can't be written.
pub(super) fn print(greeting: &str) -> io::Result<()> {
    let mut stdout = output::stdout();
    let rest = match greeting.strip_prefix(COMMAND) {
        Some(rest) => {
            stdout.write_bold(COMMAND)?;
            rest
        }
        None => greeting,
    };
    stdout.write_all(rest.as_bytes())?;
    stdout.flush()
}

/// What there is to say.
pub(super) struct Greeting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) addresses: &'a Addresses,
    pub(super) log: &'a Path,
    /// The link that opens the console, if there is one.
    pub(super) console: Option<&'a str>,
}

impl Greeting<'_> {
    /// For a script: one line of JSON.
    pub(super) fn json(&self) -> String {
        let Addresses { doors, status, api } = self.addresses;
        let ports: Map<_, _> =
            doors.iter().map(|(port, address)| (port.to_string(), json!(address))).collect();
        // The file has the token, and a script's log need not.
        let console = self.console.map(|_| self.settings.data.join(access::FILE));
        let line = json!({
            "ready": true, "address": self.main(), "ports": ports, "status": status, "api": api,
            "ca": self.settings.data.join("ca.pem"), "log": self.log, "console": console,
            "test": self.test_api(),
        });
        format!("{line}\n")
    }

    /// The address of the test API, if there is one.
    fn test_api(&self) -> Option<String> {
        let status = self.addresses.status.filter(|_| self.settings.test_api)?;
        Some(format!("http://{status}{}", test_api::PATH))
    }

    /// For a person.
    pub(super) fn text(&self) -> String {
        let Self { settings, addresses, log, console } = self;
        let mut lines = match self.main() {
            Some(address) => vec![format!("{COMMAND} listens on {address}")],
            None => vec![format!("{COMMAND} is ready")],
        };
        let others = addresses.doors.iter().filter(|(port, _)| **port != Port::P443);
        let others = others.map(|(port, address)| format!("{} for AWS's {port}", address.port()));
        let others = others.collect::<Vec<_>>().join(", ");
        if !others.is_empty() {
            lines.push(format!("  also    {others}: client certificates"));
        }
        if let Some(console) = console {
            lines.push(format!("  console {console}"));
        }
        if let Some(status) = addresses.status {
            lines.push(format!("  status  http://{status}/metrics"));
        }
        if let Some(test_api) = self.test_api() {
            lines.push(format!("  tests   {test_api}"));
        }
        if let Some(api) = addresses.api {
            lines.push(format!("  AWS API http://{api}; `latchkey local env` has its variables"));
        }
        if let Some(config) = &settings.config {
            lines.push(format!("  file    {}", config.display()));
        }
        lines.push(format!("  CA      {}", settings.data.join("ca.pem").display()));
        lines.push(format!("  log     {}", log.display()));
        if settings.listen.is_unspecified() {
            lines.extend(self.network());
        }
        lines.push(format!("  next    latchkey fleet add my-device{}", self.store()));
        lines.push("  stop    Ctrl-C".to_owned());
        lines.iter().map(|line| escaped(line) + "\n").collect()
    }

    /// The names and addresses by which devices on the network reach the gateway. The certificate is for no others.
    fn network(&self) -> Vec<String> {
        let names = self.settings.names.iter().filter(|name| !LOCAL_NAMES.contains(&name.as_str()));
        let port = self.main().map(|address| address.port()).unwrap_or_default();
        let dialled = names.map(|name| match name.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).to_string(),
            Err(_) => format!("{name}:{port}"),
        });
        let mut lines =
            dialled.map(|dialled| format!("  network devices dial {dialled}")).collect::<Vec<_>>();
        lines.push("  note    another name or address needs `--name NAME`, as devices dial it".to_owned());
        lines
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv4Addr};

    use super::*;
    use crate::lambda::program::Program;

    #[test]
    fn names_that_devices_on_the_network_can_dial_are_said() {
        let program = Program::new("authorizer".into(), Vec::new());
        let mut settings = Settings::new(".latchkey".into(), program);
        let doors = BTreeMap::from([(Port::P443, "0.0.0.0:10443".parse().unwrap())]);
        let addresses = Addresses { doors, status: None, api: None };
        let text = |settings: &Settings| {
            Greeting { settings, addresses: &addresses, log: Path::new("log"), console: None }.text()
        };
        settings.names.extend(["192.168.1.10", "fd00::2", "gateway.lan"].map(str::to_owned));
        assert!(!text(&settings).contains("network"), "only this machine can dial it");
        settings.listen = Ipv4Addr::UNSPECIFIED.into();
        let said = text(&settings);
        for dialled in ["192.168.1.10:10443", "[fd00::2]:10443", "gateway.lan:10443"] {
            assert!(said.contains(&format!("network devices dial {dialled}\n")), "{said}");
        }
        assert!(!said.contains("dial localhost"), "{said}");
    }
}
