//! Which devices are revoked, and with which client ids they may be connected.

use std::collections::BTreeSet;

use anyhow::Context as _;
use cli::console::ErrorList;
use device_auth::{
    client_id::ClientId,
    device_name::DeviceName,
    record::ClientIdRule,
    scheme::Scheme,
    store::{document::RecordDocument, loader},
};

/// A device that is to be revoked.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: DeviceName,
    /// Whether its record was enabled when it was read.
    pub(super) was_enabled: bool,
    /// The client ids with which it may be connected.
    pub(super) client_ids: Vec<String>,
    /// What it may be connected with besides: `prefix*`, or an id and `|…`.
    pub(super) unknown: Vec<String>,
    /// The record's own timers, in seconds: refresh and disconnect.
    pub(super) timers: [Option<u32>; 2],
}

impl Device {
    /// Reads a record. `named` are client ids of it that the operator knows.
    ///
    /// # Errors
    ///
    /// When the record does not allow one of them.
    pub(super) fn new(name: DeviceName, record: &RecordDocument, named: &[ClientId]) -> anyhow::Result<Self> {
        let rules = loader::client_ids(&name, record);
        for id in named {
            // An Alibaba device's client id has parameters, which no rule names.
            let whole = id.as_str();
            let own = whole.split_once('|').filter(|_| record.scheme == Scheme::Alibaba);
            let own = own.map_or(whole, |(own, _)| own);
            anyhow::ensure!(
                rules.iter().any(|rule| rule.allows(own)),
                "`{id}` is no client id of `{name}`: `latchkey fleet show '{name}'` has its client ids"
            );
        }
        let (mut client_ids, mut unknown) = (BTreeSet::new(), Vec::new());
        client_ids.extend(named.iter().map(ToString::to_string));
        for rule in rules {
            match rule {
                ClientIdRule::Exact(id) if record.scheme == Scheme::Alibaba => {
                    unknown.push(format!("{id}|…"));
                }
                ClientIdRule::Exact(id) => _ = client_ids.insert(id.to_string()),
                ClientIdRule::Prefix(prefix) => unknown.push(format!("{prefix}*")),
            }
        }
        let timers = [record.refresh_after_seconds, record.disconnect_after_seconds];
        Ok(Self {
            name,
            was_enabled: record.enabled,
            client_ids: client_ids.into_iter().collect(),
            unknown,
            timers: timers.map(|it| it.map(device_auth::time::TimerSeconds::get)),
        })
    }
}

/// The names of a file, one a line. Empty lines, and those that begin with `#`, are none.
///
/// # Errors
///
/// Every line that is not a device's name.
pub(super) fn names(file: &str, text: &str) -> anyhow::Result<BTreeSet<DeviceName>> {
    let (mut names, mut errors) = (BTreeSet::new(), Vec::new());
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match DeviceName::try_from(line) {
            Ok(name) => _ = names.insert(name),
            Err(error) => errors.push(format!("line {number}: {error}")),
        }
    }
    if !errors.is_empty() {
        let head = format!("`{file}` has lines that are not a device's name; no record was changed");
        return Err(ErrorList::new(head, errors).into());
    }
    Some(names).filter(|names| !names.is_empty()).with_context(|| {
        format!("`{file}` has no device's name: write one a line, as `latchkey fleet list` shows them")
    })
}

#[cfg(test)]
mod tests {
    use device_auth::record::ClientIdRule;

    use super::*;

    fn record(scheme: Scheme, rules: Option<&[&str]>) -> RecordDocument {
        let mut record = RecordDocument::new(scheme, "own-topics".to_owned());
        record.client_ids = rules
            .map(|rules| rules.iter().map(|it| ClientIdRule::try_from((*it).to_owned()).unwrap()).collect());
        record
    }

    #[test]
    fn what_can_be_known_of_client_ids_follows_from_scheme_and_rules() {
        for (name, scheme, rules, named, known, unknown) in [
            ("a", Scheme::Password, None, &[][..], &["a"][..], &[][..]),
            ("a", Scheme::Password, Some(&["x", "y*"][..]), &[], &["x"], &["y*"]),
            ("a", Scheme::Password, Some(&["y*"]), &["y-1", "y-2"], &["y-1", "y-2"], &["y*"]),
            ("a", Scheme::Jwt, Some(&["x", "x"]), &["x"], &["x"], &[]),
            ("d&p", Scheme::Alibaba, None, &["d|securemode=2|"], &["d|securemode=2|"], &["d|…", "p.d|…"]),
        ] {
            let name = DeviceName::try_from(name).unwrap();
            let named = named.iter().map(|id| ClientId::try_from(*id).unwrap()).collect::<Vec<_>>();
            let device = Device::new(name, &record(scheme, rules), &named).unwrap();
            assert_eq!(
                (&device.client_ids[..], &device.unknown[..]),
                (
                    &known.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
                    &unknown.iter().map(ToString::to_string).collect::<Vec<_>>()[..],
                )
            );
        }
        let other = ClientId::try_from("z").unwrap();
        let error = Device::new("a".try_into().unwrap(), &record(Scheme::Password, None), &[other]);
        assert!(error.unwrap_err().to_string().contains("`z` is no client id of `a`"));
    }

    #[test]
    fn a_file_has_one_name_a_line() {
        let names_of = |text: &str| names("f", text).map(|it| it.len());
        assert_eq!(names_of("a\r\n\n# why\n b \na\n").unwrap(), 2);
        let error = names_of("a\nb c\n\u{1b}[31m\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("line 3") && !error.contains('\u{1b}'), "{error}");
        assert!(names_of("\n# none\n").unwrap_err().to_string().contains("has no device's name"));
    }
}
