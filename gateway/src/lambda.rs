//! AWS Lambda, as far as an authorizer needs it.
//!
//! A [`function`] is a program of this machine, what answers at an Invoke URL, or a function in AWS. A program runs in a
//! [pool] of instances, and each [instance] has its own [Runtime API](runtime_api).
//!
//! Source: AWS Lambda developer guide, `runtimes-api` and `lambda-runtime-environment`; API reference, `Invoke`.

#[cfg(feature = "aws-lambda")]
pub mod aws;
pub mod function;
pub mod functions;
pub mod injected_fault;
pub mod instance;
pub mod invoke_url;
pub mod pool;
pub mod program;
pub mod runtime_api;
pub mod slots;
pub mod url;

use std::{error::Error, fmt, time::Duration};

use iot_policy::arn::FunctionArn;

/// The time limit of a function's initialisation (developer guide, `lambda-runtime-environment`).
pub const INIT_LIMIT: Duration = Duration::from_secs(10);

/// The largest answer of a function: far more than policies need, far less than would harm the gateway.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The reason for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A client connects.
    Connect,
    /// The answer about a connected client has to be refreshed.
    Refresh,
}

/// Why a call has no answer. It contains nothing of the event or of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The program could not be started.
    #[error("can't start the authorizer `{program}`: {error}")]
    Start {
        /// The program.
        program: String,
        /// What the operating system says.
        error: String,
    },
    /// The program ended before it asked for its first event.
    #[error("the authorizer ended during its start with {status}: {message}{hint}")]
    Init {
        /// Its exit status.
        status: String,
        /// Its exit code, if it had one.
        code: Option<i32>,
        /// The last lines that it wrote to standard error.
        message: String,
        /// What to do, beginning with a separator, or nothing.
        hint: &'static str,
    },
    /// The program did not ask for an event in time.
    #[error(
        "the authorizer did not ask for its first event within {INIT_LIMIT:?}, AWS's limit for a start; its own lines may say \
             what it waits for{hint}"
    )]
    InitTimeout {
        /// What else may be the cause, beginning with a separator, or nothing.
        hint: &'static str,
    },
    /// All instances were busy during the whole time limit.
    #[error("all instances of the authorizer are busy; `--instances` allows more")]
    Throttled,
    /// The call exceeded its time limit. Its instance was ended.
    #[error("the authorizer did not answer within {0:?}, AWS's limit; its own log may say what it waits for")]
    Timeout(Duration),
    /// The instance ended during the call.
    #[error("the authorizer ended during the call with {0}; its own lines before this one may say why")]
    Crash(String),
    /// The function reported an error.
    #[error("the authorizer reported `{}`; its own log has details", .0.error_type)]
    Function(FunctionFault),
    /// The function's ARN is that of an authorizer, and nothing stands for it here.
    #[error("no function stands for `{0}` here: name it in a table `[[function]]` of the settings file")]
    Absent(FunctionArn),
    /// Nothing accepted the call.
    #[error("can't reach the authorizer at `{place}`: {error}; {cure}")]
    Unreachable {
        /// Where the function should be.
        place: String,
        /// What the system says.
        error: String,
        /// What to do.
        cure: &'static str,
    },
    /// The connection ended during the call.
    #[error(
        "the connection to the authorizer at `{place}` broke during the call: {error}; the log of what runs there may say why"
    )]
    Broken {
        /// Where the function is.
        place: String,
        /// What the system says.
        error: String,
    },
    /// The other end refused the call and did not run the function.
    #[error("`{place}` answered the call with {answer}{cure}")]
    Refused {
        /// Where the function should be.
        place: String,
        /// The status, or the error's name.
        answer: String,
        /// What to do.
        cure: &'static str,
    },
    /// The function's concurrency is used up.
    #[error("`{place}` accepts no more calls at a time; raise the function's concurrency")]
    TooManyRequests {
        /// Where the function is.
        place: String,
    },
    /// The answer is larger than [`MAX_ANSWER_BYTES`].
    #[error("the authorizer's answer is larger than {} KiB: an answer has at most 10 policy documents", MAX_ANSWER_BYTES / 1024)]
    TooLarge,
}

/// An error that a function reports.
#[derive(Clone, PartialEq, Eq)]
pub struct FunctionFault {
    /// The error's type, or words that say that there is none.
    pub error_type: String,
    /// The error's message. It may contain secrets, so it is in no log: only the caller of `TestInvokeAuthorizer` reads it.
    pub message: String,
}

impl fmt::Debug for FunctionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionFault").field("error_type", &self.error_type).finish_non_exhaustive()
    }
}

/// The innermost error's text: the errors around it only say that a client failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
