//! Checks that no two records allow the same client id.

use std::collections::HashMap;

use crate::{
    device_name::DeviceName,
    record::{ClientIdRule, Parameters, Record},
    scheme::Scheme,
};

/// Two records that may use the same client id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdRangeError {
    /// The rules of two records overlap.
    #[error(
        "devices `{one}` and `{other}` may both use client ids that `{one_rule}` and `{other_rule}` cover; each id may \
         belong to one device only: list others in `client_ids`"
    )]
    Overlap {
        /// A device.
        one: DeviceName,
        /// Its rule.
        one_rule: String,
        /// Another device.
        other: DeviceName,
        /// The other device's rule.
        other_rule: String,
    },
    /// A device may use the value of another device's placeholder as its client id.
    #[error(
        "device `{other}` may use the client id `{value}`, which is the `{parameter}` of device `{device}`"
    )]
    Parameter {
        /// The device with the value.
        device: DeviceName,
        /// The placeholder.
        parameter: String,
        /// The value.
        value: DeviceName,
        /// The device that may use it as its client id.
        other: DeviceName,
    },
    /// A device without a record has another device's client id as its name.
    #[error("`{name}` as a client id belongs to device `{owner}`")]
    Taken {
        /// The name.
        name: DeviceName,
        /// The device that it belongs to.
        owner: DeviceName,
    },
}

/// What a record reserves for its device: client ids, and the parameters and the product that grants write into topics.
#[derive(Clone, Copy)]
pub struct Reservation<'a> {
    /// The device.
    pub device: &'a DeviceName,
    /// The record's scheme.
    pub scheme: Scheme,
    /// The record's rules for client ids.
    pub client_ids: &'a [ClientIdRule],
    /// The record's parameters.
    pub parameters: &'a Parameters,
    /// The device's product, in a vendor's scheme.
    pub product: Option<&'a DeviceName>,
    /// The value of `{device}`, if it is not the device's own name.
    pub topic_name: Option<&'a DeviceName>,
}

impl<'a> Reservation<'a> {
    /// The reservation of a record.
    #[must_use]
    pub fn of(device: &'a DeviceName, record: &'a Record) -> Self {
        Self {
            device,
            scheme: record.proof.scheme(),
            client_ids: &record.client_ids,
            parameters: &record.parameters,
            product: record.product.as_ref(),
            topic_name: record.product.is_some().then_some(&record.device),
        }
    }
}

/// The client ids of all devices, sorted. No id belongs to two of them.
pub struct IdRanges(Vec<IdRange>);

/// What a device without a record can't have as its name.
pub struct TakenNames {
    ids: IdRanges,
    /// Parameters, products and the names that vendors gave, each with its device: grants write them into topics.
    values: HashMap<DeviceName, DeviceName>,
}

impl IdRanges {
    /// The device other than `not` to which `text` belongs as a client id.
    #[must_use]
    pub fn owner(&self, text: &str, not: Option<&DeviceName>) -> Option<&DeviceName> {
        covering(&self.0, text).map(|range| &range.device).find(|device| Some(*device) != not)
    }
}

impl TakenNames {
    /// The names that these reservations take.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub fn new(reservations: &[Reservation<'_>]) -> Result<Self, IdRangeError> {
        let values = reservations.iter().flat_map(|reservation| {
            let Reservation { device, parameters, product, topic_name, .. } = *reservation;
            let values = parameters.values().chain(product).chain(topic_name);
            values.map(move |value| (value.clone(), device.clone()))
        });
        Ok(Self { values: values.collect(), ids: check(reservations)? })
    }

    /// All of them, each with whether it is the whole name or the beginning of one, and with its device. If a text is there
    /// more than once, [`TakenNames::check_newcomer`] names the first.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, bool, &DeviceName)> {
        let values = self.values.iter().map(|(value, device)| (value.as_str(), true, device));
        let ids = self.ids.0.iter().map(|range| (range.text.as_str(), range.is_exact, &range.device));
        values.chain(ids)
    }

    /// Checks that the name of a device without a record is not a client id of a record, nor a value that a grant writes
    /// into topics.
    ///
    /// # Errors
    ///
    /// The device whose record has it.
    pub fn check_newcomer(&self, name: &DeviceName) -> Result<(), IdRangeError> {
        match self.values.get(name).or_else(|| self.ids.owner(name.as_str(), None)) {
            Some(owner) => Err(IdRangeError::Taken { name: name.clone(), owner: owner.clone() }),
            None => Ok(()),
        }
    }
}

/// Checks that no two records allow the same client id. A device's own name counts as one of its ids even if its record
/// allows other ids, because grants may write the name into topics.
///
/// # Errors
///
/// The two devices, and the rules that overlap.
pub fn check(reservations: &[Reservation<'_>]) -> Result<IdRanges, IdRangeError> {
    let ranges = reservations.iter().flat_map(|reservation| {
        let Reservation { device, scheme, client_ids, .. } = *reservation;
        let own = IdRange::new(&ClientIdRule::Exact(device.client_id().clone()), device);
        let allowed = client_ids.iter().map(move |rule| match scheme {
            Scheme::Alibaba => IdRange::with_parameters(rule, device),
            _ => IdRange::new(rule, device),
        });
        allowed.chain([own])
    });
    let mut ranges = ranges.collect::<Vec<_>>();
    ranges.sort_unstable();
    check_parameters(reservations, &ranges)?;
    // Sorted by text, the ids that a prefix covers follow it, so one open prefix is enough.
    let mut open: Option<&IdRange> = None;
    let mut last: Option<&IdRange> = None;
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
    Ok(IdRanges(ranges))
}

/// Checks that no device may use another device's parameter or product as its client id: grants write those into topics
/// too.
fn check_parameters(reservations: &[Reservation<'_>], ranges: &[IdRange]) -> Result<(), IdRangeError> {
    for Reservation { device, parameters, product, .. } in reservations {
        let product = product.map(|product| ("product", product));
        let parameters = parameters.iter().map(|(name, value)| (name.as_str(), value));
        for (parameter, value) in parameters.chain(product) {
            let mut covering = covering(ranges, value.as_str());
            if let Some(other) = covering.find(|range| range.device != **device) {
                return Err(IdRangeError::Parameter {
                    device: (*device).clone(),
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
fn covering<'r>(ranges: &'r [IdRange], text: &str) -> impl Iterator<Item = &'r IdRange> {
    let beginnings = (1..=text.len()).filter_map(|end| text.get(..end));
    beginnings.flat_map(move |beginning| {
        let first = ranges.partition_point(|range| range.text.as_str() < beginning);
        let same = ranges.iter().skip(first).take_while(move |range| range.text == beginning);
        same.filter(move |range| !range.is_exact || beginning == text)
    })
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct IdRange {
    text: String,
    /// Exact ids sort after the prefix of the same text.
    is_exact: bool,
    device: DeviceName,
}

impl IdRange {
    fn new(rule: &ClientIdRule, device: &DeviceName) -> Self {
        let (text, is_exact) = match rule {
            ClientIdRule::Exact(id) => (id.as_str().to_owned(), true),
            ClientIdRule::Prefix(id) => (id.as_str().to_owned(), false),
        };
        Self { text, is_exact, device: device.clone() }
    }

    /// In Alibaba's scheme, `|` and any parameters follow the id.
    fn with_parameters(rule: &ClientIdRule, device: &DeviceName) -> Self {
        match rule {
            ClientIdRule::Exact(id) => {
                Self { text: format!("{id}|"), is_exact: false, device: device.clone() }
            }
            ClientIdRule::Prefix(_) => Self::new(rule, device),
        }
    }

    fn rule(&self) -> String {
        format!("{}{}", self.text, if self.is_exact { "" } else { "*" })
    }
}
