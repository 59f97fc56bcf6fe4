//! Checksums of the rows. SQLite detects damage to its own structure only.

use mqtt::TopicFilter;

use crate::broker::subscriber::Subscriber;

/// A row is not as it was written.
#[derive(Debug, thiserror::Error)]
#[error("a checksum is wrong")]
pub(super) struct Wrong;

/// Compares the checksum in a row with that of its content.
pub(super) fn check(written: u32, read: u32) -> Result<(), Wrong> {
    if written == read { Ok(()) } else { Err(Wrong) }
}

/// The checksum of a session. Without a protocol level it is that of a file of version 1.
pub(super) fn of_session(
    client_id: &str,
    principal_id: &str,
    protocol_level: Option<u8>,
    expiry: i64,
    ends_at: Option<i64>,
) -> u32 {
    let (expiry, ends_at) = (expiry.to_be_bytes(), time(ends_at));
    let fields = [client_id.as_bytes(), principal_id.as_bytes(), &expiry[..], &ends_at[..]];
    match protocol_level {
        None => of(&fields),
        Some(level) => of(&[&fields[..], &[&[level]]].concat()),
    }
}

/// The checksum of a subscription.
pub(super) fn of_subscription(client_id: &str, filter: &TopicFilter, subscriber: Subscriber) -> u32 {
    let Subscriber { qos, no_local, retain_as_published } = subscriber;
    let flags = [qos as u8, no_local.into(), retain_as_published.into()];
    of(&[client_id.as_bytes(), filter.as_str().as_bytes(), &flags])
}

/// The checksum of a message. The owner is a client id, a shared filter, or the topic of
/// a retained message.
pub(super) fn of_message(owner: &str, publish: &[u8], expires_at: Option<i64>) -> u32 {
    of(&[owner.as_bytes(), publish, &time(expires_at)])
}

/// The checksum of a shadow. It has a document or the time of its deletion.
pub(super) fn of_shadow(
    thing: &str,
    name: &str,
    version: i64,
    document: Option<&[u8]>,
    deleted_at: Option<i64>,
) -> u32 {
    let (version, deleted_at) = (version.to_be_bytes(), time(deleted_at));
    of(&[thing.as_bytes(), name.as_bytes(), &version, document.unwrap_or_default(), &deleted_at])
}

/// The bytes of a time. Those of an absent time differ from every other's.
fn time(time: Option<i64>) -> [u8; 9] {
    let mut bytes = [time.is_some().into(); 9];
    for (byte, of_millis) in bytes.iter_mut().skip(1).zip(time.unwrap_or_default().to_be_bytes()) {
        *byte = of_millis;
    }
    bytes
}

/// The checksum of all parts, each with its length.
fn of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(&part.len().to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}
