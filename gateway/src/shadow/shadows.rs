//! All shadows of the gateway. Their number and their bytes are bounded, and no request looks at the shadows of other Things.
//!
//! A request is prepared first: that decides the answers and the change. The change is applied after the file has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use iot_policy::limits;

use super::{
    ShadowId,
    answer::{Answer, Envelope},
    document::Document,
    error::ShadowError,
    request::{Action, Rejected, ShadowRequest, Update},
};

/// The bytes of memory that a shadow costs besides its document and its names.
const OVERHEAD: usize = 128;
/// Deleted shadows whose time is over that one request removes, at most.
const FORGOTTEN_AT_ONCE: usize = 2;

/// What bounds the shadows.
#[derive(Clone, Copy, Debug)]
pub struct ShadowLimits {
    /// Bytes of one document's sections.
    pub document_bytes: usize,
    /// Shadows, deleted ones included whose version is remembered.
    pub shadows: usize,
    /// Bytes of all shadows together.
    pub bytes: usize,
}

/// The shadows, and the versions of deleted ones.
pub struct Shadows {
    limits: ShadowLimits,
    entries: BTreeMap<ShadowId, Shadow>,
    /// The deleted ones by the time of that, so that those whose time is over are found without a look at the others.
    deleted: BTreeSet<(i64, ShadowId)>,
    bytes: usize,
}

/// A shadow, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The version of its document, or of its last one.
    pub version: u64,
    /// The document, or when it was deleted.
    pub content: Content,
}

/// What a shadow has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A document, as JSON with the time of each value.
    Document(Arc<[u8]>),
    /// None, since this time in seconds since 1970.
    Deleted(i64),
}

/// A change of the file, and of the memory after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The shadow becomes this.
    Set(ShadowId, Shadow),
    /// The version of a shadow that was deleted at this time is forgotten, unless the shadow was created again meanwhile.
    Forget(ShadowId, i64),
}

/// The outcome of a request that is carried out.
#[derive(Debug)]
pub struct Outcome {
    /// The answer to the request.
    pub accepted: Answer,
    /// The other messages that are published, in this order.
    pub events: Vec<Answer>,
    /// What changes, in this order.
    pub changes: Vec<Change>,
}

/// A document of the file that is not one.
#[derive(Debug, thiserror::Error)]
#[error("a shadow's document can't be read: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

impl Shadow {
    /// Checks that a document of the file is one.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check(&self) -> Result<(), Unreadable> {
        match &self.content {
            Content::Document(json) => Ok(serde_json::from_slice::<Document>(json).map(drop)?),
            Content::Deleted(_) => Ok(()),
        }
    }

    fn weight(&self, id: &ShadowId) -> usize {
        let document = match &self.content {
            Content::Document(json) => json.len(),
            Content::Deleted(_) => 0,
        };
        OVERHEAD + id.thing.len() + id.name.len() + document
    }
}

impl Shadows {
    /// None yet.
    #[must_use]
    pub fn new(limits: ShadowLimits) -> Self {
        Self { limits, entries: BTreeMap::new(), deleted: BTreeSet::new(), bytes: 0 }
    }

    /// Decides about a request, at a time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// When it is rejected.
    pub fn prepare(&self, request: &ShadowRequest, at: i64) -> Result<Outcome, Rejected> {
        let ShadowRequest { id, action, client_token } = request;
        let envelope = Envelope { at, client_token: client_token.as_deref() };
        let outcome = match action {
            Action::Get => self.get(id, envelope),
            Action::Update(update) => self.update(id, update, envelope),
            Action::Delete => self.delete(id, envelope),
        };
        outcome.map_err(|error| Rejected { error, client_token: client_token.clone() })
    }

    /// Applies a change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Set(id, shadow) => {
                self.remove(&id);
                self.bytes += shadow.weight(&id);
                if let Content::Deleted(at) = shadow.content {
                    self.deleted.insert((at, id.clone()));
                }
                self.entries.insert(id, shadow);
            }
            Change::Forget(id, since) => {
                if self.deleted.contains(&(since, id.clone())) {
                    self.remove(&id);
                }
            }
        }
    }

    /// The names of a Thing's named shadows, in their order: at most this many, after this name.
    #[must_use]
    pub fn names(&self, thing: &str, after: Option<&str>, max: usize) -> Vec<Arc<str>> {
        // The classic shadow, whose name is empty, is not in the list.
        let begin = ShadowId { thing: thing.into(), name: after.unwrap_or_default().into() };
        let range = self.entries.range((Bound::Excluded(begin), Bound::Unbounded));
        let of_thing = range.take_while(|(id, _)| &*id.thing == thing);
        let existing = of_thing.filter(|(_, shadow)| matches!(shadow.content, Content::Document(_)));
        existing.take(max).map(|(id, _)| Arc::clone(&id.name)).collect()
    }

    /// The shadows that have a document, in their order: at most this many, after this one.
    #[must_use]
    pub fn ids_after(&self, after: Option<&ShadowId>, max: usize) -> Vec<ShadowId> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.entries.range::<ShadowId, _>((begin, Bound::Unbounded));
        let existing = range.filter(|(_, shadow)| matches!(shadow.content, Content::Document(_)));
        existing.take(max).map(|(id, _)| id.clone()).collect()
    }

    fn get(&self, id: &ShadowId, envelope: Envelope<'_>) -> Result<Outcome, ShadowError> {
        let (document, version) = self.document(id)?;
        let accepted = Answer::document(&document, &document.delta(), version, envelope);
        Ok(Outcome { accepted, events: Vec::new(), changes: Vec::new() })
    }

    fn update(&self, id: &ShadowId, update: &Update, envelope: Envelope<'_>) -> Result<Outcome, ShadowError> {
        let previous = self.document(id).ok();
        let version = self.version(id, envelope.at);
        if update.version.is_some_and(|wanted| wanted != version) {
            return Err(ShadowError::Conflict);
        }
        let mut current = previous.as_ref().map(|(document, _)| document.clone()).unwrap_or_default();
        current.update(&update.patch, envelope.at);
        if current.counted_bytes() > self.limits.document_bytes {
            return Err(ShadowError::TooLarge);
        }
        let json = serde_json::to_vec(&current).map_err(|_| ShadowError::InvalidJson)?;
        let shadow = Shadow { version: version + 1, content: Content::Document(json.into()) };
        let mut changes = self.make_room(id, &shadow, envelope.at)?;
        let version = shadow.version;
        changes.push(Change::Set(id.clone(), shadow));
        let delta = current.delta();
        let mut events = Vec::new();
        if !delta.is_empty() {
            events.push(Answer::delta(&delta, version, envelope));
        }
        let previous = previous.as_ref().map(|(document, version)| (document, *version));
        events.push(Answer::documents(previous, &current, version, envelope));
        Ok(Outcome { accepted: Answer::updated(&update.patch, version, envelope), events, changes })
    }

    fn delete(&self, id: &ShadowId, envelope: Envelope<'_>) -> Result<Outcome, ShadowError> {
        let (_, version) = self.document(id)?;
        let shadow = Shadow { version, content: Content::Deleted(envelope.at) };
        let changes = vec![Change::Set(id.clone(), shadow)];
        Ok(Outcome { accepted: Answer::deleted(version, envelope), events: Vec::new(), changes })
    }

    fn document(&self, id: &ShadowId) -> Result<(Document, u64), ShadowError> {
        let not_found = || ShadowError::NotFound(id.name().unwrap_or(&id.thing).to_owned());
        match self.entries.get(id) {
            Some(Shadow { version, content: Content::Document(json) }) => {
                let document = serde_json::from_slice(json).map_err(|_| not_found())?;
                Ok((document, *version))
            }
            _ => Err(not_found()),
        }
    }

    /// The version of a shadow, or of the one that was deleted under its name not long ago. The next one follows it *(guess:
    /// one more than that of the deleted shadow)*.
    fn version(&self, id: &ShadowId, at: i64) -> u64 {
        match self.entries.get(id) {
            Some(Shadow { content: Content::Deleted(since), .. }) if is_over(*since, at) => 0,
            Some(shadow) => shadow.version,
            None => 0,
        }
    }

    /// The changes that make room for a shadow.
    fn make_room(&self, id: &ShadowId, shadow: &Shadow, at: i64) -> Result<Vec<Change>, ShadowError> {
        let earlier = self.entries.get(id);
        let mut number = self.entries.len() + usize::from(earlier.is_none());
        let mut bytes = self.bytes + shadow.weight(id) - earlier.map_or(0, |it| it.weight(id));
        let mut changes = Vec::new();
        let others = self.deleted.iter().filter(|(_, deleted)| deleted != id).take(FORGOTTEN_AT_ONCE);
        for (since, deleted) in others {
            let is_full = number > self.limits.shadows || bytes > self.limits.bytes;
            if !(is_full || is_over(*since, at)) {
                break;
            }
            number -= 1;
            bytes -= self.entries.get(deleted).map_or(0, |it| it.weight(deleted));
            changes.push(Change::Forget(deleted.clone(), *since));
        }
        // One that becomes smaller always has room.
        let grows = earlier.is_none_or(|it| it.weight(id) < shadow.weight(id));
        if grows && (number > self.limits.shadows || bytes > self.limits.bytes) {
            return Err(ShadowError::NoRoom);
        }
        Ok(changes)
    }

    fn remove(&mut self, id: &ShadowId) {
        if let Some(shadow) = self.entries.remove(id) {
            self.bytes -= shadow.weight(id);
            if let Content::Deleted(at) = shadow.content {
                self.deleted.remove(&(at, id.clone()));
            }
        }
    }
}

/// Whether the version of a shadow that was deleted then is forgotten now.
fn is_over(deleted_at: i64, now: i64) -> bool {
    now.saturating_sub(deleted_at) > i64::from(limits::DELETED_SHADOW_SECONDS)
}
