//! Findings about records and grants.

use std::{collections::BTreeMap, time::Duration};

use device_auth::{
    binding::PersistentSession,
    device_name::DeviceName,
    policy::{DocumentPreview, Values},
    record::ClientIdRule,
    store::{
        document::{RecordDocument, StoreDocument},
        error::RecordsError,
        loader::Records,
        text::StoreText,
    },
    time::UnixTime,
    verifier::{Verifier, budget::FunctionMemory},
};
use iot_policy::limits::MAX_POLICY_DOCUMENTS;

use super::{Finding, Subject, accepted::Accepted, policies, rule::Rule};
use crate::{account::Account, evaluation::parsed, inspect::settings};

/// How many contradictions between records are looked for: each one costs a comparison of the whole store.
const MAX_CONFLICTS: usize = 10;
/// A password check that takes longer is felt, and leaves less of the five seconds for a cold start.
const SLOW: Duration = Duration::from_millis(500);
/// Where a grant is near AWS's limit.
const MANY_DOCUMENTS: usize = MAX_POLICY_DOCUMENTS - 2;

/// Checks a store, and returns how many devices it has.
///
/// # Errors
///
/// When the store can't be read as a whole.
pub(super) fn check(
    text: StoreText,
    memory: FunctionMemory,
    accepted: Option<&Accepted>,
    now: UnixTime,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<usize> {
    let document = text.document().clone();
    let records = text.load(settings(memory)?)?;
    for (name, unusable) in &records.unusable {
        let text = unusable.error.error.to_string();
        findings.push(Finding::new(Rule::RecordUnusable, Subject::Device(name.clone()), text));
    }
    for conflict in records.conflicts(MAX_CONFLICTS) {
        let subject = match &conflict {
            RecordsError::TopicOverlap(overlap) => Subject::Device(overlap.publisher.clone()),
            _ => Subject::Store,
        };
        findings.push(Finding::new(Rule::RecordsConflict, subject, conflict.to_string()));
    }
    for (name, record) in &document.devices {
        check_credentials(name, record, memory, now, findings);
        if let Some(accepted) = accepted {
            check_use(name, record, accepted, findings);
        }
    }
    check_grants(&document, &records, findings)?;
    Ok(records.by_name.len().saturating_add(records.unusable.len()))
}

fn check_credentials(
    name: &DeviceName,
    record: &RecordDocument,
    memory: FunctionMemory,
    now: UnixTime,
    findings: &mut Vec<Finding>,
) {
    let mut add = |rule, text: String| {
        findings.push(Finding::new(rule, Subject::Device(name.clone()), text));
    };
    let ends = record.verifiers.iter().map(|live| live.expires_at);
    let ends = ends.chain(record.secrets.iter().map(|secret| secret.expires_at)).collect::<Vec<_>>();
    let expired = ends.iter().filter(|end| end.is_some_and(|end| now >= end)).count();
    if record.not_after.is_some_and(|end| now >= end) {
        add(Rule::CredentialExpired, "the record's `not_after` is over".to_owned());
    } else if expired > 0 && expired == ends.len() {
        add(
            Rule::CredentialExpired,
            "every credential has expired: rotate it, or remove the record".to_owned(),
        );
    } else if expired > 0 {
        add(
            Rule::CredentialLeftOver,
            "an old credential has expired: the next `rotate` removes it".to_owned(),
        );
    }
    for live in &record.verifiers {
        if let Some(weakness) = weakness(&live.verifier) {
            add(
                Rule::VerifierWeak,
                format!("{weakness}; a random password of 20 characters is safe all the same"),
            );
        }
    }
    let whole = record.verifiers.iter().map(|live| live.verifier.estimate().time).sum::<Duration>();
    let time = memory.time(whole);
    if time > SLOW {
        add(
            Rule::VerifierSlow,
            format!("a check takes about {} ms with {} MB", time.as_millis(), memory.mb()),
        );
    }
    if record.sealed_secrets().any(|secret| secret.key().is_none()) {
        add(
            Rule::PlainSecret,
            "its secret is not sealed: `latchkey fleet reseal` seals it under a key".to_owned(),
        );
    }
}

/// What makes a verifier weak for a password that a person chose: less than the OWASP Password Storage Cheat Sheet asks
/// for, in this crate's estimates.
fn weakness(verifier: &Verifier) -> Option<&'static str> {
    let millis = verifier.estimate().time.as_millis();
    let text = String::from(verifier.clone());
    match verifier {
        // The form of generated passwords.
        Verifier::SaltedSha2(_) => (!text.starts_with("$sha256$"))
            .then_some("a salted hash without iterations, of an old password table"),
        // 7 MiB and 5 passes, the least of its equal choices.
        Verifier::Argon2(_) => {
            (millis < 30).then_some("Argon2 with less than 19 MiB and 2 passes, or an equal cost")
        }
        Verifier::Bcrypt(_) => (millis < 61).then_some("bcrypt with a cost below 10"),
        Verifier::Pbkdf2(_) if text.starts_with("$pbkdf2-sha256") => {
            (millis < 240).then_some("PBKDF2-SHA-256 with less than 600,000 iterations")
        }
        Verifier::Pbkdf2(_) => (millis < 105).then_some("PBKDF2-SHA-512 with less than 210,000 iterations"),
    }
}

fn check_use(name: &DeviceName, record: &RecordDocument, accepted: &Accepted, findings: &mut Vec<Finding>) {
    let newest = record.verifiers.len().max(record.secrets.len()).saturating_sub(1);
    let text = match accepted.of(name.as_str()) {
        None => "the log has no accepted connect".to_owned(),
        Some(used) if newest > 0 && !used.contains(&newest) => {
            "the log has accepted connects with its older credential only: give the device its new one before the old \
             one expires"
                .to_owned()
        }
        Some(_) => return,
    };
    findings.push(Finding::new(Rule::NeverUsed, Subject::Device(name.clone()), text));
}

/// Checks each grant with the documents of one of its devices.
fn check_grants(
    document: &StoreDocument,
    records: &Records,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let account = Account::new(None, None)?;
    let mut examples = BTreeMap::new();
    for record in records.by_name.values() {
        examples.entry(record.grant.name()).or_insert(record);
    }
    for name in document.grants.keys() {
        let is_used = document.devices.values().any(|record| record.grant == *name);
        if !is_used && !document.devices.is_empty() {
            let text = "no record has it: remove it, or give it to a device".to_owned();
            findings.push(Finding::new(Rule::GrantUnused, Subject::Grant(name.clone()), text));
        }
    }
    for (grant, record) in examples {
        let Some(ClientIdRule::Exact(client_id) | ClientIdRule::Prefix(client_id)) =
            record.client_ids.first()
        else {
            continue;
        };
        let values = Values { client_id, record, session: PersistentSession::AsGranted };
        let previews = DocumentPreview::all(values, &account.function)?;
        let subject = Subject::Grant(grant.to_owned());
        if previews.len() >= MANY_DOCUMENTS {
            let text = format!("{} of {MAX_POLICY_DOCUMENTS} documents: shorten it", previews.len());
            findings.push(Finding::new(Rule::DocumentsNearLimit, subject.clone(), text));
        }
        policies::check(&parsed(&previews)?, &subject, &account.scope, findings);
    }
    Ok(())
}
