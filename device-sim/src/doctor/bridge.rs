//! By what a client of MQTT 5 recognises `latchkey bridge`: a user property of the CONNACK, which says which side has decided.

use mqtt::ConnAckProperties;
use serde::Serialize;

/// The name of the property. Its value is a [`Side`].
pub const PROPERTY: &str = "latchkey-bridge";

/// Which side of a bridge has answered a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The bridge, by its own rules.
    Bridge,
    /// The bridge, because it can't reach AWS.
    Unreachable,
    /// AWS.
    Upstream,
}

impl Side {
    /// The property's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Unreachable => "unreachable",
            Self::Upstream => "upstream",
        }
    }

    /// The side that a CONNACK names, if a bridge has sent it.
    #[must_use]
    pub fn of(properties: &ConnAckProperties) -> Option<Self> {
        let (_, value) = properties.user_properties.iter().find(|(name, _)| &**name == PROPERTY)?;
        [Self::Bridge, Self::Unreachable, Self::Upstream].into_iter().find(|side| side.as_str() == &**value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_recognised_by_its_property() {
        let of = |name: &str, value: &str| {
            let user_properties = vec![("other".into(), "upstream".into()), (name.into(), value.into())];
            Side::of(&ConnAckProperties { user_properties, ..ConnAckProperties::default() })
        };
        for side in [Side::Bridge, Side::Unreachable, Side::Upstream] {
            assert_eq!(of(PROPERTY, side.as_str()), Some(side));
        }
        assert_eq!((of(PROPERTY, "new"), of("more", "bridge")), (None, None));
    }
}
