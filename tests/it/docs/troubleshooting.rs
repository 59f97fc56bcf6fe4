//! docs/troubleshooting.md against the programs: it quotes no text that the terminal no longer prints.

use std::fs;

use integration::files::{below, root};

/// The crates whose texts reach the terminal of `latchkey local`.
const SOURCES: [&str; 5] =
    ["gateway/src", "authorizer/src", "crates/device-auth/src", "crates/iot-policy/src", "crates/mqtt/src"];
/// The column that quotes them.
const COLUMN: &str = "the terminal says";

/// The gateway's words in `mqtt::tls_failure`.
const WORDS: [(&str, &str); 3] =
    [("{peer}", "the client"), ("{own}", "the gateway"), ("{own_certificate}", "the server's certificate")];

/// The string literals as they are printed: a backslash at a line's end joins it to the next.
fn printed() -> String {
    let files = SOURCES.iter().flat_map(|folder| below(&root().join(folder)));
    let sources = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let text = sources.map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
    let mut parts = text.split("\\\n");
    let text = parts.next().unwrap().to_owned() + &parts.map(str::trim_start).collect::<String>();
    WORDS.iter().fold(text, |text, (placeholder, word)| text.replace(placeholder, word))
}

/// The texts in backticks, of which one may hold a backtick of its own.
fn quoted(cell: &str) -> Vec<String> {
    let marked = cell.replace("`` ", "\0").replace(" ``", "\0").replace("``", "\0");
    let mut texts = Vec::new();
    for (at, part) in marked.split('\0').enumerate() {
        if at % 2 == 1 {
            texts.push(part.to_owned());
        } else {
            texts.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    texts
}

#[test]
fn every_text_of_the_terminal_on_the_page_is_one_that_it_prints() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let printed = printed();
    let (mut column, mut checked) = (None, 0);
    for line in page.lines() {
        let cells = line.split('|').map(str::trim).collect::<Vec<_>>();
        if !line.starts_with('|') {
            column = None;
        } else if let Some(at) = cells.iter().position(|cell| *cell == COLUMN) {
            column = Some(at);
        } else if let Some(at) = column {
            // `…` stands for what differs from one line to the next.
            for text in quoted(cells[at]).iter().flat_map(|text| text.split('…')) {
                assert!(printed.contains(text.trim()), "the terminal never prints `{text}`: {line}");
                checked += 1;
            }
        }
    }
    assert!(checked > 80, "{checked}");
}
