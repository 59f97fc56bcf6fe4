//! The registry's thing of a connection, and its policy variables (AWS IoT Core developer guide,
//! `thing-policy-variables`).

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// The registry's entry for the thing that a connection belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    name: String,
    type_name: Option<String>,
    attributes: BTreeMap<String, String>,
}

impl Thing {
    /// A thing of no type and without attributes.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), type_name: None, attributes: BTreeMap::new() }
    }

    /// Sets the name of the thing's type.
    #[must_use]
    pub fn with_type_name(self, type_name: impl Into<String>) -> Self {
        Self { type_name: Some(type_name.into()), ..self }
    }

    /// Sets one attribute, which replaces an earlier one of the same name.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// A variable's value; [`ThingVariable::IsAttached`] is not part of the thing.
    pub(crate) fn value(&self, variable: &ThingVariable) -> Option<&str> {
        match variable {
            ThingVariable::Name => Some(&self.name),
            ThingVariable::TypeName => self.type_name.as_deref(),
            ThingVariable::Attribute(name) => self.attributes.get(name).map(String::as_str),
            ThingVariable::IsAttached => None,
        }
    }
}

/// A thing policy variable. An attribute's name heeds case *(guess: the case of an attribute's name)*, the rest ignores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ThingVariable {
    Name,
    TypeName,
    Attribute(String),
    IsAttached,
}

const PREFIX: &str = "iot:Connection.Thing.";
const ATTRIBUTES: &str = "Attributes[";
/// Characters of an attribute's name, at most (API reference, `AttributePayload`).
const MAX_ATTRIBUTE_NAME_LENGTH: usize = 128;

impl ThingVariable {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let name = strip_prefix(name, PREFIX)?;
        match name.to_ascii_lowercase().as_str() {
            "thingname" => return Some(Self::Name),
            "thingtypename" => return Some(Self::TypeName),
            "isattached" => return Some(Self::IsAttached),
            _ => {}
        }
        let attribute = strip_prefix(name, ATTRIBUTES)?.strip_suffix(']')?;
        is_attribute_name(attribute).then(|| Self::Attribute(attribute.to_owned()))
    }
}

impl Display for ThingVariable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match self {
            Self::Name => f.write_str("ThingName"),
            Self::TypeName => f.write_str("ThingTypeName"),
            Self::Attribute(name) => write!(f, "{ATTRIBUTES}{name}]"),
            Self::IsAttached => f.write_str("IsAttached"),
        }
    }
}

/// A name that no attribute can have is refused: the variable would never have a value, and a Deny never deny.
fn is_attribute_name(name: &str) -> bool {
    (1..=MAX_ATTRIBUTE_NAME_LENGTH).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.,@/:#-".contains(c))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["ThingName", "ThingTypeName", "IsAttached", "Attributes[room]", "Attributes[a_.,@/:#-9]"]
        {
            let name = format!("iot:Connection.Thing.{name}");
            assert_eq!(ThingVariable::from_name(&name).unwrap().to_string(), name);
        }
        let shouted = ThingVariable::from_name("IOT:CONNECTION.THING.ATTRIBUTES[Room]");
        assert_eq!(shouted, Some(ThingVariable::Attribute("Room".to_owned())));
    }

    #[test]
    fn other_names_are_none() {
        let too_long = format!("Attributes[{}]", "a".repeat(129));
        for name in
            ["", "Name", "ThingName.1", "Attributes", "Attributes[]", "Attributes[a", "Attributes[a b]"]
                .into_iter()
                .chain(["Attributes[a]]", "Attributes[é]", "é", &too_long])
        {
            assert_eq!(ThingVariable::from_name(&format!("iot:Connection.Thing.{name}")), None, "{name}");
        }
        assert_eq!(ThingVariable::from_name("iot:Connection.ThingNamé"), None);
    }

    #[test]
    fn a_thing_knows_its_own() {
        let thing =
            Thing::new("a").with_type_name("t").with_attribute("room", "1").with_attribute("room", "2");
        let value = |name: &str| {
            thing.value(&ThingVariable::from_name(&format!("iot:Connection.Thing.{name}")).unwrap())
        };
        assert_eq!(value("ThingName"), Some("a"));
        assert_eq!(value("ThingTypeName"), Some("t"));
        assert_eq!(value("Attributes[room]"), Some("2"));
        assert_eq!(value("Attributes[Room]"), None);
        assert_eq!(value("IsAttached"), None);
        assert_eq!(Thing::new("a").value(&ThingVariable::TypeName), None);
    }
}
