//! Metrics in CloudWatch's embedded metric format: one JSON line for each attempt, from which CloudWatch Logs makes
//! metrics.
//!
//! Source: Amazon CloudWatch user guide, `CloudWatch_Embedded_Metric_Format_Specification`.
//! Each value of a dimension is a metric that costs money, so no text of a device is a dimension.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use device_auth::{
    decision::{Allowed, Stop},
    scheme::Scheme,
};
use serde::Serialize;

use crate::{
    attempt::{Attempt, micros},
    fault::FunctionFault,
    store::Source,
};

/// The namespace of the metrics, and where their lines go.
pub struct Metrics {
    namespace: String,
    out: Mutex<Box<dyn Write + Send>>,
}

/// One line. Its field names are the names of the metrics and dimensions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metadata: Metadata<'a>,
    outcome: &'static str,
    scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    attempts: u8,
    total_time: u64,
    store_time: u64,
    cache_hits: u8,
    cold_starts: u8,
    stale_answers: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    timestamp: u64,
    cloud_watch_metrics: &'a [Directive<'a>],
}

/// Metrics with the combinations of dimensions by which they are counted.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: &'a [&'a [&'static str]],
    metrics: &'a [Metric],
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

const ATTEMPTS: Metric = Metric { name: "Attempts", unit: "Count" };
const TOTAL_TIME: Metric = Metric { name: "TotalTime", unit: "Microseconds" };
const STORE_TIME: Metric = Metric { name: "StoreTime", unit: "Microseconds" };
const CACHE_HITS: Metric = Metric { name: "CacheHits", unit: "Count" };
const COLD_STARTS: Metric = Metric { name: "ColdStarts", unit: "Count" };
const STALE_ANSWERS: Metric = Metric { name: "StaleAnswers", unit: "Count" };

/// The scheme of an event that was refused before its scheme was known.
const NO_SCHEME: &str = "none";

impl Metrics {
    /// Metrics of this namespace, written to `out`, one line at a time.
    pub fn new(namespace: String, out: impl Write + Send + 'static) -> Self {
        Self { namespace, out: Mutex::new(Box::new(out)) }
    }

    /// Writes the metrics of an attempt. After a fault the reason is the fault's type.
    pub fn attempt(&self, attempt: &Attempt<'_>, decided: &Result<Allowed, Stop<FunctionFault>>) {
        let scheme = attempt.identity.as_ref().map(|identity| identity.scheme);
        match decided {
            Ok(_) => self.write("allow", scheme, None, attempt),
            Err(Stop::Deny(reason)) => self.write("deny", scheme, Some(reason.as_str()), attempt),
            Err(Stop::Fault(fault)) => self.write("fault", None, Some(fault.error_type()), attempt),
        }
    }

    fn write(
        &self,
        outcome: &'static str,
        scheme: Option<Scheme>,
        reason: Option<&'static str>,
        attempt: &Attempt<'_>,
    ) {
        let whole: &[&[&str]] = &[&[]];
        let namespace = self.namespace.as_str();
        let times = [ATTEMPTS, TOTAL_TIME, STORE_TIME];
        let rates = [CACHE_HITS, COLD_STARTS, STALE_ANSWERS];
        let directives = [
            Directive { namespace, dimensions: &[&["Outcome"], &["Outcome", "Scheme"]], metrics: &times },
            Directive { namespace, dimensions: whole, metrics: &rates },
            Directive { namespace, dimensions: &[&["Reason"]], metrics: &[ATTEMPTS] },
        ];
        let used = if reason.is_some() { 3 } else { 2 };
        let metadata = Metadata {
            timestamp: millis(SystemTime::now()),
            cloud_watch_metrics: directives.get(..used).unwrap_or_default(),
        };
        let line = Line {
            metadata,
            outcome,
            scheme: scheme.map_or(NO_SCHEME, Scheme::as_str),
            reason,
            attempts: 1,
            total_time: micros(attempt.total_time),
            store_time: micros(attempt.store_time),
            cache_hits: u8::from(matches!(attempt.source, Some(Source::Cache | Source::Stale))),
            cold_starts: u8::from(attempt.cold_start),
            stale_answers: u8::from(matches!(attempt.source, Some(Source::Stale))),
        };
        self.write_line(&line);
    }

    /// Metrics that can't be written are lost. That does not affect the decision.
    fn write_line(&self, line: &Line<'_>) {
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            _ = out.write_all(&text).and_then(|()| out.flush());
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use device_auth::{deny_reason::DenyReason, device_name::DeviceName};
    use iot_policy::arn::FunctionArn;
    use lambda_runtime::Context;
    use serde_json::Value;

    use super::*;
    use crate::attempt::ClaimedIdentity;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Checks that the line has every name of its metadata, as a number or a text. Otherwise CloudWatch drops the line.
    fn check(line: &Value) {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "Fleet");
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{metric}");
                assert!(["Count", "Microseconds"].contains(&metric["Unit"].as_str().unwrap()));
            }
            for names in directive["Dimensions"].as_array().unwrap() {
                let names = names.as_array().unwrap();
                assert!(names.len() <= 30);
                assert!(names.iter().all(|name| line[name.as_str().unwrap()].is_string()), "{names:?}");
            }
        }
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    }

    #[test]
    fn metrics_lines_follow_the_embedded_metric_format() {
        let lines = Lines::default();
        let metrics = Metrics::new("Fleet".to_owned(), lines.clone());
        let identity = ClaimedIdentity {
            device: DeviceName::try_from("sht20").unwrap(),
            client_id: None,
            scheme: Scheme::Password,
        };
        let context = Context::default();
        let refused = Attempt {
            identity: Some(identity),
            store_time: Duration::from_micros(7),
            total_time: Duration::from_micros(40),
            source: Some(Source::Cache),
            ..Attempt::new(&context, None, true)
        };
        metrics.attempt(&refused, &Err(Stop::Deny(DenyReason::WrongPassword)));
        let fault = FunctionFault::FunctionArn("".parse::<FunctionArn>().unwrap_err());
        metrics.attempt(
            &Attempt { source: Some(Source::Stale), cold_start: false, ..refused },
            &Err(Stop::Fault(fault)),
        );
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        lines.iter().for_each(check);
        let [refused, fault] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&refused["Outcome"], &refused["Scheme"]), (&"deny".into(), &"password".into()));
        assert_eq!((&refused["Reason"], &refused["Attempts"]), (&"wrong_password".into(), &1.into()));
        assert_eq!((&refused["TotalTime"], &refused["StoreTime"]), (&40.into(), &7.into()));
        assert_eq!((&refused["CacheHits"], &refused["ColdStarts"]), (&1.into(), &1.into()));
        assert_eq!((&fault["Outcome"], &fault["Reason"]), (&"fault".into(), &"function_arn_fault".into()));
        assert_eq!((&fault["CacheHits"], &fault["ColdStarts"]), (&1.into(), &0.into()));
        assert_eq!((&refused["StaleAnswers"], &fault["StaleAnswers"]), (&0.into(), &1.into()));
    }
}
