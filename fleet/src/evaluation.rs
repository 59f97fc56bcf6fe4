//! What policy documents say about one request, for people and for scripts.

use cli::{console::wrapped, output::escaped};
use device_sim::{TopicFilter, TopicName};
use iot_policy::{
    Action, Context, Decision, PolicyDocument, Request, ResourceKind, Scope, StatementRef, allowed_resources,
    evaluate,
    limits::{MAX_CLIENT_ID_BYTES, MAX_TOPIC_BYTES, MAX_TOPIC_SLASHES},
    near_miss,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{RequestArgs, RequestedAction};

/// Where the reasons under a request begin.
const INDENT: usize = 7;

/// One thing that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The action.
    pub action: Action,
    /// The client id, the topic, or the topic filter.
    pub name: String,
}

/// What the documents say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    asked: Asked,
    resource: String,
    is_allowed: bool,
    because: String,
    near_miss: Option<String>,
    /// The index of the document and of its statement, and the statement's name.
    statement: Option<(usize, usize, Option<String>)>,
}

impl Asked {
    /// The request of the command line, for this client id. `None` if there is none.
    ///
    /// # Errors
    ///
    /// When the topic is not one.
    pub fn of(args: &RequestArgs, client_id: &str) -> anyhow::Result<Option<Self>> {
        let Some(action) = args.action else { return Ok(None) };
        let topic = args.topic.as_deref().unwrap_or_default();
        let name = match action {
            RequestedAction::Connect => client_id.to_owned(),
            RequestedAction::Subscribe => topic.parse::<TopicFilter>()?.as_str().to_owned(),
            _ => topic.parse::<TopicName>()?.as_str().to_owned(),
        };
        Ok(Some(Self { action: action.into(), name }))
    }

    /// What AWS IoT Core refuses whatever a policy says (General Reference, "AWS IoT Core endpoints and quotas"). The
    /// first levels of a reserved topic don't count, so only the others are checked.
    fn beyond_limits(&self) -> Option<String> {
        let Self { action, name } = self;
        let (most, what) = match action.resource_kind() {
            ResourceKind::Client => (MAX_CLIENT_ID_BYTES, "a client id"),
            ResourceKind::Topic | ResourceKind::TopicFilter => (MAX_TOPIC_BYTES, "a topic"),
            ResourceKind::Thing => return None,
        };
        if name.len() > most {
            return Some(format!("{what} has up to {most} bytes, and this one has {}", name.len()));
        }
        let slashes = name.matches('/').count();
        let counts = what == "a topic" && !name.starts_with('$');
        (counts && slashes > MAX_TOPIC_SLASHES)
            .then(|| format!("a topic has up to {MAX_TOPIC_SLASHES} slashes, and this one has {slashes}"))
    }
}

/// The documents that a record leads to, as the evaluator reads them.
pub(crate) fn parsed<T: Serialize>(documents: &[T]) -> anyhow::Result<Vec<PolicyDocument>> {
    let texts = documents.iter().map(serde_json::to_string);
    texts.map(|text| Ok(text?.parse()?)).collect()
}

/// The context of a connection, with what only its CONNECT has if that is asked for.
#[must_use]
pub fn context(
    client_id: Option<&str>,
    action: Action,
    scope: &Scope,
    last_will: Option<&TopicName>,
    persistent_session: bool,
) -> Context {
    let mut context = client_id.map_or_else(Context::empty, |id| Context::empty().with_client_id(id));
    if action == Action::Connect {
        if let Some(topic) = last_will {
            context = context.with_last_will(scope, topic.as_str());
        }
        if persistent_session {
            context = context.with_persistent_session();
        }
    }
    context
}

impl Evaluation {
    /// Asks the documents.
    #[must_use]
    pub fn new(asked: Asked, documents: &[PolicyDocument], scope: &Scope, context: &Context) -> Self {
        let request = Request::new(asked.action, scope, &asked.name, context);
        let decision = evaluate(documents, &request);
        let statement = decision.statement();
        let mut near = None;
        let because = match decision {
            Decision::Allowed(statement) => format!("{statement} allows it"),
            Decision::Denied(statement) => format!("{statement} denies it"),
            Decision::NotAllowed => {
                near = near_miss(documents, &request).map(|near| near.to_string());
                format!("no statement allows it; {}", allowed_resources(documents, &request))
            }
        };
        let resource = request.resource().to_string();
        let statement = statement.map(|statement: StatementRef<'_>| {
            (statement.document(), statement.statement(), statement.sid().map(str::to_owned))
        });
        let beyond = asked.beyond_limits();
        let is_allowed = decision.is_allowed() && beyond.is_none();
        let because = match beyond {
            Some(limit) => format!("AWS IoT Core refuses it whatever a policy says: {limit}"),
            None => because,
        };
        Self { asked, resource, is_allowed, because, near_miss: near, statement }
    }

    /// Whether the request may go ahead.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// `allow` or `deny`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        outcome(self.is_allowed)
    }

    /// The evaluation as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { asked, resource, because, near_miss, statement, .. } = self;
        let statement = statement.as_ref().map(
            |(document, statement, sid)| json!({"document": document, "statement": statement, "sid": sid}),
        );
        json!({
            "action": asked.action.as_str(), "resource": resource, "outcome": self.outcome(), "because": because,
            "near_miss": near_miss, "statement": statement,
        })
    }

    /// The evaluation as lines for people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { asked, because, near_miss, .. } = self;
        let kind = asked.action.resource_kind().as_str();
        let name = escaped(&asked.name);
        let mut lines = format!("{:<5}  {} on {kind}/{name}\n", self.outcome(), asked.action);
        let near = near_miss.iter().map(|near| format!("near miss: {near}"));
        for reason in [because.clone()].into_iter().chain(near) {
            lines.push_str(&wrapped(INDENT, &format!("{:INDENT$}{reason}", "")));
            lines.push('\n');
        }
        lines
    }
}

/// `allow` or `deny`, as the authorizer's log says it.
#[must_use]
pub fn outcome(is_allowed: bool) -> &'static str {
    if is_allowed { "allow" } else { "deny" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(action: Action, name: &str) -> Evaluation {
        let document = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*",
            "Resource": "*"}}"#;
        let scope = Scope::new("aws", "us-east-1", "123456789012").unwrap();
        let asked = Asked { action, name: name.to_owned() };
        Evaluation::new(asked, &[document.parse().unwrap()], &scope, &Context::empty())
    }

    #[test]
    fn limits_win_over_a_policy_that_allows_everything() {
        let slashes = |count: usize| vec!["a"; count + 1].join("/");
        let cases = [
            (Action::Publish, slashes(MAX_TOPIC_SLASHES), true),
            (Action::Publish, slashes(MAX_TOPIC_SLASHES + 1), false),
            (Action::Subscribe, slashes(MAX_TOPIC_SLASHES + 1), false),
            (Action::Publish, format!("$aws/rules/R/{}", slashes(MAX_TOPIC_SLASHES)), true),
            (Action::Publish, "t".repeat(MAX_TOPIC_BYTES + 1), false),
            (Action::Publish, "t".repeat(MAX_TOPIC_BYTES), true),
            (Action::Connect, "c".repeat(MAX_CLIENT_ID_BYTES + 1), false),
            (Action::Connect, slashes(MAX_TOPIC_SLASHES + 1), true),
        ];
        for (action, name, allowed) in cases {
            let evaluation = asked(action, &name);
            assert_eq!(evaluation.is_allowed(), allowed, "{action} {name}");
            let says_so = evaluation.text().replace("\n       ", " ").contains("whatever a policy says");
            assert_ne!(says_so, allowed, "{action} {name}");
        }
    }
}
