//! The ports of this machine that stand for AWS's.

use std::{collections::BTreeMap, fmt, str::FromStr};

use clap::Args;
use serde::{Deserialize, Deserializer, de};

use crate::{door::route::Port, settings::Ports};

/// The table `[ports]` of the settings file, and the flags `--port…`.
#[derive(Args, Clone, Copy, Debug, Default, Deserialize)]
#[command(next_help_heading = "Ports")]
#[serde(deny_unknown_fields, default)]
pub struct PortOverrides {
    /// The port that stands for AWS's 443 [default: 10443]
    ///
    /// 0 chooses a free port, and then the other ports are free ones too unless you set them.
    #[arg(long = "port", value_name = "PORT")]
    #[serde(rename = "443")]
    pub p443: Option<PortChoice>,

    /// The port that stands for AWS's 8883 [default: 18883]
    ///
    /// AWS's port for MQTT with client certificates. `off` closes it.
    #[arg(long = "port-8883", value_name = "PORT")]
    #[serde(rename = "8883")]
    pub p8883: Option<PortChoice>,

    /// The port that stands for AWS's 8443 [default: 18443]
    ///
    /// AWS's port for HTTPS publish with client certificates. `off` closes it.
    #[arg(long = "port-8443", value_name = "PORT")]
    #[serde(rename = "8443")]
    pub p8443: Option<PortChoice>,

    /// The port of the console, /healthz and /metrics [default: 19090]
    ///
    /// It is open to this machine only. `off` closes it.
    #[arg(long = "port-status", value_name = "PORT")]
    pub status: Option<PortChoice>,

    /// The port of AWS's own APIs [default: 14566]
    ///
    /// It is open to this machine only. `latchkey local env` prints the variables with which the AWS CLI and the SDKs use
    /// it. `off` closes it.
    #[arg(long = "port-api", value_name = "PORT")]
    pub api: Option<PortChoice>,
}

/// A port of this machine, 0 for a free one, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// This port; 0 is any free port.
    Number(u16),
    /// No port.
    Off,
}

/// A text or number that is not a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a port is a number from 0 to 65535, or `off`; 0 chooses a free port")]
pub struct InvalidPort;

impl PortOverrides {
    /// These, and where they set nothing `others`.
    #[must_use]
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            p443: self.p443.or(others.p443),
            p8883: self.p8883.or(others.p8883),
            p8443: self.p8443.or(others.p8443),
            status: self.status.or(others.status),
            api: self.api.or(others.api),
        }
    }

    /// The ports that follow. What is not set has its default, or AWS's own number if `aws_ports`, or a free port if the
    /// port for 443 is a free one.
    pub(super) fn ports(self, aws_ports: bool) -> Ports {
        let free = self.p443 == Some(PortChoice::Number(0));
        let defaults = Ports::default();
        let chosen =
            [(Port::P443, self.p443), (Port::P8883, self.p8883), (Port::P8443, self.p8443)].into_iter();
        let doors = chosen.filter_map(|(port, chosen)| match chosen {
            Some(chosen) => Some((port, chosen.number()?)),
            None if aws_ports => Some((port, port.number())),
            None if free => Some((port, 0)),
            None => defaults.doors.get(&port).map(|default| (port, *default)),
        });
        let local = |chosen: Option<PortChoice>, default| match chosen {
            Some(chosen) => chosen.number(),
            None if free => Some(0),
            None => default,
        };
        let (status, api) = (local(self.status, defaults.status), local(self.api, defaults.api));
        Ports { doors: doors.collect::<BTreeMap<_, _>>(), status, api }
    }
}

impl PortChoice {
    fn number(self) -> Option<u16> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: PortOverrides =
        PortOverrides { p443: None, p8883: None, p8443: None, status: None, api: None };

    fn numbers(typed: PortOverrides, file: PortOverrides, aws_ports: bool) -> (Vec<u16>, Option<u16>) {
        let Ports { doors, status, .. } = typed.or(file).ports(aws_ports);
        (doors.into_values().collect(), status)
    }

    #[test]
    fn flag_wins_over_the_file_and_the_file_over_the_default() {
        use PortChoice::{Number, Off};
        let file = PortOverrides { p8883: Some(Number(1)), status: Some(Off), ..NOTHING };
        assert_eq!(numbers(NOTHING, NOTHING, false), (vec![10_443, 18_883, 18_443], Some(19_090)));
        assert_eq!(numbers(NOTHING, file, false), (vec![10_443, 1, 18_443], None));
        let typed = PortOverrides { p8883: Some(Off), status: Some(Number(7)), ..NOTHING };
        assert_eq!(numbers(typed, file, false), (vec![10_443, 18_443], Some(7)));
    }

    #[test]
    fn free_port_for_443_makes_the_others_free_and_aws_ports_are_awss_numbers() {
        let free = PortOverrides { p443: Some(PortChoice::Number(0)), ..NOTHING };
        assert_eq!(numbers(free, NOTHING, false), (vec![0, 0, 0], Some(0)));
        assert_eq!(numbers(NOTHING, NOTHING, true), (vec![443, 8_883, 8_443], Some(19_090)));
    }
}
