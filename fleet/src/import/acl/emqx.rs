//! EMQX's rules: the tuples of `acl.conf`, and the JSON of the built-in database.
//!
//! The first rule that matches decides. In the database the rules of a client id come first, then those of a user name, then
//! those for all. A subscription is checked, and no message that it brings.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::json_lines::{self, Element},
    Access, Effect, Remark, Rule, User,
    erlang::{self, Term},
    filter::Filter,
    quoted,
};

const PLACEHOLDERS: (&str, &str) = ("${username}", "${clientid}");

/// The rules of a file, in their order.
#[derive(Debug)]
pub(in crate::import) struct Rules(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    who: Who,
    /// Whether it is about what is published.
    publish: bool,
    /// Whether it is about subscriptions.
    subscribe: bool,
    rule: Rule,
}

/// Whom a rule is for.
#[derive(Clone, Debug)]
enum Who {
    All,
    User(String),
    ClientId(String),
    /// It depends on something that a grant does not know.
    Unknown(&'static str),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// Whether a rule is for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applies {
    Yes,
    No,
    Perhaps(&'static str),
}

const REGULAR_EXPRESSION: &str = "whether a regular expression matches is not looked at: name the users";
const ADDRESS: &str = "a grant can't depend on the address of the client: name the users";
const SEVERAL_IDS: &str =
    "the user may have several client ids: name the one that it has with `--client-id`, or name the user";
const OF_MESSAGE: &str = "a grant can't depend on a message's QoS: use a rule without it";
const ONLY_RETAINED: &str = "a grant can't allow retained messages alone: use a rule without `retain`";

impl Rules {
    pub(in crate::import) fn parse(text: &str) -> anyhow::Result<Self> {
        let start = text.trim_start();
        let is_object = start.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']));
        if start.starts_with('[') || is_object { of_json(text) } else { of_terms(text) }.map(Self)
    }

    pub(super) fn access(&self, user: User<'_>) -> Access {
        let mut access = Access::default();
        for Entry { who, publish, subscribe, rule } in &self.0 {
            let condition = match who.applies(user) {
                Applies::No => continue,
                Applies::Yes => rule.condition,
                Applies::Perhaps(why) => Some(why),
            };
            let rule = Rule { condition, ..rule.clone() };
            // No client publishes to a filter with a wildcard.
            if *publish && !(rule.is_exact && rule.filter.has_wildcard()) {
                access.publish.push(rule.clone());
            }
            if *subscribe {
                access.subscribe.push(rule);
            }
        }
        access
    }

    pub(super) fn remarks(&self, is_known: impl Fn(&str) -> bool) -> Vec<Remark> {
        let unknown = self.0.iter().filter_map(|entry| match &entry.who {
            Who::User(name) if !is_known(name) => {
                let text = format!("user {} is not in the file of users", quoted(name));
                Some(Remark::note(entry.rule.line, text))
            }
            _ => None,
        });
        let is_total =
            |entry: &Entry| matches!(entry.who, Who::All) && entry.rule.filter == Filter::everything();
        let last = self.0.last();
        let open = last.is_none_or(|entry| !is_total(entry)).then(|| {
            let line = last.map_or(1, |entry| entry.rule.line);
            let text =
                "EMQX allows what no rule matches, unless its `no_match` is `deny`; a grant refuses it"
                    .to_owned();
            Remark::note(line, text)
        });
        unknown.chain(open).collect()
    }
}

impl Who {
    fn applies(&self, user: User<'_>) -> Applies {
        match self {
            Self::All => Applies::Yes,
            Self::User(name) => {
                if name == user.name {
                    Applies::Yes
                } else {
                    Applies::No
                }
            }
            Self::ClientId(id) => match user.client_id {
                Some(own) if own == id => Applies::Yes,
                Some(_) => Applies::No,
                None => Applies::Perhaps(SEVERAL_IDS),
            },
            Self::Unknown(why) => Applies::Perhaps(why),
            Self::And(parts) => {
                parts.iter().fold(Applies::Yes, |all, part| match (all, part.applies(user)) {
                    (Applies::No, _) | (_, Applies::No) => Applies::No,
                    (Applies::Perhaps(why), _) | (_, Applies::Perhaps(why)) => Applies::Perhaps(why),
                    (Applies::Yes, Applies::Yes) => Applies::Yes,
                })
            }
            Self::Or(parts) => parts.iter().fold(Applies::No, |any, part| match (any, part.applies(user)) {
                (Applies::Yes, _) | (_, Applies::Yes) => Applies::Yes,
                (Applies::Perhaps(why), _) | (_, Applies::Perhaps(why)) => Applies::Perhaps(why),
                (Applies::No, Applies::No) => Applies::No,
            }),
        }
    }
}

fn of_terms(text: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (line, term) in erlang::terms(text)? {
        let Term::Tuple(parts) = term else {
            bail!("line {line}: a rule is a tuple, `{{allow, all}}.` for example")
        };
        entries.extend(of_tuple(&parts, line).with_context(|| format!("line {line}"))?);
    }
    Ok(entries)
}

fn of_tuple(parts: &[Term], line: usize) -> anyhow::Result<Vec<Entry>> {
    let all = Term::Atom("all".to_owned());
    let (effect, who, action, topics) = match parts {
        [effect, who] => (effect, who, &all, None),
        [effect, who, action] => (effect, who, action, None),
        [effect, who, action, Term::List(topics)] => (effect, who, action, Some(topics.as_slice())),
        [effect, who, action, topic] => (effect, who, action, Some(std::slice::from_ref(topic))),
        _ => bail!("a rule is `{{allow, WHO, ACTION, [TOPIC]}}.`"),
    };
    let effect = match effect {
        Term::Atom(atom) if atom == "allow" => Effect::Allow,
        Term::Atom(atom) if atom == "deny" => Effect::Deny,
        _ => bail!("a rule begins with `allow` or `deny`"),
    };
    let who = who_of(who)?;
    let action = Action::of_term(action)?;
    let filters = match topics {
        None => vec![(Filter::everything(), false)],
        Some([Term::Atom(atom)]) if atom == "all" => vec![(Filter::everything(), false)],
        Some(topics) => topics.iter().map(filter_of_term).collect::<anyhow::Result<_>>()?,
    };
    Ok(filters.into_iter().map(|filter| action.entry(who.clone(), effect, filter, line)).collect())
}

fn who_of(term: &Term) -> anyhow::Result<Who> {
    let parts = match term {
        Term::Atom(atom) if atom == "all" => return Ok(Who::All),
        Term::Tuple(parts) => parts.as_slice(),
        _ => bail!("a rule is for `all`, `{{username, NAME}}`, `{{clientid, ID}}` or `{{ipaddr, ADDRESS}}`"),
    };
    Ok(match parts {
        [Term::Atom(kind), value] => match (kind.as_str(), value) {
            ("username" | "user", Term::Text(name)) => Who::User(name.clone()),
            ("username" | "user" | "clientid" | "client", Term::Atom(all)) if all == "all" => Who::All,
            ("clientid" | "client", Term::Text(id)) => Who::ClientId(id.clone()),
            ("username" | "user" | "clientid" | "client", Term::Tuple(_)) => Who::Unknown(REGULAR_EXPRESSION),
            ("ipaddr" | "ipaddrs", _) => Who::Unknown(ADDRESS),
            ("and", Term::List(parts)) => Who::And(parts.iter().map(who_of).collect::<anyhow::Result<_>>()?),
            ("or", Term::List(parts)) => Who::Or(parts.iter().map(who_of).collect::<anyhow::Result<_>>()?),
            _ => Who::Unknown("what the rule depends on is not known here: name the users"),
        },
        _ => Who::Unknown("what the rule depends on is not known here: name the users"),
    })
}

/// What a rule is about.
#[derive(Clone, Copy)]
struct Action {
    publish: bool,
    subscribe: bool,
    /// Whether retained messages are meant too.
    retain: bool,
    condition: Option<&'static str>,
}

impl Action {
    fn named(name: &str) -> anyhow::Result<Self> {
        let (publish, subscribe) = match name {
            "publish" => (true, false),
            "subscribe" => (false, true),
            "all" | "pubsub" => (true, true),
            other => bail!("{} is not `publish`, `subscribe` or `all`", quoted(other)),
        };
        Ok(Self { publish, subscribe, retain: true, condition: None })
    }

    fn of_term(term: &Term) -> anyhow::Result<Self> {
        let (name, options) = match term {
            Term::Atom(name) => return Self::named(name),
            Term::Tuple(parts) => match parts.as_slice() {
                [Term::Atom(name), Term::List(options)] => (name, options.as_slice()),
                [Term::Atom(name), option] => (name, std::slice::from_ref(option)),
                _ => bail!("an action is `publish`, `subscribe` or `all`"),
            },
            _ => bail!("an action is `publish`, `subscribe` or `all`"),
        };
        let mut action = Self::named(name)?;
        for option in options {
            match option {
                Term::Tuple(pair) => match pair.as_slice() {
                    [Term::Atom(key), Term::Atom(value)] if key == "retain" => action.limit_retain(value),
                    [Term::Atom(key), _] if key == "qos" => action.condition = Some(OF_MESSAGE),
                    _ => bail!("an option of an action is `{{qos, N}}` or `{{retain, true}}`"),
                },
                _ => bail!("an option of an action is `{{qos, N}}` or `{{retain, true}}`"),
            }
        }
        Ok(action)
    }

    fn limit_retain(&mut self, value: &str) {
        match value {
            "false" => self.retain = false,
            "true" => self.condition = Some(ONLY_RETAINED),
            _ => {}
        }
    }

    fn entry(self, who: Who, effect: Effect, (filter, is_exact): (Filter, bool), line: usize) -> Entry {
        let Self { publish, subscribe, retain, condition } = self;
        // A rule that denies some messages only denies a part of what its topics are.
        let condition = if effect == Effect::Deny && !retain { Some(ONLY_RETAINED) } else { condition };
        Entry { who, publish, subscribe, rule: Rule { effect, filter, is_exact, retain, condition, line } }
    }
}

fn filter_of_term(term: &Term) -> anyhow::Result<(Filter, bool)> {
    match term {
        Term::Text(text) => filter(text, false),
        Term::Tuple(parts) => match parts.as_slice() {
            [Term::Atom(eq), Term::Text(text)] if eq == "eq" => filter(text, true),
            _ => bail!("a topic is a string or `{{eq, STRING}}`"),
        },
        _ => bail!("a topic is a string or `{{eq, STRING}}`"),
    }
}

fn filter(text: &str, is_exact: bool) -> anyhow::Result<(Filter, bool)> {
    if !is_exact && text.split('/').any(|level| level.contains("%u") || level.contains("%c")) {
        bail!(
            "{}: EMQX 5 has no placeholder `%u` or `%c`, EMQX 4 has no other: write `${{username}}` or `${{clientid}}`",
            quoted(text)
        );
    }
    let filter = Filter::new(text, (!is_exact).then_some(PLACEHOLDERS)).with_context(|| quoted(text))?;
    Ok((filter, is_exact))
}

/// The rules of one client, of one user, or of all, as the API gives them.
#[derive(Deserialize)]
struct Scope {
    username: Option<String>,
    clientid: Option<String>,
    #[serde(default)]
    rules: Vec<ScopeRule>,
}

#[derive(Deserialize)]
struct ScopeRule {
    topic: String,
    action: String,
    permission: String,
    #[serde(default)]
    qos: Option<Value>,
    #[serde(default)]
    retain: Option<Value>,
}

fn of_json(text: &str) -> anyhow::Result<Vec<Entry>> {
    let whole = Element::of(text);
    let (values, elements) = match json_lines::parse(text, "JSON with EMQX's rules")? {
        Value::Array(values) => (values, whole.elements(&[])),
        Value::Object(mut object) => match object.remove("data") {
            Some(Value::Array(values)) => (values, whole.elements(&["data"])),
            Some(_) => bail!("`data` is not a list"),
            None => (vec![Value::Object(object)], vec![whole]),
        },
        _ => bail!("it is not a list of rules"),
    };
    let (mut of_ids, mut of_users, mut of_all) = (Vec::new(), Vec::new(), Vec::new());
    for (value, element) in values.into_iter().zip(elements) {
        let scope = serde_json::from_value::<Scope>(value);
        let Scope { username, clientid, rules } = scope.ok().with_context(|| {
            format!("line {}: it has no `rules`, each with `topic`, `action` and `permission`", element.line)
        })?;
        let (who, entries) = match (clientid, username) {
            (Some(id), _) => (Who::ClientId(id), &mut of_ids),
            (None, Some(name)) => (Who::User(name), &mut of_users),
            (None, None) => (Who::All, &mut of_all),
        };
        for (rule, line) in rules.into_iter().zip(element.lines(&["rules"])) {
            entries.push(rule.entry(who.clone(), line).with_context(|| format!("line {line}"))?);
        }
    }
    Ok(of_ids.into_iter().chain(of_users).chain(of_all).collect())
}

impl ScopeRule {
    fn entry(self, who: Who, line: usize) -> anyhow::Result<Entry> {
        let effect = match self.permission.as_str() {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            other => bail!("`permission` is {}, and not `allow` or `deny`", quoted(other)),
        };
        let mut action = Action::named(&self.action)?;
        match self.qos {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) if all.len() == 3 => {}
            Some(_) => action.condition = Some(OF_MESSAGE),
        }
        match self.retain {
            Some(Value::Bool(retain)) => action.limit_retain(if retain { "true" } else { "false" }),
            Some(Value::String(retain)) => action.limit_retain(&retain),
            _ => {}
        }
        let filter = match self.topic.strip_prefix("eq ") {
            Some(exact) => filter(exact, true)?,
            None => filter(&self.topic, false)?,
        };
        Ok(action.entry(who, effect, filter, line))
    }
}
