//! What a run was: what a report begins with, and what shards that are merged must have in common.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::shard::Shard;

/// What a run was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The version of the simulator.
    pub version: String,
    /// When it began, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended_at_ms: u64,
    /// The fleet file's devices, of all shards.
    pub fleet: Fleet,
    /// The shards that it was, or nothing if it was the whole fleet.
    pub shards: Option<Shards>,
    /// The options that change what a run does, by name. No secret is among them.
    pub settings: BTreeMap<String, String>,
}

/// A fleet file, so that two shards of different files are told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// How many devices it has, of those that `--devices` leaves.
    pub devices: u64,
    /// The beginning of the SHA-256 of the client ids, in their order.
    pub fingerprint: String,
}

/// Shards of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shards {
    /// How many there are in all.
    pub count: u32,
    /// The numbers of those that are in here, from 0, in order.
    pub indexes: Vec<u32>,
}

impl From<Shard> for Shards {
    fn from(shard: Shard) -> Self {
        Self { count: shard.count().get(), indexes: vec![shard.index()] }
    }
}

impl Shards {
    /// The shards that are not in here, by number.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.count).filter(|index| self.indexes.binary_search(index).is_err())
    }
}

impl fmt::Display for Shards {
    /// As `shard 3 of 4`, or as `shards 0-2, 7 of 8`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.indexes.chunk_by(|one, next| one.checked_add(1) == Some(*next));
        let ranges = ranges.filter_map(|range| Some((range.first()?, range.last()?)));
        let ranges = ranges.map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        );
        let plural = if self.indexes.len() == 1 { "" } else { "s" };
        write!(f, "shard{plural} {} of {}", ranges.collect::<Vec<_>>().join(", "), self.count)
    }
}

/// A moment as `2026-11-30T15:41:08.250Z`, or as a number if it is after the year 9999.
#[must_use]
pub fn utc(ms_since_1970: u64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms_since_1970) * 1_000_000);
    let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
    text.unwrap_or_else(|| ms_since_1970.to_string())
}
