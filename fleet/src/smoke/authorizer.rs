//! Checks the authorizer's answers without a connection (`TestInvokeAuthorizer`).

use aws_config::SdkConfig;
use aws_sdk_iot::{
    Client,
    operation::test_invoke_authorizer::TestInvokeAuthorizerOutput,
    primitives::Blob,
    types::{AuthorizerDescription, MqttContext},
};
use device_sim::{Authorizer, Deployment};

use super::{
    check::{Check, Result},
    device::Device,
};
use crate::aws::{call_error, check_location, has_code, is_bare_refusal};

/// The names of the checks.
pub(super) const NAMES: [&str; 2] = ["authorizer accepts the password", "authorizer refuses another"];

/// The checks of the authorizer's answers.
pub(super) struct AuthorizerChecks<'a> {
    client: Client,
    deployment: &'a Deployment,
    authorizer: &'a Authorizer,
    device: &'a Device,
}

impl<'a> AuthorizerChecks<'a> {
    pub(super) fn new(aws: &SdkConfig, deployment: &'a Deployment, device: &'a Device) -> Self {
        Self { client: Client::new(aws), deployment, authorizer: &deployment.authorizer, device }
    }

    /// Whether IoT Core checks a signed token before it calls the function. An authorizer that does not exist needs
    /// none; the checks report that it does not exist.
    ///
    /// # Errors
    ///
    /// When it can't be read, or is in another account or region than the deployment.
    pub(super) async fn needs_tokens(&self) -> anyhow::Result<bool> {
        let call = self.client.describe_authorizer().authorizer_name(self.authorizer.to_string());
        let found = match call.send().await {
            Ok(found) => found.authorizer_description,
            Err(error) if has_code(&error, "ResourceNotFoundException") => return Ok(false),
            Err(error) => return Err(call_error(&error, "iot:DescribeAuthorizer")),
        };
        check_location(
            Some(self.deployment),
            found.as_ref().and_then(AuthorizerDescription::authorizer_arn),
        )?;
        Ok(found.and_then(|it| it.signing_disabled()) == Some(false))
    }

    pub(super) async fn run(&self) -> [Check; 2] {
        let Device { row, wrong } = self.device;
        let [accepts, refuses] = NAMES;
        let right = self.invoke(row.password.expose()).await;
        let wrong = self.invoke(wrong.text().as_bytes()).await;
        [
            Check {
                name: accepts,
                result: right.map_or_else(|failed| failed, |answer| self.allowed(answer.as_ref())),
            },
            Check {
                name: refuses,
                result: wrong.map_or_else(|failed| failed, |answer| self.denied(answer.as_ref())),
            },
        ]
    }

    /// The authorizer's answer; `None` for a refusal without a principal or documents, which IoT Core reports as an
    /// invalid answer. At a connect such an answer is a refusal too.
    async fn invoke(
        &self,
        password: &[u8],
    ) -> std::result::Result<Option<TestInvokeAuthorizerOutput>, Result> {
        let row = &self.device.row;
        let context = MqttContext::builder().username(&row.user_name).client_id(&row.client_id);
        let context = context.password(Blob::new(password)).build();
        let call = self.client.test_invoke_authorizer().authorizer_name(self.authorizer.to_string());
        let error = match call.mqtt_context(context).send().await {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) if is_bare_refusal(&error) => return Ok(None),
            Err(error) => error,
        };
        let cure = if has_code(&error, "ResourceNotFoundException") {
            format!("there is no authorizer `{}` in this account and region: `make deploy`", self.authorizer)
        } else if has_code(&error, "InvalidResponseException") {
            "the function failed: its log group has the cause; docs/operations.md#faults".to_owned()
        } else {
            "docs/operations.md has the permissions of a smoke test".to_owned()
        };
        Err(Result::failed(call_error(&error, "iot:TestInvokeAuthorizer").to_string(), cure))
    }

    fn allowed(&self, answer: Option<&TestInvokeAuthorizerOutput>) -> Result {
        let row = &self.device.row;
        let Some(answer) = answer.filter(|answer| answer.is_authenticated() == Some(true)) else {
            let cause = format!("it refuses `{}` with the password of the file", row.device);
            return Result::failed(
                cause,
                "its record may have another password, or there is none; the query `last decisions of a device` in \
                 docs/operations.md shows the reason",
            );
        };
        let documents = answer.policy_documents();
        let client = format!(":client/{}\"", row.client_id);
        if !documents.iter().any(|document| document.contains(&client)) {
            let cause = format!("no policy in its answer names the client id `{}`", row.client_id);
            return Result::failed(cause, "check the record's grant and its `client_ids`");
        }
        Result::Passed(format!("policy documents: {}", documents.len()))
    }

    fn denied(&self, answer: Option<&TestInvokeAuthorizerOutput>) -> Result {
        match answer.map(TestInvokeAuthorizerOutput::is_authenticated) {
            None => return Result::Passed("the answer has no principal or no documents".to_owned()),
            Some(Some(false)) => return Result::Passed("isAuthenticated is false".to_owned()),
            Some(_) => {}
        }
        let authorizer = self.authorizer;
        Result::failed(
            "it does not refuse a wrong password",
            format!(
                "switch it off with `aws iot update-authorizer --authorizer-name {authorizer} --status INACTIVE`, and \
                 check which function it calls"
            ),
        )
    }
}
