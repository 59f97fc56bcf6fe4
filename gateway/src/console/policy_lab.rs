//! Policy documents asked about one request: the decision, the statement that made it, or the one that comes nearest, and where it is
//! in the text.

use iot_policy::{
    Action, Context, Decision, PolicyDocument, Request, StatementRef, allowed_resources, evaluate,
    limits::{MAX_POLICY_DOCUMENT_CHARACTERS, MAX_POLICY_DOCUMENTS, counted_characters},
    near_miss,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{Answer, CallError};
use crate::shared::Shared;

/// Documents, and the request that they are asked about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
    documents: Vec<String>,
    client_id: String,
    /// `iot:Publish`, for example.
    action: String,
    /// The topic, topic filter or client id.
    #[serde(default)]
    resource: String,
    source_ip: Option<std::net::IpAddr>,
    #[serde(default)]
    persistent_session: bool,
}

/// The part of a document that a statement is in.
#[derive(Deserialize)]
struct Statements<'a> {
    #[serde(borrow, rename = "Statement")]
    statement: &'a RawValue,
}

/// Answers a question.
pub(super) fn ask(shared: &Shared, question: &Question) -> Answer {
    if question.documents.len() > MAX_POLICY_DOCUMENTS {
        return Err(CallError::invalid(format!(
            "an authorizer returns at most {MAX_POLICY_DOCUMENTS} documents"
        )));
    }
    let parsed = question.documents.iter().map(|text| PolicyDocument::parse(text)).collect::<Vec<_>>();
    let described = question.documents.iter().zip(&parsed).map(|(text, document)| {
        let findings = document.as_ref().map_or(&[][..], |document| document.findings());
        json!({
            "characters": counted_characters(text), "maxCharacters": MAX_POLICY_DOCUMENT_CHARACTERS,
            "error": document.as_ref().err().map(ToString::to_string),
            "place": document.as_ref().err().map(iot_policy::PolicyError::place),
            "findings": findings.iter().map(|finding| json!({"place": finding.place(), "text": finding.kind().to_string()}))
                .collect::<Vec<_>>(),
            "statements": statement_spans(text),
        })
    });
    let mut answer = json!({"documents": described.collect::<Vec<_>>(), "decision": null});
    let Ok(documents) = parsed.into_iter().collect::<Result<Vec<_>, _>>() else {
        // AWS refuses the whole answer, so there is no decision.
        return Ok(answer);
    };
    let action = Action::ALL.into_iter().find(|action| action.as_str() == question.action);
    let action = action.ok_or_else(|| CallError::invalid("`action` is none that policies decide"))?;
    let mut context = Context::empty().with_client_id(question.client_id.as_str());
    if let Some(ip) = question.source_ip {
        context = context.with_source_ip(ip);
    }
    if question.persistent_session {
        context = context.with_persistent_session();
    }
    let resource = if action == Action::Connect { &question.client_id } else { &question.resource };
    let request = Request::new(action, &shared.scope, resource, &context);
    let decision = evaluate(&documents, &request);
    let near = near_miss(&documents, &request).filter(|_| matches!(decision, Decision::NotAllowed));
    let allowed = allowed_resources(&documents, &request);
    if let Some(members) = answer.as_object_mut() {
        members.insert(
            "decision".to_owned(),
            json!({
                "allowed": decision.is_allowed(), "text": decision.to_string(),
                "statement": decision.statement().map(place), "resource": request.resource().literal_pattern(),
                "nearMiss": near.as_ref().map(|near| json!({"text": near.to_string(), "statement": place(near.statement())})),
                "allows": (!allowed.is_empty()).then(|| allowed.names()),
            }),
        );
    }
    Ok(answer)
}

fn place(statement: StatementRef<'_>) -> Value {
    json!({"document": statement.document(), "statement": statement.statement(), "sid": statement.sid()})
}

/// Where each statement is in the text of a document: its first character and the one after its last, counted as JavaScript
/// counts them, in UTF-16.
fn statement_spans(text: &str) -> Vec<(usize, usize)> {
    let Ok(Statements { statement }) = serde_json::from_str::<Statements<'_>>(text) else {
        return Vec::new();
    };
    let statements =
        serde_json::from_str::<Vec<&RawValue>>(statement.get()).unwrap_or_else(|_| vec![statement]);
    let utf_16 = |bytes: usize| text.get(..bytes).map_or(0, |before| before.encode_utf16().count());
    let span = |statement: &&RawValue| {
        // They are parts of the text.
        let begin = statement.get().as_ptr().addr().wrapping_sub(text.as_ptr().addr());
        (utf_16(begin), utf_16(begin + statement.get().len()))
    };
    statements.iter().map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_in_the_text() {
        let marked = |text: &str| {
            let utf_16 = text.encode_utf16().collect::<Vec<_>>();
            let spans = statement_spans(text).into_iter();
            spans.map(|(begin, end)| String::from_utf16(&utf_16[begin..end]).unwrap()).collect::<Vec<_>>()
        };
        let text = "{\"Id\": \"é🐟\", \"Statement\" : [ {\"a\": 1},\n {\"b\": \"}]\"} ], \"Version\": \"\"}";
        assert_eq!(marked(text), ["{\"a\": 1}", "{\"b\": \"}]\"}"]);
        assert_eq!(marked("{\"Statement\": {\"a\": 1} }"), ["{\"a\": 1}"]);
        assert!(marked("{").is_empty() && marked("{}").is_empty());
    }
}
