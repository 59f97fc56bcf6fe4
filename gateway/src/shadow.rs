//! Device shadows: JSON documents of what a device reports and what others desire of it, classic (one of a Thing, without a
//! name) and named.
//!
//! No IO, no clock. A [`request`] is read from a message, [`shadows`] keeps the [`document`]s and answers it, and
//! [`answer`] has the answers' form. The broker carries both, and keeps the documents in its file: `broker::shadow_requests`.
//! A Thing need not exist to have shadows, as on AWS.
//!
//! Source: AWS IoT Core developer guide, `device-shadow-mqtt`, `device-shadow-document`, `device-shadow-data-flow` and
//! `device-shadow-error-messages`.

pub mod answer;
pub mod document;
pub mod error;
pub mod request;
pub mod shadows;

use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use iot_policy::limits;

use self::{
    error::ShadowError,
    request::{Rejected, ShadowRequest},
};

/// The first level of every reserved topic of a Thing, with the slash.
const THINGS: &str = "$aws/things/";
/// What is between a Thing's name and the operation, in the topics of its classic shadow.
const CLASSIC: &str = "/shadow/";
/// What is between a Thing's name and the shadow's, in the topics of a named shadow.
const NAMED: &str = "name/";

/// Names one shadow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShadowId {
    thing: Arc<str>,
    /// Empty for the classic shadow.
    name: Arc<str>,
}

/// What a client wants of a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read it.
    Get,
    /// Change it, or create it.
    Update,
    /// Delete it.
    Delete,
}

/// A topic of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTopic {
    /// The shadow; an error if a name does not have the form that AWS's API asks for.
    pub id: Result<ShadowId, ShadowError>,
    /// What requests on the topic ask for.
    pub operation: Operation,
}

impl ShadowId {
    /// The shadow of this Thing with this name, or its classic shadow.
    ///
    /// # Errors
    ///
    /// When a name does not have the form that AWS's API asks for.
    pub fn new(thing: &str, name: Option<&str>) -> Result<Self, ShadowError> {
        if !limits::is_thing_name(thing) {
            return Err(ShadowError::InvalidThingName);
        }
        if name.is_some_and(|name| !limits::is_shadow_name(name)) {
            return Err(ShadowError::InvalidShadowName);
        }
        Ok(Self { thing: thing.into(), name: name.unwrap_or_default().into() })
    }

    /// The Thing's name.
    #[must_use]
    pub fn thing(&self) -> &Arc<str> {
        &self.thing
    }

    /// The shadow's name; `None` for the classic shadow.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        Some(&*self.name).filter(|name| !name.is_empty())
    }

    /// The topic of requests for this operation.
    #[must_use]
    pub fn topic(&self, operation: Operation) -> String {
        let (thing, operation) = (&self.thing, operation.as_str());
        match self.name() {
            None => format!("{THINGS}{thing}{CLASSIC}{operation}"),
            Some(name) => format!("{THINGS}{thing}{CLASSIC}{NAMED}{name}/{operation}"),
        }
    }
}

impl RequestTopic {
    /// Reads a topic. `None` if it is not one of requests.
    #[must_use]
    pub fn read(topic: &str) -> Option<Self> {
        let (thing, rest) = topic.strip_prefix(THINGS)?.split_once('/')?;
        let rest = rest.strip_prefix(CLASSIC.trim_start_matches('/'))?;
        let (name, operation) = match rest.strip_prefix(NAMED) {
            None => (None, rest),
            Some(named) => named.split_once('/').map(|(name, operation)| (Some(name), operation))?,
        };
        let operation = Operation::ALL.into_iter().find(|it| it.as_str() == operation)?;
        let has_levels = !thing.is_empty() && name != Some("");
        has_levels.then(|| Self { id: ShadowId::new(thing, name), operation })
    }

    /// Reads the request in a message on this topic, for a shadow whose sections may have this many levels.
    ///
    /// # Errors
    ///
    /// What is wrong with the topic or with the payload.
    pub fn request(self, payload: &[u8], max_levels: usize) -> Result<ShadowRequest, Rejected> {
        let id = self.id.map_err(|error| Rejected { error, client_token: None })?;
        ShadowRequest::read(id, self.operation, payload, max_levels)
    }
}

/// `THING` or `THING/NAME`.
impl Display for ShadowId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.name() {
            None => f.write_str(&self.thing),
            Some(name) => write!(f, "{}/{name}", self.thing),
        }
    }
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 3] = [Self::Get, Self::Update, Self::Delete];

    /// The last level of its topic.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

#[cfg(test)]
mod tests;
