//! The AWS IoT Core custom authorizer: it checks a device's user name and password, and answers with policies for its client
//! id.
//!
//! One connect attempt passes through the modules in this order:
//!
//! 1. [`device_auth::event`]: what IoT Core sends, every field optional.
//! 2. [`device_auth::request`]: the event as a [`device_auth::request::ConnectRequest`], or the reason why it is not one.
//! 3. [`handler`]: identifies the device, looks it up, and lets [`device_auth::decision::decide`] decide.
//! 4. [`store`]: looks records up in a file, a DynamoDB table or a secret.
//!
//! [`jwt`] has the keys of JSON Web Tokens, and [`keyring_source`] those of sealed secrets. [`fault`] has what prevents a
//! decision.
//!
//! [`log`] and [`metrics`] write one line each about each [`attempt`]. [`config`] reads the environment, [`setup`] makes a
//! [`handler::Handler`] of it, and [`run`] is the whole program.

pub mod attempt;
pub mod config;
pub mod fault;
pub mod handler;
#[cfg(feature = "jwks-url")]
pub mod jwks_url;
pub mod jwt;
pub mod keyring_source;
pub mod log;
pub mod metrics;
mod moment;
pub mod name_digest;
pub mod setup;
pub mod store;

use std::{env, io::Write as _, process::ExitCode};

use cli::output::escaped;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;

/// The whole program: reads the environment, sets the function up, and handles events until the runtime ends.
#[must_use]
pub fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve()),
        Err(error) => unusable(&error.into()),
    }
}

async fn serve() -> ExitCode {
    let function = match configure().await {
        Ok(function) => function,
        Err(error) => return unusable(&error),
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

async fn configure() -> anyhow::Result<handler::Handler<store::any::AnyStore>> {
    let config = config::Config::from_variables(env::vars_os())?;
    tracing::subscriber::set_global_default(log::subscriber(config.level, cli::output::stdout))?;
    setup::function(config).await
}

fn unusable(error: &anyhow::Error) -> ExitCode {
    // There may be no log to write to yet. A failed write to standard error has no other place to go.
    let text = match error.downcast_ref::<config::ConfigError>() {
        Some(mistakes) => mistakes.to_string(),
        None => escaped(cli::error_text(error.as_ref())).into_owned(),
    };
    _ = writeln!(cli::output::stderr(), "latchkey-authorizer: {text}");
    ExitCode::from(cli::exit::USAGE)
}
