//! Input, output and error lines of a program that a person types.

use std::{
    env,
    error::Error,
    fmt::{self, Display},
    io::{self, BufRead, Read as _, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::Value;
use textwrap::{Options, WordSeparator, WordSplitter};
use zeroize::Zeroizing;

use crate::{
    exit,
    format::{OutputFormat, write_csv, write_csv_row},
    output::{self, escaped},
};

/// The width of all output. Help is never wider either.
pub const COLUMNS: usize = 80;
/// The least width that lines are wrapped to.
const MIN_COLUMNS: usize = 40;

/// The longest password that MQTT can carry, and a line end as Windows writes it.
const MAX_LINE_BYTES: usize = 65_537;

/// More than any answer to a question.
const MAX_ANSWER_BYTES: u64 = 80;

/// Where a command reads and writes.
pub struct Console<'a> {
    /// The form of the result.
    pub format: OutputFormat,
    /// Standard input.
    pub input: Input<'a>,
    /// Standard output.
    pub output: &'a mut dyn Write,
}

/// Standard input.
pub struct Input<'a> {
    /// What is read.
    pub reader: &'a mut dyn BufRead,
    /// Whether a person types it, so that everybody near the screen can read it.
    pub terminal: bool,
}

impl Console<'_> {
    /// Prints a result: for scripts as one line of JSON, for people as text, which ends with its own line end. A result that
    /// is printed so has no rows: its command refuses to print CSV.
    ///
    /// # Errors
    ///
    /// When standard output can't be written.
    pub fn print(&mut self, json: &Value, text: impl Display) -> io::Result<()> {
        match self.format {
            OutputFormat::Table => write!(self.output, "{text}"),
            OutputFormat::Json | OutputFormat::Csv => writeln!(self.output, "{json}"),
        }
    }

    /// Prints the result of a command that lists or shows. `rows` are JSON objects, and `columns` the keys that CSV has, in
    /// this order.
    ///
    /// # Errors
    ///
    /// When standard output can't be written.
    pub fn print_rows(
        &mut self,
        columns: &[&str],
        rows: impl IntoIterator<Item = Value>,
        json: &Value,
        text: impl Display,
    ) -> io::Result<()> {
        match self.format {
            OutputFormat::Csv => write_csv(self.output, columns, rows),
            OutputFormat::Table | OutputFormat::Json => self.print(json, text),
        }
    }

    /// Prints one more row as CSV, of a result whose rows come one after the other: [`Self::print_rows`] without rows prints
    /// its header.
    ///
    /// # Errors
    ///
    /// When standard output can't be written.
    pub fn print_csv_row(&mut self, columns: &[&str], row: &Value) -> io::Result<()> {
        write_csv_row(self.output, columns, row)
    }

    /// Asks a person before something is destroyed that can't be made again. `yes` is the option `--yes`, which answers
    /// before the question.
    ///
    /// # Errors
    ///
    /// When nobody can be asked, or the answer is another than `yes`. Nothing may be destroyed then.
    pub fn confirm(&mut self, yes: bool, what: &str) -> anyhow::Result<()> {
        if yes {
            return Ok(());
        }
        anyhow::ensure!(
            self.input.terminal,
            "{what}, which can't be undone: nobody can be asked here, so add `--yes`"
        );
        status(&format!("{what}, which can't be undone. Type `yes` to go on:"));
        let mut answer = String::new();
        self.input.reader.take(MAX_ANSWER_BYTES).read_line(&mut answer).context("can't read the answer")?;
        anyhow::ensure!(answer.trim() == "yes", "the answer was not `yes`: nothing was changed");
        Ok(())
    }
}

impl Input<'_> {
    /// Reads the first line, of up to 65,535 bytes, and waits for no other. `what` names it in errors; `how` is a
    /// command that pipes it in.
    ///
    /// # Errors
    ///
    /// When a person is typing, when it can't be read, or when it is not UTF-8.
    pub fn line(&mut self, what: &str, how: &str) -> anyhow::Result<Zeroizing<String>> {
        anyhow::ensure!(!self.terminal, "pipe the {what} in: {how}");
        // A buffer that never grows: growing would leave copies of the secret.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
        for byte in (&mut self.reader).bytes().take(MAX_LINE_BYTES) {
            match byte.with_context(|| format!("can't read the {what} from standard input"))? {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        line.pop_if(|last| *last == b'\r');
        let text = std::str::from_utf8(&line).ok().with_context(|| format!("the {what} is not UTF-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Several mistakes: a text, and one line for each. Both may repeat text from elsewhere.
#[derive(Debug)]
pub struct ErrorList {
    head: String,
    lines: Vec<String>,
}

impl ErrorList {
    /// An error of these lines.
    #[must_use]
    pub fn new(head: String, lines: Vec<String>) -> Self {
        Self { head, lines }
    }

    /// The lines below the text.
    fn tail(&self) -> String {
        self.lines.iter().fold(String::new(), |tail, line| tail + "\n  " + &escaped(line))
    }
}

impl Display for ErrorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.head, self.tail())
    }
}

impl Error for ErrorList {}

/// [`print_error`], for a command that can't be run. Returns [`exit::USAGE`].
#[must_use]
pub fn usage_error(program: &str, error: &anyhow::Error) -> ExitCode {
    print_error(program, error);
    ExitCode::from(exit::USAGE)
}

/// Prints why a command failed to standard error, with the program's name before it: in one line, unless the error or one of
/// its causes is an [`ErrorList`].
pub fn print_error(program: &str, error: &anyhow::Error) {
    let mut stderr = output::stderr();
    let text = error_message(program, error, stderr.is_terminal());
    writeln!(stderr, "{text}").unwrap_or_default();
}

fn error_message(program: &str, error: &anyhow::Error, is_terminal: bool) -> String {
    let text = crate::error_text(error.as_ref());
    // A list has no cause, so its lines are the last ones.
    let tail = error.chain().find_map(|cause| cause.downcast_ref::<ErrorList>()).map(ErrorList::tail);
    let tail = tail.unwrap_or_default();
    let text = format!("{program}: {}{tail}", escaped(text.strip_suffix(&tail).unwrap_or(&text)));
    if is_terminal { filled(0, &text) } else { text }
}

/// Prints a [`message`] to standard error. A failed write has no other place to go.
pub fn status(text: &str) {
    let mut stderr = output::stderr();
    let message = message(text, stderr.is_terminal());
    writeln!(stderr, "{message}").unwrap_or_default();
}

/// A line for a person, without its end. It is wrapped on a terminal only, so that a script finds it in one piece.
#[must_use]
pub fn message(line: &str, is_terminal: bool) -> String {
    if is_terminal { wrapped(0, line) } else { escaped(line).into_owned() }
}

/// Parses a command line. Help and wrong usage are printed; the exit code is then returned as the error.
///
/// # Errors
///
/// When there is nothing to run: 0 after help, [`exit::USAGE`] after wrong usage.
pub fn parse<P: clap::Parser>() -> Result<P, ExitCode> {
    P::try_parse().map_err(|error| {
        // An error repeats the argument, which may come from a file. So it is the error of the escaped arguments, if they
        // are wrong too. Help is not an error. A failed write has no other place to go.
        let arguments = env::args_os().map(|argument| escaped(argument.to_string_lossy()).into_owned());
        match P::try_parse_from(arguments) {
            Err(escaped) => escaped.print().unwrap_or_default(),
            Ok(_) => status(&error.to_string()),
        }
        if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS }
    })
}

/// Wraps a line to [`COLUMNS`], between words only. Every line but the first is indented. Unprintable characters are escaped.
#[must_use]
pub fn wrapped(indent: usize, line: &str) -> String {
    filled(indent, &escaped(line))
}

fn filled(indent: usize, text: &str) -> String {
    let indent = " ".repeat(indent);
    let options = Options::new(COLUMNS)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .subsequent_indent(&indent);
    textwrap::fill(text, options)
}

/// Wraps a line to `columns`. Every line but the first is indented. A word that is longer than a line is broken. Unprintable
/// characters are escaped.
#[must_use]
pub fn wrapped_to(columns: usize, indent: usize, line: &str) -> String {
    let indent = " ".repeat(indent);
    let options = Options::new(columns)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .subsequent_indent(&indent);
    textwrap::fill(&escaped(line), options)
}

/// The columns of the terminal that shows this program's output, [`COLUMNS`] if there is none, and at least 40.
#[must_use]
pub fn terminal_columns() -> usize {
    terminal_size::terminal_size().map_or(COLUMNS, |(width, _)| usize::from(width.0).max(MIN_COLUMNS))
}

/// The elements of a JSON array, for [`Console::print_rows`].
pub fn elements(array: &Value) -> impl Iterator<Item = Value> + '_ {
    array.as_array().into_iter().flatten().cloned()
}

/// `1 reading`, `2 readings`. The count is a number, or a number with separators.
#[must_use]
pub fn counted(count: impl Display, noun: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8], terminal: bool) -> anyhow::Result<String> {
        let mut reader = text;
        Input { reader: &mut reader, terminal }.line("password", "x | y").map(|line| line.to_string())
    }

    #[test]
    fn the_first_line_is_the_input() {
        for (text, read) in [("a\nb\n", "a"), ("a\r\n", "a"), ("a b ", "a b "), ("", "")] {
            assert_eq!(line(text.as_bytes(), false).unwrap(), read, "{text:?}");
        }
        assert_eq!(line(b"\xff", false).unwrap_err().to_string(), "the password is not UTF-8");
        assert_eq!(line(b"a", true).unwrap_err().to_string(), "pipe the password in: x | y");
    }

    #[test]
    fn a_result_is_json_or_text() {
        for (format, printed) in [(OutputFormat::Json, "{\"n\":1}\n"), (OutputFormat::Table, "n  1\n")] {
            let (mut input, mut output) = (io::empty(), Vec::new());
            let input = Input { reader: &mut input, terminal: false };
            let mut console = Console { format, input, output: &mut output };
            console.print(&serde_json::json!({"n": 1}), "n  1\n").unwrap();
            assert_eq!(String::from_utf8(output).unwrap(), printed);
        }
    }

    #[test]
    fn rows_are_in_the_form_that_was_asked_for() {
        for (format, printed) in [
            (OutputFormat::Table, "two rows\n"),
            (OutputFormat::Json, "[{\"n\":1},{\"n\":2}]\n"),
            (OutputFormat::Csv, "n\n1\n2\n"),
        ] {
            let (mut input, mut output) = (io::empty(), Vec::new());
            let input = Input { reader: &mut input, terminal: false };
            let mut console = Console { format, input, output: &mut output };
            let rows = [1, 2].map(|n| serde_json::json!({"n": n}));
            let json = Value::Array(rows.to_vec());
            console.print_rows(&["n"], rows, &json, "two rows\n").unwrap();
            assert_eq!(String::from_utf8(output).unwrap(), printed);
        }
    }

    #[test]
    fn what_destroys_asks_a_person_or_needs_the_option() {
        for (yes, terminal, answer, error) in [
            (true, false, "", None),
            (true, true, "no\n", None),
            (false, true, "yes\n", None),
            (false, true, "y\n", Some("the answer was not `yes`: nothing was changed")),
            (false, true, "", Some("the answer was not `yes`: nothing was changed")),
            (
                false,
                false,
                "yes\n",
                Some("it goes, which can't be undone: nobody can be asked here, so add `--yes`"),
            ),
        ] {
            let (mut reader, mut output) = (answer.as_bytes(), Vec::new());
            let input = Input { reader: &mut reader, terminal };
            let mut console = Console { format: OutputFormat::Table, input, output: &mut output };
            let asked = console.confirm(yes, "it goes").err().map(|error| error.to_string());
            assert_eq!(asked.as_deref(), error, "{yes} {terminal} {answer:?}");
        }
    }

    #[test]
    fn a_count_has_the_plural_unless_it_is_one() {
        let counts = ["0", "1", "2", "11", "1,001"];
        let texts = ["0 rows", "1 row", "2 rows", "11 rows", "1,001 rows"];
        assert_eq!(counts.map(|count| counted(count, "row")), texts);
        assert_eq!(counted(1_u64, "bad row"), "1 bad row");
    }

    #[test]
    fn text_from_elsewhere_begins_no_line_of_an_error() {
        let lines = vec!["line 2: `a\n  latchkey: all is well`".to_owned(), "line 3: `\u{202e}`".to_owned()];
        let list = ErrorList::new("`a\n  b` has 2 bad rows".to_owned(), lines);
        let (list, one) = (anyhow::Error::new(list).context("can't\nimport"), anyhow::anyhow!("no\n  file"));
        for is_terminal in [true, false] {
            assert_eq!(
                error_message("latchkey", &list, is_terminal),
                "latchkey: can't\\u000aimport: `a\\u000a  b` has 2 bad rows\n  \
                 line 2: `a\\u000a  latchkey: all is well`\n  line 3: `\\u202e`"
            );
            assert_eq!(error_message("latchkey", &one, is_terminal), "latchkey: no\\u000a  file");
            assert_eq!(message("a\n  b\u{1b}", is_terminal), "a\\u000a  b\\u001b");
        }
    }

    #[test]
    fn text_is_wrapped_between_words() {
        let word = "x".repeat(90);
        let text = format!("key  {} {word}-{word} end", "ab ".repeat(30).trim());
        let lines = wrapped(5, &text);
        let lines = lines.lines().collect::<Vec<_>>();
        assert!(lines[0].len() <= COLUMNS && lines[1..].iter().all(|line| line.starts_with("     ")));
        assert_eq!(
            lines.join(" ").split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
    }

    #[test]
    fn no_line_is_wider_than_the_columns_and_nothing_is_lost() {
        let text = format!("00:00:00Z  ab12  refused  {} é{} end", "x".repeat(200), "ü".repeat(70));
        for columns in [40, 80, 120] {
            let wrapped = wrapped_to(columns, 17, &text);
            let lines = wrapped.lines().collect::<Vec<_>>();
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{wrapped}");
            assert!(lines[1..].iter().all(|line| line.starts_with(&" ".repeat(17))), "{wrapped}");
            let compact = |text: &str| text.replace([' ', '\n'], "");
            assert_eq!(compact(&wrapped), compact(&text));
        }
    }
}
