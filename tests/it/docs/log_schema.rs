//! The decision lines against the table in docs/logs.md: every field has a row with its type, and no row is unused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use integration::captured_log;
use lambda_runtime::Context;
use serde_json::Value;

use crate::functions::golden::{self, function::FunctionCase};

/// A field's type, and when a line has the field.
struct Row {
    type_name: String,
    when: String,
}

/// The rows of the table, by field.
fn documented() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/logs.md")).unwrap();
    let section = text.split("## The decision line").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells = line.split('|').map(str::trim).collect::<Vec<_>>();
        let row = Row { type_name: cells[2].to_owned(), when: cells[3].to_owned() };
        (cells[1].trim_matches('`').to_owned(), row)
    };
    rows.map(row).collect()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        _ => "something else",
    }
}

/// Checks one decision line, and adds its fields to `seen`.
fn check(line: &Value, seen: &mut BTreeSet<String>) {
    let rows = documented();
    let fields = line.as_object().unwrap();
    for (field, value) in fields {
        let row = rows.get(field).unwrap_or_else(|| panic!("docs/logs.md has no `{field}`: {line}"));
        assert_eq!(row.type_name, type_name(value), "`{field}` in {line}");
        seen.insert(field.clone());
    }
    if ["record_unusable", "jwt_unusable_grant"].map(Value::from).contains(&line["reason"]) {
        assert!(fields.contains_key("error"), "`error` is missing in {line}");
    }
    for (field, row) in &rows {
        let is_expected = match row.when.as_str() {
            "always" => true,
            "refused" => line["outcome"] == "deny",
            "fault" => line["outcome"] == "fault",
            "allowed" => line["outcome"] == "allow" && (field != "verifier" || line["scheme"] == "password"),
            _ => continue,
        };
        assert!(!is_expected || fields.contains_key(field), "`{field}` is missing in {line}");
    }
}

/// Fails if no line had the field of a row.
fn check_complete(seen: &BTreeSet<String>) {
    let unused = documented().into_keys().filter(|field| !seen.contains(field)).collect::<Vec<_>>();
    assert!(unused.is_empty(), "no line had {unused:?}");
}

#[tokio::test]
async fn every_decision_line_is_as_documented() {
    let log = captured_log::of_this_thread();
    let mut seen = BTreeSet::new();
    let mut context = golden::context(golden::FUNCTION_ARN);
    context.xray_trace_id = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned());
    for case in golden::cases() {
        case.function.start().handle(&case.event, &context).await.unwrap();
    }
    let case = golden::cases().remove(0);
    let fault = FunctionCase::default().start().handle(&case.event, &Context::default()).await;
    assert!(fault.is_err());
    let lines = log.take_lines();
    let decisions = lines.iter().filter(|line| line["event"] == "decision");
    decisions.for_each(|line| check(line, &mut seen));
    check_complete(&seen);
}
