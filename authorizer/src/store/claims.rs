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
    let mut claims = records.iter().flat_map(|(name, record)| {
        let own = ClientIdRule::Exact(name.client_id().clone());
        let rules = record.client_ids.iter().cloned().chain([own]);
        rules.map(move |rule| Claim::new(rule, name))
    });
    let mut claims = claims.by_ref().collect::<Vec<_>>();
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
        if claim.is_prefix && open.is_none_or(|open| !claim.text.starts_with(&open.text)) {
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
            let claim = claims.iter().take_while(|claim| claim.text.as_str() <= value.as_str());
            let other = claim.filter(|claim| claim.device != user && claim.covers(value.as_str())).last();
            if let Some(other) = other {
                return Err(format!(
                    "device `{}` may use the client id `{value}`, which is the parameter `{parameter}` of device `{user}`",
                    other.device
                ));
            }
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'a> {
    text: String,
    /// Exact ids sort behind the prefix of the same text.
    is_exact: bool,
    device: &'a DeviceName,
    is_prefix: bool,
}

impl<'a> Claim<'a> {
    fn new(rule: ClientIdRule, device: &'a DeviceName) -> Self {
        match rule {
            ClientIdRule::Exact(id) => {
                Self { text: id.as_str().to_owned(), is_exact: true, device, is_prefix: false }
            }
            ClientIdRule::Prefix(id) => {
                Self { text: id.as_str().to_owned(), is_exact: false, device, is_prefix: true }
            }
        }
    }

    fn covers(&self, text: &str) -> bool {
        if self.is_prefix { text.starts_with(&self.text) } else { self.text == text }
    }

    fn rule(&self) -> String {
        format!("{}{}", self.text, if self.is_prefix { "*" } else { "" })
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
