//! The lines of the log, one after the other.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

use serde_json::Value;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339, macros::format_description,
};

/// The longest line that is read. A line of the gateway's, and a decision line, is much shorter.
const MAX_LINE_BYTES: u64 = 32 * 1024;

/// The log's lines as text. A line that is longer than any of the gateway's is skipped.
pub(super) struct Lines(BufReader<File>);

/// A line of the gateway's or of the function's.
pub(crate) struct Line(Value);

impl Lines {
    pub(super) fn open(log: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(File::open(log)?)))
    }
}

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            let mut line = Vec::new();
            match (&mut self.0).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) if line.ends_with(b"\n") => {}
                // The gateway is about to write the rest of it.
                Ok(read) if (read as u64) < MAX_LINE_BYTES => return None,
                Ok(_) => {
                    if let Err(error) = self.0.skip_until(b'\n') {
                        return Some(Err(error));
                    }
                    continue;
                }
                Err(error) => return Some(Err(error)),
            }
            return Some(Ok(String::from_utf8_lossy(&line).into_owned()));
        }
    }
}

impl Line {
    /// Reads a line. `None` if it is not about a connection.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let line = Self(serde_json::from_str(text).ok()?);
        line.connection_id()?;
        Some(line)
    }

    /// A field with a text that is not empty.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Any field.
    pub(crate) fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field)
    }

    /// The connection's id: the two kinds of lines have it under different names.
    pub(crate) fn connection_id(&self) -> Option<&str> {
        self.text("connectionId").or_else(|| self.text("connection_id"))
    }

    /// The names of the client: its client id, and the device's name once the function knows it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        ["clientId", "device", "client_id"].into_iter().filter_map(|field| self.text(field))
    }

    /// Whether it is the function's decision.
    pub(crate) fn is_decision(&self) -> bool {
        self.text("event") == Some("decision")
    }

    /// When it was written. The gateway's lines have AWS's form of a time, the function's have RFC 3339's.
    pub(crate) fn time(&self) -> Option<OffsetDateTime> {
        let text = self.text("timestamp")?;
        let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond]");
        let of_gateway = PrimitiveDateTime::parse(text, &format).map(PrimitiveDateTime::assume_utc);
        of_gateway.or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).ok()
    }
}
