//! The ways to a function.

use std::time::Duration;

use bytes::Bytes;
use iot_policy::limits::AUTHORIZER_TIMEOUT_SECONDS;

#[cfg(feature = "aws-lambda")]
use super::aws::AwsFunction;
use super::{
    Call, Function, InvokeError,
    pool::Pool,
    slots::Slots,
    url::{TlsError, UrlFunction},
};
use crate::{
    clock::Clock,
    event_log::EventLog,
    settings::{Account, FunctionSettings, Source},
};

/// The name of a local program in its ARN.
const FUNCTION_NAME: &str = "latchkey-authorizer";
/// How long one call may take, and the wait for its turn.
const LIMIT: Duration = Duration::from_secs(AUTHORIZER_TIMEOUT_SECONDS as u64);

/// A function, wherever it runs.
pub enum Backend {
    /// A program of this machine.
    Program(Box<Pool>),
    /// What answers at a URL.
    Url(Box<UrlFunction>),
    /// A function in AWS.
    #[cfg(feature = "aws-lambda")]
    Aws(Box<AwsFunction>),
}

/// Why there is no way to a function.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// `https` can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This program has no client for AWS in it.
    #[cfg(not(feature = "aws-lambda"))]
    #[error(
        "this gateway is built without AWS's client, so it can't call `{0}`; `latchkey local` has it, and so has \
         one built with `--features aws-lambda`"
    )]
    NoAws(iot_policy::arn::FunctionArn),
}

impl Backend {
    /// The way that the settings describe. Nothing is called yet.
    ///
    /// # Errors
    ///
    /// When there is none.
    #[cfg_attr(
        not(feature = "aws-lambda"),
        expect(clippy::unused_async, reason = "AWS's client reads its environment, and waits for it")
    )]
    pub async fn new(
        settings: FunctionSettings,
        account: &Account,
        clock: &Clock,
        log: &EventLog,
    ) -> Result<Self, BackendError> {
        let FunctionSettings { source, instances } = settings;
        let slots = || Slots::new(instances, LIMIT, clock.clone());
        Ok(match source {
            Source::Program(program) => {
                let Account { partition, region, id } = account;
                let arn = format!("arn:{partition}:lambda:{region}:{id}:function:{FUNCTION_NAME}");
                let function = Function { program, arn, limit: LIMIT, instances };
                Self::Program(Box::new(Pool::new(function, clock.clone(), log.clone())))
            }
            Source::InvokeUrl(url) => Self::Url(Box::new(UrlFunction::new(url, slots())?)),
            #[cfg(feature = "aws-lambda")]
            Source::FunctionArn(arn) => {
                let aws = Box::pin(super::aws::environment(&arn)).await;
                Self::Aws(Box::new(AwsFunction::new(arn, &aws, slots())))
            }
            #[cfg(not(feature = "aws-lambda"))]
            Source::FunctionArn(arn) => return Err(BackendError::NoAws(arn)),
        })
    }

    /// Starts one instance ahead of the first call, so that a wrong configuration shows at once. What runs elsewhere
    /// is not called without a client's wish.
    ///
    /// # Errors
    ///
    /// When the instance can't be started.
    pub async fn warm_up(&self) -> Result<(), InvokeError> {
        match self {
            Self::Program(pool) => pool.warm_up().await,
            Self::Url(_) => Ok(()),
            #[cfg(feature = "aws-lambda")]
            Self::Aws(_) => Ok(()),
        }
    }

    /// Calls the function with one event. While as many calls as may be are under way this one waits, but no longer
    /// than a call may take; `payload` is made only when its turn has come.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn invoke(&self, call: Call, payload: impl FnOnce() -> Bytes) -> Result<Bytes, InvokeError> {
        match self {
            Self::Program(pool) => pool.invoke(call, payload).await,
            Self::Url(function) => function.invoke(call, payload).await,
            #[cfg(feature = "aws-lambda")]
            Self::Aws(function) => function.invoke(call, payload).await,
        }
    }
}
