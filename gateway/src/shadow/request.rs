//! Requests for a shadow, as a message or an HTTPS request carries them.

use std::sync::Arc;

use iot_policy::limits;
use serde_json::{Map, Value};

use super::{
    Operation, ShadowId,
    document::{StatePatch, levels},
    error::ShadowError,
};

/// A request that can be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowRequest {
    /// The shadow.
    pub id: ShadowId,
    /// What is to be done.
    pub action: Action,
    /// The token that its answers repeat.
    pub client_token: Option<Arc<str>>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The document.
    Get,
    /// A change of the document.
    Update(Update),
    /// The document's end.
    Delete,
}

/// A change of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The change.
    pub patch: StatePatch,
    /// The version that the document must have.
    pub version: Option<u64>,
}

/// A request that is not carried out, and the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub error: ShadowError,
    /// The request's token, if it has one.
    pub client_token: Option<Arc<str>>,
}

impl ShadowRequest {
    /// Reads a request for a shadow whose sections may have this many levels.
    ///
    /// # Errors
    ///
    /// What is wrong with the payload. That of `get` and `delete` is ignored but for its `clientToken` *(guess: the content of
    /// a `get` is ignored)*.
    pub fn read(
        id: ShadowId,
        operation: Operation,
        payload: &[u8],
        max_levels: usize,
    ) -> Result<Self, Rejected> {
        let without_token = |error| Rejected { error, client_token: None };
        let mut members = match (read_members(payload, max_levels), operation) {
            (Ok(members), _) => members,
            (Err(_), Operation::Get | Operation::Delete) => Map::new(),
            (Err(error), Operation::Update) => return Err(without_token(error)),
        };
        let client_token = match members.remove("clientToken") {
            None => None,
            Some(Value::String(token)) if token.len() <= limits::MAX_CLIENT_TOKEN_BYTES => Some(token.into()),
            Some(_) => return Err(without_token(ShadowError::InvalidClientToken)),
        };
        let action = match operation {
            Operation::Get => Ok(Action::Get),
            Operation::Delete => Ok(Action::Delete),
            Operation::Update => Update::read(members, max_levels).map(Action::Update),
        };
        match action {
            Ok(action) => Ok(Self { id, action, client_token }),
            Err(error) => Err(Rejected { error, client_token }),
        }
    }
}

impl Update {
    /// Other members than `state` and `version` are ignored (developer guide, `diagnosing-shadows`).
    fn read(mut members: Map<String, Value>, max_levels: usize) -> Result<Self, ShadowError> {
        let state = members.remove("state").ok_or(ShadowError::MissingState)?;
        match &state {
            Value::Null => {}
            Value::Object(sections) => check_sections(sections, max_levels)?,
            _ => return Err(ShadowError::StateNotObject),
        }
        let version = match members.remove("version") {
            None => None,
            Some(version) => Some(version.as_u64().ok_or(ShadowError::InvalidVersion)?),
        };
        Ok(Self { patch: StatePatch(state), version })
    }
}

fn check_sections(sections: &Map<String, Value>, max_levels: usize) -> Result<(), ShadowError> {
    for (name, section) in sections {
        let not_object = match name.as_str() {
            "desired" => ShadowError::DesiredNotObject,
            "reported" => ShadowError::ReportedNotObject,
            _ => return Err(ShadowError::invalid_node(name)),
        };
        if !(section.is_object() || section.is_null()) {
            return Err(not_object);
        }
        if levels(section) > max_levels {
            return Err(ShadowError::TooDeep(max_levels));
        }
        check_arrays(name, section, false)?;
    }
    Ok(())
}

/// Arrays can't have `null` values (developer guide, `device-shadow-document`).
fn check_arrays(name: &str, value: &Value, in_array: bool) -> Result<(), ShadowError> {
    match value {
        Value::Null if in_array => Err(ShadowError::invalid_node(name)),
        Value::Array(elements) => elements.iter().try_for_each(|element| check_arrays(name, element, true)),
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, field)| check_arrays(name, field, in_array))
        }
        _ => Ok(()),
    }
}

/// The members of a payload, which is JSON. AWS answers JSON that is not an object as one without members.
fn read_members(payload: &[u8], max_levels: usize) -> Result<Map<String, Value>, ShadowError> {
    let text = str::from_utf8(payload).map_err(|_| ShadowError::NotUtf8)?;
    let value = serde_json::from_str(text).map_err(|error| {
        // The parser's own limit, 128, has no other sign.
        if error.to_string().starts_with("recursion limit exceeded") {
            ShadowError::TooDeep(max_levels)
        } else {
            ShadowError::InvalidJson
        }
    })?;
    Ok(match value {
        Value::Object(members) => members,
        _ => Map::new(),
    })
}
