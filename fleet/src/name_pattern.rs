//! Names that are counted: `sensor-####`.

use std::{fmt, num::NonZeroU32, str::FromStr};

use device_auth::device_name::DeviceName;

/// A name with one run of `#`, which is where the number goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    before: String,
    digits: usize,
    after: String,
}

impl NamePattern {
    /// The names from `first` on.
    ///
    /// # Errors
    ///
    /// When the pattern has fewer digits than the last number.
    pub fn names(&self, first: u32, count: NonZeroU32) -> Result<Vec<DeviceName>, String> {
        let last = u64::from(first).saturating_add(u64::from(count.get())).saturating_sub(1);
        if last.to_string().len() > self.digits {
            return Err(format!("`{self}` has no room for the number {last}: give it more `#`"));
        }
        (u64::from(first)..=last).map(|number| self.name(number)).collect()
    }

    fn name(&self, number: u64) -> Result<DeviceName, String> {
        let Self { before, digits, after } = self;
        let text = format!("{before}{number:0digits$}{after}", digits = *digits);
        DeviceName::try_from(text).map_err(|error| error.to_string())
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no pattern of names: write `#` where the digits of a number go, as in `sensor-####`, \
                 and otherwise {THING_NAME}"
            )
        };
        let (before, rest) = text.split_once('#').ok_or_else(wrong)?;
        let after = rest.trim_start_matches('#');
        let digits = rest.len().saturating_sub(after.len()).saturating_add(1);
        if !is_plain(before) || !is_plain(after) || text.len() > 128 || digits > 10 {
            return Err(wrong());
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

/// What a Thing may be called (AWS IoT API reference, `CreateThing`), which is less than a device may.
pub(super) const THING_NAME: &str = "letters, digits, `:`, `_` and `-`";

/// Whether it is made of those.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str, first: u32, count: u32) -> Result<Vec<String>, String> {
        let names = pattern.parse::<NamePattern>()?.names(first, NonZeroU32::new(count).unwrap())?;
        Ok(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn numbers_take_the_place_of_their_digits() {
        assert_eq!(names("sensor-####", 9, 2).unwrap(), ["sensor-0009", "sensor-0010"]);
        assert_eq!(names("#:hall", 0, 2).unwrap(), ["0:hall", "1:hall"]);
        assert_eq!(names("d##", 99, 1).unwrap(), ["d99"]);
        let full = names("d##", 99, 2).unwrap_err();
        assert_eq!(full, "`d##` has no room for the number 100: give it more `#`");
        assert!(names("d##########", u32::MAX, 2).is_ok(), "ten digits hold every number");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = format!("{}#", "x".repeat(128));
        for text in ["", "sensor", "a#b#", "a.#", "sensor #", "é#", "a###########", &long] {
            assert!(text.parse::<NamePattern>().unwrap_err().contains("is no pattern of names"), "{text}");
        }
        assert_eq!("a##b".parse::<NamePattern>().unwrap().to_string(), "a##b");
    }
}
