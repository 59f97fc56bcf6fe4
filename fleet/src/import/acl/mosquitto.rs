//! The `acl_file` of mosquitto and of mosquitto-go-auth (the manual page `mosquitto.conf`, "`acl_file`").
//!
//! Of a user's own lines, those that deny come first; then those that allow; then the patterns in the same order. A subscription
//! is not checked, only each message that it brings.

use std::collections::HashMap;

use super::{
    super::faults::Faults,
    Access, Effect, Remark, Rule, User,
    filter::{Filter, FilterError},
    quoted,
};

/// `%u` and `%c`, which have a meaning in a pattern only.
const PLACEHOLDERS: (&str, &str) = ("%u", "%c");

/// An `acl_file`.
#[derive(Debug, Default)]
pub(in crate::import) struct AclFile {
    /// The lines of each user, by name.
    sections: HashMap<String, Section>,
    /// The lines before the first `user`.
    anonymous: Vec<Line>,
    patterns: Vec<Line>,
    /// Whether every line that denies comes before every line that allows.
    denies_first: bool,
}

#[derive(Debug)]
struct Section {
    line: usize,
    lines: Vec<Line>,
}

/// A line `topic` or `pattern`.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    filter: Filter,
    access: LineAccess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineAccess {
    Read,
    Write,
    ReadWrite,
    Deny,
}

#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("column {column}: {word} is not `user`, `topic` or `pattern`")]
    Keyword { column: usize, word: String },
    #[error("column {column}: {word} is not `read`, `write`, `readwrite` or `deny`")]
    Access { column: usize, word: String },
    #[error("the line has no topic")]
    NoTopic,
    #[error("the line has no user name")]
    NoUser,
    #[error("column {column}: {error}")]
    Filter { column: usize, error: FilterError },
}

impl AclFile {
    /// Reads a file. With `denies_first`, as for a plugin whose order is not mosquitto's, a pattern that denies also wins over
    /// a user's own line.
    pub(in crate::import) fn parse(text: &str, denies_first: bool) -> Result<Self, Faults> {
        let mut file = Self { denies_first, ..Self::default() };
        let mut faults = Faults::of("bad line");
        let mut user = None::<String>;
        for (text, line) in text.lines().zip(1_usize..) {
            if let Err(error) = file.read(text.trim_end(), line, &mut user) {
                faults.add(line, error.to_string());
            }
        }
        if faults.is_empty() { Ok(file) } else { Err(faults) }
    }

    fn read(&mut self, text: &str, line: usize, user: &mut Option<String>) -> Result<(), LineError> {
        // A `#` after blanks does not begin a comment for mosquitto.
        if text.starts_with('#') {
            return Ok(());
        }
        let (start, keyword, rest) = word(text, 0);
        if keyword.is_empty() {
            return Ok(());
        }
        match keyword {
            "user" => {
                let name = rest.trim();
                if name.is_empty() {
                    return Err(LineError::NoUser);
                }
                self.sections.entry(name.to_owned()).or_insert_with(|| Section { line, lines: Vec::new() });
                *user = Some(name.to_owned());
            }
            "topic" => {
                let line = Line::parse(text, line, rest, false)?;
                let section = user.as_ref().and_then(|user| self.sections.get_mut(user));
                section.map_or(&mut self.anonymous, |section| &mut section.lines).push(line);
            }
            "pattern" => self.patterns.push(Line::parse(text, line, rest, true)?),
            other => return Err(LineError::Keyword { column: column(text, start), word: quoted(other) }),
        }
        Ok(())
    }

    pub(super) fn access(&self, user: User<'_>) -> Access {
        let own = self.sections.get(user.name).map(|section| section.lines.as_slice()).unwrap_or_default();
        let rules = |wanted: LineAccess| {
            let denied = |lines: &[Line]| rules(lines, LineAccess::Deny);
            let allowed = |lines: &[Line]| rules(lines, wanted);
            let (own_denied, denied) = (denied(own), denied(&self.patterns));
            let lists = if self.denies_first {
                [own_denied, denied, allowed(own), allowed(&self.patterns)]
            } else {
                [own_denied, allowed(own), denied, allowed(&self.patterns)]
            };
            lists.into_iter().flatten().collect()
        };
        Access { publish: rules(LineAccess::Write), subscribe: rules(LineAccess::Read), receive: Vec::new() }
    }

    pub(super) fn remarks(&self, is_known: impl Fn(&str) -> bool) -> Vec<Remark> {
        let anonymous = self.anonymous.iter().filter(|line| line.access != LineAccess::Deny).map(|line| {
            let text = format!(
                "{} comes before the first `user`, so it is for clients without a user name, which can't connect: give them \
                 names and passwords; if it is meant for every user, write `pattern` in place of `topic`",
                quoted(line.filter.as_str())
            );
            Remark::loss(line.number, text)
        });
        let unknown = self.sections.iter().filter(|(name, _)| !is_known(name)).map(|(name, section)| {
            Remark::note(section.line, format!("user {} has no password in the file of users", quoted(name)))
        });
        anonymous.chain(unknown).collect()
    }
}

fn rules(lines: &[Line], wanted: LineAccess) -> Vec<Rule> {
    let wanted = |line: &&Line| {
        line.access == wanted || (wanted != LineAccess::Deny && line.access == LineAccess::ReadWrite)
    };
    let rule = |line: &Line| Rule {
        effect: if line.access == LineAccess::Deny { Effect::Deny } else { Effect::Allow },
        filter: line.filter.clone(),
        is_exact: false,
        retain: true,
        condition: None,
        line: line.number,
    };
    lines.iter().filter(wanted).map(rule).collect()
}

impl Line {
    /// The line after its keyword. A single word is the topic; the access is then `readwrite`.
    fn parse(text: &str, number: usize, rest: &str, is_pattern: bool) -> Result<Self, LineError> {
        let begin = text.len().saturating_sub(rest.len());
        let (start, first, after) = word(text, begin);
        let topic = after.trim();
        let (access, topic, start) = match (first, topic) {
            ("", _) => return Err(LineError::NoTopic),
            (topic, "") => (LineAccess::ReadWrite, topic, start),
            (access, topic) => {
                let access = match access {
                    "read" => LineAccess::Read,
                    "write" => LineAccess::Write,
                    "readwrite" => LineAccess::ReadWrite,
                    "deny" => LineAccess::Deny,
                    other => {
                        return Err(LineError::Access { column: column(text, start), word: quoted(other) });
                    }
                };
                (access, topic, text.len().saturating_sub(topic.len()))
            }
        };
        let filter = Filter::new(topic, is_pattern.then_some(PLACEHOLDERS));
        let filter = filter.map_err(|error| LineError::Filter { column: column(text, start), error })?;
        Ok(Self { number, filter, access })
    }
}

/// The first word from a byte on: where it begins, the word, and what is after it. Only a space separates words.
fn word(text: &str, from: usize) -> (usize, &str, &str) {
    let rest = text.get(from..).unwrap_or_default();
    let trimmed = rest.trim_start_matches(' ');
    let start = from.saturating_add(rest.len().saturating_sub(trimmed.len()));
    let (word, after) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
    (start, word, after)
}

/// The column of a byte, counted in characters from 1.
fn column(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or_default().chars().count().saturating_add(1)
}
