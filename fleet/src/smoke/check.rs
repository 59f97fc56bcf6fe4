//! Checks, and how they are told.

use std::io::Write;

use serde_json::json;

/// One check.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) result: Result,
}

/// What came of it.
pub(super) enum Result {
    /// It is as it should be; what was seen.
    Passed(String),
    /// It is not.
    Failed { cause: String, cure: String },
    /// It was not made, and why.
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

/// Whether none has failed. Where none could be made nothing is known to be well.
pub(super) fn all_well(checks: &[Check]) -> bool {
    let failed = count(checks, |result| matches!(result, Result::Failed { .. }));
    failed == 0 && checks.iter().any(Check::has_passed)
}

impl Result {
    pub(super) fn failed(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Failed { cause: cause.into(), cure: cure.into() }
    }
}

/// Prints a table for people, or one line for scripts.
pub(super) fn print(checks: &[Check], json: bool, output: &mut impl Write) -> anyhow::Result<()> {
    if json { print_json(checks, output) } else { print_table(checks, output) }
}

fn print_json(checks: &[Check], output: &mut impl Write) -> anyhow::Result<()> {
    let list = checks.iter().map(|Check { name, result }| match result {
        Result::Passed(seen) => json!({"check": name, "result": "pass", "seen": seen}),
        Result::Failed { cause, cure } => {
            json!({"check": name, "result": "fail", "cause": cause, "cure": cure})
        }
        Result::NotRun(why) => json!({"check": name, "result": "not_run", "why": why}),
    });
    Ok(writeln!(output, "{}", json!({"ok": all_well(checks), "checks": list.collect::<Vec<_>>()}))?)
}

fn print_table(checks: &[Check], output: &mut impl Write) -> anyhow::Result<()> {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for Check { name, result } in checks {
        match result {
            Result::Passed(seen) => writeln!(output, "pass     {name:width$}  {seen}")?,
            Result::NotRun(why) => writeln!(output, "not run  {name:width$}  {why}")?,
            Result::Failed { cause, cure } => {
                writeln!(output, "FAIL     {name:width$}  {cause}")?;
                writeln!(output, "         {:width$}  {cure}", "")?;
            }
        }
    }
    let failed = count(checks, |result| matches!(result, Result::Failed { .. }));
    let passed = count(checks, |result| matches!(result, Result::Passed(_)));
    let left = count(checks, |result| matches!(result, Result::NotRun(_)));
    Ok(writeln!(output, "{passed} passed, {failed} failed, {left} not run")?)
}

fn count(checks: &[Check], is: impl Fn(&Result) -> bool) -> usize {
    checks.iter().filter(|check| is(&check.result)).count()
}
