//! How findings are printed: as text, as JSON, and as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format").

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use cli::{
    console::{counted, wrapped},
    output::escaped,
};
use serde_json::{Value, json};

use super::{
    Finding, Subject,
    rule::{Level, Rule},
};

/// How many findings of one rule the text has.
const SHOWN: usize = 10;

/// All findings, by rule and then in the order in which they were found.
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    /// The store of the records, and the line of each device in it.
    pub(super) store: String,
    /// Whether the store is a file, so that a finding about it has a place in one.
    pub(super) is_file: bool,
    pub(super) lines: HashMap<String, u64>,
    pub(super) devices: usize,
}

impl Report {
    fn by_rule(&self) -> BTreeMap<Rule, Vec<&Finding>> {
        let mut rules = BTreeMap::<_, Vec<_>>::new();
        for finding in &self.findings {
            rules.entry(finding.rule).or_default().push(finding);
        }
        rules
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.rule.level() == level).count()
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (rule, findings) in self.by_rule() {
            let line = format!("{}  {}: {}", rule.level().as_str(), rule.as_str(), rule.description());
            _ = writeln!(text, "{}", wrapped(2, &line));
            for finding in findings.iter().take(SHOWN) {
                let line = format!("  {}: {}", finding.subject.name(&self.store), finding.text);
                _ = writeln!(text, "{}", wrapped(4, &line));
            }
            if findings.len() > SHOWN {
                _ = writeln!(text, "  and {} more: `--format json` has all", findings.len() - SHOWN);
            }
            text.push('\n');
        }
        let counts = [(Level::Error, "error"), (Level::Warning, "warning"), (Level::Note, "note")];
        let counts = counts.map(|(level, noun)| counted(self.count(level), noun)).join(", ");
        let summary = format!("{} in {}: {counts}", counted(self.devices, "device"), escaped(&self.store));
        _ = writeln!(text, "{}", wrapped(0, &summary));
        text
    }

    pub(super) fn json(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "rule": finding.rule.as_str(), "level": finding.rule.level().as_str(), "text": finding.text,
                "subject": finding.subject.name(&self.store), "line": self.line(&finding.subject),
            })
        });
        json!({
            "store": self.store, "devices": self.devices, "errors": self.count(Level::Error),
            "warnings": self.count(Level::Warning), "notes": self.count(Level::Note),
            "findings": findings.collect::<Vec<_>>(),
        })
    }

    pub(super) fn sarif(&self) -> Value {
        let rules = Rule::ALL.iter().map(|rule| {
            json!({
                "id": rule.as_str(), "shortDescription": {"text": rule.description()},
                "defaultConfiguration": {"level": rule.level().as_str()},
            })
        });
        let results = self.findings.iter().map(|finding| {
            let file = match &finding.subject {
                Subject::Document(file) => Some(file),
                _ if self.is_file => Some(&self.store),
                _ => None,
            };
            let name = finding.subject.name(&self.store);
            let mut location = json!({"logicalLocations": [{"fullyQualifiedName": &name}]});
            if let (Some(file), Some(location)) = (file, location.as_object_mut()) {
                let place = json!({
                    "artifactLocation": {"uri": uri(file)},
                    "region": {"startLine": self.line(&finding.subject).unwrap_or(1)},
                });
                location.insert("physicalLocation".to_owned(), place);
            }
            let index = Rule::ALL.iter().position(|rule| *rule == finding.rule);
            json!({
                "ruleId": finding.rule.as_str(), "ruleIndex": index, "level": finding.rule.level().as_str(),
                "message": {"text": format!("{name}: {}", finding.text)}, "locations": [location],
            })
        });
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "latchkey", "version": env!("CARGO_PKG_VERSION"), "rules": rules.collect::<Vec<_>>(),
                }},
                "results": results.collect::<Vec<_>>(),
            }],
        })
    }

    fn line(&self, subject: &Subject) -> Option<u64> {
        match subject {
            Subject::Device(name) => self.lines.get(name.as_str()).copied(),
            Subject::Grant(name) => self.lines.get(name).copied(),
            Subject::Store | Subject::Document(_) => None,
        }
    }
}

/// A path as a URI reference (RFC 3986): every byte that has a meaning there is written as `%XX`.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => _ = write!(uri, "%{byte:02X}"),
        }
    }
    uri
}
