//! A document's JSON, with the place of each value for errors that name it.

use std::fmt::{self, Formatter};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{PolicyError, Problem};

/// A JSON value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    place: String,
    json: &'a Json,
}

impl<'a> Node<'a> {
    pub(crate) fn root(json: &'a Json) -> Self {
        Self { place: String::new(), json }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn error(&self, problem: impl Into<Problem>) -> PolicyError {
        PolicyError::new(&self.place, problem)
    }

    pub(crate) fn string(&self) -> Result<&'a str, PolicyError> {
        match self.json {
            Json::String(text) => Ok(text),
            other => Err(self.wrong_type("a string", other)),
        }
    }

    /// One string or a list of them, which may be empty.
    pub(crate) fn strings(&self) -> Result<Vec<(Node<'a>, &'a str)>, PolicyError> {
        match self.json {
            Json::String(text) => Ok(vec![(self.clone(), text)]),
            Json::List(entries) => {
                self.entries(entries).map(|entry| entry.string().map(|text| (entry, text))).collect()
            }
            other => Err(self.wrong_type("a string or a list of strings", other)),
        }
    }

    /// One object or a list of values, which may be empty.
    pub(crate) fn one_or_more(&self) -> Result<Vec<Node<'a>>, PolicyError> {
        match self.json {
            Json::Object(_) => Ok(vec![self.clone()]),
            Json::List(entries) => Ok(self.entries(entries).collect()),
            other => Err(self.wrong_type("an object or a list of objects", other)),
        }
    }

    /// An object's members in order, each key once, regardless of case.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Node<'a>)>, PolicyError> {
        let Json::Object(members) = self.json else {
            return Err(self.wrong_type("an object", self.json));
        };
        let mut nodes: Vec<(&str, Node<'_>)> = Vec::with_capacity(members.len());
        for (key, json) in members {
            let node = Self { place: self.member_place(key), json };
            if nodes.iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(key)) {
                return Err(node.error(Problem::DuplicateKey));
            }
            nodes.push((key, node));
        }
        Ok(nodes)
    }

    pub(crate) fn missing(&self, key: &str) -> PolicyError {
        PolicyError::new(&self.member_place(key), Problem::Missing)
    }

    fn entries(&self, entries: &'a [Json]) -> impl Iterator<Item = Node<'a>> {
        entries
            .iter()
            .enumerate()
            .map(|(index, json)| Self { place: format!("{}[{index}]", self.place), json })
    }

    fn member_place(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    fn wrong_type(&self, expected: &'static str, found: &Json) -> PolicyError {
        self.error(Problem::WrongType { expected, found: found.kind() })
    }
}

/// A JSON value. Policies hold only strings, lists and objects, so the other kinds keep no value. Members keep
/// their order, and repeated keys stay so that they can be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Bool,
    Number,
    String(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value's kind as an error names it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            list.push(entry);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}
