//! A port of this machine, or none.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// A port of this machine, 0 for a free one, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// This one.
    Number(u16),
    /// None.
    Off,
}

/// A text is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a port is 0 to 65535, or `off`; 0 takes a free one")]
pub struct InvalidPort;

impl PortChoice {
    /// The number, if there is a port.
    #[must_use]
    pub fn number(self) -> Option<u16> {
        match self {
            Self::Number(number) => Some(number),
            Self::Off => None,
        }
    }
}

impl FromStr for PortChoice {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        match text {
            "off" => Ok(Self::Off),
            number => number.parse().map(Self::Number).map_err(|_| InvalidPort),
        }
    }
}

/// From a number, or from the text `off`.
impl<'de> Deserialize<'de> for PortChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = PortChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{InvalidPort}")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PortChoice, E> {
                u16::try_from(number).map(PortChoice::Number).map_err(|_| E::custom(InvalidPort))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PortChoice, E> {
                if text == "off" { Ok(PortChoice::Off) } else { Err(E::custom(InvalidPort)) }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
