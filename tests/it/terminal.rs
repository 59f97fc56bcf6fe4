//! What a client, a file or a server says reaches no terminal, log or answer as it is: the characters that a terminal does
//! not show, or that change what it shows, are escaped in the output of every program.

mod bridge;
mod clients;
mod commands;
mod families;
mod servers;
mod simulator;
mod streams;

use std::path::Path;

use integration::{canary::Writings, programs::program, running::Running};
use tokio::process::Command;

/// Texts that would forge, hide or turn a part of the output. Each has another kind of character.
const HOSTILE: [&str; 11] = [
    "\u{1b}[2J\u{1b}]0;title\u{7}",
    "\r\nFORGED",
    "\n  FORGED",
    "\u{9b}31m\u{85}",
    "\u{7f}\u{8}\u{8}",
    "\u{202e}elbane",
    "\u{2066}a\u{2069}\u{200f}\u{61c}",
    "\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{180e}",
    "\u{2028}FORGED\u{2029}FORGED",
    "\u{e0041}\u{e007f}",
    "\u{fe0f}\u{e0100}\u{3164}\u{34f}",
];

/// A hostile text of this place, with a mark by which it is found.
fn text(place: &str, kind: usize) -> String {
    format!("{place}-{kind}{}z", HOSTILE[kind])
}

/// A text of this place with every kind of character.
fn all(place: &str) -> String {
    format!("{place}{}z", HOSTILE.concat())
}

/// The same without controls, which MQTT's strings should not contain, and without spaces, at which a line is wrapped.
fn without_controls(place: &str) -> String {
    all(place).replace(|character: char| character.is_control() || character == ' ', "")
}

/// A text as MQTT writes it.
fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// A packet from its parts, byte by byte, because our own encoder refuses some of the texts.
fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[first][..], &variable_length(body.len()), &body].concat()
}

/// Properties of MQTT 5, with their length.
fn properties(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    [variable_length(content.len()), content].concat()
}

/// A length of up to 16,383 as MQTT writes it.
fn variable_length(length: usize) -> Vec<u8> {
    assert!(length < 1 << 14, "{length}");
    let (low, high) = (u8::try_from(length % 0x80).unwrap(), u8::try_from(length / 0x80).unwrap());
    if high == 0 { vec![low] } else { vec![low | 0x80, high] }
}

/// Runs a command, in text and as JSON, and adds what it prints.
async fn run(folder: &Path, name: &str, words: &[&str], variables: &[(&str, &str)], writings: &mut Writings) {
    for more in [&["--json"][..], &[]] {
        let mut command = Command::new(program(name));
        command.args(words).args(more).current_dir(folder).envs(variables.iter().copied());
        let mut running = Running::start(command);
        running.input(b"password\n").await;
        let finished = running.finish().await;
        let words = format!("{name} {}", words.join(" ").escape_debug());
        writings.add(format!("standard output of {words}"), finished.out);
        writings.add(format!("standard error of {words}"), finished.err);
    }
}

/// Fails if one of the texts is in the output as it is, or if one of `places` is not in it at all.
fn assert_escaped(writings: &Writings, places: &[&str]) {
    for (place, bytes) in writings.parts() {
        let shown = String::from_utf8(bytes.to_vec()).unwrap_or_else(|error| panic!("{place}: {error}"));
        let hostile = |character: char| {
            !character.is_ascii_graphic()
                && !"\n ".contains(character)
                && HOSTILE.concat().contains(character)
        };
        let found = shown.lines().find(|line| line.contains(hostile));
        assert!(found.is_none(), "{place} has {:?}", found.unwrap_or_default());
        // A long text is continued after its escaped line end.
        let is_continued = |before: &str| ["\\u000a", "\\n"].iter().any(|end| before.ends_with(end));
        let mut lines = std::iter::once("").chain(shown.lines()).zip(shown.lines());
        let forged =
            lines.find(|(before, line)| line.trim_start().starts_with("FORGED") && !is_continued(before));
        assert!(forged.is_none(), "{place}: {forged:?} in {shown}");
    }
    for place in places {
        writings.assert_says(place);
    }
}
