//! The parameters in an Alibaba device's client id.

/// The parameters between the client id's two `|`: `key=value`, separated by commas, in any order.
///
/// Only their form was checked. Only `timestamp` is signed. Unknown ones (`_v`, `lan`, `ext`, `_conn`, …) are kept
/// and mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters<'a>(&'a str);

/// Why the text between the two `|` is not [`Parameters`]. Parameters are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// Two commas in a row, or one in front.
    #[error("parameter {0} of the client id is empty, remove a comma")]
    Empty(usize),
    /// A parameter without `=`.
    #[error("parameter {0} of the client id has no `=`")]
    NoValue(usize),
    /// Nothing precedes the `=`.
    #[error("parameter {0} of the client id has no name before its `=`")]
    NoName(usize),
    /// A name that an earlier parameter has, known or not.
    #[error("parameter {0} of the client id has an earlier one's name, send each once")]
    Repeated(usize),
    /// More than 32 parameters. The vendor's SDKs send up to a dozen.
    #[error("the client id has more than {max} parameters", max = Parameters::MAX)]
    TooMany,
}

impl<'a> Parameters<'a> {
    /// The most parameters that are read; the limit bounds the search for a repeated one.
    pub const MAX: usize = 32;

    /// Checks the form of `text`, which is the text between the two `|` and may end with a comma.
    pub(crate) fn parse(text: &'a str) -> Result<Self, ParametersError> {
        let parameters = Self(text);
        for (index, part) in parameters.parts().enumerate() {
            if index == Self::MAX {
                return Err(ParametersError::TooMany);
            }
            let number = index + 1;
            if part.is_empty() {
                return Err(ParametersError::Empty(number));
            }
            let (name, _) = part.split_once('=').ok_or(ParametersError::NoValue(number))?;
            if name.is_empty() {
                return Err(ParametersError::NoName(number));
            }
            if parameters.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(ParametersError::Repeated(number));
            }
        }
        Ok(parameters)
    }

    /// The value of the parameter called `name`.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find_map(|(candidate, value)| (candidate == name).then_some(value))
    }

    /// Names and values in the order in which they were sent. A value may have a `=` or be empty.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.parts().filter_map(|part| part.split_once('='))
    }

    fn parts(self) -> impl Iterator<Item = &'a str> {
        let parts = (!self.0.is_empty()).then(|| self.0.strip_suffix(',').unwrap_or(self.0).split(','));
        parts.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_order_and_the_unknown_ones() {
        let cases: [(&str, &[(&str, &str)]); 5] = [
            ("", &[]),
            ("a=1", &[("a", "1")]),
            ("a=1,", &[("a", "1")]),
            ("b=2,a=", &[("b", "2"), ("a", "")]),
            ("_conn=x=y,A=1,a=2", &[("_conn", "x=y"), ("A", "1"), ("a", "2")]),
        ];
        for (text, expected) in cases {
            let parameters = Parameters::parse(text).unwrap();
            assert_eq!(parameters.iter().collect::<Vec<_>>(), expected, "{text}");
            for (name, value) in expected {
                assert_eq!(parameters.get(name), Some(*value));
            }
            assert_eq!(parameters.get("absent"), None);
        }
    }

    #[test]
    fn malformed_parameters_are_refused_with_their_reason() {
        let named = |count: usize| (0..count).map(|n| format!("p{n}=")).collect::<Vec<_>>().join(",");
        assert!(Parameters::parse(&named(32)).is_ok());
        let too_many = named(33);
        let cases = [
            (",", ParametersError::Empty(1), "parameter 1 of the client id is empty, remove a comma"),
            (",a=1", ParametersError::Empty(1), "parameter 1 of the client id is empty, remove a comma"),
            ("a=1,,", ParametersError::Empty(2), "parameter 2 of the client id is empty, remove a comma"),
            ("a=1,,b=1", ParametersError::Empty(2), "parameter 2 of the client id is empty, remove a comma"),
            ("a=1,b", ParametersError::NoValue(2), "parameter 2 of the client id has no `=`"),
            ("=1", ParametersError::NoName(1), "parameter 1 of the client id has no name before its `=`"),
            (
                "a=1,b=2,a=1",
                ParametersError::Repeated(3),
                "parameter 3 of the client id has an earlier one's name, send each once",
            ),
            (&too_many, ParametersError::TooMany, "the client id has more than 32 parameters"),
        ];
        for (text, error, message) in cases {
            assert_eq!(Parameters::parse(text), Err(error), "{text}");
            assert_eq!(error.to_string(), message);
        }
    }
}
