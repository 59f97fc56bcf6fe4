//! Checks that no two records allow the same client id.

use std::{collections::BTreeMap, sync::Arc};

use super::error::IdRangeError;
use crate::{
    device_name::DeviceName,
    record::{ClientIdRule, Proof, Record},
};

/// Checks that no two records allow the same client id. A device's own name counts as one of its ids even if its record
/// allows other ids, because grants may write the name into topics.
///
/// # Errors
///
/// The two devices, and the rules that overlap.
pub fn check(records: &BTreeMap<DeviceName, Arc<Record>>) -> Result<(), IdRangeError> {
    let ranges = records.iter().flat_map(|(name, record)| {
        let own = IdRange::new(&ClientIdRule::Exact(name.client_id().clone()), name);
        let has_parameters = matches!(record.proof, Proof::Alibaba(_));
        let range = move |rule| {
            if has_parameters { IdRange::with_parameters(rule, name) } else { IdRange::new(rule, name) }
        };
        record.client_ids.iter().map(range).chain([own])
    });
    let mut ranges = ranges.collect::<Vec<_>>();
    ranges.sort_unstable();
    check_parameters(records, &ranges)?;
    // Sorted by text, the ids that a prefix covers follow it, so one open prefix is enough.
    let mut open: Option<&IdRange<'_>> = None;
    let mut last: Option<&IdRange<'_>> = None;
    for range in &ranges {
        let covering = [
            open.filter(|open| range.text.starts_with(&open.text)),
            last.filter(|last| last.text == range.text),
        ];
        if let Some(other) = covering.into_iter().flatten().find(|other| other.device != range.device) {
            return Err(IdRangeError::Overlap {
                one: other.device.clone(),
                one_rule: other.rule(),
                other: range.device.clone(),
                other_rule: range.rule(),
            });
        }
        if !range.is_exact && open.is_none_or(|open| !range.text.starts_with(&open.text)) {
            open = Some(range);
        }
        last = Some(range);
    }
    Ok(())
}

/// Checks that the name of a device without a record is not a client id, a parameter or a product of a record.
///
/// # Errors
///
/// The device whose record has it.
pub fn check_newcomer(
    name: &DeviceName,
    records: &BTreeMap<DeviceName, Arc<Record>>,
) -> Result<(), IdRangeError> {
    let taken = records.iter().find(|(_, record)| {
        let is_in_topics = record.parameters.values().chain(&record.product).any(|value| value == name);
        is_in_topics || record.allows(name.client_id())
    });
    taken.map_or(Ok(()), |(owner, _)| Err(IdRangeError::Taken { name: name.clone(), owner: owner.clone() }))
}

/// Checks that no device may use another device's parameter or product as its client id: grants write those into topics
/// too.
fn check_parameters(
    records: &BTreeMap<DeviceName, Arc<Record>>,
    ranges: &[IdRange<'_>],
) -> Result<(), IdRangeError> {
    for (user, record) in records {
        let product = record.product.as_ref().map(|product| ("product", product));
        let parameters = record.parameters.iter().map(|(name, value)| (name.as_str(), value));
        for (parameter, value) in parameters.chain(product) {
            let mut covering = covering(ranges, value.as_str());
            if let Some(other) = covering.find(|range| range.device != user) {
                return Err(IdRangeError::Parameter {
                    device: user.clone(),
                    parameter: parameter.to_owned(),
                    value: value.clone(),
                    other: other.device.clone(),
                });
            }
        }
    }
    Ok(())
}

/// The ranges that cover `text`. Each prefix of it is found in the sorted ranges by a binary search.
fn covering<'c>(ranges: &'c [IdRange<'c>], text: &'c str) -> impl Iterator<Item = &'c IdRange<'c>> {
    let beginnings = (1..=text.len()).filter_map(|end| text.get(..end));
    beginnings.flat_map(move |beginning| {
        let first = ranges.partition_point(|range| range.text.as_str() < beginning);
        let same = ranges.iter().skip(first).take_while(move |range| range.text == beginning);
        same.filter(move |range| !range.is_exact || beginning == text)
    })
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct IdRange<'a> {
    text: String,
    /// Exact ids sort after the prefix of the same text.
    is_exact: bool,
    device: &'a DeviceName,
}

impl<'a> IdRange<'a> {
    fn new(rule: &ClientIdRule, device: &'a DeviceName) -> Self {
        let (text, is_exact) = match rule {
            ClientIdRule::Exact(id) => (id.as_str().to_owned(), true),
            ClientIdRule::Prefix(id) => (id.as_str().to_owned(), false),
        };
        Self { text, is_exact, device }
    }

    /// In Alibaba's scheme, `|` and any parameters follow the id.
    fn with_parameters(rule: &ClientIdRule, device: &'a DeviceName) -> Self {
        match rule {
            ClientIdRule::Exact(id) => Self { text: format!("{id}|"), is_exact: false, device },
            ClientIdRule::Prefix(_) => Self::new(rule, device),
        }
    }

    fn rule(&self) -> String {
        format!("{}{}", self.text, if self.is_exact { "" } else { "*" })
    }
}
