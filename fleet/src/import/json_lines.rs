//! JSON of other programs, and the lines of its values. `serde_json` gives the line of an error only.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a text. `what` is what it should be.
///
/// # Errors
///
/// The line and the column, without serde's message, which could quote a password or a hash.
pub(super) fn parse<T: DeserializeOwned>(text: &str, what: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        anyhow::anyhow!("line {}, column {}: it is not {what}", error.line(), error.column())
    })
}

/// An element of an array.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'t> {
    /// The line on which it begins, counted from 1.
    pub(super) line: usize,
    /// The text from where it begins.
    text: &'t str,
}

impl<'t> Element<'t> {
    /// A whole text.
    pub(super) fn of(text: &'t str) -> Self {
        Self { line: 1, text }
    }

    /// The elements of the array at `path`, a list of keys, in this element of a text that is valid JSON. There are none if
    /// it has no such array.
    pub(super) fn elements(self, path: &[&str]) -> Vec<Self> {
        let mut scanner = Scanner { rest: self.text, line: self.line };
        if path.iter().any(|key| scanner.enter(key).is_none()) {
            return Vec::new();
        }
        let mut elements = Vec::new();
        if scanner.eat('[').is_some() {
            scanner.blanks();
            while !scanner.rest.is_empty() && !scanner.rest.starts_with(']') {
                elements.push(Self { line: scanner.line, text: scanner.rest });
                scanner.value();
                _ = scanner.eat(',');
                scanner.blanks();
            }
        }
        elements
    }

    /// The element itself. None if it is not valid JSON.
    pub(super) fn value(self) -> Option<Value> {
        serde_json::Deserializer::from_str(self.text).into_iter().next()?.ok()
    }

    /// The lines of the elements of the array at `path`.
    pub(super) fn lines(self, path: &[&str]) -> Vec<usize> {
        self.elements(path).into_iter().map(|element| element.line).collect()
    }
}

struct Scanner<'t> {
    rest: &'t str,
    line: usize,
}

impl Scanner<'_> {
    fn blanks(&mut self) {
        while let Some(blank) = self.rest.chars().next().filter(char::is_ascii_whitespace) {
            self.skip(blank);
        }
    }

    fn skip(&mut self, char: char) {
        self.line = self.line.saturating_add(usize::from(char == '\n'));
        self.rest = self.rest.get(char.len_utf8()..).unwrap_or_default();
    }

    fn eat(&mut self, char: char) -> Option<()> {
        self.blanks();
        self.rest = self.rest.strip_prefix(char)?;
        Some(())
    }

    /// A string, without its quotes; one with an escape is not decoded.
    fn string(&mut self) -> &str {
        let start = self.rest.get(1..).unwrap_or_default();
        let mut is_escaped = false;
        let end = start.char_indices().find(|(_, char)| {
            let is_end = *char == '"' && !is_escaped;
            is_escaped = *char == '\\' && !is_escaped;
            is_end
        });
        let (text, rest) = start.split_at(end.map_or(start.len(), |(at, _)| at));
        self.rest = rest.get(1..).unwrap_or_default();
        text
    }

    /// Skips a value. Brackets are counted, so that no depth of nesting is too much.
    fn value(&mut self) {
        let mut depth = 0_usize;
        loop {
            self.blanks();
            match self.rest.chars().next() {
                None => return,
                Some('"') => _ = self.string(),
                Some(open @ ('[' | '{')) => {
                    depth = depth.saturating_add(1);
                    self.skip(open);
                    continue;
                }
                Some(close @ (']' | '}')) => {
                    depth = depth.saturating_sub(1);
                    self.skip(close);
                }
                Some(other @ (',' | ':')) => {
                    self.skip(other);
                    continue;
                }
                Some(_) => {
                    let end = self.rest.find([',', ']', '}', ' ', '\n', '\r', '\t', ':']);
                    self.rest = self.rest.get(end.unwrap_or(self.rest.len())..).unwrap_or_default();
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Goes to the value of a key.
    fn enter(&mut self, key: &str) -> Option<()> {
        self.eat('{')?;
        loop {
            self.blanks();
            if !self.rest.starts_with('"') {
                return None;
            }
            let is_key = self.string() == key;
            self.eat(':')?;
            self.blanks();
            if is_key {
                return Some(());
            }
            self.value();
            self.eat(',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_the_lines_that_an_editor_shows() {
        let text = "{ \"a\": [1,\n {\"b\": \"x]\\\"\"},\n\n[[2]],\ntrue ],\n\"c\":\r\n[ \"d\"\n, { \"e\": [ \n{},\n{} ] } ] }";
        for (path, lines) in
            [(&["a"][..], vec![1, 2, 4, 5]), (&["c"], vec![7, 8]), (&["x"], vec![]), (&["a", "b"], vec![])]
        {
            assert_eq!(Element::of(text).lines(path), lines, "{path:?}");
        }
        let whole = Element::of(text).elements(&["c"]);
        assert_eq!(whole[1].lines(&["e"]), [9, 10]);
        assert_eq!(Element::of("[]").lines(&[]), Vec::<usize>::new());
        assert_eq!(Element::of("[1,\n2]").lines(&[]), [1, 2]);
    }

    proptest::proptest! {
        #[test]
        fn it_ends_on_any_text(text in "[a\\[\\]{}\",:\\\\ \n]{0,60}") {
            for path in [&[][..], &["a"], &["", "a"]] {
                proptest::prop_assert!(Element::of(&text).lines(path).len() <= text.len());
            }
        }
    }
}
