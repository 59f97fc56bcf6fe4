//! The input of an operation: members of the path, the query string, the headers and the JSON body, each checked against the
//! constraints of the API model.
//!
//! The messages have the form of AWS's services; the first member that can't be used is reported *(guess: of several
//! constraints that are not met)*.

use std::collections::BTreeMap;

use hyper::{HeaderMap, body::Bytes};
use iot_policy::limits::MAX_TAGS;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{error::ApiError, text::Text};

/// The beginning of tag keys that only AWS gives.
const RESERVED_KEYS: &str = "aws:";

/// What a client sent for one operation.
#[derive(Debug)]
pub struct Input {
    /// The members of the path, by their names, still percent-encoded.
    pub path: Vec<(&'static str, String)>,
    /// The query string, still percent-encoded.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The members of a JSON object.
#[derive(Clone, Debug, Default)]
pub struct Members(Map<String, Value>);

impl Input {
    /// A member of the path.
    ///
    /// # Errors
    ///
    /// When it does not meet its constraints.
    pub fn path(&self, name: &str, constraint: &Text) -> Result<String, ApiError> {
        let encoded = self.path.iter().find(|(member, _)| *member == name).map(|(_, value)| value.as_str());
        let text = percent_decode_str(encoded.unwrap_or_default()).decode_utf8();
        let text = text.map_err(|_| not_text(name))?;
        constraint.check(name, &text)?;
        Ok(text.into_owned())
    }

    /// A member of the query string.
    ///
    /// # Errors
    ///
    /// When it does not meet its constraints.
    pub fn query(&self, name: &str, constraint: &Text) -> Result<Option<String>, ApiError> {
        let found = form_urlencoded::parse(self.query.as_bytes()).find(|(parameter, _)| parameter == name);
        let Some((_, value)) = found else { return Ok(None) };
        constraint.check(name, &value)?;
        Ok(Some(value.into_owned()))
    }

    /// A number of the query string.
    ///
    /// # Errors
    ///
    /// When it is not a number.
    pub fn query_number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = self.query(name, &Text::ANY)?;
        let number = |text: String| text.parse().map_err(|_| wrong_type(name, "a number"));
        text.map(number).transpose()
    }

    /// A truth value of the query string.
    ///
    /// # Errors
    ///
    /// When it is neither `true` nor `false`.
    pub fn query_flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.query(name, &Text::ANY)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong_type(name, "true or false")),
        }
    }

    /// A member that a header carries.
    ///
    /// # Errors
    ///
    /// When it is not text, or does not meet its constraints.
    pub fn header(&self, header: &str, name: &str, constraint: &Text) -> Result<Option<String>, ApiError> {
        let Some(value) = self.headers.get(header) else { return Ok(None) };
        let value = value.to_str().map_err(|_| not_text(name))?;
        constraint.check(name, value)?;
        Ok(Some(value.to_owned()))
    }

    /// The members of the body. Those that the operation does not have are ignored *(guess: members that an operation does not
    /// have)*.
    ///
    /// # Errors
    ///
    /// When it is not a JSON object. An empty body is an empty object.
    pub fn members(&self) -> Result<Members, ApiError> {
        if self.body.is_empty() {
            return Ok(Members::default());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(members)) => Ok(Members(members)),
            // The parser's message could repeat what the body holds.
            _ => Err(ApiError::serialization("the body is not a JSON object")),
        }
    }
}

impl Members {
    /// A text.
    ///
    /// # Errors
    ///
    /// When it has another type, or does not meet its constraints.
    pub fn text(&self, name: &str, constraint: &Text) -> Result<Option<String>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| wrong_type(name, "a string"))?;
        constraint.check(name, text)?;
        Ok(Some(text.to_owned()))
    }

    /// An integer.
    ///
    /// # Errors
    ///
    /// When it has another type.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let number = |value: &Value| value.as_i64().ok_or_else(|| wrong_type(name, "an integer"));
        self.value(name).map(number).transpose()
    }

    /// A truth value.
    ///
    /// # Errors
    ///
    /// When it has another type.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        let flag = |value: &Value| value.as_bool().ok_or_else(|| wrong_type(name, "true or false"));
        self.value(name).map(flag).transpose()
    }

    /// A structure.
    ///
    /// # Errors
    ///
    /// When it has another type.
    pub fn structure(&self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members.clone()))),
            Some(_) => Err(wrong_type(name, "an object")),
        }
    }

    /// A list of structures.
    ///
    /// # Errors
    ///
    /// When it has another type.
    pub fn structures(&self, name: &str) -> Result<Option<Vec<Self>>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong_type(name, "a list"))?;
        let structure = |value: &Value| match value {
            Value::Object(members) => Ok(Self(members.clone())),
            _ => Err(wrong_type(name, "a list of objects")),
        };
        list.iter().map(structure).collect::<Result<_, ApiError>>().map(Some)
    }

    /// A list of texts.
    ///
    /// # Errors
    ///
    /// When it has another type, or one of them does not meet its constraints.
    pub fn texts(&self, name: &str, constraint: &Text) -> Result<Option<Vec<String>>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| wrong_type(name, "a list"))?;
        let text = |value: &Value| {
            let text = value.as_str().ok_or_else(|| wrong_type(name, "a list of strings"))?;
            constraint.check(name, text)?;
            Ok(text.to_owned())
        };
        list.iter().map(text).collect::<Result<_, ApiError>>().map(Some)
    }

    /// A map of texts, in the order of the names.
    ///
    /// # Errors
    ///
    /// When it has another type, or a name or value does not meet its constraints.
    pub fn map(
        &self,
        name: &str,
        key: &Text,
        value: &Text,
    ) -> Result<Option<Vec<(String, String)>>, ApiError> {
        let Some(Self(entries)) = self.structure(name)? else { return Ok(None) };
        let entry = |(name_of_entry, text): (String, Value)| {
            let text = text.as_str().ok_or_else(|| wrong_type(name, "a map of strings"))?;
            key.check(name, &name_of_entry)?;
            value.check(name, text)?;
            Ok((name_of_entry, text.to_owned()))
        };
        entries.into_iter().map(entry).collect::<Result<_, ApiError>>().map(Some)
    }

    /// The member `tags`: values by their keys.
    ///
    /// # Errors
    ///
    /// When it has another type or too many tags, a key or value does not meet its constraints, or a key is AWS's own or comes two
    /// times *(guess: a key that begins with `aws:`, and one that comes two times)*.
    pub fn tags(&self) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(list) = self.structures("tags")? else { return Ok(None) };
        if list.len() > MAX_TAGS {
            return Err(ApiError::invalid_request(format!("up to {MAX_TAGS} tags are possible")));
        }
        let mut tags = BTreeMap::new();
        for (number, tag) in list.iter().enumerate() {
            let inside = |error: ApiError| error.inside(&format!("tags.{}.member", number + 1));
            let key = tag.text("Key", &Text::TAG_KEY).and_then(|key| required("Key", key)).map_err(inside)?;
            let value = tag.text("Value", &Text::TAG_VALUE).map_err(inside)?.unwrap_or_default();
            if key.get(..RESERVED_KEYS.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(RESERVED_KEYS)) {
                let message = format!("tag keys that begin with {RESERVED_KEYS} are AWS's own");
                return Err(ApiError::invalid_request(message));
            }
            if tags.insert(key, value).is_some() {
                return Err(ApiError::invalid_request("two tags have the same key"));
            }
        }
        Ok(Some(tags))
    }

    /// A member that is there and not null.
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

/// A member that the operation can't do without.
///
/// # Errors
///
/// When it is absent.
pub fn required<T>(name: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| validation_error(&format!("Value null at '{name}'"), "Member must not be null"))
}

/// The error of a member that does not meet a constraint. It repeats no value, as AWS's does not (measured).
#[must_use]
pub fn constraint_error(name: &str, constraint: &str) -> ApiError {
    validation_error(&format!("Value at '{name}'"), constraint)
}

fn validation_error(value: &str, constraint: &str) -> ApiError {
    ApiError::invalid_request(format!(
        "1 validation error detected: {value} failed to satisfy constraint: {constraint}"
    ))
}

fn not_text(name: &str) -> ApiError {
    ApiError::serialization(format!("'{name}' is not UTF-8"))
}

fn wrong_type(name: &str, expected: &str) -> ApiError {
    ApiError::serialization(format!("'{name}' has to be {expected}"))
}
