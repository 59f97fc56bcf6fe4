//! The gateway's process, with the real authorizer.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::Context as _;
use device_sim::{Endpoint, Target};
use serde::Deserialize;
use tokio::process::Command;

use crate::{
    fixture::{Fixture, SERVER_NAME},
    process::{AUTHORIZER, GATEWAY, Memory, Server, program},
};

/// Switches off AWS's rates, which mosquitto does not have.
const WITHOUT_RATES: &str = "[quotas]\nconnects_per_second = 0\nconnects_per_second_per_client_id = 0\n\
                             publishes_per_second = 0\nbytes_per_second = 0\npackets_per_second = 0\nsubscriptions_per_second = 0\n\
                             shadow_requests_per_second = 0\nshadow_requests_per_second_per_shadow = 0\n";

/// A running gateway.
pub(crate) struct Gateway {
    server: Server,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
}

#[derive(Deserialize)]
struct Ready {
    address: SocketAddr,
}

impl Gateway {
    /// Starts one with the fixture's certificate and devices.
    pub(crate) async fn start(fixture: &Fixture) -> anyhow::Result<Self> {
        let config = format!(
            "[[domain]]\nname = \"bench\"\nserver_name = \"{SERVER_NAME}\"\ncertificate = \"server.pem\"\n\
             key = \"server.key\"\n{WITHOUT_RATES}"
        );
        let config = fixture.write("latchkey.toml", &config)?;
        let mut command = Command::new(program(GATEWAY)?);
        command.args(["--json", "--stop-with-stdin", "--port", "0", "--data"]).arg(fixture.folder());
        command.arg("--devices").arg(fixture.records()).arg("--config").arg(config);
        command.arg("--authorizer").arg(program(AUTHORIZER)?);
        let mut server = Server::start(command)?;
        let line = server.line().await?;
        let Ready { address } = serde_json::from_str(&line).context("the gateway is not ready")?;
        let endpoint = endpoint(address, &fixture.ca())?;
        Ok(Self { server, address, endpoint })
    }

    /// How devices reach it.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Reads its memory.
    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        self.server.memory()
    }

    /// Reads the processor time that it has used.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.server.cpu()
    }
}

fn endpoint(address: SocketAddr, ca: &Path) -> anyhow::Result<Endpoint> {
    let address = address.to_string().parse()?;
    let (sni, ca) = (Some(SERVER_NAME.to_owned()), Some(ca.to_owned()));
    Ok(Endpoint::new(Target { sni, ca, ..Target::new(address) })?)
}
