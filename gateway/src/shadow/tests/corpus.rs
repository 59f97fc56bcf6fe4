//! Cases in `cases.json`: each is a sequence of requests for one shadow, with the answers. A payload that is a string is sent
//! as it is, any other as JSON.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{LIMITS, answer};
use crate::shadow::{Operation, ShadowId, shadows::Shadows};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The shadow's name, if it has one. Its Thing is `lamp`.
    #[serde(default)]
    shadow: Option<String>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    request: String,
    at: i64,
    payload: Value,
    /// All answers, by the last level of their topics.
    answers: Value,
}

#[test]
fn every_case_has_its_answers() {
    let cases = serde_json::from_str::<Vec<Case>>(include_str!("cases.json")).unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let mut shadows = Shadows::new(LIMITS);
        let id = ShadowId::new("lamp", case.shadow.as_deref()).unwrap();
        for (n, step) in case.steps.iter().enumerate() {
            let operation = Operation::ALL.into_iter().find(|it| it.as_str() == step.request).unwrap();
            let payload = match &step.payload {
                Value::String(text) => text.clone(),
                json => json.to_string(),
            };
            let answers = answer(&mut shadows, &id, operation, payload.as_bytes(), step.at);
            let answers = answers.into_iter().map(|(kind, body)| (kind.as_str().to_owned(), body));
            let answers = Value::Object(answers.collect());
            assert_eq!(answers, step.answers, "{}, step {n}: {answers}", case.name);
        }
    }
}

#[test]
fn payload_that_is_not_utf_8_is_rejected() {
    let (mut shadows, id) = (Shadows::new(LIMITS), ShadowId::new("lamp", None).unwrap());
    let message = "Unsupported documented encoding; supported encoding is UTF-8";
    let answers =
        answer(&mut shadows, &id, Operation::Update, b"{\"state\":{\"desired\":{\"a\":\"\xff\"}}}", 1);
    assert_eq!(answers[0].1, json!({"code": 415, "message": message}));
}
