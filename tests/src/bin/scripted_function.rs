//! A Lambda function that does as a test's script says.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use integration::script::{Step, VARIABLE, calls_file, events_file, starts_file};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let script = PathBuf::from(std::env::var(VARIABLE)?);
    note(&starts_file(&script), std::process::id())?;
    lambda_runtime::run(service_fn(|event| step(&script, event))).await
}

async fn step(script: &Path, event: LambdaEvent<Value>) -> Result<Value, Error> {
    note(&events_file(script), &event.payload)?;
    note(&calls_file(script), &event.context.request_id)?;
    match read(script)? {
        Step::Answer(answer) => Ok(answer),
        Step::Error => Err("the script says so".into()),
        Step::Hang => std::future::pending().await,
        Step::Crash => std::process::exit(3),
        Step::Print(answer) => {
            println!("{}", event.payload);
            eprintln!("{}", event.payload);
            Ok(answer)
        }
        Step::Hold(answer) => {
            while matches!(read(script)?, Step::Hold(_)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(answer)
        }
    }
}

fn read(script: &Path) -> Result<Step, Error> {
    Ok(serde_json::from_slice(&std::fs::read(script)?)?)
}

/// One write, so that instances that write at the same time don't mix their lines.
fn note(file: &Path, line: impl std::fmt::Display) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).open(file)?.write_all(format!("{line}\n").as_bytes())
}
