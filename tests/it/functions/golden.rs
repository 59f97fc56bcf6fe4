//! AWS's sample events and every kind of bad input in, the exact answer and the log's reason out.

pub(crate) mod function;
mod run_time;

use std::collections::BTreeSet;

use device_auth::deny_reason::DenyReason;
use integration::{captured_log, fixture};
use lambda_runtime::Context;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::function::FunctionCase;

pub(crate) const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:latchkey-authorizer";
/// The files of cases. `golden/make.py` writes all but the first.
const THEMES: [&str; 7] = ["password", "alibaba", "tencent", "jwt", "token", "http", "certificate"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    name: String,
    #[serde(default = "function_arn")]
    function_arn: String,
    /// How the function is set up, where it is not as by default.
    #[serde(default)]
    pub(crate) function: FunctionCase,
    pub(crate) event: Box<RawValue>,
    answer: Value,
    /// The reason in the log, for a refusal.
    reason: Option<String>,
    /// Which verifier matched, for an answer that lets in.
    verifier: Option<u64>,
}

#[tokio::test]
async fn events_get_their_exact_answer_and_reason() {
    let log = captured_log::of_this_thread();
    let mut wrong = Vec::new();
    for case in cases() {
        let function = case.function.start();
        let answer = function.handle(&case.event, &context(&case.function_arn)).await.unwrap();
        let lines = log.take_lines();
        let (warnings, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line["level"] == "WARN");
        assert_eq!(lines.len(), 1, "{}: one line for each attempt", case.name);
        let of = |field: &str| lines[0].get(field).cloned();
        let seen = (
            serde_json::to_value(answer).unwrap(),
            of("outcome"),
            of("reason"),
            of("verifier"),
            warnings.len(),
        );
        let outcome = if case.reason.is_some() { "deny" } else { "allow" };
        let (reason, verifier) = (case.reason.map(Value::from), case.verifier.map(Value::from));
        let expected = (case.answer, Some(outcome.into()), reason, verifier, 0);
        if seen != expected {
            wrong.push(format!("{}\n  seen     {seen:?}\n  expected {expected:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_reason_has_a_case() {
    let at_run_time = run_time::REASONS.map(str::to_owned);
    let met = cases().into_iter().filter_map(|case| case.reason).chain(at_run_time).collect::<BTreeSet<_>>();
    let all = DenyReason::all().map(|reason| reason.as_str().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(met, all);
}

#[tokio::test]
async fn an_event_that_mqtt_cannot_carry_is_refused() {
    let (function, log) = (FunctionCase::default().start(), captured_log::of_this_thread());
    let oversized = "u".repeat(65_535);
    let cases = [
        (json!({"username": oversized, "password": "cA==", "clientId": "c"}), "user_name_too_long"),
        (json!({"username": format!("?{oversized}"), "password": "cA==", "clientId": "c"}), "no_user_name"),
        (
            json!({"username": format!("sht20?{oversized}"), "password": "cA==", "clientId": "sht20"}),
            "wrong_password",
        ),
        (
            json!({"username": "sht20", "password": "AAAA".repeat(21_845), "clientId": "sht20"}),
            "wrong_password",
        ),
        (json!({"username": "sht20", "password": "cA==", "clientId": oversized}), "client_id_too_long"),
    ];
    for (mqtt, reason) in cases {
        let event = json!({"protocolData": {"mqtt": mqtt}}).to_string();
        let event = RawValue::from_string(event).unwrap();
        let answer = function.handle(&event, &context(FUNCTION_ARN)).await.unwrap();
        assert_eq!(serde_json::to_value(answer).unwrap(), json!({"isAuthenticated": false}));
        assert_eq!(log.take_lines()[0]["reason"], reason);
    }
}

#[tokio::test]
async fn a_fault_is_an_error_and_not_a_refusal() {
    let (function, log) = (FunctionCase::default().start(), captured_log::of_this_thread());
    let event = RawValue::from_string(
        json!({"protocolData": {"mqtt": {"username": "sht20", "password": "cA==", "clientId": "sht20"}}})
            .to_string(),
    );
    let answer = function.handle(&event.unwrap(), &context("not-an-arn")).await;
    assert_eq!(answer.unwrap_err().error_type(), "function_arn_fault");
    let lines = log.take_lines();
    assert_eq!(
        (&lines[0]["outcome"], &lines[0]["error_type"]),
        (&json!("fault"), &json!("function_arn_fault"))
    );
}

pub(crate) fn cases() -> Vec<Case> {
    let theme = |theme| {
        let mut cases = fixture::json::<Vec<Case>>(&format!("golden/{theme}.json"));
        for case in &mut cases {
            case.name = format!("{theme}: {}", case.name);
        }
        cases
    };
    THEMES.into_iter().flat_map(theme).collect()
}

pub(crate) fn context(function_arn: &str) -> Context {
    let mut context = Context::default();
    function_arn.clone_into(&mut context.invoked_function_arn);
    context
}

fn function_arn() -> String {
    FUNCTION_ARN.to_owned()
}
