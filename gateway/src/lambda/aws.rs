//! A function in AWS, by its ARN.
//!
//! Source: AWS Lambda API reference, `Invoke`.

use std::{error::Error, pin::Pin};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_lambda::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata as _, SdkError},
    operation::invoke::InvokeError as AwsError,
    primitives::Blob,
};
use bytes::Bytes;
use hyper_util::client::legacy;
use iot_policy::arn::FunctionArn;

use super::{Call, InvokeError, MAX_ANSWER_BYTES, innermost, runtime_api::function_fault, slots::Slots};

const UNREACHABLE: &str =
    "are there credentials (`aws sts get-caller-identity`), and does this machine reach AWS?";

type Calling<'a> = Pin<Box<dyn Future<Output = Result<Bytes, InvokeError>> + Send + 'a>>;

/// A function in AWS.
pub struct AwsFunction {
    arn: FunctionArn,
    client: Client,
    slots: Slots,
}

/// The AWS configuration of the environment, with the function's own region.
pub async fn environment(arn: &FunctionArn) -> SdkConfig {
    let region = Region::new(arn.region().to_owned());
    aws_config::defaults(BehaviorVersion::latest()).region(region).load().await
}

impl AwsFunction {
    /// The function, called with this configuration. A failed call is not repeated: the device connects again.
    #[must_use]
    pub fn new(arn: FunctionArn, aws: &SdkConfig, slots: Slots) -> Self {
        let config = Builder::from(aws).retry_config(RetryConfig::disabled()).build();
        Self { arn, client: Client::from_conf(config), slots }
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> &FunctionArn {
        &self.arn
    }

    /// Waits for a slot, then calls the function with one event.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn invoke(&self, call: Call, payload: impl FnOnce() -> Bytes) -> Result<Bytes, InvokeError> {
        // Boxed: the call's state is large, and every connection would need memory for it. Its type is also too deep
        // for the compiler.
        let call_it = || -> Calling<'_> { Box::pin(self.call(payload())) };
        self.slots.run(call, call_it).await
    }

    async fn call(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let call = self.client.invoke().function_name(self.arn.as_str()).payload(Blob::new(payload));
        let answer = call.send().await.map_err(|error| self.fault(&error))?;
        let body = answer.payload.map(Blob::into_inner).unwrap_or_default();
        if answer.function_error.is_some() {
            return Err(InvokeError::Function(function_fault(&body)));
        }
        if body.len() > MAX_ANSWER_BYTES {
            return Err(InvokeError::TooLarge);
        }
        Ok(body.into())
    }

    /// The error for the log. AWS's own messages are not logged.
    fn fault(&self, error: &SdkError<AwsError>) -> InvokeError {
        let place = self.arn.to_string();
        match error {
            SdkError::ServiceError(answer) => match answer.err().code() {
                Some("TooManyRequestsException") => InvokeError::TooManyRequests { place },
                code => {
                    let status = || format!("status {}", answer.raw().status().as_u16());
                    let name = code.filter(|code| code.bytes().all(|b| b.is_ascii_alphanumeric()));
                    let answer = name.map_or_else(status, |name| format!("`{name}`"));
                    InvokeError::Refused { place, answer, cure: cure(code.unwrap_or_default()) }
                }
            },
            SdkError::ResponseError(_) => {
                InvokeError::Broken { place, error: "its answer can't be read".to_owned() }
            }
            other if broke(other) => InvokeError::Broken { place, error: innermost(other) },
            other => InvokeError::Unreachable { place, error: innermost(other), cure: UNREACHABLE },
        }
    }
}

/// Whether the connection broke, rather than never existed: without one the call was not sent.
fn broke(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if let Some(error) = this.downcast_ref::<legacy::Error>() {
            return !error.is_connect();
        }
        error = this.source();
    }
    false
}

fn cure(code: &str) -> &'static str {
    match code {
        "AccessDeniedException" => "; these credentials need `lambda:InvokeFunction` on the function",
        "ResourceNotFoundException" => "; the function, alias or version does not exist",
        "ExpiredTokenException" | "UnrecognizedClientException" | "InvalidSignatureException" => {
            "; these credentials are not valid: `aws sts get-caller-identity` checks them"
        }
        _ => "",
    }
}
