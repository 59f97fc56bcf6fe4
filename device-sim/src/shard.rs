//! A part of a fleet, for one of several machines.

use std::fmt;
use std::num::{NonZeroU32, ParseIntError};
use std::str::FromStr;

/// More machines than a fleet is divided among.
pub const MAX_SHARDS: u32 = 10_000;

/// One of the equal parts that a fleet file is divided into. Every device is in exactly one of them.
///
/// The device of row `k`, counted from 0, is in shard `k` modulo the number of shards: it depends on the file alone, and
/// a shard's devices are spread over the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: NonZeroU32,
}

impl Shard {
    /// Its number, from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many shards there are.
    #[must_use]
    pub const fn count(self) -> NonZeroU32 {
        self.count
    }

    /// Whether it has the device of this row, counted from 0.
    #[must_use]
    pub fn contains(self, row: u64) -> bool {
        row % u64::from(self.count.get()) == u64::from(self.index)
    }

    /// The row of its `nth` device, both counted from 0.
    #[must_use]
    pub const fn row(self, nth: u32) -> u32 {
        nth.saturating_mul(self.count.get()).saturating_add(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// What is wrong with a shard on the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseShardError {
    /// It is not two numbers.
    #[error("write the shard's number, from 0, and how many there are: `0/4`")]
    Form,
    /// A number can't be read.
    #[error(transparent)]
    Number(#[from] ParseIntError),
    /// There are too many.
    #[error("there can be up to {MAX_SHARDS} shards")]
    TooMany,
    /// There is none, or no such shard.
    #[error("shards are counted from 0: those of {count} are `0/{count}` to `{last}/{count}`", last = count - 1)]
    Index {
        /// How many there are.
        count: u32,
    },
}

impl FromStr for Shard {
    type Err = ParseShardError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (index, count) = text.split_once('/').ok_or(ParseShardError::Form)?;
        let (index, count) = (index.parse::<u32>()?, count.parse::<NonZeroU32>()?);
        if count.get() > MAX_SHARDS {
            return Err(ParseShardError::TooMany);
        }
        if index < count.get() {
            Ok(Self { index, count })
        } else {
            Err(ParseShardError::Index { count: count.get() })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_in_exactly_one_shard(rows in 1_u32..500, count in 1_u32..40) {
            let shards = (0..count).map(|index| format!("{index}/{count}").parse::<Shard>().unwrap());
            let mut found = Vec::new();
            let mut sizes = Vec::new();
            for shard in shards {
                let own = (0..rows).filter(|row| shard.contains(u64::from(*row))).collect::<Vec<_>>();
                for (nth, row) in (0..).zip(&own) {
                    prop_assert_eq!(shard.row(nth), *row);
                }
                sizes.push(own.len());
                found.extend(own);
            }
            found.sort_unstable();
            prop_assert_eq!(found, (0..rows).collect::<Vec<_>>());
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
        }
    }

    #[test]
    fn shards_are_counted_from_0() {
        assert_eq!("3/4".parse::<Shard>().unwrap().to_string(), "3/4");
        assert_eq!(
            "4/4".parse::<Shard>().unwrap_err().to_string(),
            "shards are counted from 0: those of 4 are `0/4` to `3/4`"
        );
        assert_eq!("0/10001".parse::<Shard>(), Err(ParseShardError::TooMany));
        for wrong in ["", "1", "/", "1/", "/4", "0/0", "-1/4", "1/2/3", "$(JOB_COMPLETION_INDEX)/4"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
