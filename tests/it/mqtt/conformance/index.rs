//! docs/conformance.md against the specifications' numbers and this tree.

use std::{collections::BTreeMap, fs};

use integration::files;

/// How many statements each section has.
const V311: &[(&str, usize)] = &[
    ("1.5.3", 3),
    ("2.2.2", 2),
    ("2.3.1", 7),
    ("3.1.0", 2),
    ("3.1.2", 24),
    ("3.1.3", 11),
    ("3.1.4", 5),
    ("3.2.0", 1),
    ("3.2.2", 6),
    ("3.3.1", 12),
    ("3.3.2", 3),
    ("3.3.4", 1),
    ("3.3.5", 2),
    ("3.6.1", 1),
    ("3.8.1", 1),
    ("3.8.3", 4),
    ("3.8.4", 6),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.12.4", 1),
    ("3.14.1", 1),
    ("3.14.4", 3),
    ("4.1.0", 2),
    ("4.3.1", 1),
    ("4.3.2", 2),
    ("4.3.3", 2),
    ("4.4.0", 1),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.1", 3),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.0", 2),
    ("6.0.0", 4),
    ("7.0.0", 2),
    ("7.1.1", 1),
    ("7.1.2", 1),
];

const V5: &[(&str, usize)] = &[
    ("1.5.4", 3),
    ("1.5.5", 1),
    ("1.5.7", 1),
    ("2.1.3", 1),
    ("2.2.1", 6),
    ("2.2.2", 1),
    ("3.1.0", 2),
    ("3.1.2", 30),
    ("3.1.3", 12),
    ("3.1.4", 6),
    ("3.2.0", 2),
    ("3.2.2", 22),
    ("3.3.1", 13),
    ("3.3.2", 20),
    ("3.3.4", 10),
    ("3.4.2", 3),
    ("3.5.2", 3),
    ("3.6.1", 1),
    ("3.6.2", 3),
    ("3.7.2", 3),
    ("3.8.1", 1),
    ("3.8.3", 5),
    ("3.8.4", 8),
    ("3.9.2", 2),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.11.2", 2),
    ("3.11.3", 2),
    ("3.12.4", 1),
    ("3.14.0", 1),
    ("3.14.1", 1),
    ("3.14.2", 4),
    ("3.14.4", 3),
    ("3.15.1", 1),
    ("3.15.2", 3),
    ("4.1.0", 2),
    ("4.2.0", 1),
    ("4.3.1", 1),
    ("4.3.2", 5),
    ("4.3.3", 13),
    ("4.4.0", 2),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.0", 1),
    ("4.7.1", 2),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.2", 6),
    ("4.9.0", 3),
    ("4.12.0", 7),
    ("4.12.1", 2),
    ("4.13.1", 1),
    ("4.13.2", 1),
    ("6.0.0", 4),
];

/// Left out of the specification when its numbers were fixed already.
const NO_STATEMENT: &str = "2.2.1-1";

const VERSIONS: [(&str, &[(&str, usize)]); 2] = [("3.1.1", V311), ("5", V5)];

/// A version's statements, and what the last cell of each one's row says.
type Rows = BTreeMap<String, String>;

#[test]
fn every_statement_has_one_row() {
    for (version, sections) in VERSIONS {
        let numbers = |(section, count): &(&str, usize)| {
            (1..=*count).map(|n| format!("{section}-{n}")).collect::<Vec<_>>()
        };
        let expected =
            sections.iter().flat_map(numbers).filter(|number| version != "5" || number != NO_STATEMENT);
        let rows = rows(version);
        for number in expected.clone() {
            assert!(rows.contains_key(&number), "MQTT {version}: {number} has no row");
        }
        assert_eq!(rows.len(), expected.count(), "MQTT {version}: a row is left over");
    }
}

#[test]
fn every_row_names_tests_that_exist_or_says_why_not() {
    let tree = tree();
    for (version, _) in VERSIONS {
        for (number, shown) in rows(version) {
            assert!(!shown.is_empty(), "MQTT {version}: {number} says nothing");
            for test in shown.split('`').skip(1).step_by(2) {
                let function = format!("fn {test}(");
                assert!(
                    tree.contains(&function),
                    "MQTT {version}: {number} names `{test}`, which does not exist"
                );
            }
        }
    }
}

#[test]
fn every_number_above_a_test_has_a_row_that_names_the_test() {
    let versions = VERSIONS.map(|(version, _)| (version, rows(version)));
    let mut named = 0;
    for path in files::below(&files::root().join("tests/it/mqtt/conformance")) {
        let source = fs::read_to_string(&path).unwrap();
        let mut comment = String::new();
        for line in source.lines() {
            if let Some(more) = line.strip_prefix("///") {
                comment.push_str(more);
            } else if let Some(rest) = line.strip_prefix("async fn ") {
                let test = format!("`{}`", rest.split_once('(').unwrap().0);
                for (version, rows) in &versions {
                    for number in numbers_of(&comment, version) {
                        let shown = rows.get(&number).map_or("", String::as_str);
                        assert!(
                            shown.contains(&test),
                            "MQTT {version}: the row of {number} should name {test}"
                        );
                        named += 1;
                    }
                }
                comment.clear();
            } else if !line.starts_with("#[") {
                comment.clear();
            }
        }
    }
    assert!(named > 200, "{named}");
}

/// The numbers of one version in a comment like `3.1.1: 1.5.3-1, 3.1.2-8 to 3.1.2-10. 5: 3.1.0-1.`
fn numbers_of(comment: &str, version: &str) -> Vec<String> {
    let Some((_, list)) = comment.split_once(&format!(" {version}: ")) else { return Vec::new() };
    let list = list.split(". ").next().unwrap_or(list);
    expand(list.trim_end_matches('.'))
}

/// `1.5.3-1, 3.1.2-8 to 10` as the numbers that it names.
fn expand(list: &str) -> Vec<String> {
    let one = |part: &str| {
        let (first, end) = part.trim().split_once(" to ").map_or((part.trim(), None), |(a, b)| (a, Some(b)));
        let (section, from) = first.split_once('-').unwrap_or_else(|| panic!("{part} is no number"));
        let from = from.parse::<usize>().unwrap();
        let to = end.map_or(from, |end| end.rsplit('-').next().unwrap().parse().unwrap());
        (from..=to).map(|n| format!("{section}-{n}")).collect::<Vec<_>>()
    };
    list.split(',').flat_map(one).collect()
}

fn rows(version: &str) -> Rows {
    let page = fs::read_to_string(files::root().join("docs/conformance.md")).unwrap();
    let (_, part) = page.split_once(&format!("\n## MQTT {version}\n")).unwrap();
    let part = part.split_once("\n## ").map_or(part, |(part, _)| part);
    let mut rows = Rows::new();
    for line in part.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells = line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>();
        assert_eq!(cells.len(), 3, "{line}");
        for number in expand(cells[0]) {
            let there = rows.insert(number.clone(), cells[2].to_owned());
            assert_eq!(there, None, "MQTT {version}: {number} has two rows");
        }
    }
    rows
}

fn tree() -> String {
    files::rust_code(&["tests/it", "crates/mqtt/src", "crates/mqtt/tests", "gateway/src"])
}
