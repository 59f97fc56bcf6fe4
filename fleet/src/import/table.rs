//! CSV, as spreadsheets write it (RFC 4180).
//!
//! The fields are parsed by `csv-core`, which is the parser of the crate `csv` without its reader: that one copies every
//! field, secrets too, through buffers that are not wiped.

use std::io::{self, ErrorKind, Read};

use anyhow::{Context as _, bail};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use zeroize::Zeroizing;

use super::window::Window;

/// What separates fields: the first of these that the first line has.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// The records of a text, each with the line in which it begins, as an editor shows it. Blank records, which spreadsheets
/// leave at the end, are skipped.
pub(crate) struct Table<R> {
    window: Window<R>,
    line: usize,
    separator: u8,
    reader: Reader,
    /// Fields without their quotes, one after the other.
    fields: Zeroizing<Vec<u8>>,
    ends: Vec<usize>,
    failure: Option<io::Error>,
}

/// One record. It has no `Debug`: its fields may be secrets.
pub(crate) struct Record {
    text: Zeroizing<String>,
    /// Where each field ends in the text.
    ends: Vec<usize>,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsvError {
    /// The text ends inside quotes, or the record is longer than any that can be meant.
    #[error("a quote opens here that nothing closes")]
    OpenQuote,
    /// A field goes on after its closing quote.
    #[error("a field goes on after its closing quote")]
    AfterQuote,
    /// A field has other bytes.
    #[error("column {column}: it is not UTF-8; save the file as \"CSV UTF-8\"")]
    NotUtf8 {
        /// The column of the first such byte, counted from 1.
        column: usize,
    },
}

impl<R: Read> Table<R> {
    fn new(source: R) -> io::Result<Self> {
        let mut window = Window::new(source);
        let mut skipped = 0_usize;
        // The separator is that of the first line that is not blank.
        let first = loop {
            let bytes = window.at_hand().get(skipped..).unwrap_or_default();
            let begin = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len());
            let line = bytes.get(begin..).unwrap_or_default();
            match line.iter().position(|byte| is_line_end(*byte)) {
                Some(end) => break line.get(..end).unwrap_or_default(),
                None if window.is_whole() => break line,
                None => {
                    skipped = skipped.saturating_add(begin);
                    match window.more() {
                        // What comes is an error of the first record.
                        Err(error) if error.kind() == ErrorKind::FileTooLarge => break &[],
                        read => read?,
                    }
                }
            }
        };
        let separator = SEPARATORS.into_iter().find(|separator| first.contains(separator)).unwrap_or(b',');
        Ok(Self {
            window,
            line: 1,
            separator,
            reader: ReaderBuilder::new().delimiter(separator).build(),
            fields: Zeroizing::new(vec![0; 1_024]),
            ends: vec![0; 16],
            failure: None,
        })
    }

    /// A table and its header.
    ///
    /// # Errors
    ///
    /// When the text has no record, the first one is not CSV, or it can't be read.
    pub(crate) fn with_header(source: R) -> anyhow::Result<(Self, Record)> {
        let mut table = Self::new(source).context("it can't be read")?;
        match table.next() {
            Some((_, Ok(header))) => Ok((table, header)),
            Some((line, Err(error))) => bail!("line {line}: {error}"),
            None => match table.failure {
                Some(error) => Err(error).context("it can't be read"),
                None => bail!("it is empty"),
            },
        }
    }

    /// Why the records ended early, if they did.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Reads one record, and the number of its bytes. None at the end of the text.
    fn record(&mut self) -> io::Result<Option<(usize, Result<Record, CsvError>)>> {
        let (mut used, mut length, mut count) = (0_usize, 0_usize, 0_usize);
        loop {
            let input = self.window.at_hand().get(used..).unwrap_or_default();
            if input.is_empty() && !self.window.is_whole() {
                match self.window.more() {
                    Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                        self.window.cut();
                        return Ok(Some((used, Err(CsvError::OpenQuote))));
                    }
                    read => read?,
                }
                continue;
            }
            // A record that the text ends in ends with a line, unless it is inside quotes.
            let is_end = input.is_empty();
            let input = if is_end { b"\n" } else { input };
            let (result, read, written, ended) = self.reader.read_record(
                input,
                self.fields.get_mut(length..).unwrap_or_default(),
                self.ends.get_mut(count..).unwrap_or_default(),
            );
            length = length.saturating_add(written);
            count = count.saturating_add(ended);
            if !is_end {
                used = used.saturating_add(read);
            }
            match result {
                ReadRecordResult::InputEmpty if !is_end => {}
                ReadRecordResult::InputEmpty => {
                    let is_blank = self.window.at_hand().iter().all(|byte| is_line_end(*byte));
                    return Ok((!is_blank).then_some((used, Err(CsvError::OpenQuote))));
                }
                // A buffer that grew in place would leave a copy of its content.
                ReadRecordResult::OutputFull => {
                    let mut larger = Zeroizing::new(vec![0; self.fields.len().saturating_mul(2)]);
                    larger.iter_mut().zip(self.fields.iter()).for_each(|(to, from)| *to = *from);
                    self.fields = larger;
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len().saturating_mul(2), 0),
                ReadRecordResult::Record => {
                    let raw = self.window.at_hand().get(..used).unwrap_or_default();
                    let ends = self.ends.get(..count).unwrap_or_default().to_vec();
                    let fields = self.fields.get(..length).unwrap_or_default();
                    let checked = check_quotes(raw, self.separator, fields, &ends).and_then(|()| {
                        let text = std::str::from_utf8(fields)
                            .map_err(|_| CsvError::NotUtf8 { column: not_utf8(raw).unwrap_or(1) })?;
                        Ok(Record { text: Zeroizing::new(text.to_owned()), ends })
                    });
                    return Ok(Some((used, checked)));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// Skips the line ends before a record, and counts them.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            self.window.ensure(2)?;
            let bytes = self.window.at_hand();
            let Some(end) = ["\r\n", "\n", "\r"].iter().find(|end| bytes.starts_with(end.as_bytes())) else {
                return Ok(());
            };
            self.window.consume(end.len());
            self.line = self.line.saturating_add(1);
        }
    }

    fn next_record(&mut self) -> io::Result<Option<(usize, Result<Record, CsvError>)>> {
        loop {
            self.skip_line_ends()?;
            let line = self.line;
            let Some((used, record)) = self.record()? else { return Ok(None) };
            // The end of a line may go on after the record.
            match self.window.ensure(used.saturating_add(1)) {
                Err(error) if error.kind() == ErrorKind::FileTooLarge => {}
                read => read?,
            }
            let (raw, rest) = self.window.at_hand().split_at_checked(used).unwrap_or_default();
            self.line = line.saturating_add(line_ends(raw, rest));
            self.window.consume(used);
            match record {
                Ok(record) if record.fields().all(|field| field.trim().is_empty()) => {}
                record => return Ok(Some((line, record))),
            }
        }
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = (usize, Result<Record, CsvError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().unwrap_or_else(|error| {
            self.failure = Some(error);
            None
        })
    }
}

/// The column of the first byte in a text that is not UTF-8, in the line that it is in.
pub(super) fn not_utf8(bytes: &[u8]) -> Option<usize> {
    let valid = std::str::from_utf8(bytes).err()?.valid_up_to();
    let before = bytes.get(..valid).unwrap_or_default();
    let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Some(String::from_utf8_lossy(line).chars().count().saturating_add(1))
}

impl Record {
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.text.get(start..*end).unwrap_or_default())
    }
}

/// Finds text between a closing quote and the next separator, which `csv-core` adds to the field.
fn check_quotes(raw: &[u8], separator: u8, fields: &[u8], ends: &[usize]) -> Result<(), CsvError> {
    let (mut at, mut start) = (0_usize, 0_usize);
    for end in ends {
        let field = fields.get(start..*end).unwrap_or_default();
        let is_quoted = raw.get(at) == Some(&b'"');
        // Two quotes inside quotes are one of the field's.
        let quotes = field.split(|byte| *byte == b'"').count().saturating_add(1);
        let length = field.len().saturating_add(if is_quoted { quotes } else { 0 });
        at = at.saturating_add(length);
        let last = at.checked_sub(1).and_then(|last| raw.get(last));
        let next = raw.get(at).copied().unwrap_or(b'\n');
        if is_quoted && (last != Some(&b'"') || (next != separator && !is_line_end(next))) {
            return Err(CsvError::AfterQuote);
        }
        at = at.saturating_add(1);
        start = *end;
    }
    Ok(())
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// How many lines end in a record. The end of the last one may go on after it: `\r\n` is one.
fn line_ends(record: &[u8], rest: &[u8]) -> usize {
    let next = record.iter().skip(1).chain(rest.first());
    let pairs = record.iter().zip(next.map(Some).chain([None]));
    pairs.filter(|(byte, next)| **byte == b'\n' || (**byte == b'\r' && *next != Some(&b'\n'))).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Vec<(usize, Result<Vec<String>, CsvError>)> {
        let fields = |record: Record| record.fields().map(str::to_owned).collect();
        Table::new(text.as_bytes()).unwrap().map(|(line, record)| (line, record.map(fields))).collect()
    }

    #[test]
    fn fields_and_lines_are_those_that_an_editor_shows() {
        let row = |line: usize, fields: &[&str]| (line, Ok(fields.iter().map(ToString::to_string).collect()));
        for (text, rows) in [
            ("", vec![]),
            ("\n\r\n \n,,\n", vec![]),
            ("a,b", vec![row(1, &["a", "b"])]),
            ("a,b\n", vec![row(1, &["a", "b"])]),
            ("a,b\r\n\r\n1,2\r\n", vec![row(1, &["a", "b"]), row(3, &["1", "2"])]),
            ("a\rb\r", vec![row(1, &["a"]), row(2, &["b"])]),
            ("a;b\n1,2;3", vec![row(1, &["a", "b"]), row(2, &["1,2", "3"])]),
            ("a\tb\n1\t", vec![row(1, &["a", "b"]), row(2, &["1", ""])]),
            (
                "a,b\n\"1,\"\"2\",\"\"\n,x\"y",
                vec![row(1, &["a", "b"]), row(2, &["1,\"2", ""]), row(3, &["", "x\"y"])],
            ),
            ("\"a\r\n\nb\",c\n1,2", vec![row(1, &["a\r\n\nb", "c"]), row(4, &["1", "2"])]),
            (
                "a,b\n\"1\"2,3\n4,5",
                vec![row(1, &["a", "b"]), (2, Err(CsvError::AfterQuote)), row(3, &["4", "5"])],
            ),
            ("a,b\n1,\"2\n3,4\n", vec![row(1, &["a", "b"]), (2, Err(CsvError::OpenQuote))]),
            ("\"a\"b\",c\n\"\"\"\",\"d\"\"\"", vec![(1, Err(CsvError::AfterQuote)), row(2, &["\"", "d\""])]),
        ] {
            assert_eq!(table(text), rows, "{text:?}");
        }
    }

    #[test]
    fn a_record_may_be_longer_than_the_first_buffers() {
        let fields = vec!["x".repeat(700); 40];
        assert_eq!(table(&fields.join(",")), [(1, Ok(fields))]);
    }

    #[test]
    fn a_quote_that_nothing_closes_takes_bounded_memory() {
        let text = format!("a,b\n1,\"{}", "x,y\n".repeat(1 << 20));
        assert_eq!(
            table(&text),
            [(1, Ok(vec!["a".to_owned(), "b".to_owned()])), (2, Err(CsvError::OpenQuote))]
        );
    }

    #[test]
    fn bytes_of_another_encoding_are_named_by_their_column() {
        let found = Table::new(&b"a,b\n\xc3\xa9t,M\xfcller\nc,d\n"[..]).unwrap();
        let found = found.map(|(line, record)| (line, record.map(drop))).collect::<Vec<_>>();
        assert_eq!(found, [(1, Ok(())), (2, Err(CsvError::NotUtf8 { column: 5 })), (3, Ok(()))]);
    }

    proptest! {
        #[test]
        fn it_reads_what_another_program_writes(rows in prop::collection::vec(prop::collection::vec("[a-c,;\"\r\n é]{0,5}", 2), 1..5)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["x", "y"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let blank = |row: &&Vec<String>| !row.iter().all(|field| field.trim().is_empty());
            let found = table(&text).into_iter().skip(1).map(|(_, row)| row.unwrap());
            prop_assert_eq!(found.collect::<Vec<_>>(), rows.iter().filter(blank).cloned().collect::<Vec<_>>());
        }

        #[test]
        fn it_reads_any_text(text in "[a,;\"\r\n\t\u{feff}é]{0,40}") {
            for (line, _) in table(&text) {
                prop_assert!(line <= text.len() + 1);
            }
        }
    }
}
