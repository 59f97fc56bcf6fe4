//! Pages in Chromium: a script plays steps on a page, and every error that the page causes fails the test.
//!
//! Tests of pages are skipped where Chromium can't be installed; `make setup` says so by name, and so does the end of
//! `make test`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{files, foreign::script::in_console_browser, running::Running};

/// How long a browser may take: each of its steps has a bound of its own.
const BROWSER_LIMIT: Duration = Duration::from_mins(5);

/// A window's width and height, and the theme.
pub type Window = (u32, u32, &'static str);

/// Chromium, or nothing where it can't be installed.
pub fn chromium() -> Option<PathBuf> {
    let file = files::root().join("target/tools/chromium");
    let text = std::fs::read_to_string(&file).expect("`make setup` looks for Chromium");
    Some(PathBuf::from(text.trim())).filter(|path| path != Path::new("none"))
}

/// What the script is told. `folder`, under the project's, is for screenshots.
pub fn task(
    browser: &Path,
    link: &str,
    folder: &str,
    (width, height, scheme): Window,
    steps: &[Value],
) -> Value {
    json!({
        "browser": browser, "link": link, "folder": files::root().join(folder), "width": width, "height": height,
        "scheme": scheme, "steps": steps,
    })
}

/// Opens the page.
pub async fn start(task: &Value) -> Running {
    let mut running = Running::start(in_console_browser("browser.js"));
    running.input(task.to_string().as_bytes()).await;
    running
}

/// What the script found; the test fails if that is a problem.
pub async fn finish(running: Running) -> Vec<Value> {
    let finished = running.finish_within(BROWSER_LIMIT).await;
    let (out, err) = (finished.out(), finished.err());
    let events = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
    let is_problem = |event: &&Value| {
        ["console", "error", "dialog", "foreign", "axe", "wide", "unreached", "unfocused", "failed"]
            .iter()
            .any(|kind| event["event"] == *kind)
    };
    let problems = events.iter().filter(is_problem).collect::<Vec<_>>();
    assert!(problems.is_empty() && finished.code == Some(0), "{problems:#?}{err}");
    events
}

/// [`start`] and [`finish`].
pub async fn run(task: &Value) -> Vec<Value> {
    finish(start(task).await).await
}

/// The text that a step wrote under this name.
pub fn text<'a>(events: &'a [Value], name: &str) -> &'a str {
    let found = events.iter().find(|event| event["event"] == "text" && event["name"] == name);
    found.unwrap_or_else(|| panic!("no text `{name}` in {events:?}"))["text"].as_str().unwrap()
}

/// The value that a step's script had.
pub fn value<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found = events.iter().find(|event| event["event"] == "value" && event["name"] == name);
    &found.unwrap_or_else(|| panic!("no value `{name}` in {events:?}"))["value"]
}
