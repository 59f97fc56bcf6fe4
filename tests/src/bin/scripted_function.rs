//! A Lambda function that does as a test's script says.

use std::{io::Write, path::PathBuf};

use integration::script::{Step, VARIABLE, calls_file};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let script = PathBuf::from(std::env::var(VARIABLE)?);
    lambda_runtime::run(service_fn(|event| step(&script, event))).await
}

async fn step(script: &std::path::Path, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let mut calls = std::fs::OpenOptions::new().create(true).append(true).open(calls_file(script))?;
    writeln!(calls, "{}", event.context.request_id)?;
    match serde_json::from_slice::<Step>(&std::fs::read(script)?)? {
        Step::Answer(answer) => Ok(answer),
        Step::Error => Err("the script says so".into()),
        Step::Hang => std::future::pending().await,
        Step::Crash => std::process::exit(3),
        Step::Print(answer) => {
            println!("{}", event.payload);
            eprintln!("{}", event.payload);
            Ok(answer)
        }
    }
}
