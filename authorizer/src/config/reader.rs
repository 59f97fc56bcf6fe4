//! Reads environment variables one by one, and collects the mistakes in them.

use std::{collections::BTreeMap, ffi::OsString, fmt, ops::RangeInclusive, str::FromStr};

use cli::output::escaped;

/// The variables that are not read yet, and the mistakes in those that are.
pub(super) struct Reader {
    unread: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

/// All mistakes in the environment, each in a line, with its variable's name.
#[derive(Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(escaped).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(Vec<String>);

/// What is wrong with one variable's value.
#[derive(Debug)]
pub(super) struct SettingError(String);

const PREFIX: &str = "LATCHKEY_";

impl Reader {
    /// Ignores variables that are not UTF-8. A setting that is not UTF-8 is a mistake.
    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reader = Self { unread: BTreeMap::new(), mistakes: Vec::new() };
        for (name, value) in variables {
            match (name.to_str(), value.into_string()) {
                (Some(name), Ok(value)) => _ = reader.unread.insert(name.to_owned(), value),
                _ if name.to_string_lossy().starts_with(PREFIX) => {
                    reader.mistakes.push(format!("{}: is not UTF-8", name.to_string_lossy()));
                }
                _ => {}
            }
        }
        reader
    }

    /// The variable's text, if it is set.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.unread.remove(name)
    }

    /// The parsed value of the variable. `None` after a mistake, which the reader collects.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(Option<&str>) -> Result<T, SettingError>,
    ) -> Option<T> {
        let text = self.text(name);
        parse(text.as_deref()).map_or_else(|SettingError(mistake)| self.mistake(name, &mistake), Some)
    }

    /// The same, with a default for a variable that is not set.
    pub(super) fn parsed_or<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, SettingError>,
    ) -> Option<T> {
        self.parsed(name, |text| text.map_or(Ok(default), parse))
    }

    /// Collects a mistake in a variable.
    pub(super) fn mistake<T>(&mut self, name: &str, mistake: &str) -> Option<T> {
        self.mistakes.push(format!("{name}: {mistake}"));
        None
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// All mistakes, unknown settings included.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        let unknown = self.unread.keys().filter(|name| name.starts_with(PREFIX));
        let unknown =
            unknown.map(|name| format!("{name}: unknown setting; docs/authorizer.md lists all of them"));
        self.mistakes.extend(unknown);
        if self.mistakes.is_empty() { Ok(()) } else { Err(ConfigError(self.mistakes)) }
    }
}

impl SettingError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl<E: std::error::Error> From<E> for SettingError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn switch(text: &str) -> Result<bool, SettingError> {
    text.parse().map_err(|_| SettingError(format!("`{text}` is neither `true` nor `false`")))
}

/// A number. The unit, for example `seconds`, is for the message.
pub(super) fn number<T: FromStr>(text: &str, unit: &str) -> Result<T, SettingError> {
    text.parse().map_err(|_| SettingError(format!("`{text}` is not a number of {unit}")))
}

/// A number in a range.
pub(super) fn number_in<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, SettingError>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        SettingError(format!("`{text}` is not a number from {} to {}", range.start(), range.end()))
    })
}
