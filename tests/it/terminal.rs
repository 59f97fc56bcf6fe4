//! What a client, a file or a server says reaches no terminal, log or answer as it is: the characters that a terminal does
//! not show, or that change what it shows, are escaped in the output of every program.

mod clients;
mod commands;
mod streams;

use integration::canary::Writings;

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
        let forged = shown.lines().find(|line| line.trim_start().starts_with("FORGED"));
        assert!(forged.is_none(), "{place}: {forged:?} in {shown}");
    }
    for place in places {
        writings.assert_says(place);
    }
}
