//! Checks that the decisions are in the authorizer's log, in CloudWatch.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::{Client, types::FilteredLogEvent};
use device_sim::Deployment;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::check::{Check, Result};
use crate::aws::{call_error, has_code};

/// The names of the checks.
pub(super) const NAMES: [&str; 2] = ["its decision is in the log", "the refusal is in the log"];

const BETWEEN_READS: Duration = Duration::from_secs(3);

/// The decisions about one client id since a moment.
pub(super) struct Log<'a> {
    client: Client,
    group: &'a str,
    client_id: &'a str,
    /// The moment, counted from 1970.
    start: Duration,
}

/// The decisions that the connections showed, and that the log must have.
#[derive(Clone, Copy)]
pub(super) struct Decisions {
    pub(super) allowed: bool,
    pub(super) refused: bool,
}

/// The log's lines of the two decisions.
#[derive(Default)]
struct DecisionLines {
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

    /// Reads the log until it has the decisions that were made, for up to `wait`.
    pub(super) async fn checks(&self, wait: Duration, decisions: Decisions) -> [Check; 2] {
        let Decisions { allowed, refused } = decisions;
        if !allowed && !refused {
            return NAMES.map(not_made);
        }
        let [decision, refusal] = NAMES;
        let end = Instant::now() + wait;
        let lines = loop {
            match self.read().await {
                Ok(lines) if lines.have(decisions) => break lines,
                Ok(lines) if Instant::now() + BETWEEN_READS > end => break lines,
                Ok(_) => sleep(BETWEEN_READS).await,
                Err((cause, cure)) => {
                    return [(decision, allowed), (refusal, refused)].map(|(name, was_made)| {
                        let failed = || Check { name, result: Result::failed(&cause, &cure) };
                        if was_made { failed() } else { not_made(name) }
                    });
                }
            }
        };
        [(decision, allowed, lines.allowed), (refusal, refused, lines.refused)].map(
            |(name, was_made, line)| {
                if was_made { Check { name, result: self.result(line, wait) } } else { not_made(name) }
            },
        )
    }

    fn result(&self, line: Option<Value>, wait: Duration) -> Result {
        let Some(line) = line else {
            return Result::failed(
                format!("no such line in `{}` within {wait:?}", self.group),
                "wait longer with `--wait 5m`, check this machine's clock, and check that this deployment's function \
                 answers",
            );
        };
        let text = |field: &str| line.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reason = line.get("reason").map(|_| format!(", {}", text("reason"))).unwrap_or_default();
        Result::Passed(format!("{}{reason}, connection {}", text("outcome"), text("connection_id")))
    }

    async fn read(&self) -> std::result::Result<DecisionLines, (String, String)> {
        let pattern = format!(r#"{{ $.event = "decision" && $.client_id = "{}" }}"#, self.client_id);
        let start = i64::try_from(self.start.as_millis()).unwrap_or(i64::MAX);
        let call = self.client.filter_log_events().log_group_name(self.group).start_time(start);
        let mut pages = call.filter_pattern(pattern).into_paginator().send();
        let mut lines = DecisionLines::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.unread(&error))?;
            for message in page.events().iter().filter_map(FilteredLogEvent::message) {
                lines.add(serde_json::from_str(message).unwrap_or_default(), self.client_id);
            }
        }
        Ok(lines)
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
        (call_error(error, "logs:FilterLogEvents").to_string(), cure)
    }
}

fn not_made(name: &'static str) -> Check {
    Check::not_run(name, "no connection led to such a decision")
}

impl DecisionLines {
    fn have(&self, Decisions { allowed, refused }: Decisions) -> bool {
        (self.allowed.is_some() || !allowed) && (self.refused.is_some() || !refused)
    }

    /// Adds a line. The service has filtered the lines, but a check that relies on a filter can pass by mistake.
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
