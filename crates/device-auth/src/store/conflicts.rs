//! What contradicts between the records of a store: the first finding, or several.

use std::collections::BTreeSet;

use super::{
    error::RecordsError,
    id_ranges::{self, IdRangeError},
    loader::Records,
    topic_overlap,
};
use crate::device_name::DeviceName;

impl Records {
    /// Checks that no two records contradict each other, unusable ones included.
    pub(super) fn check(&self) -> Result<(), RecordsError> {
        self.check_without(&BTreeSet::new())
    }

    /// Up to `most` contradictions between the records. After each one its second device is left out, and the rest is compared
    /// again.
    #[must_use]
    pub fn conflicts(&self, most: usize) -> Vec<RecordsError> {
        let mut left_out = BTreeSet::new();
        let mut conflicts = Vec::new();
        while conflicts.len() < most
            && let Err(conflict) = self.check_without(&left_out)
        {
            // An error that names no device can't be left out.
            let next = second_device(&conflict).filter(|device| left_out.insert((*device).clone()));
            let is_last = next.is_none();
            conflicts.push(conflict);
            if is_last {
                break;
            }
        }
        conflicts
    }

    fn check_without(&self, left_out: &BTreeSet<DeviceName>) -> Result<(), RecordsError> {
        let reservations = self.reservations().filter(|reservation| !left_out.contains(reservation.device));
        let ids = id_ranges::check(&reservations.collect::<Vec<_>>())?;
        let devices = self.by_name.iter().filter(|(name, _)| !left_out.contains(*name));
        Ok(topic_overlap::check(devices.map(|(name, record)| (name, &**record)), &ids)?)
    }
}

fn second_device(conflict: &RecordsError) -> Option<&DeviceName> {
    match conflict {
        RecordsError::IdRange(
            IdRangeError::Overlap { other, .. } | IdRangeError::Parameter { other, .. },
        ) => Some(other),
        RecordsError::TopicOverlap(overlap) => Some(&overlap.other),
        _ => None,
    }
}
