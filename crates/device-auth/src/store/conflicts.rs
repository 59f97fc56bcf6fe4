//! What contradicts between the records of a store: several findings, where loading reports the first one.

use std::collections::BTreeSet;

use super::{
    error::RecordsError,
    id_ranges::{self, IdRangeError},
    loader::Records,
    text::StoreText,
    topic_overlap,
};
use crate::{device_name::DeviceName, record::FunctionSettings};

impl StoreText {
    /// The records, with what is wrong with single ones, and up to `most` contradictions between them. After each
    /// contradiction its second device is left out, and the rest is compared again.
    ///
    /// # Errors
    ///
    /// What is wrong with the store as a whole: its version, or a grant.
    pub fn examined(
        self,
        function: FunctionSettings,
        most: usize,
    ) -> Result<(Records, Vec<RecordsError>), RecordsError> {
        let records = self.load(function)?;
        let mut left_out = BTreeSet::new();
        let mut conflicts = Vec::new();
        while conflicts.len() < most
            && let Err(conflict) = check_without(&records, &left_out)
        {
            // An error that names no device can't be left out.
            let next = second_device(&conflict).filter(|device| left_out.insert((*device).clone()));
            let is_last = next.is_none();
            conflicts.push(conflict);
            if is_last {
                break;
            }
        }
        Ok((records, conflicts))
    }
}

fn check_without(records: &Records, left_out: &BTreeSet<DeviceName>) -> Result<(), RecordsError> {
    let reservations = records.reservations().filter(|reservation| !left_out.contains(reservation.device));
    let ids = id_ranges::check(&reservations.collect::<Vec<_>>())?;
    let devices = records.by_name.iter().filter(|(name, _)| !left_out.contains(*name));
    Ok(topic_overlap::check(devices.map(|(name, record)| (name, &**record)), &ids)?)
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
