//! AWS Lambda, as far as an authorizer needs it: the real function, wherever it runs.
//!
//! A program of this machine runs behind a [Runtime API](runtime_api) of its own, in a [pool]. Anything else that
//! answers Lambda's Invoke call is a [URL](url), and a function in AWS has an [ARN](iot_policy::arn).
//!
//! Source: AWS Lambda developer guide, `runtimes-api` and `lambda-runtime-environment`; API reference, `Invoke`.

#[cfg(feature = "aws-lambda")]
pub mod aws;
pub mod function;
pub mod instance;
pub mod invoke_url;
pub mod pool;
pub mod program;
pub mod runtime_api;
pub mod slots;
pub mod url;

use std::{error::Error, time::Duration};

/// How long Lambda lets a function initialise (developer guide, `lambda-runtime-environment`).
pub const INIT_LIMIT: Duration = Duration::from_secs(10);

/// The most that a function may answer: far above what policies need, far below what would hurt.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A client wants to connect.
    Connect,
    /// A connected client's answer has to be renewed.
    Refresh,
}

/// Why a call gave no answer. Nothing of the event or of the answer is in it.
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
    /// Nothing took the call.
    #[error("can't reach the authorizer at `{place}`: {error}; {cure}")]
    Unreachable {
        /// Where it should be.
        place: String,
        /// What the system said.
        error: String,
        /// What to do.
        cure: &'static str,
    },
    /// The connection ended during the call.
    #[error("the connection to the authorizer at `{place}` broke during the call: {error}")]
    Broken {
        /// Where it is.
        place: String,
        /// What the system said.
        error: String,
    },
    /// Whatever took the call did not pass it on to the function.
    #[error("`{place}` answered the call with {answer}{cure}")]
    Refused {
        /// Where the function should be.
        place: String,
        /// A status or the name of an error.
        answer: String,
        /// What to do.
        cure: &'static str,
    },
    /// Lambda runs no more of it at a time.
    #[error("`{place}` takes no more calls at a time; raise the function's concurrency")]
    TooManyRequests {
        /// Where the function is.
        place: String,
    },
    /// The answer is larger than an answer may be.
    #[error("the authorizer's answer is larger than {} KiB", MAX_ANSWER_BYTES / 1024)]
    TooLarge,
}

/// The innermost error says what happened; those around it say that it happened to a client.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
