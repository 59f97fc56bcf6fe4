//! Walking through a document's JSON with the place at hand, for errors that name it.

use crate::error::{PolicyError, Problem};
use crate::json::Json;

/// A JSON value and where it stands.
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

    /// An object's members in order, each key once whatever its case.
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
