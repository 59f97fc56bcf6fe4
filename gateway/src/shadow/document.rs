//! A shadow's document: its `desired` and `reported` sections, with the time of each value.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
    ser::SerializeMap,
};
use serde_json::{Map, Number, Value};

/// A document. A section without fields is absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Document {
    /// What others want of the device.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub desired: Fields,
    /// What the device reports.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub reported: Fields,
}

/// The fields of an object in a document, none of which is `null`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<String, Node>);

/// A value in a document. In the file an object is an object, and any other value `[TIME, VALUE]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Node {
    /// An object, whose fields are updated one by one.
    Object(Fields),
    /// Any other value, with the time of its last update in seconds since 1970. An array is one value.
    Value(i64, Value),
}

/// A change of a document: the `state` of a request, which is `null` or has the members `desired` and `reported`, each of them
/// `null` or an object.
#[derive(Clone, Debug, PartialEq)]
pub struct StatePatch(pub(super) Value);

/// The state or the metadata of a document or of some fields, as AWS writes it.
pub struct View<'a, T> {
    of: &'a T,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    State,
    Metadata,
}

/// The metadata of a value that was updated at a time, in seconds since 1970.
struct ValueMetadata<'a>(&'a Value, i64);

impl Document {
    /// Changes the document, at a time in seconds since 1970. A `null` removes what it stands for; an object is merged with the
    /// one in its place, and any other value replaces it.
    pub fn update(&mut self, patch: &StatePatch, at: i64) {
        let Value::Object(sections) = &patch.0 else {
            *self = Self::default();
            return;
        };
        for (section, patch) in
            [(&mut self.desired, sections.get("desired")), (&mut self.reported, sections.get("reported"))]
        {
            match patch {
                None => {}
                Some(Value::Object(fields)) => section.merge(fields, at),
                Some(_) => *section = Fields::default(),
            }
        }
    }

    /// The fields of `desired` that differ from `reported`, or have no counterpart there.
    #[must_use]
    pub fn delta(&self) -> Fields {
        self.desired.that_differ_from(&self.reported)
    }

    /// The bytes that count for AWS's limit: of each section as JSON without white space, and not of the metadata *(guess: the
    /// sections are counted as JSON without white space)*.
    #[must_use]
    pub fn counted_bytes(&self) -> usize {
        let sections = self.sections().map(|(_, fields)| serde_json::to_vec(&View::state(fields)));
        sections.map(|json| json.map_or(usize::MAX, |json| json.len())).fold(0, usize::saturating_add)
    }

    fn sections(&self) -> impl Iterator<Item = (&'static str, &Fields)> {
        let sections = [("desired", &self.desired), ("reported", &self.reported)];
        sections.into_iter().filter(|(_, fields)| !fields.is_empty())
    }
}

impl StatePatch {
    /// The metadata of the change at this time, in seconds since 1970, as AWS writes it.
    pub(super) fn metadata(&self, at: i64) -> impl Serialize {
        ValueMetadata(&self.0, at)
    }
}

impl Fields {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merge(&mut self, patch: &Map<String, Value>, at: i64) {
        for (name, value) in patch {
            match (value, self.0.get_mut(name)) {
                (Value::Null, _) => drop(self.0.remove(name)),
                (Value::Object(patch), Some(Node::Object(fields))) => fields.merge(patch, at),
                _ => drop(self.0.insert(name.clone(), Node::new(value, at))),
            }
        }
    }

    fn that_differ_from(&self, others: &Self) -> Self {
        let differing = self.0.iter().filter_map(|(name, node)| {
            let difference = match (node, others.0.get(name)) {
                (Node::Object(fields), Some(Node::Object(others))) => Some(fields.that_differ_from(others))
                    .filter(|fields| !fields.is_empty())
                    .map(Node::Object),
                (Node::Value(_, value), Some(Node::Value(_, other))) if are_equal(value, other) => None,
                _ => Some(node.clone()),
            };
            difference.map(|difference| (name.clone(), difference))
        });
        Self(differing.collect())
    }
}

impl Node {
    fn new(value: &Value, at: i64) -> Self {
        match value {
            Value::Object(patch) => {
                let mut fields = Fields::default();
                fields.merge(patch, at);
                Self::Object(fields)
            }
            value => Self::Value(at, value.clone()),
        }
    }
}

/// Whether two values are the same. Numbers are compared by their value *(guess: `1` and `1.0` do not differ)*.
fn are_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let integers = |number: &Number| number.is_i64() || number.is_u64();
            one == other || !(integers(one) && integers(other)) && one.as_f64() == other.as_f64()
        }
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| are_equal(one, other))
        }
        (Value::Object(ones), Value::Object(others)) => {
            let is_in_others = |(name, one)| others.get(name).is_some_and(|other| are_equal(one, other));
            ones.len() == others.len() && ones.iter().all(is_in_others)
        }
        _ => one == other,
    }
}

/// The levels of an object: each key is on a level, as in the example of AWS's general reference. The elements of an array are
/// on one more *(guess: an array is a level)*.
pub(super) fn levels(value: &Value) -> usize {
    let below = match value {
        Value::Object(fields) => fields.values().map(levels).max(),
        Value::Array(elements) => elements.iter().map(levels).max(),
        _ => None,
    };
    below.map_or(0, |below| 1 + below)
}

impl<'a, T> View<'a, T> {
    /// The state.
    pub(super) const fn state(of: &'a T) -> Self {
        Self { of, part: Part::State }
    }

    /// The metadata.
    pub(super) const fn metadata(of: &'a T) -> Self {
        Self { of, part: Part::Metadata }
    }
}

impl Serialize for View<'_, Document> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { of, part } = *self;
        serializer.collect_map(of.sections().map(|(name, fields)| (name, View { of: fields, part })))
    }
}

impl Serialize for View<'_, Fields> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { of, part } = *self;
        serializer.collect_map(of.0.iter().map(|(name, node)| (name, View { of: node, part })))
    }
}

impl Serialize for View<'_, Node> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.of, self.part) {
            (Node::Object(fields), part) => View { of: fields, part }.serialize(serializer),
            (Node::Value(_, value), Part::State) => value.serialize(serializer),
            (Node::Value(at, value), Part::Metadata) => ValueMetadata(value, *at).serialize(serializer),
        }
    }
}

impl Serialize for ValueMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, at) = *self;
        match value {
            Value::Object(fields) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, Self(value, at))))
            }
            Value::Array(elements) => serializer.collect_seq(elements.iter().map(|value| Self(value, at))),
            _ => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("timestamp", &at)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or a time and a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(Node::Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Node, A::Error> {
                let (at, value) = Deserialize::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(Node::Value(at, value))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}
