//! The pages of the documentation: every link leads to a file and a heading, and a table cell is a phrase.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// In characters, without the targets of links; a longer text is a paragraph under the table.
const MAX_CELL: usize = 210;
/// Its last column lists tests.
const WITHOUT_LIMIT: &str = "conformance.md";

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split([')', ' ', '\n']).next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: `{link}` leads to no file", page.display());
            let leads = heading.is_empty() || headings(&target).iter().any(|known| known == heading);
            assert!(leads, "{}: `{link}` leads to no heading", page.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn every_table_cell_is_a_phrase() {
    let pages = pages().into_iter().filter(|page| !page.ends_with(WITHOUT_LIMIT));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for line in text.lines().filter(|line| line.starts_with('|')) {
            for cell in line.replace("\\|", " ").split('|').map(without_link_targets) {
                let length = cell.trim().chars().count();
                assert!(length <= MAX_CELL, "{}: {length} characters: {cell}", page.display());
            }
        }
    }
}

/// The pages that a user reads, and those for contributors.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let others =
        ["README.md", "CHANGELOG.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "bench/README.md"];
    // The pictures are there too.
    let docs = docs.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    docs.chain(others.map(|page| root.join(page))).collect()
}

/// The anchors that GitHub gives the headings of a page.
fn headings(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut is_code = false;
    let mut headings = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if let (false, Some(heading)) = (is_code, line.strip_prefix('#')) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            headings.push(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
        }
    }
    headings
}

fn without_link_targets(cell: &str) -> String {
    let mut parts = cell.split("](");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push(']');
        text.push_str(part.split_once(')').map_or("", |(_, after)| after));
    }
    text
}
