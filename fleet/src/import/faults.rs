//! What is wrong with the rows of a file.

use std::{collections::HashMap, fmt};

use cli::{
    console::{ErrorList, counted},
    output::escaped,
};
use device_auth::{device_name::DeviceNameError, verifier::VerifierError};

use indicatif::HumanCount;

use super::{hash::HashError, table::CsvError};
use crate::secret::SecretError;

/// How many lines are listed. A file of any size has its errors in bounded memory.
const MOST_LISTED: usize = 10_000;

/// What is wrong with a row. No message repeats a field: it may be a password in the wrong column.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error(transparent)]
    Csv(#[from] CsvError),
    #[error("it has {}, the header has {wanted}", counted(found, "field"))]
    Fields { found: usize, wanted: usize },
    #[error("it is not `name:hash`")]
    NotNameHash,
    #[error("column {column}: it is not {what}")]
    Element { column: usize, what: &'static str },
    #[error("`{0}` is empty")]
    Empty(String),
    #[error("`{0}` goes over several lines; a quote may be missing")]
    SeveralLines(String),
    #[error(transparent)]
    Name(#[from] DeviceNameError),
    #[error(transparent)]
    Password(#[from] SecretError),
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("`client_ids` has something that is not a client id, nor a prefix of one followed by `*`")]
    ClientIds,
    #[error("{}", cli::error_text(.0.as_ref()))]
    Vendor(anyhow::Error),
}

/// Errors by line. Lines with the same error are reported together. No error carries a secret.
#[derive(Debug)]
pub struct Faults {
    noun: &'static str,
    by_message: HashMap<String, usize>,
    groups: Vec<(String, Vec<usize>)>,
    /// How many lines are in the groups.
    listed: usize,
    count: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::of("bad row")
    }
}

impl Faults {
    /// No errors yet. `noun` is what one of them is called.
    pub(crate) fn of(noun: &'static str) -> Self {
        Self { noun, by_message: HashMap::new(), groups: Vec::new(), listed: 0, count: 0 }
    }

    /// Adds what is wrong with a line. A part of the line that it repeats is escaped.
    pub fn add(&mut self, line: usize, error: String) {
        self.count = self.count.saturating_add(1);
        if self.listed >= MOST_LISTED {
            return;
        }
        self.listed = self.listed.saturating_add(1);
        let error = escaped(error).into_owned();
        let next = self.groups.len();
        let group = *self.by_message.entry(error.clone()).or_insert(next);
        match self.groups.get_mut(group) {
            Some((_, lines)) => lines.push(line),
            None => self.groups.push((error, vec![line])),
        }
    }

    /// How many lines are wrong.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many of them are not listed.
    fn unlisted(&self) -> u64 {
        self.count.saturating_sub(u64::try_from(self.listed).unwrap_or(u64::MAX))
    }

    /// What is wrong with each line.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.groups.iter().flat_map(|(error, lines)| lines.iter().map(move |line| (*line, error.as_str())))
    }

    /// All of it as the text of an error about this file.
    pub fn of_file(&self, file: impl fmt::Display) -> String {
        format!("`{}` has {self}", escaped(file.to_string()))
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(HumanCount(self.count), self.noun))?;
        let mut groups = self.groups.iter().collect::<Vec<_>>();
        groups.sort_by_key(|(_, lines)| lines.first());
        groups.into_iter().try_for_each(|(error, lines)| {
            let word = if lines.len() == 1 { "line" } else { "lines" };
            write!(f, "\n  {word} {}: {error}", Ranges(lines))
        })?;
        match self.unlisted() {
            0 => Ok(()),
            more => write!(f, "\n  and {} after these", counted(HumanCount(more), self.noun)),
        }
    }
}

/// An error of these parts. Their texts are escaped already, so each line end in them begins a line of the list.
pub fn error_list<'a>(parts: impl IntoIterator<Item = &'a str>) -> ErrorList {
    let mut lines = parts.into_iter().flat_map(|part| part.split("\n  ")).map(str::to_owned);
    let head = lines.next().unwrap_or_default();
    ErrorList::new(head, lines.collect())
}

/// Ascending line numbers, written as `3, 7-9`.
struct Ranges<'a>(&'a [usize]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.0.chunk_by(|one, next| one.checked_add(1) == Some(*next));
        for (count, range) in ranges.enumerate() {
            f.write_str(if count == 0 { "" } else { ", " })?;
            match range {
                [first, .., last] => write!(f, "{first}-{last}")?,
                [] | [_] => range.iter().try_for_each(|line| write!(f, "{line}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_the_same_error_are_one_line() {
        let mut faults = Faults::default();
        for (line, error) in [(3, "b"), (4, "b"), (5, "b"), (7, "b"), (2, "a"), (9, "a"), (10, "a")] {
            faults.add(line, error.to_owned());
        }
        assert_eq!(faults.to_string(), "7 bad rows\n  lines 2, 9-10: a\n  lines 3-5, 7: b");
        let mut one = Faults::default();
        assert!(one.is_empty());
        one.add(4, "c".to_owned());
        assert!(one.to_string() == "1 bad row\n  line 4: c" && !one.is_empty());
    }

    #[test]
    fn a_file_of_errors_is_listed_in_part() {
        let mut faults = Faults::default();
        (1..=MOST_LISTED + 1_234).for_each(|line| faults.add(line, format!("e{}", line % 2)));
        let printed = faults.to_string();
        assert!(printed.starts_with("11,234 bad rows\n  lines 1, 3, "), "{printed}");
        assert!(printed.ends_with("\n  and 1,234 bad rows after these"), "{printed}");
        assert_eq!(faults.lines().count(), MOST_LISTED);
    }
}
