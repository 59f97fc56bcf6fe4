//! SQLite sees damage to its own structure; these see damage to what it holds.

use mqtt::TopicFilter;

use crate::broker::subscriptions::Subscriber;

/// What was read is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("a checksum is wrong")]
pub(super) struct Wrong;

/// Whether what was read is what was written.
pub(super) fn check(written: u32, read: u32) -> Result<(), Wrong> {
    if written == read { Ok(()) } else { Err(Wrong) }
}

/// Of a session.
pub(super) fn of_session(client_id: &str, principal_id: &str, expiry: i64, ends_at: Option<i64>) -> u32 {
    of(&[client_id.as_bytes(), principal_id.as_bytes(), &expiry.to_be_bytes(), &time(ends_at)])
}

/// Of a subscription.
pub(super) fn of_subscription(client_id: &str, filter: &TopicFilter, subscriber: Subscriber) -> u32 {
    let Subscriber { qos, no_local, retain_as_published } = subscriber;
    let flags = [qos as u8, no_local.into(), retain_as_published.into()];
    of(&[client_id.as_bytes(), filter.as_str().as_bytes(), &flags])
}

/// Of a message that belongs to a client, or to a topic.
pub(super) fn of_message(owner: &str, publish: &[u8], expires_at: Option<i64>) -> u32 {
    of(&[owner.as_bytes(), publish, &time(expires_at)])
}

/// An absent time is unlike every other.
fn time(millis: Option<i64>) -> [u8; 9] {
    let mut bytes = [millis.is_some().into(); 9];
    for (byte, of_millis) in bytes.iter_mut().skip(1).zip(millis.unwrap_or_default().to_be_bytes()) {
        *byte = of_millis;
    }
    bytes
}

/// Of all of them, each with its length.
fn of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(&part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}
