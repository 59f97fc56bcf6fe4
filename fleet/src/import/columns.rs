//! Columns by their names.

use anyhow::{Context as _, bail};

use super::{faults::RowError, table::Record};

/// The columns of a header.
pub(super) struct Columns {
    names: Vec<String>,
}

impl Columns {
    pub(super) fn of(header: &Record) -> Self {
        Self { names: header.fields().map(normalized).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The column with one of these names, if there is one.
    ///
    /// # Errors
    ///
    /// When there are two.
    pub(super) fn find(&self, names: &[&str]) -> anyhow::Result<Option<Column>> {
        let wanted = names.iter().map(|name| normalized(name)).collect::<Vec<_>>();
        let mut indexes = self.names.iter().enumerate().filter(|(_, name)| wanted.contains(name));
        let first = indexes.next().map(|(index, _)| index);
        if indexes.next().is_some() {
            bail!("its header has two columns `{}`", names.join("` or `"));
        }
        let name = names.first().copied().unwrap_or_default().to_owned();
        Ok(first.map(|index| Column { name, index }))
    }

    /// The column with one of these names.
    ///
    /// # Errors
    ///
    /// When there is none, or there are two.
    pub(super) fn get(&self, names: &[&str]) -> anyhow::Result<Column> {
        // The header is not repeated: a file without one begins with a secret.
        self.find(names)?.with_context(|| {
            format!("its first line is the header, and has no column `{}`", names.join("` or `"))
        })
    }
}

/// A column of the rows below a header.
pub(super) struct Column {
    name: String,
    index: usize,
}

impl Column {
    /// The field of a row, without white space around it.
    ///
    /// # Errors
    ///
    /// When it is empty, or has a line end in it.
    pub(super) fn word<'r>(&self, record: &'r Record) -> Result<&'r str, RowError> {
        let word = self.text(record).trim();
        if word.is_empty() {
            return Err(RowError::Empty(self.name.clone()));
        }
        if word.contains(['\r', '\n']) {
            return Err(RowError::SeveralLines(self.name.clone()));
        }
        Ok(word)
    }

    /// The field of a row.
    pub(super) fn text<'r>(&self, record: &'r Record) -> &'r str {
        record.fields().nth(self.index).unwrap_or_default()
    }
}

/// A name without capitals, and without the characters that people write between words.
fn normalized(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
