//! Columns by their names.

use anyhow::{Context as _, bail};

use super::table::{Field, Record};

/// Where a header has what.
pub(super) struct Columns {
    names: Vec<String>,
}

impl Columns {
    pub(super) fn of(header: &Record<'_>) -> Self {
        Self { names: header.fields.iter().map(|field| plain(field)).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The column of one of these names, if there is one.
    ///
    /// # Errors
    ///
    /// When there are two.
    pub(super) fn find(&self, names: &[&str]) -> anyhow::Result<Option<Column>> {
        let wanted = names.iter().map(|name| plain(name)).collect::<Vec<_>>();
        let mut places = self.names.iter().enumerate().filter(|(_, name)| wanted.contains(name));
        let first = places.next().map(|(place, _)| place);
        if places.next().is_some() {
            bail!("its header has two columns `{}`", names.join("` or `"));
        }
        let name = names.first().copied().unwrap_or_default().to_owned();
        Ok(first.map(|place| Column { name, place }))
    }

    /// The column of one of these names.
    ///
    /// # Errors
    ///
    /// When there is none, or there are two.
    pub(super) fn get(&self, names: &[&str]) -> anyhow::Result<Column> {
        // The header is not repeated: a file without one begins with a secret.
        let missing =
            || format!("its first line is the header, and has no column `{}`", names.join("` or `"));
        self.find(names)?.with_context(missing)
    }
}

/// A column.
pub(super) struct Column {
    name: String,
    place: usize,
}

impl Column {
    /// What a row has there, without blanks around it.
    ///
    /// # Errors
    ///
    /// When it is empty, or a line ends in it.
    pub(super) fn word<'r>(&self, fields: &'r [Field<'_>]) -> Result<&'r str, String> {
        let word = self.text(fields).trim();
        if word.is_empty() {
            return Err(format!("`{}` is empty", self.name));
        }
        if word.contains(['\r', '\n']) {
            return Err(format!("`{}` goes over several lines; a quote may be missing", self.name));
        }
        Ok(word)
    }

    /// What a row has there.
    pub(super) fn text<'r>(&self, fields: &'r [Field<'_>]) -> &'r str {
        fields.get(self.place).map(|field| &**field).unwrap_or_default()
    }
}

/// A name as people spell it, without capitals and whatever stands between words.
fn plain(name: &str) -> String {
    name.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
