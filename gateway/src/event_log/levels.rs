//! Which lines the log has, in the words of AWS's logging options: a default level, and levels for kinds of events.
//!
//! Source: AWS IoT Core developer guide, `configure-logging` and `cwl-format`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

use super::EventType;

/// How much the log says. Each level has the lines of those before it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Nothing.
    Disabled,
    /// What failed.
    Error,
    /// No line of the gateway's has this level.
    Warn,
    /// What succeeded.
    Info,
    /// Each PINGREQ.
    Debug,
}

/// The log's levels: the table `[logging]` of the settings file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct LogLevels {
    /// The level of events that have none of their own.
    default_log_level: LogLevel,
    /// The levels of kinds of events.
    event_log_levels: BTreeMap<EventType, LogLevel>,
}

impl LogLevel {
    /// AWS's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLED",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

impl LogLevels {
    /// Whether the log has the lines of this event that have this level. Those about PINGREQ need a level of their own, as on
    /// AWS; those of `Connection.AuthNError`, which need one on AWS, do not.
    #[must_use]
    pub fn admits(&self, event_type: EventType, level: LogLevel) -> bool {
        let own = self.event_log_levels.get(&event_type).copied();
        let default = if event_type == EventType::Ping { LogLevel::Disabled } else { self.default_log_level };
        level <= own.unwrap_or(default)
    }

    /// Whether the log has a line for each MQTT message of this event that was carried out. A busy client has a hundred of them
    /// in a second, so they need a level of their own, which they do not need on AWS.
    #[must_use]
    pub fn has_messages(&self, event_type: EventType) -> bool {
        self.event_log_levels.get(&event_type).is_some_and(|level| *level >= LogLevel::Info)
    }
}

impl Default for LogLevels {
    fn default() -> Self {
        Self { default_log_level: LogLevel::Info, event_log_levels: BTreeMap::new() }
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            let names = Self::ALL.map(|event_type| format!("`{}`", event_type.as_str())).join(", ");
            de::Error::custom(format!("`{}` is not a kind of event: use {names}", name.escape_debug()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_of_an_event_wins_over_the_default_and_messages_and_pings_need_one() {
        use EventType::{AuthNError, Connect, Ping, PublishIn, PublishOut};
        use LogLevel::{Debug, Error, Info};
        let levels = |text: &str| toml::from_str::<LogLevels>(text).unwrap();
        for (text, event_type, level, admitted) in [
            ("", Connect, Info, true),
            ("", AuthNError, Error, true),
            ("", Ping, Error, false),
            ("default_log_level = 'DEBUG'", Ping, Debug, false),
            ("default_log_level = 'ERROR'", Connect, Info, false),
            ("default_log_level = 'WARN'", Connect, Error, true),
            ("default_log_level = 'DISABLED'", Connect, Error, false),
            ("event_log_levels = { 'Connection.AuthNError' = 'DISABLED' }", AuthNError, Error, false),
            ("event_log_levels = { Ping = 'ERROR' }", Ping, Debug, false),
            ("event_log_levels = { Ping = 'DEBUG' }", Ping, Debug, true),
            ("default_log_level = 'DISABLED'\nevent_log_levels = { Connect = 'INFO' }", Connect, Info, true),
        ] {
            assert_eq!(levels(text).admits(event_type, level), admitted, "{text} {event_type:?} {level:?}");
        }
        for (text, messages) in [
            ("default_log_level = 'DEBUG'", [false, false]),
            ("event_log_levels = { Publish-In = 'INFO' }", [true, false]),
            ("event_log_levels = { Publish-In = 'ERROR', Publish-Out = 'DEBUG' }", [false, true]),
        ] {
            assert_eq!([PublishIn, PublishOut].map(|of| levels(text).has_messages(of)), messages, "{text}");
        }
        let error = toml::from_str::<LogLevels>("event_log_levels = { Publish = 'INFO' }").unwrap_err();
        assert!(error.message().contains("`Publish` is not a kind of event: use `Connect`"), "{error}");
    }
}
