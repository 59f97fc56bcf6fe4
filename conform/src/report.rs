//! The report of a run: what agrees, what differs, and which row of docs/fidelity.md that settles.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cli::output::escaped;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    page::{self, Row},
    runner::{Outcome, Verdict},
};

const RESULTS: &str = "results.jsonl";

/// The result of one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's id.
    pub id: String,
    /// `agrees`, `differs` or `failed`.
    pub verdict: String,
    /// What the row says, as the line that was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The line that came, or why the case could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// How often the case was run: a case that differs is run again.
    pub attempts: usize,
    /// What clients did and saw.
    pub transcript: Vec<String>,
    /// The first bytes that connections received, as hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub received: BTreeMap<String, String>,
}

/// What the report is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// The run's name.
    pub run: String,
    /// `a gateway on this machine`, or an account with its region.
    pub target: String,
    /// When the run began: `2026-11-30T07:00:00Z`.
    pub began: String,
    /// The version of Latchkey.
    pub version: String,
    /// The ids of the cases that are to be run.
    pub cases: Vec<String>,
}

impl CaseResult {
    /// The result of a case that was run this often.
    #[must_use]
    pub fn new(id: &str, outcome: Outcome, attempts: usize) -> Self {
        let Outcome { verdict, transcript, received } = outcome;
        let (verdict, expected, observed) = match verdict {
            Verdict::Agrees => ("agrees", None, None),
            Verdict::Differs { expected, observed } => ("differs", Some(expected), Some(observed)),
            Verdict::Failed(error) => ("failed", None, Some(error)),
        };
        let (id, verdict) = (id.to_owned(), verdict.to_owned());
        Self { id, verdict, expected, observed, attempts, transcript, received }
    }

    /// Whether the service does what the page says.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.verdict == "agrees"
    }
}

/// Adds a result to those of a run, so that an interrupted run can go on after it.
///
/// # Errors
///
/// When the file can't be written.
pub fn append(folder: &Path, result: &CaseResult) -> anyhow::Result<()> {
    let path = folder.join(RESULTS);
    let mut line = serde_json::to_vec(result)?;
    line.push(b'\n');
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(&line));
    written.with_context(|| format!("can't write `{}`", path.display()))
}

/// The results of a run so far.
///
/// # Errors
///
/// When they can't be read.
pub fn results(folder: &Path) -> anyhow::Result<BTreeMap<String, CaseResult>> {
    let path = folder.join(RESULTS);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("can't read `{}`", path.display()))?,
    };
    // The last line may be half a line.
    let results = text.lines().filter_map(|line| serde_json::from_str::<CaseResult>(line).ok());
    Ok(results.map(|result| (result.id.clone(), result)).collect())
}

/// Writes both reports and returns their paths.
///
/// # Errors
///
/// When they can't be written.
pub fn write(
    folder: &Path,
    subject: &Subject,
    results: &BTreeMap<String, CaseResult>,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("can't make the folder `{}`", folder.display()))?;
    let rows = page::rows()?;
    let name = format!("conform-{}-{}", subject.began.get(..10).unwrap_or_default(), subject.run);
    let (machine, person) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.md")));
    let text = serde_json::to_string_pretty(&json(subject, results, &rows))?;
    for (path, text) in [(&machine, text), (&person, markdown(subject, results, &rows))] {
        std::fs::write(path, text + "\n").with_context(|| format!("can't write `{}`", path.display()))?;
    }
    Ok((machine, person))
}

/// The report for a script.
#[must_use]
pub fn json(
    subject: &Subject,
    results: &BTreeMap<String, CaseResult>,
    rows: &BTreeMap<String, Row>,
) -> serde_json::Value {
    let cases = subject.cases.iter().map(|id| {
        let row = rows.get(id);
        let mut case =
            results.get(id).map_or_else(|| json!({"id": id, "verdict": "not run"}), |result| json!(result));
        if let Some(members) = case.as_object_mut() {
            members.insert("behaviour".to_owned(), json!(row.map(|row| &row.behaviour)));
            members.insert("evidence".to_owned(), json!(row.map(|row| &row.evidence)));
            let settled = results.get(id).zip(row).and_then(|(result, row)| settles(result, row));
            members.insert("settles".to_owned(), json!(settled));
        }
        case
    });
    let counts = Counts::of(subject, results);
    json!({
        "run": subject.run, "target": subject.target, "began": subject.began, "version": subject.version,
        "agree": counts.agree, "differ": counts.differ, "failed": counts.failed, "notRun": counts.not_run,
        "cases": cases.collect::<Vec<_>>(),
    })
}

/// How many cases ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The service does as the page says.
    pub agree: usize,
    /// The service does something else.
    pub differ: usize,
    /// The case could not be run.
    pub failed: usize,
    /// The run ended before.
    pub not_run: usize,
}

impl Counts {
    /// The counts of a run.
    #[must_use]
    pub fn of(subject: &Subject, results: &BTreeMap<String, CaseResult>) -> Self {
        let mut counts = Self::default();
        for id in &subject.cases {
            match results.get(id).map(|result| result.verdict.as_str()) {
                Some("agrees") => counts.agree += 1,
                Some("differs") => counts.differ += 1,
                Some(_) => counts.failed += 1,
                None => counts.not_run += 1,
            }
        }
        counts
    }

    /// Whether every case was run and agrees.
    #[must_use]
    pub fn all_agree(self) -> bool {
        self.differ + self.failed + self.not_run == 0
    }

    /// `280 cases agree with docs/fidelity.md, 1 differs, 2 could not be run`.
    #[must_use]
    pub fn sentence(self) -> String {
        let Self { agree, differ, failed, not_run } = self;
        let verb =
            |count: usize, one: &str, many: &str| if count == 1 { one.to_owned() } else { many.to_owned() };
        let mut text = format!(
            "{} {} with docs/fidelity.md, {differ} {}",
            cli::console::counted(agree, "case"),
            verb(agree, "agrees", "agree"),
            verb(differ, "differs", "differ")
        );
        for (count, words) in [(failed, "could not be run"), (not_run, "not run")] {
            if count > 0 {
                _ = write!(text, ", {count} {words}");
            }
        }
        text
    }
}

/// What a result says about its row.
fn settles(result: &CaseResult, row: &Row) -> Option<&'static str> {
    match (result.verdict.as_str(), row.is_guess()) {
        ("agrees", true) => Some("the guess is right: the row can be `measured`"),
        ("agrees", false) => Some("the row is confirmed"),
        ("differs", true) => Some("the guess is wrong: the row and the gateway change"),
        ("differs", false) => {
            Some("the row's evidence is contradicted: compare both, then change the row and the gateway")
        }
        _ => None,
    }
}

fn markdown(
    subject: &Subject,
    results: &BTreeMap<String, CaseResult>,
    rows: &BTreeMap<String, Row>,
) -> String {
    let mut text = format!(
        "# Conformance of {}, {}\n\nRun `{}`, Latchkey {}: {}.\n",
        subject.target,
        subject.began,
        subject.run,
        subject.version,
        Counts::of(subject, results).sentence()
    );
    let all =
        subject.cases.iter().filter_map(|id| Some((results.get(id)?, rows.get(id)?))).collect::<Vec<_>>();
    let different = all.iter().filter(|(result, _)| !result.agrees()).collect::<Vec<_>>();
    if !different.is_empty() {
        text += "\n## Differences\n";
    }
    for (result, row) in different {
        _ = write!(text, "\n### {}\n\n{} ({}).\n", result.id, capitalised(&row.behaviour), row.evidence);
        match (&result.expected, &result.observed) {
            (Some(expected), Some(observed)) => {
                _ = write!(text, "\n- expected: {}\n- observed: {}\n", code(expected), code(observed));
            }
            (_, Some(error)) => _ = write!(text, "\nThe case could not be run: {}\n", code(error)),
            _ => {}
        }
        if let Some(settles) = settles(result, row) {
            _ = writeln!(text, "- {settles}");
        }
        let transcript =
            result.transcript.iter().map(|line| escaped(line).into_owned() + "\n").collect::<String>();
        _ = write!(text, "\n```text\n{}```\n", transcript.replace("```", "` ` `"));
    }
    text += "\n## Cases\n\n| case | result | evidence of the row | what it settles |\n|---|---|---|---|\n";
    for id in &subject.cases {
        let (result, row) = (results.get(id), rows.get(id));
        let verdict = result.map_or("not run", |result| &result.verdict);
        let evidence = row.map_or("", |row| &row.evidence);
        let settles = result.zip(row).and_then(|(result, row)| settles(result, row)).unwrap_or_default();
        _ = writeln!(text, "| `{id}` | {verdict} | {} | {settles} |", evidence.replace('|', "\\|"));
    }
    text
}

/// Text from the service in one line of code.
fn code(text: &str) -> String {
    format!("`{}`", escaped(text).replace('`', "'"))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &str, verdict: Verdict) -> CaseResult {
        let outcome = Outcome {
            verdict,
            transcript: vec!["> a open".into(), "< a \u{1b}[2J```".into()],
            received: BTreeMap::new(),
        };
        CaseResult::new(id, outcome, 1)
    }

    #[test]
    fn a_report_says_what_each_result_settles() {
        let differs = || Verdict::Differs { expected: "a end".into(), observed: "a PUBACK `0x00`".into() };
        let rows = [
            ("g-ok", "guess"),
            ("g-no", "guess"),
            ("m-ok", "measured: x"),
            ("m-no", "measured: x"),
            ("f", "guess"),
        ];
        let rows = rows.map(|(id, evidence)| {
            (id.to_owned(), Row { behaviour: "a thing".into(), evidence: evidence.into() })
        });
        let rows = BTreeMap::from(rows);
        let results = [
            result("g-ok", Verdict::Agrees),
            result("g-no", differs()),
            result("m-ok", Verdict::Agrees),
            result("m-no", differs()),
            result("f", Verdict::Failed("no network".into())),
        ];
        let results =
            results.map(|result| (result.id.clone(), result)).into_iter().collect::<BTreeMap<_, _>>();
        let cases = ["g-ok", "g-no", "m-ok", "m-no", "f", "later"].map(str::to_owned).to_vec();
        let (run, target, began) = ("abc123".into(), "an account".into(), "2026-11-30T07:00:00Z".into());
        let subject = Subject { run, target, began, version: "1".into(), cases };
        let counts = Counts::of(&subject, &results);
        assert_eq!(
            counts.sentence(),
            "2 cases agree with docs/fidelity.md, 2 differ, 1 could not be run, 1 not run"
        );
        let text = markdown(&subject, &results, &rows);
        for line in [
            "| `g-ok` | agrees | guess | the guess is right: the row can be `measured` |",
            "| `g-no` | differs | guess | the guess is wrong: the row and the gateway change |",
            "| `m-ok` | agrees | measured: x | the row is confirmed |",
            "| `later` | not run |  |  |",
            "- expected: `a end`\n- observed: `a PUBACK '0x00'`",
            "The case could not be run: `no network`",
            "< a \\u001b[2J` ` `",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        let json = json(&subject, &results, &rows);
        assert_eq!((&json["agree"], &json["cases"][1]["observed"]), (&json!(2), &json!("a PUBACK `0x00`")));
        assert_eq!(json["cases"][5]["verdict"], "not run");
    }

    #[test]
    fn results_are_read_back_with_the_last_of_each_case() {
        let folder = tempfile::tempdir().unwrap();
        append(folder.path(), &result("a", Verdict::Failed("x".into()))).unwrap();
        append(folder.path(), &result("b", Verdict::Agrees)).unwrap();
        append(folder.path(), &result("a", Verdict::Agrees)).unwrap();
        let mut file = OpenOptions::new().append(true).open(folder.path().join(RESULTS)).unwrap();
        file.write_all(b"{\"id\":\"c").unwrap();
        let results = results(folder.path()).unwrap();
        assert!(results.len() == 2 && results.values().all(CaseResult::agrees));
    }
}
