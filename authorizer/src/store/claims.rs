//! No two records may allow the same client id.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    device_name::DeviceName,
    record::{ClientIdRule, Proof, Record},
};

/// Checks that each client id belongs to one record at most. A device's own name counts as its own even if
/// its record allows other ids, because grants may write the name into topics.
///
/// # Errors
///
/// Names two devices and what they both claim.
pub fn check(records: &BTreeMap<DeviceName, Arc<Record>>) -> Result<(), String> {
    let claims = records.iter().flat_map(|(name, record)| {
        let own = Claim::new(&ClientIdRule::Exact(name.client_id().clone()), name);
        let has_parameters = matches!(record.proof, Proof::Alibaba(_));
        let claim = move |rule| {
            if has_parameters { Claim::with_parameters(rule, name) } else { Claim::new(rule, name) }
        };
        record.client_ids.iter().map(claim).chain([own])
    });
    let mut claims = claims.collect::<Vec<_>>();
    claims.sort_unstable();
    check_parameters(records, &claims)?;
    // Sorted by text, whatever a prefix covers follows it, so one open prefix has to be remembered.
    let mut open: Option<&Claim<'_>> = None;
    let mut last: Option<&Claim<'_>> = None;
    for claim in &claims {
        let covering = [
            open.filter(|open| claim.text.starts_with(&open.text)),
            last.filter(|last| last.text == claim.text),
        ];
        if let Some(other) = covering.into_iter().flatten().find(|other| other.device != claim.device) {
            return Err(conflict(other, claim));
        }
        if !claim.is_exact && open.is_none_or(|open| !claim.text.starts_with(&open.text)) {
            open = Some(claim);
        }
        last = Some(claim);
    }
    Ok(())
}

/// Checks that a device without a record doesn't use what a record gives to another one.
///
/// # Errors
///
/// Names the other device.
pub fn check_newcomer(name: &DeviceName, records: &BTreeMap<DeviceName, Arc<Record>>) -> Result<(), String> {
    let taken = records.iter().find(|(_, record)| {
        let stands_in_topics = record.parameters.values().chain(&record.product).any(|value| value == name);
        stands_in_topics || record.allows(name.client_id())
    });
    taken.map_or(Ok(()), |(other, _)| Err(format!("`{name}` as a client id belongs to device `{other}`")))
}

/// A parameter's value stands in topics too, so no device may use it as its client id, unless it alone has it.
fn check_parameters(records: &BTreeMap<DeviceName, Arc<Record>>, claims: &[Claim<'_>]) -> Result<(), String> {
    for (user, record) in records {
        let product = record.product.as_ref().map(|product| ("product", product));
        let parameters = record.parameters.iter().map(|(name, value)| (name.as_str(), value));
        for (parameter, value) in parameters.chain(product) {
            let mut covering = covering(claims, value.as_str());
            if let Some(other) = covering.find(|claim| claim.device != user) {
                return Err(format!(
                    "device `{}` may use the client id `{value}`, which is the `{parameter}` of device `{user}`",
                    other.device
                ));
            }
        }
    }
    Ok(())
}

/// The claims that cover `text`. In sorted claims each beginning of it, and itself, is found without a scan.
fn covering<'c>(claims: &'c [Claim<'c>], text: &'c str) -> impl Iterator<Item = &'c Claim<'c>> {
    let beginnings = (1..=text.len()).filter_map(|end| text.get(..end));
    beginnings.flat_map(move |beginning| {
        let first = claims.partition_point(|claim| claim.text.as_str() < beginning);
        let same = claims.iter().skip(first).take_while(move |claim| claim.text == beginning);
        same.filter(move |claim| !claim.is_exact || beginning == text)
    })
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'a> {
    text: String,
    /// Exact ids sort behind the prefix of the same text.
    is_exact: bool,
    device: &'a DeviceName,
}

impl<'a> Claim<'a> {
    fn new(rule: &ClientIdRule, device: &'a DeviceName) -> Self {
        let (text, is_exact) = match rule {
            ClientIdRule::Exact(id) => (id.as_str().to_owned(), true),
            ClientIdRule::Prefix(id) => (id.as_str().to_owned(), false),
        };
        Self { text, is_exact, device }
    }

    /// In Alibaba's scheme any parameters may follow an id, behind a `|`.
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

fn conflict(one: &Claim<'_>, other: &Claim<'_>) -> String {
    format!(
        "devices `{}` and `{}` may both use client ids that `{}` and `{}` cover; each id may belong to one device \
         only: list others in `client_ids`",
        one.device,
        other.device,
        one.rule(),
        other.rule()
    )
}
