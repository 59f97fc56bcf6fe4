//! The bridge's process, in front of a gateway.

use std::{fs::File, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::process::Command;

use crate::{
    fixture::{Fixture, SERVER_NAME},
    gateway::Gateway,
    process::{BRIDGE, Memory, Server, program},
};

/// A running bridge.
pub(crate) struct Bridge {
    server: Server,
    /// Where devices connect without TLS.
    pub(crate) address: SocketAddr,
}

impl Bridge {
    /// Starts one whose devices connect to this gateway, as fast as they can.
    pub(crate) async fn start(fixture: &Fixture, gateway: &Gateway) -> anyhow::Result<Self> {
        let settings = format!(
            "endpoints = [\"{}\"]\nsni = \"{SERVER_NAME}\"\nca = '{}'\nconnects_per_second = 100000\n\
             connect_wait_seconds = 120\nupstream_timeout_seconds = 60\n\
             [ports]\nmqtt = 0\nstatus = \"off\"\n",
            gateway.address,
            fixture.ca().display()
        );
        let settings = fixture.write("latchkey-bridge.toml", &settings)?;
        let mut command = Command::new(program(BRIDGE)?);
        command.args(["--stop-with-stdin", "--config"]).arg(settings);
        command.stderr(File::create(fixture.folder().join("bridge.log"))?);
        let mut server = Server::start(command)?;
        let line = server.line().await?;
        let address = line.trim().strip_prefix("MQTT without TLS on ");
        let address = address.with_context(|| format!("the bridge is not ready: {line}"))?.parse()?;
        Ok(Self { server, address })
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
