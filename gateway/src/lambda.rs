//! AWS Lambda, as far as an authorizer needs it: the real binary, behind a Runtime API of its own.
//!
//! Source: AWS Lambda developer guide, `runtimes-api` and `lambda-runtime-environment`.

pub mod instance;
pub mod pool;
pub mod runtime_api;

use std::{path::PathBuf, time::Duration};

/// How long Lambda lets a function initialise (developer guide, `lambda-runtime-environment`).
pub const INIT_LIMIT: Duration = Duration::from_secs(10);

/// A function: a program and how to run it.
#[derive(Clone, Debug)]
pub struct Function {
    /// The program, for example `latchkey-authorizer`.
    pub program: PathBuf,
    /// The ARN under which it runs; the policies' partition, region and account come from it.
    pub arn: String,
    /// Environment variables beside Lambda's own.
    pub variables: Vec<(String, String)>,
    /// How long one call may take.
    pub limit: Duration,
    /// How many instances may serve connects at a time; one more serves refreshes.
    pub instances: usize,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The program could not be started.
    #[error("can't start the authorizer `{program}`: {error}")]
    Start {
        /// The program.
        program: String,
        /// What the operating system said.
        error: String,
    },
    /// The program ended before it asked for its first event.
    #[error("the authorizer ended during its start with {status}: {message}")]
    Init {
        /// How it ended.
        status: String,
        /// Its exit code, if it had one.
        code: Option<i32>,
        /// What it wrote to standard error last.
        message: String,
    },
    /// The program asked for no event in time.
    #[error("the authorizer did not finish its start within {INIT_LIMIT:?}")]
    InitTimeout,
    /// All instances were busy for as long as a call may take.
    #[error("all instances of the authorizer are busy; `--instances` allows more")]
    Throttled,
    /// The call took too long. The instance is gone.
    #[error("the authorizer did not answer within {0:?}")]
    Timeout(Duration),
    /// The instance ended during the call.
    #[error("the authorizer ended during the call with {0}")]
    Crash(String),
    /// The function reported an error.
    #[error("the authorizer reported `{error_type}`; its own log line with this connection id says more")]
    Function {
        /// The error's type; its message stays out of the log.
        error_type: String,
    },
}
