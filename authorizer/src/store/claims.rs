//! No two records may allow the same client id.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    device_name::DeviceName,
    record::{ClientIdRule, Record},
};

/// Checks that each client id belongs to one record at most. A device's own name counts as its own even if
/// its record allows other ids, because grants may write the name into topics.
///
/// # Errors
///
/// Names two devices and what they both claim.
pub fn check(records: &BTreeMap<DeviceName, Arc<Record>>) -> Result<(), String> {
    let claims = records.iter().flat_map(|(name, record)| {
        let own = ClientIdRule::Exact(name.client_id().clone());
        let rules = record.client_ids.iter().cloned().chain([own]);
        rules.map(move |rule| Claim::new(rule, name))
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

/// A parameter's value stands in topics too, so no device may use it as its client id, unless it alone has it.
fn check_parameters(records: &BTreeMap<DeviceName, Arc<Record>>, claims: &[Claim<'_>]) -> Result<(), String> {
    for (user, record) in records {
        for (parameter, value) in &record.parameters {
            let mut covering = covering(claims, value.as_str());
            if let Some(other) = covering.find(|claim| claim.device != user) {
                return Err(format!(
                    "device `{}` may use the client id `{value}`, which is the parameter `{parameter}` of device `{user}`",
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
    fn new(rule: ClientIdRule, device: &'a DeviceName) -> Self {
        match rule {
            ClientIdRule::Exact(id) => Self { text: id.as_str().to_owned(), is_exact: true, device },
            ClientIdRule::Prefix(id) => Self { text: id.as_str().to_owned(), is_exact: false, device },
        }
    }

    fn rule(&self) -> String {
        format!("{}{}", self.text, if self.is_exact { "" } else { "*" })
    }
}

fn conflict(one: &Claim<'_>, other: &Claim<'_>) -> String {
    format!(
        "devices `{}` and `{}` may both use client ids that `{}` and `{}` cover; each id may belong to one device only",
        one.device,
        other.device,
        one.rule(),
        other.rule()
    )
}
