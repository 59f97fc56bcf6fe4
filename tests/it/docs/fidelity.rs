//! docs/fidelity.md: how each behaviour of AWS is known, and the test that holds it.

use std::{collections::BTreeSet, fs};

use integration::files;

const HEADER: &str = "| case | behaviour | evidence | setting | test | how to settle it |";
/// Why a row has no case of `latchkey conform`.
const REASONS: [&str; 6] = ["account", "API", "gateway", "load", "log", "time"];
/// The header of the tables about the function and the deployment. Their rows are guesses.
const EXPECTATIONS: &str = "| behaviour | Latchkey expects | how to settle it |";

/// A behaviour of AWS that the gateway plays.
struct Row {
    /// The case of `latchkey conform` that tries it, or why there is none.
    case: String,
    behaviour: String,
    /// `measured: SOURCE`, `documented: PAGE` or `guess`.
    evidence: String,
    test: String,
    how_to_settle: String,
}

#[test]
fn every_row_has_evidence_or_says_how_to_settle_it() {
    for Row { behaviour, evidence, how_to_settle, .. } in rows() {
        match evidence.split_once(": ") {
            Some(("measured" | "documented", source)) => {
                assert!(!source.is_empty() && how_to_settle.is_empty(), "{behaviour}: {evidence}");
            }
            _ => assert!(evidence == "guess" && !how_to_settle.is_empty(), "{behaviour}: {evidence}"),
        }
    }
}

#[test]
fn every_row_names_a_test_that_exists() {
    let sources = files::rust_code(&["tests/it", "gateway/src", "crates/iot-policy"]);
    for Row { behaviour, test, .. } in rows() {
        let function = format!("fn {}(", test.trim_matches('`'));
        assert!(sources.contains(&function), "{behaviour}: there is no test {test}");
    }
}

#[test]
fn every_row_has_a_case_or_says_why_not() {
    let cases = conform::case::all().unwrap();
    let mut open = cases.iter().map(|case| case.id.as_str()).collect::<BTreeSet<_>>();
    for Row { case, behaviour, .. } in rows() {
        match case.strip_prefix('`').and_then(|case| case.strip_suffix('`')) {
            Some(id) => assert!(open.remove(id), "{behaviour}: `{id}` is no case, or that of another row"),
            None => assert!(REASONS.contains(&case.as_str()), "{behaviour}: `{case}` is not a reason"),
        }
    }
    assert!(open.is_empty(), "these cases have no row: {open:?}");
    let page = fs::read_to_string(files::root().join("docs/fidelity.md")).unwrap();
    for reason in REASONS {
        assert!(page.contains(&format!("\n| {reason} | ")), "docs/fidelity.md does not explain `{reason}`");
    }
}

#[test]
fn the_readme_counts_the_rows() {
    let rows = rows();
    let count = |kind: &str| rows.iter().filter(|row| row.evidence.starts_with(kind)).count();
    let sentence = format!(
        "Of {} behaviours of AWS that the gateway plays, {} are measured, {} documented and {} guesses",
        rows.len(),
        count("measured"),
        count("documented"),
        count("guess")
    );
    let readme = fs::read_to_string(files::root().join("README.md")).unwrap();
    assert!(readme.contains(&sentence), "README.md should say: {sentence}");
}

/// A guess in the code is marked `*(guess: WORDS)*`.
#[test]
fn every_guess_in_the_code_names_its_row() {
    let sources = files::rust_code(&["gateway/src", "crates", "authorizer/src", "fleet/src"]);
    let text = sources.to_lowercase().replace("unverifiedtoken", "");
    let unmarked = text.lines().filter(|line| line.contains("unverified")).collect::<Vec<_>>();
    assert!(unmarked.is_empty(), "a guess is marked by words of its row: {unmarked:?}");

    let code = joined_comments(&sources);
    let marks = code.split("*(guess: ").skip(1).map(|rest| rest.split_once(")*").unwrap().0);
    let marks = marks.collect::<Vec<_>>();
    assert!(marks.len() >= 40, "{}", marks.len());
    let guesses = guesses();
    for words in marks {
        let rows = guesses.iter().filter(|behaviour| behaviour.contains(words)).collect::<Vec<_>>();
        assert_eq!(rows.len(), 1, "`{words}` has to be in one row that is a guess, and is in {rows:?}");
    }
}

fn rows() -> Vec<Row> {
    let rows = tables(HEADER).into_iter().map(row).collect::<Vec<_>>();
    assert!(rows.len() > 100, "{}", rows.len());
    rows
}

/// The behaviours of all rows that are guesses.
fn guesses() -> Vec<String> {
    let guesses = rows().into_iter().filter(|row| row.evidence == "guess").map(|row| row.behaviour);
    let expectations = tables(EXPECTATIONS).into_iter().map(|cells| cells[1].clone()).collect::<Vec<_>>();
    assert!(expectations.len() > 20, "{}", expectations.len());
    guesses.chain(expectations).collect()
}

/// The cells of each row of the tables with this header. The first and the last cell are empty.
fn tables(header: &str) -> Vec<Vec<String>> {
    let page = fs::read_to_string(files::root().join("docs/fidelity.md")).unwrap();
    let tables = page.split(header).skip(1);
    let lines = tables.flat_map(|rest| rest.lines().skip(2).take_while(|line| line.starts_with('|')));
    lines.map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.replace("\\|", "/").split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn row(cells: Vec<String>) -> Row {
    let cells = <[String; 8]>::try_from(cells).unwrap();
    let [_, case, behaviour, evidence, _setting, test, how_to_settle, _] = cells;
    Row { case, behaviour, evidence, test, how_to_settle }
}

/// Rust code in one line, so that a mark which a comment breaks is whole again.
fn joined_comments(code: &str) -> String {
    code.lines().map(|line| line.trim().trim_start_matches(['/', '!']).trim()).collect::<Vec<_>>().join(" ")
}
