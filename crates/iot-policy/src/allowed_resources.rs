//! The resources that policies allow an action on, for the line in the log about a request that they deny.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};

use crate::document::PolicyDocument;
use crate::effect::Effect;
use crate::evaluation::statements;
use crate::request::Request;
use crate::statement::Selection;

/// The resources that the Allow statements for an action name, whatever their conditions. It displays as one phrase of
/// bounded length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedResources<'a>(Vec<Cow<'a, str>>);

/// The columns that the names may take together; the first is always shown, cut if it is longer.
const COLUMNS: usize = 80;

/// The resources that `documents` allow the request's action on. In the request's own partition, region and account they
/// are written without them.
///
/// It allocates: it is for a denial's log line, not for the decision.
#[must_use]
pub fn allowed_resources<'a>(documents: &'a [PolicyDocument], request: &Request<'_>) -> AllowedResources<'a> {
    let mut names = Vec::new();
    let allowing = statements(documents)
        .map(|(statement, _)| statement)
        .filter(|statement| statement.effect() == Effect::Allow && statement.selects_action(request));
    for statement in allowing {
        match statement.resources() {
            Selection::Only(patterns) => {
                let kind = request.action().resource_kind();
                let patterns = patterns.iter().filter(|pattern| pattern.may_name(kind));
                names.extend(patterns.map(|pattern| Cow::Borrowed(without_scope(pattern.as_str(), request))));
            }
            Selection::AllBut(patterns) => {
                let excepted = patterns.iter().map(|pattern| without_scope(pattern.as_str(), request));
                names.push(Cow::Owned(format!("all but {}", excepted.collect::<Vec<_>>().join(", "))));
            }
        }
    }
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    AllowedResources(names)
}

fn without_scope<'a>(pattern: &'a str, request: &Request<'_>) -> &'a str {
    pattern.strip_prefix(request.resource().scope_prefix()).unwrap_or(pattern)
}

impl AllowedResources<'_> {
    /// Whether no statement allows the action on anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names alone, as one phrase of bounded length.
    #[must_use]
    pub fn names(&self) -> String {
        let (mut phrase, mut columns) = (String::new(), 0);
        for (shown, name) in self.0.iter().enumerate() {
            let mut text = name.escape_debug().to_string();
            if shown == 0 && text.chars().count() > COLUMNS {
                text = text.chars().take(COLUMNS - 1).chain(['…']).collect();
            }
            columns += text.chars().count() + "`, `".len();
            if shown > 0 && columns > COLUMNS {
                phrase.extend([" and ", &(self.0.len() - shown).to_string(), " more"]);
                break;
            }
            let separator = if shown == 0 { "" } else { ", " };
            phrase.extend([separator, "`", &text, "`"]);
        }
        phrase
    }
}

impl Display for AllowedResources<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none allows it on anything");
        }
        write!(f, "it is allowed on {}", self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Context, Scope};

    fn allowed(action: Action, statements: &str) -> String {
        let document = format!("{{\"Version\": \"2012-10-17\", \"Statement\": [{statements}]}}");
        let documents = [document.parse::<PolicyDocument>().unwrap()];
        let scope = Scope::new("aws", "eu-west-1", "123456789012").unwrap();
        let context = Context::empty();
        allowed_resources(&documents, &Request::new(action, &scope, "x", &context)).to_string()
    }

    fn statement(effect: &str, action: &str, resources: &[String]) -> String {
        let names = resources.iter().map(|name| format!("\"arn:aws:iot:eu-west-1:123456789012:{name}\""));
        let names = names.collect::<Vec<_>>().join(",");
        format!(r#"{{"Effect": "{effect}", "Action": "{action}", "Resource": [{names}]}}"#)
    }

    #[test]
    fn resources_of_allow_statements_for_the_action_are_named_once_each() {
        let all = ["client/c", "topic/a", "topic/b/*", "topicfilter/a"].map(str::to_owned);
        let statements =
            [statement("Allow", "iot:*", &all), statement("Allow", "iot:Publish", &["topic/a".to_owned()])];
        let statements = statements.join(",");
        assert_eq!(allowed(Action::Publish, &statements), "it is allowed on `topic/a`, `topic/b/*`");
        assert_eq!(allowed(Action::Connect, &statements), "it is allowed on `client/c`");
        let others = [
            statement("Deny", "iot:Publish", &["topic/a".to_owned()]),
            statement("Allow", "iot:Receive", &["topic/a".to_owned()]),
        ];
        assert_eq!(allowed(Action::Publish, &others.join(",")), "none allows it on anything");
    }

    #[test]
    fn other_scopes_and_exceptions_are_written_out() {
        let other = r#"{"Effect": "Allow", "Action": "iot:Publish",
            "Resource": "arn:aws:iot:us-east-1:123456789012:topic/a"}"#;
        let expected = "it is allowed on `arn:aws:iot:us-east-1:123456789012:topic/a`";
        assert_eq!(allowed(Action::Publish, other), expected);
        let but = r#"{"Effect": "Allow", "Action": "iot:Publish",
            "NotResource": "arn:aws:iot:eu-west-1:123456789012:topic/x"}"#;
        assert_eq!(allowed(Action::Publish, but), "it is allowed on `all but topic/x`");
    }

    #[test]
    fn many_and_long_names_are_cut() {
        let many = (0..30).map(|n| format!("topic/site/{n:02}")).collect::<Vec<_>>();
        let text = allowed(Action::Publish, &statement("Allow", "iot:Publish", &many));
        assert!(text.ends_with("`topic/site/03` and 26 more"), "{text}");
        let long = format!("topic/{}", "x".repeat(200));
        let text =
            allowed(Action::Publish, &statement("Allow", "iot:Publish", &[long, "topic/b".to_owned()]));
        assert!(text.ends_with("xx…` and 1 more") && text.chars().count() < 120, "{text}");
    }
}
