//! Environment variables, read one by one, and the mistakes that were met.

use std::{collections::BTreeMap, ffi::OsString};

use super::ConfigError;

/// Variables that nobody has asked for yet, and the mistakes in those that somebody has.
pub(super) struct Reader {
    left: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

const OURS: &str = "LATCHKEY_";

impl Reader {
    /// What is not UTF-8 is left out, and a mistake if it is ours.
    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reader = Self { left: BTreeMap::new(), mistakes: Vec::new() };
        for (name, value) in variables {
            match (name.to_str(), value.into_string()) {
                (Some(name), Ok(value)) => _ = reader.left.insert(name.to_owned(), value),
                _ if name.to_string_lossy().starts_with(OURS) => {
                    reader.mistakes.push(format!("{}: is not UTF-8", name.to_string_lossy()));
                }
                _ => {}
            }
        }
        reader
    }

    /// The variable's text, if it is set.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.left.remove(name)
    }

    /// What `parse` makes of the variable's text; a mistake is noted with the variable's name.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(Option<&str>) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name);
        parse(text.as_deref()).map_or_else(|mistake| self.mistake(name, &mistake), Some)
    }

    /// Notes a mistake in a variable.
    pub(super) fn mistake<T>(&mut self, name: &str, mistake: &str) -> Option<T> {
        self.mistakes.push(format!("{name}: {mistake}"));
        None
    }

    /// Notes mistakes that already name their variables.
    pub(super) fn mistakes(&mut self, mistakes: Vec<String>) {
        self.mistakes.extend(mistakes);
    }

    /// All mistakes, if there are any.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        let unknown = self.left.keys().filter(|name| name.starts_with(OURS));
        let unknown = unknown
            .map(|name| format!("{name}: there is no such setting; docs/authorizer.md lists them all"));
        self.mistakes.extend(unknown);
        if self.mistakes.is_empty() { Ok(()) } else { Err(ConfigError(self.mistakes)) }
    }
}
