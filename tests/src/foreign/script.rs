//! Clients that are scripts of ours with a foreign library.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::running::Running;

/// What happened in one attempt: a value for each event.
pub type Events = Vec<Value>;

/// One start of a client's library for several attempts, one after the other.
///
/// The script reads the attempts as a JSON list, and writes a JSON line for each event, with the attempt's number in
/// `attempt`. Passwords go in by standard input, where no list of processes shows them.
pub async fn attempts(command: Command, attempts: &[Value]) -> Vec<Events> {
    let mut running = Running::start(command);
    running.input(serde_json::to_string(attempts).unwrap().as_bytes()).await;
    let finished = running.finish().await;
    let (out, err) = (finished.out(), finished.err());
    assert_eq!(
        finished.code,
        Some(0),
        "the client's script failed; `make setup` gets its packages: {out}{err}"
    );
    let mut all = vec![Events::new(); attempts.len()];
    for line in out.lines() {
        let event = serde_json::from_str::<Value>(line);
        let mut event = event.unwrap_or_else(|error| panic!("`{line}` is not an event ({error}): {err}"));
        let attempt = event.as_object_mut().unwrap().remove("attempt").unwrap();
        all[usize::try_from(attempt.as_u64().unwrap()).unwrap()].push(event);
    }
    all
}

/// A script in Python, in the environment that `make setup` has made.
pub fn in_python(script: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(clients().join(script));
    command
}

/// A script in Node, with the packages that `make setup` has installed.
pub fn in_node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(clients().join("node").join(script)).env("NODE_PATH", node_modules());
    command
}

/// The packages of npm that `make setup` has installed.
pub fn node_modules() -> PathBuf {
    tools().join("node/node_modules")
}

/// A script in Node that opens the console's pages, with the packages that `make setup` has installed for that.
pub fn in_console_browser(script: &str) -> Command {
    let mut command = Command::new("node");
    let folder = clients().join("console");
    command.arg(folder.join(script)).env("NODE_PATH", tools().join("console/node_modules"));
    command
}

/// What validates the resources in a file against the schemas of a version of Kubernetes, and prints them as JSON.
pub fn kubernetes(file: &Path, version: &str) -> Command {
    let mut command = Command::new(environment("kubernetes-validate"));
    command.arg(clients().join("kubernetes.py")).arg(file).arg(version);
    command
}

/// The Python that `make setup` has put the packages of `tests/clients/requirements.txt` into.
pub fn python() -> PathBuf {
    environment("python")
}

/// The Python of one of the environments under `target/tools`.
pub fn environment(name: &str) -> PathBuf {
    tools().join(name).join(if cfg!(windows) { "Scripts" } else { "bin" }).join("python")
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools")
}
