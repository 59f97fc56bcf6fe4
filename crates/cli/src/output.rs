//! Standard output and standard error, to which no program writes the characters of others as they are.
//!
//! What a client sends, what a file holds and what a server answers ends up in the lines that a person reads on a terminal,
//! or in a file that is later shown on one. Some characters do not show there, and change what does:
//!
//! - controls move the cursor, delete lines, change colours and the window's title, or begin a line of the client's own;
//! - U+202E and its kind change the direction of text, so that `elbane` reads `enable`;
//! - characters without a shape, such as U+200B, make two different names look the same, or carry a hidden text.
//!
//! So [`stdout`] and [`stderr`] escape them, whatever a caller writes; `clippy.toml` forbids the streams of `std`. Only line
//! ends pass, because lines are what programs write. Text from elsewhere goes through [`escaped`] before it becomes part of
//! a line, so that it stays in that line.
//!
//! The escapes are those of JSON, `\u202e`, in lines for people too: JSON that was escaped is the same JSON.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal, Stderr, Stdout, Write},
};

/// The start and the end of bold text, which [`Output::write_bold`] writes to a terminal.
const BOLD: [&[u8]; 2] = [b"\x1b[1m", b"\x1b[0m"];

/// Whether a terminal does not show the character, or shows other characters differently because of it: controls, line and
/// paragraph separators, annotations, and what Unicode calls ignorable by default, which includes all that set the direction
/// of text.
///
/// Source: Unicode 16, `Default_Ignorable_Code_Point` in `DerivedCoreProperties.txt`, and UAX #9 section 2. A character
/// that the standard adds to them has to be added here.
#[must_use]
pub const fn is_unprintable(character: char) -> bool {
    matches!(character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text as a part of one line: line ends and all other unprintable characters are escaped.
///
/// In a line of JSON without white space between its tokens, unprintable characters are in strings only, so the escaped line
/// has the same meaning.
pub fn escaped<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    escaped_unless(text.into(), |_| false)
}

/// [`escaped`], except for the characters that `passes` accepts.
fn escaped_unless(text: Cow<'_, str>, passes: fn(char) -> bool) -> Cow<'_, str> {
    let has_to_be_escaped = |character| is_unprintable(character) && !passes(character);
    if !text.contains(has_to_be_escaped) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if has_to_be_escaped(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string never fails.
                _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// A stream of text whose unprintable characters are escaped, except for line ends.
pub struct Output<W> {
    stream: W,
    /// The beginning of a character whose other bytes have not been written yet.
    incomplete: Vec<u8>,
}

/// Standard output.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "its text is escaped here")]
pub fn stdout() -> Output<Stdout> {
    Output::new(io::stdout())
}

/// Standard error.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "its text is escaped here")]
pub fn stderr() -> Output<Stderr> {
    Output::new(io::stderr())
}

/// Standard output for the bytes of others as they are, such as a file's content; none if a terminal would obey them.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "no terminal shows it")]
pub fn raw_stdout() -> Option<Stdout> {
    Some(io::stdout()).filter(|stream| !stream.is_terminal())
}

impl<W> Output<W> {
    /// Writes to `stream`.
    pub const fn new(stream: W) -> Self {
        Self { stream, incomplete: Vec::new() }
    }
}

impl<W: IsTerminal> Output<W> {
    /// Whether a person reads it.
    pub fn is_terminal(&self) -> bool {
        self.stream.is_terminal()
    }
}

impl<W: Write + IsTerminal> Output<W> {
    /// Writes a text, in bold on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    ///
    /// # Errors
    ///
    /// When the stream can't be written.
    pub fn write_bold(&mut self, text: &str) -> io::Result<()> {
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty());
        let [start, end] = if self.is_terminal() && !is_plain { BOLD } else { [&b""[..]; 2] };
        self.stream.write_all(start)?;
        self.write_all(text.as_bytes())?;
        self.stream.write_all(end)
    }

    /// Writes a text over the line that the cursor is in, on a terminal only.
    ///
    /// # Errors
    ///
    /// When the stream can't be written.
    pub fn overwrite_line(&mut self, text: &str) -> io::Result<()> {
        if self.is_terminal() {
            self.stream.write_all(b"\r")?;
            self.write_all(text.as_bytes())?;
            self.flush()?;
        }
        Ok(())
    }
}

/// Bytes that are not UTF-8 become U+FFFD. After an error it is not known how many of the bytes were written.
impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let joined: Cow<'_, [u8]> = if self.incomplete.is_empty() {
            bytes.into()
        } else {
            [&std::mem::take(&mut self.incomplete), bytes].concat().into()
        };
        let mut chunks = joined.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let text = escaped_unless(chunk.valid().into(), |character| character == '\n');
            self.stream.write_all(text.as_bytes())?;
            let may_go_on =
                std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if may_go_on && chunks.peek().is_none() {
                chunk.invalid().clone_into(&mut self.incomplete);
            } else if !chunk.invalid().is_empty() {
                write!(self.stream, "{}", char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind, with the escape that is expected.
    const ESCAPES: [(char, &str); 35] = [
        ('\0', r"\u0000"),
        ('\t', r"\u0009"),
        ('\r', r"\u000d"),
        ('\x1b', r"\u001b"),
        ('\x7f', r"\u007f"),
        ('\u{80}', r"\u0080"),
        ('\u{9b}', r"\u009b"),
        ('\u{ad}', r"\u00ad"),
        ('\u{34f}', r"\u034f"),
        ('\u{61c}', r"\u061c"),
        ('\u{115f}', r"\u115f"),
        ('\u{17b4}', r"\u17b4"),
        ('\u{180b}', r"\u180b"),
        ('\u{180e}', r"\u180e"),
        ('\u{200b}', r"\u200b"),
        ('\u{200d}', r"\u200d"),
        ('\u{200e}', r"\u200e"),
        ('\u{200f}', r"\u200f"),
        ('\u{2028}', r"\u2028"),
        ('\u{2029}', r"\u2029"),
        ('\u{202a}', r"\u202a"),
        ('\u{202e}', r"\u202e"),
        ('\u{2060}', r"\u2060"),
        ('\u{2064}', r"\u2064"),
        ('\u{2066}', r"\u2066"),
        ('\u{2069}', r"\u2069"),
        ('\u{3164}', r"\u3164"),
        ('\u{fe0f}', r"\ufe0f"),
        ('\u{feff}', r"\ufeff"),
        ('\u{ffa0}', r"\uffa0"),
        ('\u{fffb}', r"\ufffb"),
        ('\u{1d173}', r"\ud834\udd73"),
        ('\u{e0001}', r"\udb40\udc01"),
        ('\u{e007f}', r"\udb40\udc7f"),
        ('\u{e0100}', r"\udb40\udd00"),
    ];

    fn written(parts: &[&[u8]]) -> String {
        let mut bytes = Vec::new();
        let mut output = Output::new(&mut bytes);
        for part in parts {
            output.write_all(part).unwrap();
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn unprintable_characters_are_escaped_as_in_json() {
        for (character, escape) in ESCAPES {
            let (text, expected) = (format!("a{character}b"), format!("a{escape}b"));
            assert_eq!(escaped(&text), expected);
            assert_eq!(written(&[text.as_bytes()]), expected);
            let json = serde_json::json!({ &text: &text });
            let line = escaped(json.to_string());
            assert!(!line.contains(is_unprintable), "{line}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), json);
        }
        assert_eq!((&*escaped("a\nb"), written(&[b"a\nb\n"]).as_str()), (r"a\u000ab", "a\nb\n"));
    }

    #[test]
    fn text_that_can_be_read_stays_as_it_is() {
        for text in
            ["", "sensor/hall-1/temperature", "größe 温度 🌡", "مرحبا שלום", "a\\u202e \"b\" 'c'", "e\u{301}"]
        {
            assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text), "{text}");
            assert_eq!(written(&[text.as_bytes()]), text);
        }
    }

    #[test]
    fn characters_may_be_written_in_parts_and_others_bytes_are_replaced() {
        let text = "a\u{202e}\u{e0001}é\n".as_bytes();
        for split in 0..=text.len() {
            let (first, second) = text.split_at(split);
            assert_eq!(written(&[first, second]), "a\\u202e\\udb40\\udc01é\n", "{split}");
        }
        assert_eq!(written(&[b"a\xffb\xe2\x80", b"c"]), "a\u{fffd}b\u{fffd}c");
    }
}
