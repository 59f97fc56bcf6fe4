//! moto: a program not written here that plays AWS's services.

use std::path::Path;

use tokio::process::Command;

use crate::{foreign::script::python, running::Running};

/// A moto of the test's own, empty, on a free port. Dropping it ends it.
pub struct Moto {
    endpoint: String,
    _running: Running,
}

impl Moto {
    /// Starts it and waits until it listens.
    pub async fn start() -> Self {
        let mut command = Command::new(python());
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/moto_server.py"));
        let mut running = Running::start(command);
        let port = running.line("moto's port", |line| line.parse::<u16>().ok()).await;
        Self { endpoint: format!("http://127.0.0.1:{port}"), _running: running }
    }

    /// The endpoint of every service, as `AWS_ENDPOINT_URL` names it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}
