//! The authorizer's log, as CloudWatch has it.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::{Client, types::FilteredLogEvent};
use device_sim::Deployment;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::check::{Check, Result};
use crate::aws::{has_code, told};

/// The checks.
pub(super) const NAMES: [&str; 2] = ["its decision is in the log", "the refusal is in the log"];

const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// The decisions about one client id from some moment on.
pub(super) struct Log<'a> {
    client: Client,
    group: &'a str,
    client_id: &'a str,
    /// Since 1970.
    start: Duration,
}

/// Which decisions were made, as far as whoever connected knows.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) allowed: bool,
    pub(super) refused: bool,
}

/// What was found so far: the lines of the two decisions.
#[derive(Default)]
struct Found {
    allowed: Option<Value>,
    refused: Option<Value>,
}

impl<'a> Log<'a> {
    pub(super) fn new(
        aws: &SdkConfig,
        deployment: &'a Deployment,
        client_id: &'a str,
        start: Duration,
    ) -> Self {
        Self { client: Client::new(aws), group: &deployment.log_group, client_id, start }
    }

    /// Looks again and again until the decisions that were made are there, for so long.
    pub(super) async fn checks(&self, wait: Duration, wanted: Wanted) -> [Check; 2] {
        if !wanted.allowed && !wanted.refused {
            return NAMES.map(not_made);
        }
        let end = Instant::now() + wait;
        let found = loop {
            match self.look().await {
                Ok(found) if found.has(wanted) => break found,
                Ok(found) if Instant::now() + BETWEEN_LOOKS > end => break found,
                Ok(_) => sleep(BETWEEN_LOOKS).await,
                Err((cause, cure)) => {
                    let [decision, refusal] = NAMES;
                    let check = |name, is_wanted| {
                        let failed = || Check { name, result: Result::failed(&cause, &cure) };
                        if is_wanted { failed() } else { not_made(name) }
                    };
                    return [check(decision, wanted.allowed), check(refusal, wanted.refused)];
                }
            }
        };
        let [decision, refusal] = NAMES;
        let check = |name, is_wanted, line| {
            if is_wanted { Check { name, result: self.told(line, wait) } } else { not_made(name) }
        };
        [check(decision, wanted.allowed, found.allowed), check(refusal, wanted.refused, found.refused)]
    }

    fn told(&self, line: Option<Value>, wait: Duration) -> Result {
        let Some(line) = line else {
            return Result::failed(
                format!("no such line in `{}` within {wait:?}", self.group),
                "wait longer with `--wait 5m`; look at this machine's clock; or the function that answered is not this \
                 deployment's",
            );
        };
        let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reason = line.get("reason").map(|_| format!(", {}", text("reason"))).unwrap_or_default();
        Result::Passed(format!("{}{reason}, connection {}", text("outcome"), text("connection_id")))
    }

    async fn look(&self) -> std::result::Result<Found, (String, String)> {
        let pattern = format!(r#"{{ $.event = "decision" && $.client_id = "{}" }}"#, self.client_id);
        let start = i64::try_from(self.start.as_millis()).unwrap_or(i64::MAX);
        let call = self.client.filter_log_events().log_group_name(self.group).start_time(start);
        let mut pages = call.filter_pattern(pattern).into_paginator().send();
        let mut found = Found::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.unread(&error))?;
            for message in page.events().iter().filter_map(FilteredLogEvent::message) {
                found.add(serde_json::from_str(message).unwrap_or_default(), self.client_id);
            }
        }
        Ok(found)
    }

    fn unread<E, R>(&self, error: &aws_sdk_cloudwatchlogs::error::SdkError<E, R>) -> (String, String)
    where
        E: aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let cure = if has_code(error, "ResourceNotFoundException") {
            format!("there is no log group `{}` in this account and region: `make deploy`", self.group)
        } else {
            "docs/operations.md has the permissions of a smoke test".to_owned()
        };
        (told(error, "logs:FilterLogEvents").to_string(), cure)
    }
}

fn not_made(name: &'static str) -> Check {
    Check::not_run(name, "the connection that would have led to it was not decided so")
}

impl Found {
    fn has(&self, Wanted { allowed, refused }: Wanted) -> bool {
        (self.allowed.is_some() || !allowed) && (self.refused.is_some() || !refused)
    }

    /// The service has filtered already, but a check that trusts a filter can pass by mistake.
    fn add(&mut self, line: Value, client_id: &str) {
        let is = |field: &str, value: &str| line.get(field).is_some_and(|it| it == value);
        let is_ours = is("event", "decision") && is("client_id", client_id);
        if is_ours && is("outcome", "allow") {
            self.allowed.get_or_insert(line);
        } else if is_ours && is("outcome", "deny") && is("reason", "wrong_password") {
            self.refused.get_or_insert(line);
        }
    }
}
