//! Programs not written here that play AWS's services.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    foreign::script::{environment, python},
    running::Running,
};

/// Which one tests take that work with either: `localstack`, or moto without it.
const VARIABLE: &str = "INTEGRATION_EMULATOR";

/// One of the test's own, empty, on a free port. Dropping it ends it.
pub struct Emulator {
    endpoint: String,
    _running: Running,
    /// Gone after the program, which may be writing to it.
    _folder: TempDir,
}

impl Emulator {
    /// The one that the environment names; `make test-localstack` names LocalStack.
    pub async fn start() -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Ok("localstack") => Self::localstack().await,
            Ok(other) => panic!("`{other}` is not an emulator"),
            Err(_) => Self::moto().await,
        }
    }

    /// moto, which has a registry of Things.
    pub async fn moto() -> Self {
        Self::of(python(), "moto_server.py").await
    }

    /// LocalStack's community runtime, without Docker. It has no registry.
    pub async fn localstack() -> Self {
        Self::of(environment("localstack"), "localstack_server.py").await
    }

    /// The endpoint of every service, as `AWS_ENDPOINT_URL` names it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Starts it and waits until it listens.
    async fn of(python: PathBuf, script: &str) -> Self {
        let mut command = Command::new(python);
        let folder = tempfile::tempdir().unwrap();
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script)).arg(folder.path());
        let mut running = Running::start(command);
        let port = running.line("the emulator's port", |line| line.parse::<u16>().ok()).await;
        Self { endpoint: format!("http://127.0.0.1:{port}"), _running: running, _folder: folder }
    }
}
