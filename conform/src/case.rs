//! The cases: what a client does, and what it has to see.
//!
//! Each file in `cases/` has the cases of one subject, as text:
//!
//! ```text
//! == connack-refused-5
//! policy main allow Connect client/{id}
//! > a connect 5 as=deny
//! < a CONNACK 0x87 reason="…"
//! ```
//!
//! A case begins with `==` and its id, which is also the id of its row in docs/fidelity.md. A line that begins with `>` is what
//! the client of a connection (`a`) does, one with `<` is what that client has to read next. In an expected line `…` stands for
//! any text. The other lines say what the function answers: see [`Script`]. `docs/conform.md` describes the format.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value, json};

/// The files of cases, by their subjects.
const FILES: [(&str, &str); 10] = [
    ("doors", include_str!("../cases/doors.txt")),
    ("authorizers", include_str!("../cases/authorizers.txt")),
    ("events", include_str!("../cases/events.txt")),
    ("policies", include_str!("../cases/policies.txt")),
    ("connect", include_str!("../cases/connect.txt")),
    ("messages", include_str!("../cases/messages.txt")),
    ("shadows", include_str!("../cases/shadows.txt")),
    ("sessions", include_str!("../cases/sessions.txt")),
    ("https", include_str!("../cases/https.txt")),
    ("presence", include_str!("../cases/presence.txt")),
];

/// What a client can do: the verb, and the names of its arguments. A name with `*` may be repeated.
const VERBS: [(&str, &[&str]); 30] = [
    ("ack", &[]),
    ("bytes", &[]),
    ("calls", &[]),
    ("close", &[]),
    ("collect", &[]),
    ("connect", CONNECT_ARGUMENTS),
    ("cut", &[]),
    ("disconnect", &[]),
    ("event", &[]),
    ("http", HTTP_ARGUMENTS),
    ("open", CONNECT_ARGUMENTS),
    ("ping", &[]),
    ("properties", &[]),
    (
        "publish",
        &[
            "content-type",
            "correlation",
            "count",
            "expiry",
            "payload",
            "qos",
            "response",
            "retain",
            "size",
            "user*",
            "alias",
        ],
    ),
    ("received", &[]),
    ("received-codes", &[]),
    ("skip-to", &[]),
    ("until", &[]),
    ("within", &[]),
    ("silence", &[]),
    ("sort", &[]),
    ("statuses", HTTP_ARGUMENTS),
    ("took", &[]),
    ("trace-ids", &[]),
    ("subscribe", &["id", "nolocal", "qos"]),
    ("tls", &["alpn", "cert", "sni", "speak", "tls"]),
    ("unsubscribe", &[]),
    ("wait", &[]),
    ("ws", &["header*", "path", "query", "sni", "cert", "host"]),
    ("drain", &[]),
];

const HTTP_ARGUMENTS: &[&str] = &[
    "alpn",
    "as",
    "auth",
    "authorizer",
    "body",
    "cert",
    "connections",
    "count",
    "header*",
    "host",
    "port",
    "query",
    "size",
    "sni",
];
const CONNECT_ARGUMENTS: &[&str] = &[
    "alias-max",
    "as",
    "authorizer",
    "clean",
    "expiry",
    "id",
    "keepalive",
    "max-packet",
    "method",
    "parameters",
    "password",
    "receive-max",
    "user",
    "will",
    "will-delay",
];

/// One case.
pub struct Case {
    /// Its id, and that of its row.
    pub id: String,
    /// The subject: the name of its file.
    pub subject: &'static str,
    /// How many minutes it waits for AWS's timers; 0 for nearly every case.
    pub minutes: u64,
    /// What the function answers, by the names of scripts.
    scripts: BTreeMap<String, Script>,
    /// What happens, in order.
    pub lines: Vec<Line>,
}

/// A line of a case.
pub enum Line {
    /// A client does something.
    Do(Step),
    /// A client has to read this next.
    Expect {
        /// The connection's name.
        connection: String,
        /// The line, with placeholders.
        text: String,
    },
}

/// What a client does.
pub struct Step {
    /// The connection's name.
    pub connection: String,
    /// The verb.
    pub verb: String,
    /// The words after it.
    pub words: Vec<String>,
    /// The arguments with names.
    pub named: Vec<(String, String)>,
}

/// What the function does in answer to one presented script.
///
/// ```text
/// policy NAME allow|deny ACTIONS RESOURCE [CONDITION]   a statement in the place of the usual ones
/// also NAME allow|deny ACTIONS RESOURCE [CONDITION]     a statement besides the usual ones
/// document NAME JSON                                    a document, as it is
/// answer NAME JSON                                      members of the answer; null removes one
/// returns NAME JSON                                     the whole answer, as it is
/// later NAME JSON                                       members that replace those of the answer some minutes after the start
/// raises NAME                                           the function fails
/// sleeps NAME SECONDS                                   the function waits before it answers
/// ```
#[derive(Default)]
struct Script {
    statements: Vec<String>,
    more: Vec<String>,
    documents: Vec<String>,
    answer: Vec<String>,
    returns: Option<String>,
    later: Option<String>,
    raises: bool,
    seconds: u64,
}

/// The statements of a script that names none: the client's own ids and topics.
const USUAL: [&str; 4] = [
    "allow Connect client/{t}*",
    "allow Connect client/$GEN/*",
    "allow Publish,RetainPublish,Receive topic/{t}*|topic/$share/*/{t}*",
    "allow Subscribe topicfilter/{t}*|topicfilter/$share/*/{t}*",
];
/// The script of a client that names none.
pub const MAIN: &str = "main";
/// The longest refresh and disconnect timers.
const DAY: u64 = 86_400;

/// All cases, in the order of the files.
///
/// # Errors
///
/// When a file has a mistake; the message names the line.
pub fn all() -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (subject, text) in FILES {
        parse(subject, text, &mut cases)?;
    }
    let mut ids = BTreeSet::new();
    for case in &cases {
        ensure!(ids.insert(&case.id), "the id `{}` has two cases", case.id);
    }
    Ok(cases)
}

/// Reads the cases of one file.
///
/// # Errors
///
/// When there is a mistake; the message names the line.
pub fn parse(subject: &'static str, text: &str, cases: &mut Vec<Case>) -> anyhow::Result<()> {
    // The lines before the first case hold for every case of the file.
    let mut common = Vec::<&str>::new();
    let before = cases.len();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(id) = line.strip_prefix("== ") {
            let id = id.trim().to_owned();
            let mut case = Case { id, subject, minutes: 0, scripts: BTreeMap::new(), lines: Vec::new() };
            common.iter().try_for_each(|line| case.add(line))?;
            cases.push(case);
            continue;
        }
        if cases.len() == before {
            common.push(line);
            continue;
        }
        let case = cases.last_mut().context("a file has a case")?;
        case.add(line).with_context(|| format!("cases/{subject}.txt, line {}: `{line}`", number + 1))?;
    }
    Ok(())
}

impl Case {
    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(rest) = line.strip_prefix("> ") {
            self.lines.push(Line::Do(step(rest)?));
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("< ") {
            let (connection, text) =
                rest.split_once(' ').context("an expected line has a connection and a text")?;
            self.lines.push(Line::Expect { connection: connection.to_owned(), text: text.to_owned() });
            return Ok(());
        }
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        if keyword == "minutes" {
            self.minutes = rest.parse().context("minutes are a number")?;
            return Ok(());
        }
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        ensure!(!name.is_empty(), "`{keyword}` is not a keyword, or has no name");
        let script = self.scripts.entry(name.to_owned()).or_default();
        match keyword {
            "policy" => script.statements.push(rest.to_owned()),
            "also" => script.more.push(rest.to_owned()),
            "document" => script.documents.push(rest.to_owned()),
            "answer" => script.answer.push(rest.to_owned()),
            "returns" => script.returns = Some(rest.to_owned()),
            "later" => script.later = Some(rest.to_owned()),
            "raises" => script.raises = true,
            "sleeps" => script.seconds = rest.parse().context("seconds are a number")?,
            _ => bail!("`{keyword}` is not a keyword"),
        }
        Ok(())
    }

    /// The names of the scripts that clients of this case present.
    fn script_names(&self) -> BTreeSet<&str> {
        let steps = self.lines.iter().filter_map(|line| match line {
            Line::Do(step) => Some(step.argument("as").unwrap_or(MAIN)),
            Line::Expect { .. } => None,
        });
        steps.chain(self.scripts.keys().map(String::as_str)).collect()
    }

    /// What the function does for each script of this case, by the scripts' names; `expand` replaces placeholders.
    ///
    /// # Errors
    ///
    /// When a script is not what it has to be.
    pub fn scripts(&self, expand: &dyn Fn(&str) -> String) -> anyhow::Result<Map<String, Value>> {
        let scripts = self.script_names().into_iter().map(|name| {
            let value = match (self.scripts.get(name), name) {
                (Some(script), _) => script.value(expand)?,
                (None, "deny") => json!({"returns": refusal()}),
                (None, "error") => json!({"raises": true}),
                (None, MAIN) => Script::default().value(expand)?,
                (None, _) => bail!("the case `{}` has no script `{name}`", self.id),
            };
            Ok((name.to_owned(), value))
        });
        scripts.collect()
    }

    /// The texts of all lines, to see what a case needs.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flat_map(|line| match line {
            Line::Do(step) => {
                let named = step.named.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
                step.words.iter().map(String::as_str).chain(named).collect::<Vec<_>>()
            }
            Line::Expect { text, .. } => vec![text.as_str()],
        })
    }
}

/// An answer that refuses, whole as AWS wants it.
fn refusal() -> Value {
    let statement = json!({"Effect": "Deny", "Action": "*", "Resource": "*"});
    json!({
        "isAuthenticated": false, "principalId": "conform", "refreshAfterInSeconds": DAY, "disconnectAfterInSeconds": DAY,
        "policyDocuments": [{"Version": "2012-10-17", "Statement": [statement]}],
    })
}

impl Step {
    /// The argument of this name.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&str> {
        self.named.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// All arguments of this name.
    pub fn arguments<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.named.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Whether a word is there.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|it| it == word)
    }

    /// A number, or this one if the argument is not there.
    ///
    /// # Errors
    ///
    /// When it is not a number.
    pub fn number<N: std::str::FromStr>(&self, name: &str, default: N) -> anyhow::Result<N> {
        let Some(text) = self.argument(name) else { return Ok(default) };
        text.parse().ok().with_context(|| format!("`{name}={text}` is not a number"))
    }
}

impl Script {
    fn value(&self, expand: &dyn Fn(&str) -> String) -> anyhow::Result<Value> {
        if self.raises {
            return Ok(json!({"raises": true}));
        }
        if let Some(text) = &self.returns {
            return Ok(json!({"seconds": self.seconds, "returns": read(&expand(text))?}));
        }
        let own = !self.statements.is_empty() || !self.documents.is_empty();
        let usual = USUAL.into_iter().filter(|_| !own);
        let statements = usual.chain(self.statements.iter().chain(&self.more).map(String::as_str));
        let statements = statements.map(|text| statement(text, expand)).collect::<Result<Vec<_>, _>>()?;
        let mut documents =
            self.documents.iter().map(|text| read(&expand(text))).collect::<Result<Vec<_>, _>>()?;
        if !statements.is_empty() {
            documents.insert(0, json!({"Version": "2012-10-17", "Statement": statements}));
        }
        let mut answer = json!({
            "isAuthenticated": true, "principalId": expand("{word}"), "refreshAfterInSeconds": DAY, "disconnectAfterInSeconds": DAY,
            "policyDocuments": documents,
        });
        for text in &self.answer {
            let Value::Object(members) = read(&expand(text))? else { bail!("`answer` has members") };
            for (name, value) in members {
                let object = answer.as_object_mut().context("an answer is an object")?;
                if value.is_null() { _ = object.remove(&name) } else { _ = object.insert(name, value) }
            }
        }
        Ok(match &self.later {
            Some(later) => {
                json!({"seconds": self.seconds, "returns": answer, "later": read(&expand(later))?})
            }
            None => json!({"seconds": self.seconds, "returns": answer}),
        })
    }
}

fn read(json: &str) -> anyhow::Result<Value> {
    serde_json::from_str(json).with_context(|| format!("`{json}` is not JSON"))
}

/// `allow Publish,Receive topic/a|topic/b {"Bool":…}`.
fn statement(text: &str, expand: &dyn Fn(&str) -> String) -> anyhow::Result<Value> {
    let text = expand(text);
    let mut parts = text.splitn(4, ' ');
    let (effect, actions, resources, condition) = (parts.next(), parts.next(), parts.next(), parts.next());
    let effect = match effect {
        Some("allow") => "Allow",
        Some("deny") => "Deny",
        _ => bail!("`{text}` begins with `allow` or `deny`"),
    };
    let actions = actions.context("a statement has actions")?.split(',');
    let actions = actions
        .map(|action| if action.contains([':', '*']) { action.to_owned() } else { format!("iot:{action}") });
    let resources =
        resources.context("a statement has a resource")?.split('|').map(|resource| match resource {
            whole if whole.starts_with("arn:") || whole == "*" => whole.to_owned(),
            rest => expand("{arn}") + rest,
        });
    let mut statement = json!({
        "Effect": effect, "Action": actions.collect::<Vec<_>>(), "Resource": resources.collect::<Vec<_>>()
    });
    if let Some(condition) = condition {
        let object = statement.as_object_mut().context("a statement is an object")?;
        object.insert("Condition".to_owned(), read(condition)?);
    }
    Ok(statement)
}

fn step(text: &str) -> anyhow::Result<Step> {
    let mut parts = split(text)?.into_iter();
    let connection = parts.next().context("a step has a connection")?;
    let verb = parts.next().context("a step has a verb")?;
    let (_, arguments) =
        VERBS.iter().find(|(name, _)| *name == verb).with_context(|| format!("`{verb}` is not a verb"))?;
    let mut step = Step { connection, verb, words: Vec::new(), named: Vec::new() };
    for part in parts {
        let named = part
            .split_once('=')
            .filter(|(name, _)| arguments.iter().any(|it| it.trim_end_matches('*') == *name));
        match named {
            Some((name, value)) => {
                let repeats = arguments.iter().any(|it| it.strip_suffix('*') == Some(name));
                ensure!(repeats || step.argument(name).is_none(), "`{name}` is there twice");
                step.named.push((name.to_owned(), value.to_owned()));
            }
            None => step.words.push(part),
        }
    }
    Ok(step)
}

/// The words of a line; what is between quotation marks is in one word, and `\"` is a mark of its own.
fn split(text: &str) -> anyhow::Result<Vec<String>> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'"') => {
                word.push('"');
                characters.next();
            }
            '"' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            other => word.push(other),
        }
    }
    ensure!(!quoted, "a quotation mark is not closed");
    if begun || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_read_and_has_its_scripts() {
        let cases = all().unwrap();
        assert!(cases.len() > 100, "{}", cases.len());
        for case in &cases {
            let expects = case.lines.iter().any(|line| matches!(line, Line::Expect { .. }));
            assert!(expects, "{} expects nothing, so it can't fail", case.id);
            let last = case.lines.last().unwrap();
            assert!(
                matches!(last, Line::Expect { .. }),
                "{} ends with something that nobody looks at",
                case.id
            );
            case.scripts(&|text| text.replace("{arn}", "arn:aws:iot:us-east-1:123456789012:")).unwrap();
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let mistakes = [
            ("> a fly", "`fly` is not a verb"),
            ("> a", "a step has a verb"),
            ("> a connect 5 id=x id=y", "`id` is there twice"),
            ("> a connect 5 \"id", "a quotation mark is not closed"),
            ("< a", "an expected line has a connection and a text"),
            ("perhaps main x", "`perhaps` is not a keyword"),
            ("sleeps main long", "seconds are a number"),
        ];
        for (line, message) in mistakes {
            let error = parse("doors", &format!("== x\n{line}"), &mut Vec::new()).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.starts_with(&format!("cases/doors.txt, line 2: `{line}`")) && text.contains(message),
                "{text}"
            );
        }
    }

    #[test]
    fn a_script_is_an_answer_with_the_statements_that_it_names() {
        let mut cases = Vec::new();
        let text = "== x\npolicy main deny Publish topic/a|* {\"Bool\":{\"x\":\"y\"}}\nanswer main {\"principalId\":null}\n\
                    returns odd \"garbage\"\n> a connect 5 as=deny\n";
        parse("doors", text, &mut cases).unwrap();
        let scripts = cases[0].scripts(&|text| text.replace("{arn}", "ARN:").replace("{word}", "w")).unwrap();
        let statement = json!({"Effect": "Deny", "Action": ["iot:Publish"], "Resource": ["ARN:topic/a", "*"],
            "Condition": {"Bool": {"x": "y"}}});
        let main = &scripts["main"]["returns"];
        assert_eq!(main["policyDocuments"], json!([{"Version": "2012-10-17", "Statement": [statement]}]));
        assert_eq!((main.get("principalId"), &main["isAuthenticated"]), (None, &json!(true)));
        assert_eq!(scripts["odd"]["returns"], "garbage");
        assert_eq!(scripts["deny"]["returns"]["isAuthenticated"], false);
    }
}
