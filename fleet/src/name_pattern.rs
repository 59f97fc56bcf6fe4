//! Patterns for the names of numbered devices: `sensor-####`.

use std::{fmt, num::NonZeroU32, str::FromStr};

use device_auth::device_name::{DeviceName, DeviceNameError};
use iot_policy::limits::MAX_THING_NAME_LENGTH;

/// A name with one run of `#`, which stands for the digits of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    before: String,
    digits: usize,
    after: String,
}

/// Why there are no names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamePatternError {
    /// The text is not a pattern.
    #[error(
        "`{0}` is not a pattern of names: write `#` where the digits of a number go, as in `sensor-####`, and \
         otherwise {THING_NAME}"
    )]
    Form(String),
    /// The last number has more digits than the pattern.
    #[error("`{pattern}` has no room for the number {last}: add more `#`")]
    TooShort {
        /// The pattern.
        pattern: NamePattern,
        /// The last number.
        last: u64,
    },
    /// A name can't be a device's.
    #[error(transparent)]
    Name(#[from] DeviceNameError),
}

impl NamePattern {
    /// The names of `count` devices, numbered from `first` on.
    ///
    /// # Errors
    ///
    /// When the pattern has fewer digits than the last number.
    pub fn names(
        &self,
        first: u32,
        count: NonZeroU32,
    ) -> Result<impl Iterator<Item = Result<DeviceName, NamePatternError>> + use<>, NamePatternError> {
        let last = u64::from(first).saturating_add(u64::from(count.get())).saturating_sub(1);
        if last.to_string().len() > self.digits {
            return Err(NamePatternError::TooShort { pattern: self.clone(), last });
        }
        let Self { before, digits, after } = self.clone();
        Ok((u64::from(first)..=last)
            .map(move |number| Ok(DeviceName::try_from(format!("{before}{number:0digits$}{after}"))?)))
    }
}

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<Self, NamePatternError> {
        let (before, rest) = text.split_once('#').ok_or_else(|| NamePatternError::Form(text.to_owned()))?;
        let after = rest.trim_start_matches('#');
        let digits = rest.len().saturating_sub(after.len()).saturating_add(1);
        if !is_plain(before) || !is_plain(after) || text.len() > MAX_THING_NAME_LENGTH || digits > 10 {
            return Err(NamePatternError::Form(text.to_owned()));
        }
        Ok(Self { before: before.to_owned(), digits, after: after.to_owned() })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, digits, after } = self;
        write!(f, "{before}{}{after}", "#".repeat(*digits))
    }
}

/// The characters of a Thing's name (AWS IoT API reference, `CreateThing`). A device's name may have more.
pub(super) const THING_NAME: &str = "letters, digits, `:`, `_` and `-`";

/// Whether a text has only those.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str, first: u32, count: u32) -> Result<Vec<String>, NamePatternError> {
        let names = pattern.parse::<NamePattern>()?.names(first, NonZeroU32::new(count).unwrap())?;
        names.map(|name| Ok(name?.to_string())).collect()
    }

    #[test]
    fn a_number_replaces_the_digits_of_a_pattern() {
        assert_eq!(names("sensor-####", 9, 2).unwrap(), ["sensor-0009", "sensor-0010"]);
        assert_eq!(names("#:hall", 0, 2).unwrap(), ["0:hall", "1:hall"]);
        assert_eq!(names("d##", 99, 1).unwrap(), ["d99"]);
        let full = names("d##", 99, 2).unwrap_err().to_string();
        assert_eq!(full, "`d##` has no room for the number 100: add more `#`");
        assert!(names("d##########", u32::MAX, 2).is_ok(), "ten digits hold every number");
    }

    #[test]
    fn a_text_that_is_not_a_pattern_is_refused() {
        let long = format!("{}#", "x".repeat(128));
        for text in ["", "sensor", "a#b#", "a.#", "sensor #", "é#", "a###########", &long] {
            let error = text.parse::<NamePattern>().unwrap_err().to_string();
            assert!(error.contains("is not a pattern of names"), "{error}");
        }
        assert_eq!("a##b".parse::<NamePattern>().unwrap().to_string(), "a##b");
    }
}
