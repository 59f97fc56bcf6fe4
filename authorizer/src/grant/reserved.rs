//! Values that a placeholder must not have.

use std::collections::{BTreeMap, BTreeSet};

use super::template::{Level, TopicTemplate};

/// By placeholder, the texts that some grant names literally where the placeholder stands.
///
/// With the topics `fleet/{client_id}/cmd` and `fleet/all/cmd`, a device that may call itself `all` would own
/// the broadcast. A literal level with a wildcard is an operator's wide view and reserves nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reserved(BTreeMap<String, BTreeSet<String>>);

impl Reserved {
    /// What `own` templates must keep clear of, given those of all grants.
    pub(super) fn new<'t>(own: impl Iterator<Item = &'t TopicTemplate>, all: &[TopicTemplate]) -> Self {
        let mut reserved = Self::default();
        for template in own {
            for (at, level) in template.levels().iter().enumerate() {
                if let Level::Placeholder(name) = level {
                    let texts =
                        all.iter().filter_map(|other| named_literally(template.levels(), other.levels(), at));
                    reserved.0.entry(name.clone()).or_default().extend(texts.map(str::to_owned));
                }
            }
        }
        reserved
    }

    /// Whether `value` is kept from `placeholder`.
    pub(super) fn contains(&self, placeholder: &str, value: &str) -> bool {
        self.0.get(placeholder).is_some_and(|texts| texts.contains(value))
    }
}

/// What `other` says literally at level `at`, if the levels before it can be the same.
fn named_literally<'o>(template: &[Level], other: &'o [Level], at: usize) -> Option<&'o str> {
    let alike = template.iter().zip(other).take(at).all(|levels| match levels {
        (Level::Literal(one), Level::Literal(other)) => one == other,
        _ => true,
    });
    match other.get(at) {
        Some(Level::Literal(text)) if alike && !text.contains(['*', '+', '#']) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(own: &str, all: &[&str]) -> Reserved {
        let template = |text: &&str| TopicTemplate::try_from((*text).to_owned()).unwrap();
        Reserved::new([template(&own)].iter(), &all.iter().map(template).collect::<Vec<_>>())
    }

    #[test]
    fn a_literal_is_reserved_where_a_placeholder_could_be_it() {
        let cases = [
            ("{client_id}/*", "sensor/{client_id}/temperature", "client_id", "sensor", true),
            ("{device}/*", "sensor/x", "device", "sensor", true),
            ("{product}/{device}/data", "pk/broadcast/data", "device", "broadcast", true),
            ("fleet/{client_id}/cmd", "fleet/all/cmd", "client_id", "all", true),
            ("fleet/{client_id}/cmd", "other/all/cmd", "client_id", "all", false),
            ("fleet/{client_id}", "fleet/all/cmd", "client_id", "all", true),
            ("a/b/{client_id}", "a", "client_id", "a", false),
            ("{client_id}/*", "sensor*/x", "client_id", "sensor*", false),
            ("{client_id}/*", "+/x", "client_id", "+", false),
        ];
        for (own, other, placeholder, value, expected) in cases {
            assert_eq!(reserved(own, &[own, other]).contains(placeholder, value), expected, "{own} {other}");
        }
    }
}
