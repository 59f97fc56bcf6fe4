//! Grants compared with the rules that they were made of, topic by topic.

use std::collections::BTreeSet;

use device_auth::grant::{GrantDefinition, TopicTemplate};
use proptest::prelude::*;

use super::{compile::compile, filter::Form, *};

/// A user of the tests.
const NAME: &str = "u1";

/// Whether a filter matches a topic (MQTT 3.1.1, 4.7).
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') != filter.starts_with('$') {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/').peekable(), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (Some(_), _) | (None, Some(_)) => return false,
        }
    }
}

/// Whether AWS delivers messages of a topic for a filter: as [`matches`], but `a/#` is without `a` there (AWS IoT Core
/// developer guide, `topics`).
fn delivers(filter: &str, topic: &str) -> bool {
    matches(filter, topic) && !filter.strip_suffix("/#").is_some_and(|parent| matches(parent, topic))
}

/// Whether a resource of a policy covers a text: `*` is any text.
fn covers(resource: &str, text: &str) -> bool {
    match resource.split_once('*') {
        None => resource == text,
        Some((front, rest)) => text.strip_prefix(front).is_some_and(|text| {
            (0..=text.len()).any(|at| text.get(at..).is_some_and(|text| covers(rest, text)))
        }),
    }
}

/// What AWS allows with a grant.
struct Granted<'a> {
    grant: &'a GrantDefinition,
    client_id: &'a str,
}

impl Granted<'_> {
    fn allows(&self, templates: &[TopicTemplate], text: &str) -> bool {
        templates.iter().any(|template| {
            let value = |name: &str| if name == "client_id" { Some(self.client_id) } else { Some(NAME) };
            covers(&template.fill(value).unwrap(), text)
        })
    }

    fn publish(&self, topic: &str) -> bool {
        self.allows(&self.grant.publish, topic)
    }

    fn read(&self, topic: &str, filters: &[String]) -> bool {
        let subscribes = |filter: &str| delivers(filter, topic) && self.allows(&self.grant.subscribe, filter);
        self.allows(&self.grant.receive, topic)
            && (subscribes(topic) || filters.iter().any(|filter| subscribes(filter)))
    }
}

/// All texts of up to three of these levels.
fn texts(levels: &[&str], last: &[&str]) -> Vec<String> {
    let mut all = last.iter().map(ToString::to_string).collect::<Vec<_>>();
    for one in levels {
        all.push(one.to_string());
        all.extend(last.iter().map(|last| format!("{one}/{last}")));
        for two in levels {
            all.push(format!("{one}/{two}"));
            all.extend(last.iter().map(|last| format!("{one}/{two}/{last}")));
            all.extend(levels.iter().map(|three| format!("{one}/{two}/{three}")));
        }
    }
    all
}

fn topics() -> Vec<String> {
    let mut topics = texts(&["a", "b", "u1", "u2", ""], &[]);
    topics.retain(|topic| !topic.is_empty());
    topics.extend(
        ["$SYS/a", "$aws/a", "$SYS", "a/b/a/b", "a/b/u1/b/a", "xu1", "a/xu1", "a/xu2"].map(str::to_owned),
    );
    topics
}

/// What mosquitto.conf(5) says about an `acl_file`, line by line and topic by topic.
fn mosquitto(file: &str, client_id: &str, wanted: &str, topic: &str) -> bool {
    let mut user = None;
    let (mut own, mut patterns) = (Vec::new(), Vec::new());
    for line in file.lines() {
        let words = line.split(' ').collect::<Vec<_>>();
        match words.as_slice() {
            ["user", name] => user = Some(*name),
            ["topic", access, filter] if user == Some(NAME) => own.push((*access, filter.to_string())),
            ["pattern", access, filter] => {
                patterns.push((*access, filter.replace("%u", NAME).replace("%c", client_id)));
            }
            _ => {}
        }
    }
    let hits = |rules: &[(&str, String)], accesses: &[&str]| {
        rules.iter().any(|(access, filter)| accesses.contains(access) && matches(filter, topic))
    };
    let allowing = [wanted, "readwrite"];
    if hits(&own, &["deny"]) {
        return false;
    }
    hits(&own, &allowing) || (!hits(&patterns, &["deny"]) && hits(&patterns, &allowing))
}

/// The first rule that matches decides.
fn decide(rules: &[Rule], client_id: &str, matches: impl Fn(&Rule, &str) -> bool) -> bool {
    let first = rules.iter().find(|rule| matches(rule, &filled(rule, client_id)));
    first.is_some_and(|rule| rule.effect == Effect::Allow)
}

/// The filter of a rule with values. One that is meant as it is has no placeholders.
fn filled(rule: &Rule, client_id: &str) -> String {
    let placeholders = [("%u", NAME), ("%c", client_id), ("${username}", NAME), ("${clientid}", client_id)];
    let text = rule.filter.as_str().to_owned();
    let fill = |text: String, (from, to): (&str, &str)| text.replace(from, to);
    if rule.is_exact { text } else { placeholders.into_iter().fold(text, fill) }
}

/// Whether a client may read a topic, by rules about subscriptions and messages, with AWS's delivery.
fn readable(access: &Access, client_id: &str, topic: &str, filters: &[String]) -> bool {
    let message = access.receive.is_empty()
        || decide(&access.receive, client_id, |rule, text| {
            if rule.is_exact { text == topic } else { matches(text, topic) }
        });
    let subscription = |filter: &str| {
        decide(&access.subscribe, client_id, |rule, text| {
            if rule.is_exact { text == filter } else { contains(text, filter) }
        })
    };
    let mut all = filters.iter().map(String::as_str).chain([topic]);
    message && all.any(|filter| delivers(filter, topic) && subscription(filter))
}

/// Whether a filter is inside another one.
fn contains(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some("#")) | (Some(_), None) | (None, Some(_)) => return false,
            (Some("+"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

/// Compiles rules, and compares each topic. `may_publish` and `may_read` are what the broker says.
fn check(
    access: &Access,
    client_id: Option<&str>,
    actual: &str,
    may_publish: impl Fn(&str) -> bool,
    may_read: impl Fn(&str, &[String]) -> bool,
) -> Result<(), TestCaseError> {
    let mut filters = texts(&["a", "b", "u1", "+"], &["#"]);
    for filter in access.subscribe.iter().map(|rule| filled(rule, actual)) {
        // A client that wants the parent too has to subscribe to it on AWS.
        filters.extend(filter.strip_suffix("/#").map(str::to_owned));
        filters.push(filter);
    }
    for form in [Form::PlaceholdersAndOwnName, Form::Placeholders, Form::Values] {
        let mut remarks = BTreeSet::new();
        let grant = compile(access, User { name: NAME, client_id }, form, &mut remarks);
        let granted = Granted { grant: &grant, client_id: actual };
        let is_lossless = !remarks.iter().any(|remark| remark.is_loss);
        for topic in topics() {
            let (publish, read) = (may_publish(&topic), may_read(&topic, &filters));
            let shown = || format!("{topic} as {actual}: {remarks:?} {grant:?}");
            prop_assert!(publish || !granted.publish(&topic), "publishes too much: {}", shown());
            prop_assert!(read || !granted.read(&topic, &filters), "reads too much: {}", shown());
            if is_lossless && !topic.starts_with('$') {
                prop_assert!(!publish || granted.publish(&topic), "can't publish: {}", shown());
                prop_assert!(!read || granted.read(&topic, &filters), "can't read: {}", shown());
            }
        }
    }
    Ok(())
}

/// A level of a filter: plain, a placeholder, or a wildcard.
fn level(placeholders: [&'static str; 3]) -> impl Strategy<Value = &'static str> {
    let [device, client_id, part] = placeholders;
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b"]),
        1 => prop::sample::select(vec!["u1", "u2", "", "$SYS", "x*", device, client_id, part]),
        1 => Just("+"),
    ]
}

fn filter_text(placeholders: [&'static str; 3]) -> impl Strategy<Value = String> {
    let levels = prop::collection::vec(level(placeholders), 1..4);
    (levels, prop::bool::weighted(0.3)).prop_map(|(levels, hash)| {
        let text = levels.join("/");
        if hash || text.is_empty() { format!("{text}/#") } else { text }
    })
}

const PERCENT: [&str; 3] = ["%u", "%c", "x%u"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn grant_is_what_mosquitto_allows_and_never_more(
        lines in prop::collection::vec(
            (prop::bool::ANY, prop::sample::select(vec!["read", "write", "readwrite", "deny"]), filter_text(PERCENT)), 1..6,
        ),
        is_known in prop::bool::ANY,
        actual in prop::sample::select(vec!["u1", "u2", "a"]),
    ) {
        let mut file = "topic readwrite b/#\nuser other\ntopic readwrite #\n".to_owned();
        for (is_pattern, access, filter) in lines {
            let keyword = if is_pattern { "pattern" } else { "user u1\ntopic" };
            file.extend([keyword, " ", access, " ", &filter, "\n"]);
        }
        let acl = mosquitto::AclFile::parse(&file, false).unwrap();
        let client_id = is_known.then_some(actual);
        let access = acl.access(User { name: NAME, client_id });
        let may = |wanted: &str, topic: &str| mosquitto(&file, actual, wanted, topic);
        check(&access, client_id, actual, |topic| may("write", topic), |topic, _| may("read", topic))?;
    }

    #[test]
    fn grant_is_what_an_ordered_list_allows_and_never_more(
        publish in rules(), subscribe in rules(), receive in prop_oneof![Just(Vec::new()), rules()],
        is_known in prop::bool::ANY,
        actual in prop::sample::select(vec!["u1", "u2", "a"]),
    ) {
        let client_id = is_known.then_some(actual);
        // No client publishes to a filter, and no message has one.
        let of_topics = |rules: Vec<Rule>| rules.into_iter().filter(|rule| !rule.is_exact).collect::<Vec<_>>();
        let access = Access { publish: of_topics(publish), subscribe, receive: of_topics(receive) };
        let may_publish = |topic: &str| decide(&access.publish, actual, |_, text| matches(text, topic));
        check(&access, client_id, actual, may_publish, |topic, filters| readable(&access, actual, topic, filters))?;
    }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rule = (
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.2),
        filter_text(["${username}", "${clientid}", "x${username}"]),
    );
    let rule = rule.prop_map(|(allow, is_exact, text)| {
        let placeholders = (!is_exact).then_some(("${username}", "${clientid}"));
        let effect = if allow { Effect::Allow } else { Effect::Deny };
        Rule {
            effect,
            filter: Filter::new(&text, placeholders).unwrap(),
            is_exact,
            retain: true,
            condition: None,
            line: 1,
        }
    });
    prop::collection::vec(rule, 1..5)
}
