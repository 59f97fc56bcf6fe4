//! `latchkey fleet lint`: finds what is wrong or risky in records, grants and policy documents.

mod accepted;
mod policies;
mod records;
mod report;
pub mod rule;

use std::{fs, path::Path, time::SystemTime};

use anyhow::Context as _;
use cli::{
    console::{Console, elements},
    format::OutputFormat,
};
use device_auth::{device_name::DeviceName, location::StoreLocation, time::UnixTime};

use self::{accepted::Accepted, report::Report, rule::Rule};
use crate::{
    account::Account,
    args::{Format, LintArgs},
    policy_test,
    record_store::ReadRecords,
    store_option,
};

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// The records together.
    Store,
    /// A record.
    Device(DeviceName),
    /// A grant.
    Grant(String),
    /// A policy document, by its file.
    Document(String),
}

impl Subject {
    fn name(&self, store: &str) -> String {
        match self {
            Self::Store => store.to_owned(),
            Self::Device(name) => format!("device {name}"),
            Self::Grant(name) => format!("grant {name}"),
            Self::Document(file) => file.clone(),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    rule: Rule,
    subject: Subject,
    text: String,
}

impl Finding {
    fn new(rule: Rule, subject: Subject, text: String) -> Self {
        Self { rule, subject, text }
    }
}

/// Prints the findings, and returns whether none is at the level of `--fail-on` or above.
///
/// # Errors
///
/// When the records, a document or the log can't be read.
pub(crate) fn run(
    args: &LintArgs,
    records: ReadRecords,
    store: &StoreLocation,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    anyhow::ensure!(
        args.format.is_none() || console.format == OutputFormat::Table,
        "`--format` and `--output` or `--json` ask for two forms: leave one of them out"
    );
    let ReadRecords { text, malformed, lines } = records;
    let accepted = args.log.as_deref().map(Accepted::read).transpose()?;
    let now = UnixTime::from(SystemTime::now());
    let mut findings = Vec::new();
    let devices = records::check(text, args.memory, accepted.as_ref(), now, &mut findings)
        .with_context(|| format!("the authorizer can't use {}", store_option::description(store)))?;
    let devices = devices.saturating_add(malformed.len());
    for (key, why) in malformed {
        let subject = DeviceName::try_from(key.as_str()).map_or(Subject::Store, Subject::Device);
        findings.push(Finding::new(Rule::RecordUnusable, subject, format!("the item `{key}`: {why}")));
    }
    for path in &args.documents {
        check_document(path, &mut findings)?;
    }
    findings.sort_by_key(|finding| finding.rule);
    let is_good = findings.iter().all(|finding| finding.rule.level() < args.fail_on);
    let is_file = matches!(store, StoreLocation::File(_));
    let report = Report { findings, lines, store: store_option::value(store), is_file, devices };
    match args.format {
        None => {
            let json = report.json();
            let rows = json.get("findings").map(elements).into_iter().flatten();
            console.print_rows(&["rule", "level", "subject", "line", "text"], rows, &json, report.text())?;
        }
        Some(Format::Text) => write!(console.output, "{}", report.text())?,
        Some(Format::Json) => writeln!(console.output, "{}", report.json())?,
        Some(Format::Sarif) => writeln!(console.output, "{:#}", report.sarif())?,
    }
    Ok(is_good)
}

fn check_document(path: &Path, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let file = path.display().to_string();
    let subject = Subject::Document(file.clone());
    let mut sources = Vec::new();
    let text = fs::read_to_string(path).with_context(|| format!("can't read `{file}`"))?;
    if let Err(error) = policy_test::parse(&file, &text, &mut sources) {
        findings.push(Finding::new(Rule::DocumentInvalid, subject, format!("{error:#}")));
        return Ok(());
    }
    let documents = sources.into_iter().map(|source| source.document).collect::<Vec<_>>();
    let [region, account] = policy_test::first_location(&documents);
    let account = Account::new(region.as_deref(), account.as_deref())?;
    policies::check(&documents, &subject, &account.scope, findings);
    Ok(())
}

#[cfg(test)]
mod tests;
