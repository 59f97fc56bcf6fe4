//! The forms in which a command prints its result, and the options that choose one.

use std::{borrow::Cow, io, io::Write};

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::output::escaped;

/// How a result is printed.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// For people, in up to 80 columns
    #[default]
    Table,
    /// One line of JSON
    Json,
    /// CSV with a header, of a command that lists or shows
    Csv,
}

/// The options that choose a form.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct FormatArgs {
    /// How the result is printed
    ///
    /// How the result is printed. `csv` is for the commands that list or show something. Messages for people go to
    /// standard error in each case.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub output: Option<OutputFormat>,

    /// Print JSON, for scripts: short for `--output json`
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
}

/// `--json` and another form are asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`--json` and `--output` ask for two forms: leave one of them out")]
pub struct TwoFormats;

impl FormatArgs {
    /// The form that is asked for.
    ///
    /// # Errors
    ///
    /// When the two options ask for different forms.
    pub fn format(self) -> Result<OutputFormat, TwoFormats> {
        match (self.output, self.json) {
            (None, false) => Ok(OutputFormat::Table),
            (None | Some(OutputFormat::Json), true) => Ok(OutputFormat::Json),
            (Some(_), true) => Err(TwoFormats),
            (Some(format), false) => Ok(format),
        }
    }
}

/// Writes rows as CSV (RFC 4180) with a header, and with LF as the end of a line. A list is written with spaces between its
/// elements, what is absent or null as an empty field, and what a terminal does not show as its escape: a row is one line.
pub(crate) fn write_csv(
    output: &mut dyn Write,
    columns: &[&str],
    rows: impl IntoIterator<Item = Value>,
) -> io::Result<()> {
    writeln!(output, "{}", columns.join(","))?;
    rows.into_iter().try_for_each(|row| write_csv_row(output, columns, &row))
}

/// The elements of a member of a result, as rows.
#[must_use]
pub fn rows_in(result: &Value, member: &str) -> Vec<Value> {
    result.get(member).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A row with one more member.
#[must_use]
pub fn row_with(mut row: Value, member: &str, value: Value) -> Value {
    if let Some(members) = row.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
    row
}

/// Writes one row, after its header.
pub(crate) fn write_csv_row(output: &mut dyn Write, columns: &[&str], row: &Value) -> io::Result<()> {
    let fields = columns.iter().map(|column| quoted(row.get(column).map(field).unwrap_or_default()));
    writeln!(output, "{}", fields.collect::<Vec<_>>().join(","))
}

fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escaped(text).into_owned(),
        Value::Array(list) => list.iter().map(field).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn quoted(field: String) -> Cow<'static, str> {
    if field.contains(['"', ',']) {
        format!("\"{}\"", field.replace('"', "\"\"")).into()
    } else {
        field.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_options_choose_one_format() {
        use OutputFormat::{Csv, Json, Table};
        for (output, json, expected) in [
            (None, false, Ok(Table)),
            (None, true, Ok(Json)),
            (Some(Table), false, Ok(Table)),
            (Some(Csv), false, Ok(Csv)),
            (Some(Json), true, Ok(Json)),
            (Some(Table), true, Err(TwoFormats)),
            (Some(Csv), true, Err(TwoFormats)),
        ] {
            assert_eq!(FormatArgs { output, json }.format(), expected, "{output:?} {json}");
        }
    }

    #[test]
    fn each_kind_of_value_is_one_field() {
        let rows = [
            json!({"a": "x", "b": ["1", 2], "c": null, "left out": 1}),
            json!({"a": "x,\"y\"\nz", "b": {"k": "v"}, "c": false}),
            json!({"b": [], "c": 1.5}),
        ];
        let mut output = Vec::new();
        write_csv(&mut output, &["a", "b", "c"], rows).unwrap();
        let expected = "a,b,c\nx,1 2,\n\"x,\"\"y\"\"\\u000az\",\"{\"\"k\"\":\"\"v\"\"}\",false\n,,1.5\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
