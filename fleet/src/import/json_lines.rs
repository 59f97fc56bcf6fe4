//! JSON of other programs, and the lines of its values. `serde_json` gives the line of an error only.

use std::io::{self, Read};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::window::Window;

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

/// Checks that a file is JSON.
///
/// # Errors
///
/// The line and the column at which it is not, or why it can't be read.
pub(super) fn check(source: impl Read) -> anyhow::Result<()> {
    serde_json::from_reader::<_, IgnoredAny>(source).map(drop).map_err(|error| {
        if error.is_io() {
            return anyhow::Error::new(error).context("it can't be read");
        }
        let (line, column) = (error.line(), error.column());
        let end = if error.is_eof() { ": it ends in the middle" } else { "" };
        anyhow::anyhow!("line {line}, column {column}: it is not JSON{end}")
    })
}

/// The elements of an array in a file that is JSON, one after the other.
pub(super) struct Elements<R> {
    window: Window<R>,
    line: usize,
    column: usize,
    is_in_array: bool,
}

impl<R: Read> Elements<R> {
    /// The elements of the array under this key of the outermost object; without a key, of the outermost array. There are none
    /// if there is no such array.
    pub(super) fn new(source: R, key: Option<&str>) -> io::Result<Self> {
        let mut elements = Self { window: Window::new(source), line: 1, column: 1, is_in_array: false };
        let is_found = match key {
            Some(key) => elements.enter(key)?,
            None => true,
        };
        elements.is_in_array = is_found && elements.eat(b'[')?;
        Ok(elements)
    }

    /// Reads the next element with `read`, which gets its line, its column and its text. None at the end of the array.
    pub(super) fn next_with<T>(
        &mut self,
        read: impl FnOnce(usize, usize, &[u8]) -> T,
    ) -> io::Result<Option<T>> {
        if self.is_in_array {
            self.blanks()?;
        }
        if !self.is_in_array || self.window.at_hand().is_empty() || self.window.at_hand().starts_with(b"]") {
            self.is_in_array = false;
            return Ok(None);
        }
        let (mut scan, mut length) = (Scan::default(), 0_usize);
        loop {
            let (count, is_end) = scan.scan(self.window.at_hand().get(length..).unwrap_or_default());
            length = length.saturating_add(count);
            if is_end || self.window.is_whole() {
                break;
            }
            self.window.more()?;
        }
        if length == 0 {
            // It is not JSON.
            self.is_in_array = false;
            return Ok(None);
        }
        let element = self.window.at_hand().get(..length).unwrap_or_default();
        let element = read(self.line, self.column, element);
        self.consume(length);
        _ = self.eat(b',')?;
        Ok(Some(element))
    }

    fn consume(&mut self, count: usize) {
        for byte in self.window.at_hand().get(..count).unwrap_or_default() {
            if *byte == b'\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.window.consume(count);
    }

    fn blanks(&mut self) -> io::Result<()> {
        loop {
            self.window.ensure(1)?;
            let bytes = self.window.at_hand();
            let count = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let is_all = count == bytes.len();
            self.consume(count);
            if !is_all || self.window.is_whole() {
                return Ok(());
            }
        }
    }

    fn eat(&mut self, byte: u8) -> io::Result<bool> {
        self.blanks()?;
        let is_next = self.window.at_hand().first() == Some(&byte);
        if is_next {
            self.consume(1);
        }
        Ok(is_next)
    }

    /// Skips a value of any length.
    fn skip(&mut self) -> io::Result<()> {
        self.blanks()?;
        let mut scan = Scan::default();
        loop {
            let (count, is_end) = scan.scan(self.window.at_hand());
            self.consume(count);
            if is_end || self.window.is_whole() {
                return Ok(());
            }
            self.window.more()?;
        }
    }

    /// Goes to the value of a key of the object that follows, and returns whether there is one.
    fn enter(&mut self, key: &str) -> io::Result<bool> {
        let quoted = format!("\"{key}\"");
        if !self.eat(b'{')? {
            return Ok(false);
        }
        loop {
            self.blanks()?;
            self.window.ensure(quoted.len())?;
            let is_key = self.window.at_hand().starts_with(quoted.as_bytes());
            self.skip()?;
            if !self.eat(b':')? {
                return Ok(false);
            }
            if is_key {
                return Ok(true);
            }
            self.skip()?;
            if !self.eat(b',')? {
                return Ok(false);
            }
        }
    }
}

/// Where a value ends. Brackets are counted, so that no depth of nesting is too much.
#[derive(Default)]
struct Scan {
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
    is_begun: bool,
}

impl Scan {
    /// How many of these bytes, the next ones, belong to the value, and whether it ends there.
    fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            let next = at.saturating_add(1);
            if self.is_in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.is_in_string = false;
                        if self.depth == 0 {
                            return (next, true);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => (self.is_in_string, self.is_begun) = (true, true),
                b'[' | b'{' => (self.depth, self.is_begun) = (self.depth.saturating_add(1), true),
                b']' | b'}' | b',' | b':' if self.depth == 0 => return (at, true),
                b']' | b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (next, true);
                    }
                }
                byte if byte.is_ascii_whitespace() => {
                    if self.depth == 0 && self.is_begun {
                        return (at, true);
                    }
                }
                _ => self.is_begun = true,
            }
        }
        (bytes.len(), false)
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

    /// Gives a few bytes at a time.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer.get_mut(..3).unwrap_or_default())
        }
    }

    fn elements(text: &str, key: Option<&str>) -> Vec<(usize, usize, String)> {
        let mut elements = Elements::new(Slowly(text.as_bytes()), key).unwrap();
        let mut found = Vec::new();
        let read = |line, column, text: &[u8]| (line, column, String::from_utf8(text.to_vec()).unwrap());
        while let Some(element) = elements.next_with(read).unwrap() {
            found.push(element);
        }
        found
    }

    #[test]
    fn elements_of_a_file_are_read_one_after_the_other() {
        let long = "y".repeat(3 << 20);
        let text = format!(
            "{{ \"x\": [\"{long}\"], \"a\\\"\": {{\"a\": [0]}},\r\n\"a\": [1 ,\n  {{\"b\": \"x]\\\"\"}},\n\n[[2]],true], \"a\": [9]}}"
        );
        check(text.as_bytes()).unwrap();
        let expected = [(2, 7, "1"), (3, 3, "{\"b\": \"x]\\\"\"}"), (5, 1, "[[2]]"), (5, 7, "true")];
        let expected = expected.map(|(line, column, text)| (line, column, text.to_owned()));
        assert_eq!(elements(&text, Some("a")), expected);
        assert_eq!(elements("[1,\n2]", None), [(1, 2, "1".to_owned()), (2, 1, "2".to_owned())]);
        for (text, key) in [
            ("[]", None),
            ("{}", None),
            ("{\"b\":[1]}", Some("a")),
            ("{\"a\":1}", Some("a")),
            ("[1]", Some("a")),
        ] {
            assert_eq!(elements(text, key), [], "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_named_by_its_line() {
        for (text, part) in [
            ("[1,\n2", "line 2, column 1: it is not JSON: it ends in the middle"),
            ("{\n]", "line 2, column 1: it is not"),
        ] {
            let error = check(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(part), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_file_has_the_elements_that_its_text_has(text in "[a\\[\\]{}\",:\\\\ \n]{0,60}") {
            for key in [None, Some("a")] {
                let found = elements(&text, key).into_iter().map(|(line, ..)| line).collect::<Vec<_>>();
                if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
                    let path = key.as_slice();
                    proptest::prop_assert_eq!(found, Element::of(&text).lines(path));
                }
            }
        }

        #[test]
        fn it_ends_on_any_text(text in "[a\\[\\]{}\",:\\\\ \n]{0,60}") {
            for path in [&[][..], &["a"], &["", "a"]] {
                proptest::prop_assert!(Element::of(&text).lines(path).len() <= text.len());
            }
        }
    }
}
