//! Topic filters: which text is one, and which topics it covers.

#![expect(clippy::panic, reason = "a failure here is the test's failure")]

use mqtt::{TopicError, TopicFilter, TopicName};
use proptest::prelude::*;

fn filter(text: &str) -> TopicFilter {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn name(text: &str) -> TopicName {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn accepted_filters() {
    let longest = "é".repeat(32_767);
    for text in [
        "#",
        "+",
        "/",
        "//",
        "a",
        "a/b",
        "a/#",
        "/#",
        "a//#",
        "+/+",
        "/+",
        "+/",
        "a/+/b",
        "+/#",
        "a/+/#",
        "$SYS/#",
        "$aws/things/+/shadow",
        "Grüße/+",
        "🌡/#",
        "a b",
        "$",
        "$share",
        "$shared/+",
        "$share/g/a",
        "$share/g/#",
        "$share/g/+/a",
        "$share/g//",
        "$share/grüße/a",
        &longest,
    ] {
        assert_eq!(filter(text).as_str(), text);
    }
}

#[test]
fn refused_filters() {
    let too_long = "é".repeat(32_768);
    for (text, expected) in [
        ("", TopicError::Empty),
        (too_long.as_str(), TopicError::TooLong),
        ("a\0", TopicError::NullCharacter),
        ("a\u{7f}", TopicError::ControlCharacter),
        ("a\u{fffe}/+", TopicError::ControlCharacter),
        ("#/", TopicError::MultiLevelWildcard),
        ("#/a", TopicError::MultiLevelWildcard),
        ("a/#/b", TopicError::MultiLevelWildcard),
        ("a#", TopicError::MultiLevelWildcard),
        ("#a", TopicError::MultiLevelWildcard),
        ("##", TopicError::MultiLevelWildcard),
        ("a/+#", TopicError::MultiLevelWildcard),
        ("a+", TopicError::SingleLevelWildcard),
        ("+a", TopicError::SingleLevelWildcard),
        ("++", TopicError::SingleLevelWildcard),
        ("a/é+/b", TopicError::SingleLevelWildcard),
        ("$share/", TopicError::SharedSubscription),
        ("$share/g", TopicError::SharedSubscription),
        ("$share/g/", TopicError::SharedSubscription),
        ("$share//a", TopicError::SharedSubscription),
        ("$share/+/a", TopicError::SharedSubscription),
        ("$share/g#/a", TopicError::SharedSubscription),
        ("$share/g/a#", TopicError::MultiLevelWildcard),
        ("$share/g/+a", TopicError::SingleLevelWildcard),
    ] {
        assert_eq!(text.parse::<TopicFilter>(), Err(expected), "{text:?}");
    }
}

#[test]
fn shared_filters() {
    for (text, expected) in [
        ("$share/g/a", Some(("g", "a"))),
        ("$share/g/a/b/#", Some(("g", "a/b/#"))),
        ("$share/g//", Some(("g", "/"))),
        ("$share", None),
        ("$shared/g/a", None),
        ("a/$share/g/a", None),
    ] {
        assert_eq!(filter(text).shared(), expected, "{text:?}");
    }
}

#[test]
fn matching() {
    for (filter_text, name_text, expected) in [
        ("a", "a", true),
        ("a", "A", false),
        ("a", "a/", false),
        ("a/", "a", false),
        ("/a", "a", false),
        ("+", "a", true),
        ("+", "/a", false),
        ("+", "a/b", false),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("/+", "/", true),
        ("+/", "a/", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b", true),
        ("a/+", "a/b/c", false),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a//c", true),
        ("#", "a", true),
        ("#", "/", true),
        ("#", "a/b/c", true),
        ("a/#", "a", false),
        ("a/#", "a/", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("a/#", "b", false),
        ("a/+/#", "a", false),
        ("a/+/#", "a/b", false),
        ("a/+/#", "a/b/c", true),
        ("+/#", "a", false),
        ("+/#", "a/", true),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("+", "$SYS", false),
        ("$SYS/#", "$SYS", false),
        ("$SYS/#", "$SYS/a", true),
        ("$SYS/+", "$SYS/a", true),
        ("a/#", "a/$b", true),
        ("a/+", "a/$b", true),
        ("é/+", "é/🌡", true),
        ("+/🌡", "é/🌡", true),
        ("#", "é", true),
        ("$share/g/a/+", "a/b", true),
        ("$share/g/a/+", "$share/g/a/b", false),
        ("$share/g/#", "$SYS/a", false),
        ("$share/g/#", "a", true),
        ("$share/g/$SYS/#", "$SYS/a", true),
    ] {
        assert_eq!(filter(filter_text).matches(&name(name_text)), expected, "{filter_text:?} {name_text:?}");
    }
}

/// The specification's words and AWS's exception, one level at a time, and nothing clever.
fn naive(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], [_, ..]) | ([], []) => true,
        (["+", filter @ ..], [_, name @ ..]) => naive(filter, name),
        ([wanted, filter @ ..], [level, name @ ..]) => wanted == level && naive(filter, name),
        _ => false,
    }
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "é", "$a"])
}

fn wanted() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "é", "$a", "+"])
}

proptest! {
    #[test]
    fn matching_is_the_naive_matching(
        mut filter_levels in prop::collection::vec(wanted(), 1..5),
        name_levels in prop::collection::vec(level(), 1..5),
        rest in any::<bool>(),
    ) {
        if rest {
            filter_levels.push("#");
        }
        let (filter_text, name_text) = (filter_levels.join("/"), name_levels.join("/"));
        // A lone empty level is no topic at all.
        if filter_text.is_empty() || name_text.is_empty() {
            return Ok(());
        }
        let system = name_text.starts_with('$') && !filter_text.starts_with('$');
        let expected = naive(&filter_levels, &name_levels) && !system;
        prop_assert_eq!(filter(&filter_text).matches(&name(&name_text)), expected);
        let shared = filter(&format!("$share/g/{filter_text}"));
        prop_assert_eq!(shared.matches(&name(&name_text)), expected);
    }

    #[test]
    fn a_name_covers_itself_and_nothing_panics(text in ".{0,12}", other in "[+#/$aé\u{0}\u{7f}]{0,8}") {
        for text in [&text, &other] {
            let filter = text.parse::<TopicFilter>();
            if let Ok(name) = text.parse::<TopicName>() {
                prop_assert!(filter.is_ok_and(|filter| filter.shared().is_some() || filter.matches(&name)));
            }
        }
    }
}
