//! Rules that give topics another name on AWS's side: for topics with more than seven slashes, or with a vendor's names.
//!
//! A rule has a pattern for each side. A level of a pattern is text, or `{name}`, which stands for one level; `#` at the end of
//! both stands for the rest. `{client_id}` and `{user_name}` are the device's own. The first rule that fits is used, and
//! a policy sees AWS's side.

use std::collections::BTreeMap;
use std::sync::Arc;

use mqtt::TopicFilter;

/// The rules, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TopicMap {
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    device: Pattern,
    cloud: Pattern,
}

#[derive(Debug, PartialEq, Eq)]
struct Pattern {
    levels: Vec<Level>,
    /// Whether `#` stands for the rest: one level or more.
    tail: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Level {
    Text(String),
    Value(String),
}

/// A rule that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A side is not a topic.
    #[error("`{0}` is not a topic: it needs at least one character, and no control characters")]
    Topic(String),
    /// A wildcard in a place where it can't be.
    #[error(
        "`{0}` has a wildcard: write `{{name}}` for one level, and `#` only as the last level of both sides"
    )]
    Wildcard(String),
    /// A brace in the middle of a level.
    #[error("`{0}` has a brace inside a level: `{{name}}` stands for a whole level")]
    Brace(String),
    /// The AWS side names a value that the device side does not have.
    #[error(
        "`{{{0}}}` is in `cloud` and not in `device`: only a value that the device's topic has can be used"
    )]
    Unknown(String),
    /// Only one side ends with `#`.
    #[error("`#` has to be at the end of both sides, or of none")]
    Tail,
}

/// What a session knows about the values in its device's topics. What the device has used once fills in values that AWS's side
/// of a rule does not have.
#[derive(Debug, Clone)]
pub struct KnownValues {
    client_id: Arc<str>,
    user_name: Arc<str>,
    /// By the number of the rule.
    used: Vec<(usize, BTreeMap<String, String>)>,
}

/// How many sets of values a session remembers: a device has few names.
const REMEMBERED: usize = 16;

impl KnownValues {
    /// A session that has used no topic yet. The user name is the part before a `?`.
    #[must_use]
    pub fn new(client_id: Arc<str>, user_name: Option<&str>) -> Self {
        let user_name = user_name.unwrap_or_default().split('?').next().unwrap_or_default().into();
        Self { client_id, user_name, used: Vec::new() }
    }

    fn own(&self, name: &str) -> Option<&str> {
        match name {
            "client_id" => Some(&self.client_id),
            "user_name" => Some(&self.user_name),
            _ => None,
        }
    }

    fn remember(&mut self, rule: usize, values: BTreeMap<String, String>) {
        let is_wild = values.values().any(|value| value == "+");
        if is_wild || self.used.iter().any(|(number, known)| *number == rule && *known == values) {
            return;
        }
        if self.used.len() == REMEMBERED {
            self.used.remove(0);
        }
        self.used.push((rule, values));
    }
}

impl TopicMap {
    /// Rules from pairs of the device's side and AWS's side.
    ///
    /// # Errors
    ///
    /// The first rule's error, if one can't be used.
    pub fn new<'a>(rules: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, RuleError> {
        let rules = rules.into_iter().map(|(device, cloud)| {
            let (device, cloud) = (Pattern::parse(device)?, Pattern::parse(cloud)?);
            if device.tail != cloud.tail {
                return Err(RuleError::Tail);
            }
            let is_known = |name: &&str| is_own(name) || device.names().any(|known| known == *name);
            if let Some(name) = cloud.names().find(|name| !is_known(name)) {
                return Err(RuleError::Unknown(name.to_owned()));
            }
            Ok(Rule { device, cloud })
        });
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }

    /// AWS's name for a device's topic, if a rule has one.
    #[must_use]
    pub fn to_cloud(&self, topic: &str, known: &mut KnownValues) -> Option<String> {
        self.rules.iter().enumerate().find_map(|(number, rule)| {
            let (values, tail) = rule.device.values(topic, known)?;
            let mapped = rule.cloud.fill(&values, tail, known)?;
            known.remember(number, values);
            Some(mapped)
        })
    }

    /// AWS's name for the device's topic filter, if a rule has one. `+` can stand for a value, and `#` for what `#` of the
    /// rule stands for; a filter that covers only some of a rule's topics in another way is not mapped.
    #[must_use]
    pub fn filter_to_cloud(&self, filter: &TopicFilter, known: &mut KnownValues) -> Option<TopicFilter> {
        let mapped = self.to_cloud(filter.unshared(), known)?;
        let text = match filter.shared() {
            Some((group, _)) => format!("$share/{group}/{mapped}"),
            None => mapped,
        };
        TopicFilter::try_from(text.as_str()).ok()
    }

    /// The device's name for one of AWS's topics, if a rule has one and the session knows all values of it.
    #[must_use]
    pub fn to_device(&self, topic: &str, known: &KnownValues) -> Option<String> {
        self.rules.iter().enumerate().find_map(|(number, rule)| {
            let (mut values, tail) = rule.cloud.values(topic, known)?;
            let missing = |values: &BTreeMap<String, String>| {
                rule.device.names().any(|name| !values.contains_key(name) && known.own(name).is_none())
            };
            if missing(&values) {
                let agrees = |used: &BTreeMap<String, String>| {
                    values.iter().all(|(name, value)| used.get(name) == Some(value))
                };
                let used = known.used.iter().rev().find(|(of, used)| *of == number && agrees(used))?;
                values.clone_from(&used.1);
            }
            rule.device.fill(&values, tail, known)
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, RuleError> {
        let error = |kind: fn(String) -> RuleError| kind(text.to_owned());
        let (body, tail) = match text.strip_suffix("/#") {
            Some(body) => (body, true),
            None => (text, false),
        };
        if body.contains(['+', '#']) {
            return Err(error(RuleError::Wildcard));
        }
        if mqtt::TopicName::try_from(body).is_err() {
            return Err(error(RuleError::Topic));
        }
        let levels = body.split('/').map(|level| {
            match level.strip_prefix('{').and_then(|level| level.strip_suffix('}')) {
                Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                    Ok(Level::Value(name.to_owned()))
                }
                None if !level.contains(['{', '}']) => Ok(Level::Text(level.to_owned())),
                _ => Err(error(RuleError::Brace)),
            }
        });
        Ok(Self { levels: levels.collect::<Result<_, _>>()?, tail })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(|level| match level {
            Level::Value(name) => Some(name.as_str()),
            Level::Text(_) => None,
        })
    }

    /// The values of the pattern's names in a topic that fits it, and the part for `#`.
    fn values<'a>(
        &self,
        topic: &'a str,
        known: &KnownValues,
    ) -> Option<(BTreeMap<String, String>, Option<&'a str>)> {
        let mut values = BTreeMap::<String, String>::new();
        let mut rest = Some(topic);
        for level in &self.levels {
            let text = rest?;
            let (found, after) = match text.split_once('/') {
                Some((found, after)) => (found, Some(after)),
                None => (text, None),
            };
            rest = after;
            match level {
                Level::Text(wanted) if wanted == found => {}
                Level::Value(name) if !found.is_empty() && found != "#" => {
                    let expected = known.own(name).or_else(|| values.get(name).map(String::as_str));
                    if expected.is_some_and(|expected| expected != found) {
                        return None;
                    }
                    values.insert(name.clone(), found.to_owned());
                }
                Level::Text(_) | Level::Value(_) => return None,
            }
        }
        (rest.is_some() == self.tail).then_some((values, rest))
    }

    fn fill(
        &self,
        values: &BTreeMap<String, String>,
        tail: Option<&str>,
        known: &KnownValues,
    ) -> Option<String> {
        let mut levels = Vec::with_capacity(self.levels.len() + 1);
        for level in &self.levels {
            levels.push(match level {
                Level::Text(text) => text.as_str(),
                Level::Value(name) => values.get(name).map(String::as_str).or_else(|| known.own(name))?,
            });
        }
        levels.extend(tail);
        Some(levels.join("/"))
    }
}

fn is_own(name: &str) -> bool {
    matches!(name, "client_id" | "user_name")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROPERTY: (&str, &str) = ("/sys/{pk}/{dn}/thing/event/property/post", "{dn}/property");
    const SERVICE: (&str, &str) = ("/sys/{pk}/{dn}/thing/service/#", "{dn}/service/#");
    const OWN: (&str, &str) = ("data", "{client_id}/data");

    fn known() -> KnownValues {
        KnownValues::new("c1".into(), Some("u1?x=y"))
    }

    #[test]
    fn topics_are_mapped_both_ways() {
        let map = TopicMap::new([PROPERTY, SERVICE, OWN, ("up/{user_name}", "{user_name}/up")]).unwrap();
        let mut known = known();
        let cases = [
            ("/sys/p/d/thing/event/property/post", Some("d/property")),
            ("/sys/p/d/thing/service/a/b", Some("d/service/a/b")),
            ("/sys/p/d/thing/service", None),
            ("/sys/p//thing/event/property/post", None),
            ("data", Some("c1/data")),
            ("data/more", None),
            ("up/u1", Some("u1/up")),
            ("up/u2", None),
            ("other", None),
        ];
        for (device, cloud) in cases {
            let mapped = map.to_cloud(device, &mut known);
            assert_eq!(mapped.as_deref(), cloud, "{device}");
            if let Some(cloud) = cloud {
                assert_eq!(map.to_device(cloud, &known).as_deref(), Some(device), "{cloud}");
            }
        }
        assert_eq!(map.to_device("c2/data", &known), None);
        assert_eq!(map.to_device("unseen/property", &known), None, "its product is not known");
    }

    #[test]
    fn filters_are_mapped_where_a_rule_covers_them() {
        let map = TopicMap::new([PROPERTY, SERVICE]).unwrap();
        let cases = [
            ("/sys/p/d/thing/service/#", Some("d/service/#")),
            ("/sys/p/d/thing/service/+/x", Some("d/service/+/x")),
            ("/sys/+/d/thing/event/property/post", Some("d/property")),
            ("$share/g/sys/x", None),
            ("/sys/p/d/#", None),
            ("/sys/p/d/+/event/property/post", None),
            ("#", None),
        ];
        for (device, cloud) in cases {
            let filter = TopicFilter::try_from(device).unwrap();
            let mapped = map.filter_to_cloud(&filter, &mut known());
            assert_eq!(mapped.as_ref().map(TopicFilter::as_str), cloud, "{device}");
        }
        let shared = TopicFilter::try_from("$share/g//sys/p/d/thing/service/#").unwrap();
        let mapped = map.filter_to_cloud(&shared, &mut known()).unwrap();
        assert_eq!(mapped.as_str(), "$share/g/d/service/#");
    }

    #[test]
    fn a_value_that_aws_does_not_see_is_remembered_for_its_own_device() {
        let map = TopicMap::new([PROPERTY]).unwrap();
        let mut known = known();
        for product in ["p1", "p2"] {
            let topic = format!("/sys/{product}/{product}-d/thing/event/property/post");
            map.to_cloud(&topic, &mut known).unwrap();
        }
        let to_device = map.to_device("p1-d/property", &known);
        assert_eq!(to_device.as_deref(), Some("/sys/p1/p1-d/thing/event/property/post"));
        for number in 0..2 * REMEMBERED {
            map.to_cloud(&format!("/sys/p/{number}/thing/event/property/post"), &mut known).unwrap();
        }
        assert_eq!(known.used.len(), REMEMBERED);
        assert_eq!(map.to_device("p1-d/property", &known), None);
    }

    #[test]
    fn rules_that_cannot_work_are_refused() {
        let cases = [
            (("", "a"), "`` is not a topic"),
            (("a/+/b", "a"), "`a/+/b` has a wildcard"),
            (("a/#/b", "a"), "`a/#/b` has a wildcard"),
            (("a/x{b}", "a"), "`a/x{b}` has a brace"),
            (("a/{}", "a"), "`a/{}` has a brace"),
            (("a/{b}", "{c}"), "`{c}` is in `cloud`"),
            (("a/#", "b"), "`#` has to be"),
        ];
        for (rule, message) in cases {
            let error = TopicMap::new([rule]).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
