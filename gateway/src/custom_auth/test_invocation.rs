//! `TestInvokeAuthorizer`: one call of an authorizer's function with an event that the caller describes, and the answer held
//! against AWS's rules.
//!
//! The messages are AWS's, word for word where they were measured: `docs/fidelity.md`. Programs match them.

use std::ops::RangeInclusive;

use iot_policy::{
    PolicyDocument, Problem,
    limits::{
        MAX_DISCONNECT_SECONDS, MAX_POLICY_DOCUMENT_CHARACTERS, MAX_POLICY_DOCUMENTS, MAX_REFRESH_SECONDS,
        MIN_DISCONNECT_SECONDS, MIN_REFRESH_SECONDS, is_principal_id,
    },
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use zeroize::Zeroizing;

use super::{
    admission::Authorizer,
    error::AuthnError,
    event::{AuthorizerEvent, Contexts},
    parameters::{ParameterError, Parameters},
    signing::{Signing, Token},
};
use crate::lambda::{Call, FunctionFault, InvokeError};

/// What the caller describes. It has no `Debug`, as there are credentials in it.
#[derive(Default)]
pub struct TestInvocation {
    /// `token`.
    pub token: Option<Zeroizing<String>>,
    /// `tokenSignature`.
    pub token_signature: Option<Zeroizing<String>>,
    /// `httpContext`, `mqttContext` and `tlsContext`.
    pub contexts: Contexts,
}

/// An answer that AWS accepts.
#[derive(Debug, PartialEq, Eq)]
pub struct TestAnswer {
    /// `isAuthenticated`.
    pub is_authenticated: bool,
    /// `principalId`.
    pub principal_id: String,
    /// `policyDocuments`: a text as it is, an object as a compact text.
    pub policy_documents: Vec<String>,
    /// `refreshAfterInSeconds`.
    pub refresh_after: u32,
    /// `disconnectAfterInSeconds`.
    pub disconnect_after: u32,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum TestError {
    /// The call is wrong: `InvalidRequestException`. AWS was seen to leave out one message.
    Request(Option<String>),
    /// The function's answer is wrong: `InvalidResponseException`.
    Response(String),
}

/// Calls the authorizer's function, whatever the authorizer's status.
///
/// # Errors
///
/// When the call or the answer is wrong.
pub async fn invoke(
    authorizer: &Authorizer,
    invocation: &TestInvocation,
    id: &str,
) -> Result<TestAnswer, TestError> {
    let token = token(authorizer, invocation)?;
    let event = AuthorizerEvent::of_contexts(&invocation.contexts, token.as_ref(), id);
    let answer = authorizer.function.invoke(Call::Connect, || event.to_json()).await;
    let answer = answer.map_err(|error| TestError::Response(described(&error)))?;
    read(&answer).map_err(TestError::Response)
}

/// The token, once it is verified.
fn token(authorizer: &Authorizer, invocation: &TestInvocation) -> Result<Option<Token>, TestError> {
    let TestInvocation { token, token_signature, contexts } = invocation;
    let query = contexts.http.as_ref().and_then(|http| http.query_string.as_ref());
    match (token, token_signature) {
        (Some(_), Some(_)) if !contexts.is_empty() => {
            Err(refused("Request cannot have token and Http/Mqtt/Tls context."))
        }
        (Some(token), Some(signature)) => match &authorizer.signing {
            Signing::Disabled(_) => {
                Err(refused("Token and token signature provided but signing is disabled for the authorizer."))
            }
            Signing::Enabled(_, keys) => {
                let verified = keys.verify(token.clone(), signature);
                verified.map(Some).map_err(|error| not_admitted(authorizer, &error))
            }
        },
        (Some(_), None) | (None, Some(_)) => {
            Err(refused("Request must provide both token and tokenSignature together."))
        }
        (None, None) if contexts.is_empty() => Err(refused("Request must have Http/Mqtt/Tls context.")),
        (None, None) if query.is_some_and(|query| !query.starts_with('?')) => {
            Err(refused("Invalid arguments in the call"))
        }
        (None, None) => {
            let token = authorizer.signing.token(&parameters(contexts));
            token.map_err(|error| not_admitted(authorizer, &error))
        }
    }
}

/// Where a token and its signature may be: in the MQTT user name, the query string and the headers.
fn parameters(contexts: &Contexts) -> Parameters<'_> {
    let mut parameters = Parameters::default();
    if let Some(http) = &contexts.http {
        let query = http.query_string.as_deref().map_or("", String::as_str);
        let headers = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        parameters = parameters.with_query(query.trim_start_matches('?')).with_headers(headers);
    }
    match contexts.mqtt.as_ref().and_then(|mqtt| mqtt.user_name.as_deref()) {
        Some(user_name) => parameters.with_user_name(user_name),
        None => parameters,
    }
}

fn refused(message: &str) -> TestError {
    TestError::Request(Some(message.to_owned()))
}

fn not_admitted(authorizer: &Authorizer, error: &AuthnError) -> TestError {
    TestError::Request(match error {
        AuthnError::Parameter(ParameterError::Absent(_)) => None,
        AuthnError::Signature => Some(format!("Token signature mismatch for authorizer {}", authorizer.name)),
        other => Some(other.to_string()),
    })
}

/// AWS's words for an error of the function's. Those for another fault are not known *(guess: a function that could not be called,
/// in `TestInvokeAuthorizer`)*.
fn described(error: &InvokeError) -> String {
    let prefix = "Lambda function encountered error in execution";
    match error {
        InvokeError::Function(FunctionFault { error_type, message }) => {
            format!("{prefix}: {message}: {error_type}")
        }
        other => format!("{prefix}: {other}"),
    }
}

/// An answer whose documents keep their text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    is_authenticated: bool,
    principal_id: Option<Value>,
    #[serde(borrow)]
    policy_documents: Option<&'a RawValue>,
    refresh_after_in_seconds: Option<Value>,
    disconnect_after_in_seconds: Option<Value>,
}

/// Holds an answer against AWS's rules. The first that it breaks is reported.
fn read(answer: &[u8]) -> Result<TestAnswer, String> {
    let answer = serde_json::from_slice::<Answer<'_>>(answer)
        .map_err(|_| "Lambda invocation result is in invalid format".to_owned())?;
    let principal_id = match &answer.principal_id {
        Some(Value::String(text)) if is_principal_id(text) => text.clone(),
        other => {
            let shown = match other {
                None => "null".to_owned(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            return Err(format!(
                "{shown} at principalId failed to satisfy constraint: Member must satisfy ([a-zA-Z0-9]){{1,128}}"
            ));
        }
    };
    let documents = answer.policy_documents.map(RawValue::get);
    Ok(TestAnswer {
        is_authenticated: answer.is_authenticated,
        principal_id,
        policy_documents: read_documents(documents)
            .map_err(|wrong| format!("policyDocuments failed to satisfy constraint: {wrong}"))?,
        refresh_after: timer(
            "refreshAfterInSeconds",
            answer.refresh_after_in_seconds,
            MIN_REFRESH_SECONDS,
            MIN_REFRESH_SECONDS..=MAX_REFRESH_SECONDS,
        )?,
        disconnect_after: timer(
            "disconnectAfterInSeconds",
            answer.disconnect_after_in_seconds,
            MAX_DISCONNECT_SECONDS,
            MIN_DISCONNECT_SECONDS..=MAX_DISCONNECT_SECONDS,
        )?,
    })
}

fn read_documents(documents: Option<&str>) -> Result<Vec<String>, String> {
    let documents = documents.and_then(|json| serde_json::from_str::<Vec<&RawValue>>(json).ok());
    let documents = documents.ok_or("List of policies cannot be null.")?;
    if documents.len() > MAX_POLICY_DOCUMENTS {
        return Err(format!("Number of policies allowed cannot exceed {MAX_POLICY_DOCUMENTS}"));
    }
    let read = |document: &RawValue| {
        let json = document.get();
        let text = serde_json::from_str::<String>(json).unwrap_or_else(|_| compact(json));
        match PolicyDocument::parse(&text) {
            Ok(_) => Ok(text),
            Err(error) if matches!(error.problem(), Problem::TooLong(_)) => Err(format!(
                "Size of a policy document cannot exceeds hard limit of {MAX_POLICY_DOCUMENT_CHARACTERS}"
            )),
            Err(_) => Err("Policy document is Malformed: Invalid policy syntax.".to_owned()),
        }
    };
    documents.into_iter().map(read).collect()
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_text, mut is_escaped) = (false, false);
    let keep = |c: &char| {
        let kept = in_text || !c.is_ascii_whitespace();
        in_text ^= *c == '"' && !is_escaped;
        is_escaped = in_text && *c == '\\' && !is_escaped;
        kept
    };
    json.chars().filter(keep).collect()
}

fn timer(
    name: &str,
    seconds: Option<Value>,
    absent: u32,
    accepted: RangeInclusive<u32>,
) -> Result<u32, String> {
    let Some(seconds) = seconds else { return Ok(absent) };
    let number = seconds.as_u64().and_then(|number| u32::try_from(number).ok());
    number.filter(|number| accepted.contains(number)).ok_or_else(|| {
        format!(
            "{seconds} at {name} failed to satisfy constraint: Member must be greater than 5 minutes and less than 24 hours."
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_held_against_awss_rules_word_for_word() {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}"#;
        let long = policy.replace('*', &"x".repeat(2_048));
        let with = |changes: Value| {
            let mut answer = json!({"isAuthenticated": true, "principalId": "p1", "policyDocuments": [policy],
                "refreshAfterInSeconds": 300, "disconnectAfterInSeconds": 3_600});
            for (name, value) in changes.as_object().unwrap() {
                answer[name] = value.clone();
            }
            read(answer.to_string().as_bytes())
        };
        let principal =
            "at principalId failed to satisfy constraint: Member must satisfy ([a-zA-Z0-9]){1,128}";
        let documents = "policyDocuments failed to satisfy constraint:";
        let timer =
            "failed to satisfy constraint: Member must be greater than 5 minutes and less than 24 hours.";
        for (changes, message) in [
            (json!({"isAuthenticated": null}), "Lambda invocation result is in invalid format".to_owned()),
            (json!({"isAuthenticated": "true"}), "Lambda invocation result is in invalid format".to_owned()),
            (json!({"isAuthenticated": false, "principalId": null}), format!("null {principal}")),
            (json!({"principalId": null, "policyDocuments": null}), format!("null {principal}")),
            (json!({"principalId": "bad-principal!"}), format!("bad-principal! {principal}")),
            (json!({"policyDocuments": null}), format!("{documents} List of policies cannot be null.")),
            (
                json!({"isAuthenticated": false, "policyDocuments": null}),
                format!("{documents} List of policies cannot be null."),
            ),
            (
                json!({"policyDocuments": ["this is not json"]}),
                format!("{documents} Policy document is Malformed: Invalid policy syntax."),
            ),
            (
                json!({"policyDocuments": vec![policy; 11]}),
                format!("{documents} Number of policies allowed cannot exceed 10"),
            ),
            (
                json!({"policyDocuments": [long]}),
                format!("{documents} Size of a policy document cannot exceeds hard limit of 2048"),
            ),
            (json!({"refreshAfterInSeconds": 299}), format!("299 at refreshAfterInSeconds {timer}")),
            (json!({"refreshAfterInSeconds": 86_401}), format!("86401 at refreshAfterInSeconds {timer}")),
            (json!({"disconnectAfterInSeconds": 299}), format!("299 at disconnectAfterInSeconds {timer}")),
            (
                json!({"disconnectAfterInSeconds": 86_401}),
                format!("86401 at disconnectAfterInSeconds {timer}"),
            ),
            (
                json!({"refreshAfterInSeconds": 10, "disconnectAfterInSeconds": 10}),
                format!("10 at refreshAfterInSeconds {timer}"),
            ),
        ] {
            assert_eq!(with(changes.clone()), Err(message), "{changes}");
        }
        for text in ["", "null", "[]", r#"{"foo":1}"#, "\"x\""] {
            assert_eq!(
                read(text.as_bytes()),
                Err("Lambda invocation result is in invalid format".to_owned())
            );
        }
        let absent = json!({"refreshAfterInSeconds": null, "disconnectAfterInSeconds": null});
        let answer = with(absent).unwrap();
        assert_eq!((answer.refresh_after, answer.disconnect_after), (300, 86_400));
        let bounds = json!({"refreshAfterInSeconds": 300, "disconnectAfterInSeconds": 86_400});
        assert_eq!(with(bounds).unwrap().disconnect_after, 86_400);
        let denied = with(json!({"isAuthenticated": false})).unwrap();
        assert_eq!((denied.is_authenticated, &*denied.principal_id), (false, "p1"));
        assert_eq!(denied.policy_documents, [policy]);
        assert!(with(json!({"policyDocuments": []})).unwrap().policy_documents.is_empty());
    }

    #[test]
    fn document_as_an_object_comes_back_compact_with_its_keys_in_their_order() {
        let text = " { \"Version\" : \"2012-10-17\",\n \"Statement\": [ {\"Sid\": \"a \\\" b\", \"Effect\": \"Deny\", \
                    \"Action\": \"*\", \"Resource\": \"*\"} ] }";
        let answer = format!(r#"{{"isAuthenticated":true,"principalId":"p","policyDocuments":[{text}]}}"#);
        let compact = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a \\\" b\",\"Effect\":\"Deny\",\
                       \"Action\":\"*\",\"Resource\":\"*\"}]}";
        assert_eq!(read(answer.as_bytes()).unwrap().policy_documents, [compact]);
    }
}
