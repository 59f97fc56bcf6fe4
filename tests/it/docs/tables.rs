//! The tables of docs/ against the code: every setting and every reason has one row, and no other rows exist.

use std::{collections::BTreeSet, fs, path::Path};

use device_auth::deny_reason::DenyReason;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The first name in backticks of each table row.
fn rows(page: &str) -> Vec<String> {
    let first = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    read(page).lines().filter_map(first).collect()
}

#[test]
fn every_setting_is_documented_once() {
    let sources = [
        "authorizer/src/config.rs",
        "authorizer/src/config/jwt.rs",
        "authorizer/src/config/store.rs",
        "crates/device-auth/src/location.rs",
    ];
    let known = sources.iter().flat_map(|source| {
        let text = read(source);
        let name = |line: &str| {
            let value = line.strip_prefix("pub const ")?.split_once("&str = \"")?.1;
            Some(value.strip_suffix("\";")?.to_owned())
        };
        text.lines().filter_map(name).collect::<Vec<_>>()
    });
    let known = known.filter(|name| name.starts_with("LATCHKEY_")).collect::<BTreeSet<_>>();
    assert!(known.len() > 25, "{known:?}");
    let rows = [rows("docs/authorizer.md"), rows("docs/stores.md")].concat();
    let documented = rows.iter().filter(|name| name.starts_with("LATCHKEY_")).collect::<Vec<_>>();
    for name in &known {
        let count = documented.iter().filter(|row| **row == name).count();
        assert_eq!(count, 1, "{name} should have one row in docs/authorizer.md or docs/stores.md");
    }
    assert_eq!(documented.len(), known.len(), "a row has an unknown setting: {documented:?}");
}

#[test]
fn every_deny_reason_is_documented_once() {
    let page = read("docs/authorizer.md");
    for reason in DenyReason::all() {
        let start = format!("| `{}` | ", reason.as_str());
        let rows = page.lines().filter_map(|line| line.strip_prefix(&*start)).collect::<Vec<_>>();
        let [row] = rows[..] else { panic!("{reason:?} has {} rows in docs/authorizer.md", rows.len()) };
        let documented =
            without_links(row.strip_suffix(" |").unwrap()).replacen(" | ", "; ", 1).replace("\\|", "|");
        assert_eq!(reason.explanation(), documented, "its explanation and its row in docs/authorizer.md");
    }
}

/// A cell without the targets of its links.
fn without_links(cell: &str) -> String {
    let mut parts = cell.split("](");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (_, rest) = part.split_once(')').unwrap();
        let (before, label) = text.rsplit_once('[').unwrap();
        format!("{before}{label}{rest}")
    })
}
