//! Where in a table of CSV something is wrong, for people.

use std::fmt;

use super::HEADER;

/// A line and a column, both counted from 1. Without a column the whole line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The character in the line.
    pub column: Option<u64>,
}

impl Place {
    /// The line of the record that begins at the byte `start`, or after the line ends there. The reader's own count is one
    /// too low after `\r\n`.
    pub(super) fn of_line(table: &[u8], start: u64) -> Self {
        Self { column: None, ..Self::at(table, begin(table, start)) }
    }

    /// A byte in the field with this index of the record that begins at `start`. Without such a field it is the end of the
    /// record.
    pub(super) fn of_field(table: &[u8], start: u64, index: usize, byte: usize) -> Self {
        let begin = begin(table, start);
        let (mut at, mut field, mut quoted) = (begin, 0, false);
        for value in table.iter().skip(begin) {
            match value {
                b'"' => quoted = !quoted,
                b',' if !quoted && field == index => break,
                b',' if !quoted => field += 1,
                b'\r' | b'\n' if !quoted => break,
                _ => {}
            }
            if field == index {
                break;
            }
            at += 1;
        }
        // After the comma before the field.
        if index > 0 && field == index {
            at += 1;
        }
        let quote = usize::from(table.get(at) == Some(&b'"') && byte > 0);
        Self::at(table, at + quote + byte)
    }

    /// Where the first line begins to differ from the header.
    pub(super) fn of_header(table: &[u8]) -> Self {
        let header = HEADER.join(",");
        let same = header.bytes().zip(table).take_while(|(wanted, byte)| wanted == *byte).count();
        Self::at(table, same)
    }

    fn at(table: &[u8], byte: usize) -> Self {
        let before = table.get(..byte).unwrap_or(table);
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let line = before.split(|byte| *byte == b'\n').count();
        // A character's later bytes are not counted.
        let in_line = before.iter().rev().take_while(|byte| **byte != b'\n');
        let column = in_line.filter(|byte| **byte & 0xc0 != 0x80).count();
        Self { line: number(line), column: Some(number(column) + 1) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "line {}, column {column}", self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// Where a record begins, after the line ends at `start`.
fn begin(table: &[u8], start: u64) -> usize {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    let blank = table.iter().skip(start).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    start.saturating_add(blank)
}
