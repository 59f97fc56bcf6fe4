//! A JSON object whose members all have different names.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// The members of a header or of a token's claims, none of them twice.
///
/// RFC 7515 and RFC 7519 leave it to the reader whether a later member of the same name wins or the token is refused.
/// Two readers that choose differently see two different tokens, so it is refused.
pub(super) struct JsonObject(BTreeMap<String, Value>);

impl JsonObject {
    /// Reads the object that is all of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The member called `name`. A member that is `null` is a member all the same.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members).map(Self)
    }
}

struct Members;

impl<'de> de::Visitor<'de> for Members {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = access.next_entry()? {
            if members.insert(name, value).is_some() {
                // Without the name: it is part of the token.
                return Err(de::Error::custom("a member stands twice"));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_with_each_member_once() {
        for text in ["{}", r#" {"a": 1, "b": {"a": 2}} "#, r#"{"a": null, "A": null}"#] {
            assert!(JsonObject::read(text.as_bytes()).is_some(), "{text}");
        }
        let bad: [&[u8]; 9] = [
            b"",
            b"[]",
            b"\"a\"",
            b"null",
            b"{} {}",
            b"{\"a\": 1, \"a\": 1}",
            b"{\"a\": 1, \"\\u0061\": 1}",
            b"{\"a\": \xff}",
            b"\xef\xbb\xbf{}",
        ];
        for bytes in bad {
            assert!(JsonObject::read(bytes).is_none(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
