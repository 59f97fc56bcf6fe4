//! CSV, as spreadsheets write it (RFC 4180).
//!
//! Read here and not by a crate for two reasons: a secret stays in the one buffer that is wiped, and the lines that
//! errors name are those that an editor shows.

use std::ops::Deref;

use zeroize::Zeroizing;

/// What stands between fields: the first of these that the first line has.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// The records of a text. Blank ones, which spreadsheets leave behind, are passed over.
pub(crate) struct Table<'t> {
    rest: &'t str,
    line: usize,
    separator: char,
}

/// One record, and the line that it begins in.
pub(crate) struct Record<'t> {
    pub(crate) line: usize,
    pub(crate) fields: Vec<Field<'t>>,
}

/// One field, without its quotes. No `Debug`: it may be a secret.
pub(crate) enum Field<'t> {
    AsItStands(&'t str),
    Unescaped(Zeroizing<String>),
}

/// A line, and what is wrong there.
pub(crate) type Malformed = (usize, &'static str);

impl<'t> Table<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let first = text.trim_start().lines().next().unwrap_or_default();
        let separator = SEPARATORS.into_iter().find(|separator| first.contains(*separator));
        Self { rest: text, line: 1, separator: separator.unwrap_or(',') }
    }

    fn record(&mut self) -> Result<Record<'t>, Malformed> {
        let line = self.line;
        let mut fields = Vec::new();
        loop {
            fields.push(self.field().map_err(|why| (line, why))?);
            match self.rest.strip_prefix(self.separator) {
                Some(rest) => self.rest = rest,
                None => break,
            }
        }
        self.end_line();
        Ok(Record { line, fields })
    }

    fn field(&mut self) -> Result<Field<'t>, &'static str> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let (field, rest) = split(self.rest, |char| char == self.separator || is_line_end(char));
            self.rest = rest;
            return Ok(Field::AsItStands(field));
        };
        let Some((field, rest)) = closing_quote(quoted) else {
            self.rest = "";
            return Err("a quote opens here that nothing closes");
        };
        self.rest = rest;
        self.line = self.line.saturating_add(line_ends(field));
        if !rest.is_empty() && !rest.starts_with(|char| char == self.separator || is_line_end(char)) {
            self.rest = split(rest, is_line_end).1;
            self.end_line();
            return Err("something stands behind a closing quote");
        }
        Ok(Field::of_quoted(field))
    }

    fn end_line(&mut self) {
        let ended = ["\r\n", "\n", "\r"].into_iter().find_map(|end| self.rest.strip_prefix(end));
        if let Some(rest) = ended {
            self.rest = rest;
            self.line = self.line.saturating_add(1);
        }
    }
}

impl<'t> Iterator for Table<'t> {
    type Item = Result<Record<'t>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.record() {
                Ok(record) if record.fields.iter().all(|field| field.trim().is_empty()) => {}
                record => return Some(record),
            }
        }
        None
    }
}

impl<'t> Field<'t> {
    fn of_quoted(text: &'t str) -> Self {
        if !text.contains("\"\"") {
            return Self::AsItStands(text);
        }
        // Room for all of it: a buffer that grows leaves copies behind.
        let mut unescaped = Zeroizing::new(String::with_capacity(text.len()));
        for (count, part) in text.split("\"\"").enumerate() {
            unescaped.push_str(if count == 0 { "" } else { "\"" });
            unescaped.push_str(part);
        }
        Self::Unescaped(unescaped)
    }
}

impl Deref for Field<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::AsItStands(text) => text,
            Self::Unescaped(text) => text,
        }
    }
}

/// What stands before the quote that ends a field, and behind it.
fn closing_quote(text: &str) -> Option<(&str, &str)> {
    let mut from = 0_usize;
    loop {
        let at = text.get(from..)?.find('"')?.checked_add(from)?;
        let behind = text.get(at.checked_add(1)?..)?;
        if !behind.starts_with('"') {
            return Some((text.get(..at)?, behind));
        }
        from = at.checked_add(2)?;
    }
}

fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    let at = text.find(ends).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, ""))
}

fn is_line_end(char: char) -> bool {
    matches!(char, '\r' | '\n')
}

fn line_ends(text: &str) -> usize {
    text.matches('\n').count().max(text.matches('\r').count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> Vec<(usize, Result<Vec<String>, &'static str>)> {
        let fields = |record: Record<'_>| record.fields.iter().map(|field| field.to_string()).collect();
        let each = |record| match record {
            Ok(record @ Record { line, .. }) => (line, Ok(fields(record))),
            Err((line, why)) => (line, Err(why)),
        };
        Table::new(text).map(each).collect()
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
                vec![
                    row(1, &["a", "b"]),
                    (2, Err("something stands behind a closing quote")),
                    row(3, &["4", "5"]),
                ],
            ),
            (
                "a,b\n1,\"2\n3,4\n",
                vec![row(1, &["a", "b"]), (2, Err("a quote opens here that nothing closes"))],
            ),
        ] {
            assert_eq!(table(text), rows, "{text:?}");
        }
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
        fn it_takes_any_text(text in "[a,;\"\r\n\t\u{feff}é]{0,40}") {
            for (line, _) in table(&text) {
                prop_assert!(line <= text.len() + 1);
            }
        }
    }
}
