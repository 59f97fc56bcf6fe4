//! The messages with which the service answers, as JSON.
//!
//! Source: AWS IoT Core developer guide, `device-shadow-document`.

use bytes::Bytes;
use serde::Serialize;

use super::{
    document::{Document, Fields, StatePatch, View},
    request::Rejected,
};

/// The last level of an answer's topic, after that of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// `accepted`.
    Accepted,
    /// `rejected`.
    Rejected,
    /// `delta`: what is desired and not reported.
    Delta,
    /// `documents`: the document before and after an update.
    Documents,
}

/// A message of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which one.
    pub kind: AnswerKind,
    /// Its payload.
    pub payload: Bytes,
}

/// What all answers to a request have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    /// Seconds since 1970.
    pub(super) at: i64,
    pub(super) client_token: Option<&'a str>,
}

/// A version of a document, in `documents`.
#[derive(Serialize)]
struct Versioned<'a> {
    state: View<'a, Document>,
    metadata: View<'a, Document>,
    version: u64,
}

impl AnswerKind {
    /// The level of the topic.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Delta => "delta",
            Self::Documents => "documents",
        }
    }
}

impl Answer {
    fn new(kind: AnswerKind, body: &impl Serialize) -> Self {
        // What is written here has no map with other keys than strings, so it always is JSON.
        Self { kind, payload: serde_json::to_vec(body).unwrap_or_default().into() }
    }

    /// The answer to a request that is rejected. AWS's have no timestamp in the dumps that are known.
    #[must_use]
    pub fn rejected(rejected: &Rejected) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            code: u16,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_token: Option<&'a str>,
        }
        let Rejected { error, client_token } = rejected;
        let body =
            Body { code: error.code(), message: error.to_string(), client_token: client_token.as_deref() };
        Self::new(AnswerKind::Rejected, &body)
    }

    /// The answer to a `get`: the document with its delta.
    pub(super) fn document(
        document: &Document,
        delta: &Fields,
        version: u64,
        envelope: Envelope<'_>,
    ) -> Self {
        #[derive(Serialize)]
        struct State<'a> {
            #[serde(flatten)]
            sections: View<'a, Document>,
            #[serde(skip_serializing_if = "Option::is_none")]
            delta: Option<View<'a, Fields>>,
        }
        let delta = Some(delta).filter(|delta| !delta.is_empty()).map(View::state);
        let state = State { sections: View::state(document), delta };
        Self::accepted(Some((state, View::metadata(document))), version, envelope)
    }

    /// The answer to an `update`: what was in the request, and `null` where the request removes something.
    pub(super) fn updated(patch: &StatePatch, version: u64, envelope: Envelope<'_>) -> Self {
        Self::accepted(Some((&patch.0, patch.metadata(envelope.at))), version, envelope)
    }

    /// The answer to a `delete`.
    pub(super) fn deleted(version: u64, envelope: Envelope<'_>) -> Self {
        Self::accepted(None::<((), ())>, version, envelope)
    }

    /// The fields that are desired and not reported.
    pub(super) fn delta(delta: &Fields, version: u64, envelope: Envelope<'_>) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            version: u64,
            timestamp: i64,
            state: View<'a, Fields>,
            metadata: View<'a, Fields>,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_token: Option<&'a str>,
        }
        let Envelope { at, client_token } = envelope;
        let (state, metadata) = (View::state(delta), View::metadata(delta));
        Self::new(AnswerKind::Delta, &Body { version, timestamp: at, state, metadata, client_token })
    }

    /// The document before an update, with its version, and after it. There is none before a shadow's first update.
    pub(super) fn documents(
        previous: Option<(&Document, u64)>,
        current: &Document,
        version: u64,
        envelope: Envelope<'_>,
    ) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            previous: Option<Versioned<'a>>,
            current: Versioned<'a>,
            timestamp: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_token: Option<&'a str>,
        }
        let versioned = |(document, version)| Versioned {
            state: View::state(document),
            metadata: View::metadata(document),
            version,
        };
        let Envelope { at, client_token } = envelope;
        let (previous, current) = (previous.map(versioned), versioned((current, version)));
        Self::new(AnswerKind::Documents, &Body { previous, current, timestamp: at, client_token })
    }

    fn accepted(
        content: Option<(impl Serialize, impl Serialize)>,
        version: u64,
        envelope: Envelope<'_>,
    ) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a, S, M> {
            #[serde(skip_serializing_if = "Option::is_none")]
            state: Option<S>,
            #[serde(skip_serializing_if = "Option::is_none")]
            metadata: Option<M>,
            version: u64,
            timestamp: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_token: Option<&'a str>,
        }
        let Envelope { at, client_token } = envelope;
        let (state, metadata) = content.unzip();
        Self::new(AnswerKind::Accepted, &Body { state, metadata, version, timestamp: at, client_token })
    }
}
