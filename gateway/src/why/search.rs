//! Which connections are meant by a device's name, a client id, an address or the beginning of a connection id.

use std::{collections::VecDeque, io, num::NonZeroU16, path::Path};

use cli::output::escaped;
use serde_json::Value;
use time::OffsetDateTime;

use super::reader::{Line, Lines};

/// The least digits of a connection id, as the terminal shows them.
const MIN_ID_DIGITS: usize = 4;
/// How many similar names are suggested.
const SUGGESTIONS: usize = 3;

/// What is looked for.
pub(super) struct Search<'a> {
    pub(super) subject: &'a str,
    /// How many connections.
    pub(super) last: NonZeroU16,
    /// Nothing before this moment counts.
    pub(super) since: Option<OffsetDateTime>,
}

/// What was found.
pub(super) enum Found {
    /// The ids of the connections, the one with the latest line last.
    Connections(Vec<String>),
    /// Nothing.
    Nothing {
        /// What to look for instead, beginning with a separator.
        hint: String,
    },
}

/// The ids of the last connections, by their latest line.
struct Latest {
    limit: usize,
    ids: VecDeque<String>,
}

/// Names that are similar to the one that was not found, the nearest first.
struct Similar<'a> {
    to: &'a str,
    names: Vec<(usize, String)>,
}

impl Search<'_> {
    /// Reads the log. Names win over addresses, and these over connection ids, because a name may look like an id.
    pub(super) fn find(&self, log: &Path) -> io::Result<Found> {
        let latest = || Latest { limit: self.last.get().into(), ids: VecDeque::new() };
        let (mut by_name, mut by_address, mut by_id) = (latest(), latest(), latest());
        // The text as it is in a line of JSON, without the quotation marks.
        let needle = escaped(Value::from(self.subject).to_string());
        let needle = needle.get(1..needle.len() - 1).unwrap_or_default();
        let is_id = self.subject.len() >= MIN_ID_DIGITS
            && self.subject.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let prefix = self.subject.to_ascii_lowercase();
        for text in Lines::open(log)? {
            let text = text?;
            if !text.contains(needle) && !text.contains(&prefix) {
                continue;
            }
            let Some(line) = Line::parse(&text).filter(|line| self.is_recent(line)) else { continue };
            let Some(id) = line.connection_id() else { continue };
            if line.names().any(|name| name == self.subject) {
                by_name.add(id);
            } else if line.text("sourceIp") == Some(self.subject) {
                by_address.add(id);
            } else if is_id && id.starts_with(&prefix) {
                by_id.add(id);
            }
        }
        let found = [by_name, by_address, by_id].into_iter().find(|latest| !latest.ids.is_empty());
        match found {
            Some(latest) => Ok(Found::Connections(latest.ids.into())),
            None => Ok(Found::Nothing { hint: self.hint(log)? }),
        }
    }

    fn is_recent(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.time().is_some_and(|time| time >= since))
    }

    /// Similar names, and the address of the last connection that ended before its client had a name.
    fn hint(&self, log: &Path) -> io::Result<String> {
        let mut similar = Similar { to: self.subject, names: Vec::new() };
        let mut nameless = None;
        for text in Lines::open(log)? {
            let Some(line) = Line::parse(&text?).filter(|line| self.is_recent(line)) else { continue };
            for name in line.names() {
                similar.add(name);
            }
            if line.names().next().is_none() && !line.is_decision() {
                nameless = line.text("sourceIp").map(str::to_owned);
            }
        }
        let names = similar.names.iter().map(|(_, name)| format!("`{name}`"));
        let names = names.collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { names } else { format!("; similar names are {names}") };
        let nameless = nameless.map_or(String::new(), |address| {
            format!("; a connection from {address} ended before its CONNECT: `latchkey why {address}`")
        });
        Ok(names + &nameless)
    }
}

impl Latest {
    fn add(&mut self, id: &str) {
        if self.ids.back().is_some_and(|last| last == id) {
            return;
        }
        self.ids.retain(|known| known != id);
        self.ids.push_back(id.to_owned());
        if self.ids.len() > self.limit {
            self.ids.pop_front();
        }
    }
}

impl Similar<'_> {
    fn add(&mut self, name: &str) {
        if self.names.iter().any(|(_, known)| known == name) {
            return;
        }
        let distance = strsim::levenshtein(self.to, name);
        // A third of the characters may differ, as in clap's suggestions.
        if distance * 3 <= self.to.chars().count().max(3) {
            self.names.push((distance, name.to_owned()));
            self.names.sort();
            self.names.truncate(SUGGESTIONS);
        }
    }
}
