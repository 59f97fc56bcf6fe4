//! The answer of an authorizer's function. One that breaks a rule authenticates no client.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda`.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use iot_policy::{
    PolicyDocument, PolicyError,
    limits::{
        MAX_DISCONNECT_SECONDS, MAX_POLICY_DOCUMENTS, MAX_REFRESH_SECONDS, MIN_DISCONNECT_SECONDS,
        MIN_REFRESH_SECONDS, is_principal_id,
    },
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What an authenticated client may do, and for how long.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The principal id, `[a-zA-Z0-9]{1,128}`.
    pub principal_id: Arc<str>,
    /// The policies.
    pub documents: Arc<[PolicyDocument]>,
    /// The timers; without them the policies hold for as long as the connection, as a certificate's do.
    pub lifetime: Option<Lifetime>,
}

/// The timers of an authorizer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// The time after which the function is called again.
    pub refresh_after: Duration,
    /// The time after which the connection ends, counted from the connect.
    pub disconnect_after: Duration,
}

/// Why an answer can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not the expected JSON. The parser's message is left out, because it may quote the answer.
    #[error("it is not an authorizer's answer (line {line}, column {column})")]
    Json {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// A required field is absent.
    #[error("`{0}` is absent")]
    Absent(&'static str),
    /// The principal id has an invalid form.
    #[error("`principalId` should be 1 to 128 letters and digits")]
    PrincipalId,
    /// A timer is out of its range.
    #[error("`{field}` is {seconds}; it should be {} to {} seconds", .range.start(), .range.end())]
    Timer {
        /// Which timer.
        field: &'static str,
        /// Its seconds.
        seconds: u32,
        /// The seconds that AWS accepts.
        range: RangeInclusive<u32>,
    },
    /// Too many documents.
    #[error("`policyDocuments` has {0} documents; AWS accepts at most {MAX_POLICY_DOCUMENTS}")]
    TooManyDocuments(usize),
    /// A document can't be used.
    #[error("`policyDocuments[{index}]`: {error}")]
    Document {
        /// Which one.
        index: usize,
        /// What is wrong with it.
        error: PolicyError,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    is_authenticated: bool,
    principal_id: Option<String>,
    policy_documents: Option<Vec<Box<RawValue>>>,
    disconnect_after_in_seconds: Option<u32>,
    refresh_after_in_seconds: Option<u32>,
}

impl Authorization {
    /// Reads an answer; `None` is a refusal, which needs no other field.
    ///
    /// # Errors
    ///
    /// When it breaks one of AWS's rules. A timer may be absent: the refresh timer is 300 seconds then, and the disconnect
    /// timer 86,400.
    pub fn parse(json: &[u8]) -> Result<Option<Self>, AnswerError> {
        // Serde would also accept an array of the values in the right order.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err(AnswerError::Json { line: 1, column: 1 });
        }
        let answer = serde_json::from_slice::<Answer>(json)
            .map_err(|error| AnswerError::Json { line: error.line(), column: error.column() })?;
        if !answer.is_authenticated {
            return Ok(None);
        }
        let principal_id = answer.principal_id.ok_or(AnswerError::Absent("principalId"))?;
        if !is_principal_id(&principal_id) {
            return Err(AnswerError::PrincipalId);
        }
        let documents = answer.policy_documents.ok_or(AnswerError::Absent("policyDocuments"))?;
        Ok(Some(Self {
            principal_id: principal_id.into(),
            documents: parse_documents(&documents)?,
            lifetime: Some(Lifetime {
                refresh_after: timer(
                    "refreshAfterInSeconds",
                    answer.refresh_after_in_seconds.unwrap_or(MIN_REFRESH_SECONDS),
                    MIN_REFRESH_SECONDS..=MAX_REFRESH_SECONDS,
                )?,
                disconnect_after: timer(
                    "disconnectAfterInSeconds",
                    answer.disconnect_after_in_seconds.unwrap_or(MAX_DISCONNECT_SECONDS),
                    MIN_DISCONNECT_SECONDS..=MAX_DISCONNECT_SECONDS,
                )?,
            }),
        }))
    }
}

fn parse_documents(documents: &[Box<RawValue>]) -> Result<Arc<[PolicyDocument]>, AnswerError> {
    if documents.len() > MAX_POLICY_DOCUMENTS {
        return Err(AnswerError::TooManyDocuments(documents.len()));
    }
    documents.iter().enumerate().map(|(index, document)| parse_document(index, document.get())).collect()
}

/// A document is a JSON object, or a string that holds the text of one.
fn parse_document(index: usize, json: &str) -> Result<PolicyDocument, AnswerError> {
    let inner = serde_json::from_str::<String>(json);
    let text = inner.as_deref().unwrap_or(json);
    PolicyDocument::parse(text).map_err(|error| AnswerError::Document { index, error })
}

fn timer(field: &'static str, seconds: u32, range: RangeInclusive<u32>) -> Result<Duration, AnswerError> {
    if !range.contains(&seconds) {
        return Err(AnswerError::Timer { field, seconds, range });
    }
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(topic: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Publish",
            "Resource": format!("arn:aws:iot:us-east-1:123456789012:topic/{topic}")}]})
    }

    fn answer(changes: &[(&str, Value)]) -> Result<Option<Authorization>, String> {
        let mut answer = json!({
            "isAuthenticated": true, "principalId": "p1", "policyDocuments": [document("t")],
            "refreshAfterInSeconds": 300, "disconnectAfterInSeconds": 86_400,
        });
        for (key, value) in changes {
            answer[key] = value.clone();
        }
        Authorization::parse(answer.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn answer_with_every_field_grants_and_a_refusal_needs_no_other_field() {
        let granted = answer(&[]).unwrap().unwrap();
        assert_eq!((&*granted.principal_id, granted.documents.len()), ("p1", 1));
        let lifetime = granted.lifetime.unwrap();
        assert_eq!((lifetime.refresh_after.as_secs(), lifetime.disconnect_after.as_secs()), (300, 86_400));
        assert!(Authorization::parse(br#"{"isAuthenticated":false}"#).unwrap().is_none());
        assert!(answer(&[("isAuthenticated", json!(false)), ("principalId", json!("-"))]).unwrap().is_none());
    }

    #[test]
    fn absent_timer_is_300_or_86400_seconds() {
        let absent = [("refreshAfterInSeconds", Value::Null), ("disconnectAfterInSeconds", Value::Null)];
        let lifetime = answer(&absent).unwrap().unwrap().lifetime.unwrap();
        assert_eq!((lifetime.refresh_after.as_secs(), lifetime.disconnect_after.as_secs()), (300, 86_400));
    }

    #[test]
    fn empty_list_of_documents_is_an_answer_that_allows_nothing() {
        assert!(answer(&[("policyDocuments", json!([]))]).unwrap().unwrap().documents.is_empty());
    }

    #[test]
    fn document_may_be_a_string_with_its_json() {
        let text = document("t").to_string();
        assert_eq!(answer(&[("policyDocuments", json!([text]))]).unwrap().unwrap().documents.len(), 1);
    }

    #[test]
    fn document_may_have_thing_and_certificate_variables() {
        for variable in ["iot:Connection.Thing.ThingName", "iot:Certificate.Subject.CommonName"] {
            let named = document(&format!("${{{variable}}}"));
            let granted = answer(&[("policyDocuments", json!([named]))]).unwrap().unwrap();
            assert_eq!(granted.documents[0].findings().len(), 1, "{variable}");
        }
    }

    #[test]
    fn answer_that_breaks_a_rule_is_an_error() {
        let long = document(&"t".repeat(2_048));
        let cases = [
            ("isAuthenticated", json!("true"), "not an authorizer's answer"),
            ("isAuthenticated", json!(1), "not an authorizer's answer"),
            ("isAuthenticated", Value::Null, "not an authorizer's answer"),
            ("principalId", Value::Null, "`principalId` is absent"),
            ("principalId", json!(""), "1 to 128 letters and digits"),
            ("principalId", json!("a-b"), "1 to 128 letters and digits"),
            ("principalId", json!("x".repeat(129)), "1 to 128 letters and digits"),
            ("refreshAfterInSeconds", json!(299), "`refreshAfterInSeconds` is 299"),
            ("refreshAfterInSeconds", json!(86_401), "`refreshAfterInSeconds` is 86401"),
            ("disconnectAfterInSeconds", json!(0), "`disconnectAfterInSeconds` is 0"),
            ("disconnectAfterInSeconds", json!("300"), "not an authorizer's answer"),
            ("policyDocuments", Value::Null, "`policyDocuments` is absent"),
            ("policyDocuments", json!({}), "not an authorizer's answer"),
            ("policyDocuments", json!(vec![document("t"); 11]), "has 11 documents"),
            ("policyDocuments", json!([document("t"), long]), "`policyDocuments[1]`"),
            ("policyDocuments", json!([{"Version": "2012-10-17"}]), "`policyDocuments[0]`"),
            ("policyDocuments", json!(["no json"]), "`policyDocuments[0]`"),
        ];
        for (key, value, part) in cases {
            let error = answer(&[(key, value.clone())]).unwrap_err();
            assert!(error.contains(part), "{key} {value}: {error}");
        }
        for garbage in [&b""[..], b"null", b"[]", b"{}", b"\xff", b"{\"isAuthenticated\":true", b"[false]"] {
            assert!(Authorization::parse(garbage).is_err(), "{garbage:?}");
        }
    }
}
