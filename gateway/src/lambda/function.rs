//! A function, wherever it runs: a program of this machine, what answers at an Invoke URL, or a function in AWS.

use std::{fmt, time::Duration};

use bytes::Bytes;
use iot_policy::{arn::FunctionArn, limits::AUTHORIZER_TIMEOUT_SECONDS};

#[cfg(feature = "aws-lambda")]
use super::aws::AwsFunction;
use super::{
    Call, InvokeError,
    injected_fault::InjectedFaults,
    instance::ProcessCounts,
    invoke_url::InvokeUrl,
    pool::{LocalFunction, Pool},
    program::Program,
    slots::Slots,
    url::{TlsError, UrlFunction},
};
use crate::{clock::Clock, event_log::EventLog};

/// The time limit of one call, and of the wait before it.
const LIMIT: Duration = Duration::from_secs(AUTHORIZER_TIMEOUT_SECONDS as u64);

/// Where an authorizer's function is, and how it is called.
#[derive(Clone, Debug)]
pub struct FunctionConfiguration {
    /// Where the function is.
    pub source: FunctionSource,
    /// How many connects may call it at a time; refreshes have one more call of their own.
    pub instances: usize,
}

/// Where a function is.
#[derive(Clone, Debug)]
pub enum FunctionSource {
    /// A program of this machine, which the gateway starts.
    Program(Program),
    /// A function that runs elsewhere and answers Lambda's Invoke call at this URL.
    InvokeUrl(InvokeUrl),
    /// A function in AWS.
    FunctionArn(FunctionArn),
}

/// A function that can be called.
pub struct Function {
    runner: Runner,
    injected: InjectedFaults,
    clock: Clock,
}

/// What runs a function.
enum Runner {
    /// A program of this machine.
    Program(Box<Pool>),
    /// What answers at a URL.
    Url(Box<UrlFunction>),
    /// A function in AWS.
    #[cfg(feature = "aws-lambda")]
    Aws(Box<AwsFunction>),
    /// Nothing: the settings have no function for this ARN.
    Absent(FunctionArn),
}

/// Where a function writes its own log. It displays as a clause that sends a person there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionLog {
    /// The gateway's log has its lines.
    Here,
    /// What runs at this URL has them.
    At(String),
    /// CloudWatch Logs has them, in this function's log group.
    CloudWatch(FunctionArn),
}

/// Why a function can't be called at all.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// TLS for an `https` URL can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This program was built without a client for AWS.
    #[cfg(not(feature = "aws-lambda"))]
    #[error(
        "this program was built without AWS's client, so it can't call `{0}`; build `latchkey` with `--features aws`, \
         or `latchkey-gateway` with `--features aws-lambda`"
    )]
    NoAws(FunctionArn),
}

impl FunctionConfiguration {
    /// How many connects may call a function at a time by default.
    pub const DEFAULT_INSTANCES: usize = 4;

    /// A function with the default number of instances.
    #[must_use]
    pub fn new(source: FunctionSource) -> Self {
        Self { source, instances: Self::DEFAULT_INSTANCES }
    }
}

impl Function {
    /// Prepares the function, and calls nothing yet. A program of this machine is told that its ARN is `local_arn`.
    ///
    /// # Errors
    ///
    /// When this gateway can't call such a function.
    #[cfg_attr(
        not(feature = "aws-lambda"),
        expect(clippy::unused_async, reason = "AWS's client reads its environment, and waits for it")
    )]
    pub async fn new(
        configuration: FunctionConfiguration,
        local_arn: &str,
        clock: &Clock,
        log: &EventLog,
        injected: &InjectedFaults,
    ) -> Result<Self, FunctionError> {
        let FunctionConfiguration { source, instances } = configuration;
        let slots = || Slots::new(instances, LIMIT, clock.clone());
        let runner = match source {
            FunctionSource::Program(program) => {
                let function = LocalFunction { program, arn: local_arn.to_owned(), limit: LIMIT, instances };
                Runner::Program(Box::new(Pool::new(function, clock.clone(), log.clone())))
            }
            FunctionSource::InvokeUrl(url) => Runner::Url(Box::new(UrlFunction::new(url, slots())?)),
            #[cfg(feature = "aws-lambda")]
            FunctionSource::FunctionArn(arn) => {
                let aws = Box::pin(super::aws::environment(&arn)).await;
                Runner::Aws(Box::new(AwsFunction::new(arn, &aws, slots())))
            }
            #[cfg(not(feature = "aws-lambda"))]
            FunctionSource::FunctionArn(arn) => return Err(FunctionError::NoAws(arn)),
        };
        Ok(Self { runner, injected: injected.clone(), clock: clock.clone() })
    }

    /// Nothing, in the place of a function that the settings do not have.
    #[must_use]
    pub fn absent(arn: FunctionArn, clock: &Clock) -> Self {
        Self { runner: Runner::Absent(arn), injected: InjectedFaults::default(), clock: clock.clone() }
    }

    /// Starts one instance before the first call, so that a wrong configuration shows at once. A function that runs
    /// elsewhere is not called before a client connects.
    ///
    /// # Errors
    ///
    /// When the instance can't be started.
    pub async fn warm_up(&self) -> Result<(), InvokeError> {
        match &self.runner {
            Runner::Program(pool) => pool.warm_up().await,
            Runner::Url(_) | Runner::Absent(_) => Ok(()),
            #[cfg(feature = "aws-lambda")]
            Runner::Aws(_) => Ok(()),
        }
    }

    /// Where it writes its own log.
    #[must_use]
    pub fn log(&self) -> FunctionLog {
        match &self.runner {
            // One that is absent has no log, and its error says that.
            Runner::Program(_) | Runner::Absent(_) => FunctionLog::Here,
            Runner::Url(function) => FunctionLog::At(function.url().to_string()),
            #[cfg(feature = "aws-lambda")]
            Runner::Aws(function) => FunctionLog::CloudWatch(function.arn().clone()),
        }
    }

    /// The processes of its instances, if the gateway starts them.
    #[must_use]
    pub fn processes(&self) -> Option<ProcessCounts> {
        match &self.runner {
            Runner::Program(pool) => Some(pool.processes().counts()),
            _ => None,
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.runner {
            Runner::Program(pool) => pool.program().path.display().to_string(),
            Runner::Url(function) => function.url().to_string(),
            Runner::Absent(arn) => format!("nothing stands for `{}` here", arn.as_str()),
            #[cfg(feature = "aws-lambda")]
            Runner::Aws(function) => function.arn().as_str().to_owned(),
        }
    }

    /// Calls the function with one event. The call waits while all instances are busy, but no longer than a call may
    /// take; `payload` is called after the wait.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn invoke(&self, call: Call, payload: impl FnOnce() -> Bytes) -> Result<Bytes, InvokeError> {
        if !matches!(self.runner, Runner::Absent(_)) {
            self.injected.befall(&self.clock, LIMIT).await?;
        }
        match &self.runner {
            Runner::Program(pool) => pool.invoke(call, payload).await,
            Runner::Url(function) => function.invoke(call, payload).await,
            Runner::Absent(arn) => Err(InvokeError::Absent(arn.clone())),
            #[cfg(feature = "aws-lambda")]
            Runner::Aws(function) => function.invoke(call, payload).await,
        }
    }
}

impl fmt::Display for FunctionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("its own lines in this log say why, if it writes any"),
            Self::At(url) => write!(f, "the log of what runs at `{url}` may say why"),
            Self::CloudWatch(arn) => {
                write!(f, "the log of `{}` in CloudWatch Logs may say why", arn.as_str())
            }
        }
    }
}
