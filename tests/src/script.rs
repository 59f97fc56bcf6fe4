//! A function that does as a test says: the other side of `scripted-function`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The environment variable with the path of the script.
pub const VARIABLE: &str = "SCRIPT";

/// What the function does with its next call. It reads the script again each time.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Answers this.
    Answer(Value),
    /// Reports an error.
    Error,
    /// Never answers.
    Hang,
    /// Ends the process.
    Crash,
    /// Writes what it got to standard output and error, then answers.
    Print(Value),
    /// Answers this once the script says something else.
    Hold(Value),
}

/// A script in a file.
pub struct Script(PathBuf);

impl Script {
    /// A script whose first step is `step`.
    pub fn new(folder: &Path, step: &Step) -> Self {
        let script = Self(folder.join("script.json"));
        script.set(step);
        script
    }

    /// Changes what the next call does. The file changes at once, never by halves.
    pub fn set(&self, step: &Step) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(step).unwrap()).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// How often the function was called so far.
    pub fn calls(&self) -> usize {
        lines(&calls_file(&self.0)).len()
    }

    /// How often the function's process was started so far.
    pub fn starts(&self) -> usize {
        lines(&starts_file(&self.0)).len()
    }

    /// The events that the function got so far.
    pub fn events(&self) -> Vec<Value> {
        lines(&events_file(&self.0)).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Where a function notes its calls: a request id a line.
pub fn calls_file(script: &Path) -> PathBuf {
    script.with_extension("calls")
}

/// Where a function notes its starts: a process id a line.
pub fn starts_file(script: &Path) -> PathBuf {
    script.with_extension("starts")
}

/// Where a function notes the events that it gets, one a line, before it notes the call.
pub fn events_file(script: &Path) -> PathBuf {
    script.with_extension("events")
}

/// An answer that lets every client in and lets it do everything, with timers of 300 s and a day.
pub fn allow_all() -> Value {
    allow(&[
        ("Allow", "iot:Connect", "client/*"),
        ("Allow", "iot:Publish", "topic/*"),
        ("Allow", "iot:RetainPublish", "topic/*"),
        ("Allow", "iot:Subscribe", "topicfilter/*"),
        ("Allow", "iot:Receive", "topic/*"),
    ])
}

/// An answer that allows the client, with these statements (effect, action, resource) and timers of 300 s and a day.
pub fn allow(statements: &[(&str, &str, &str)]) -> Value {
    let resource = |resource: &str| format!("arn:aws:iot:us-east-1:123456789012:{resource}");
    let statement = |(effect, action, on): &(&str, &str, &str)| json!({"Effect": effect, "Action": action, "Resource": resource(on)});
    json!({
        "isAuthenticated": true,
        "principalId": "scripted",
        "disconnectAfterInSeconds": 86_400,
        "refreshAfterInSeconds": 300,
        "policyDocuments": [{"Version": "2012-10-17", "Statement": statements.iter().map(statement).collect::<Vec<_>>()}],
    })
}

/// A file that isn't there yet has no lines.
fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).map_or(Vec::new(), |text| text.lines().map(str::to_owned).collect())
}
