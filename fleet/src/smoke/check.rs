//! Checks, their results, and the table of them.

use std::fmt;

use cli::{
    console::{Console, wrapped},
    format::rows_in,
};
use serde_json::json;

/// Where the third column begins.
const INDENT: usize = 9;

/// A check that was made, or could not be.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) result: Result,
}

/// The result of a check.
pub(super) enum Result {
    /// It passed. The text says what was seen.
    Passed(String),
    /// It failed.
    Failed { cause: String, cure: String },
    /// It was not made. The text says why.
    NotRun(String),
}

impl Check {
    pub(super) fn not_run(name: &'static str, why: &str) -> Self {
        Self { name, result: Result::NotRun(why.to_owned()) }
    }

    pub(super) fn has_passed(&self) -> bool {
        matches!(self.result, Result::Passed(_))
    }
}

/// Whether a check has passed and none has failed.
pub(super) fn have_passed(checks: &[Check]) -> bool {
    let failed = count(checks, |result| matches!(result, Result::Failed { .. }));
    failed == 0 && checks.iter().any(Check::has_passed)
}

impl Result {
    pub(super) fn failed(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), cure: cure.into() }
    }
}

/// Prints the checks: a table for people, one line for scripts.
pub(super) fn print(checks: &[Check], console: &mut Console<'_>) -> anyhow::Result<()> {
    let list = checks.iter().map(|Check { name, result }| match result {
        Result::Passed(seen) => json!({"check": name, "result": "pass", "seen": seen}),
        Result::Failed { cause, cure } => {
            json!({"check": name, "result": "fail", "cause": cause, "cure": cure})
        }
        Result::NotRun(why) => json!({"check": name, "result": "not_run", "why": why}),
    });
    let json = json!({"ok": have_passed(checks), "checks": list.collect::<Vec<_>>()});
    let rows = rows_in(&json, "checks");
    let columns = ["check", "result", "seen", "cause", "cure", "why"];
    Ok(console.print_rows(&columns, rows, &json, Table(checks))?)
}

/// The checks for people. A check's name and its result are on lines of their own, as a result may be long.
struct Table<'a>(&'a [Check]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |label: &str, text: &str| writeln!(f, "{}", wrapped(INDENT, &format!("{label:<INDENT$}{text}")));
        for Check { name, result } in self.0 {
            match result {
                Result::Passed(seen) => {
                    line("pass", name)?;
                    line("", seen)?;
                }
                Result::NotRun(why) => {
                    line("not run", name)?;
                    line("", why)?;
                }
                Result::Failed { cause, cure } => {
                    line("FAIL", name)?;
                    line("", cause)?;
                    line("", cure)?;
                }
            }
        }
        let failed = count(self.0, |result| matches!(result, Result::Failed { .. }));
        let passed = count(self.0, |result| matches!(result, Result::Passed(_)));
        let not_run = count(self.0, |result| matches!(result, Result::NotRun(_)));
        writeln!(f, "{passed} passed, {failed} failed, {not_run} not run")
    }
}

fn count(checks: &[Check], is: impl Fn(&Result) -> bool) -> usize {
    checks.iter().filter(|check| is(&check.result)).count()
}
