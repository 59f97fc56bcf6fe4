//! The Lambda function: wiring only.

use std::{env, io::Write, process::ExitCode};

use authorizer::{config::Config, handler::Function, log, setup, store::any::AnyStore};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

/// `EX_USAGE` of `sysexits.h`: the configuration is at fault.
const BAD_CONFIGURATION: u8 = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let function = match configure().await {
        Ok(function) => function,
        Err(error) => {
            // There may be no log to write to yet; a failed write to standard error has no other place to go.
            _ = writeln!(std::io::stderr(), "latchkey-authorizer: {error:#}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let function = &function;
        async move { function.handle(&event.payload, &event.context).await }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: "authorizer", error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

async fn configure() -> anyhow::Result<Function<AnyStore>> {
    let config = Config::from_variables(env::vars_os())?;
    tracing::subscriber::set_global_default(log::subscriber(config.level, std::io::stdout))?;
    setup::function(config).await
}
