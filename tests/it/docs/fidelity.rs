//! docs/fidelity.md: how each behaviour of AWS is known, and the test that holds it.

use std::{
    fs,
    path::{Path, PathBuf},
};

const HEADER: &str = "| behaviour | evidence | setting | test | how to settle it |";

/// A behaviour of AWS that the gateway plays.
struct Row {
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
    let folders = ["tests/it", "gateway/src", "crates/iot-policy"].map(|folder| root().join(folder));
    let sources = folders.into_iter().map(sources).collect::<String>();
    for Row { behaviour, test, .. } in rows() {
        let function = format!("fn {}(", test.trim_matches('`'));
        assert!(sources.contains(&function), "{behaviour}: there is no test {test}");
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
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&sentence), "README.md should say: {sentence}");
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("docs/fidelity.md")).unwrap();
    let tables = page.split(HEADER).skip(1).flat_map(|rest| {
        rest.lines().skip(2).take_while(|line| line.starts_with('|')).map(row).collect::<Vec<_>>()
    });
    let rows = tables.collect::<Vec<_>>();
    assert!(rows.len() > 100, "{}", rows.len());
    rows
}

fn row(line: &str) -> Row {
    let line = line.replace("\\|", "/");
    let cells = line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let cells = <[String; 7]>::try_from(cells).unwrap();
    let [_, behaviour, evidence, _setting, test, how_to_settle, _] = cells;
    Row { behaviour, evidence, test, how_to_settle }
}

/// The text of all Rust files in a folder.
fn sources(folder: PathBuf) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths
        .map(|path| match path.extension() {
            _ if path.is_dir() => sources(path),
            Some(extension) if extension == "rs" => fs::read_to_string(path).unwrap(),
            _ => String::new(),
        })
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
