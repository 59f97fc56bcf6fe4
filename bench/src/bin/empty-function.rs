//! The least that a function on `lambda_runtime` can do: it answers every event with the same text.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(lambda_runtime::run(service_fn(answer))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn answer(_: LambdaEvent<Box<RawValue>>) -> Result<Box<RawValue>, String> {
    RawValue::from_string(r#"{"isAuthenticated":false}"#.to_owned()).map_err(|error| error.to_string())
}
