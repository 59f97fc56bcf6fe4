//! `latchkey fleet lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use device_auth::verifier::budget::FunctionMemory;

use super::{OUTPUT, StoreArgs, memory};
use crate::lint::rule::Level;

const CHECKED: &str = "Checked";

/// Find what is wrong or risky in records, grants and policy documents
#[derive(Args, Debug)]
#[command(after_help = LINT, after_long_help = LINT_LONG)]
pub struct LintArgs {
    /// Check this policy document too
    ///
    /// Check this policy document too, or those of an authorizer's answer. It need not come from Latchkey.
    #[arg(long = "document", value_name = "FILE", help_heading = CHECKED)]
    pub documents: Vec<PathBuf>,

    /// The authorizer's log, for credentials that are never used
    ///
    /// The authorizer's log, one JSON object a line: `.latchkey/events.jsonl`, or the messages of its log group. A device
    /// and a second password that were never accepted in it are reported.
    #[arg(long, value_name = "FILE", help_heading = CHECKED)]
    pub log: Option<PathBuf>,

    /// The function's memory in MB, for what a password check costs
    #[arg(long, value_name = "MB", default_value = "512", value_parser = memory, help_heading = CHECKED)]
    pub memory: FunctionMemory,

    /// How the findings are printed [default: as `--output` says]
    #[arg(long, value_enum, help_heading = OUTPUT)]
    pub format: Option<Format>,

    /// The least level that makes the exit code 1
    #[arg(long, value_enum, default_value_t = Level::Warning, help_heading = OUTPUT)]
    pub fail_on: Level,

    /// The store.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// How the findings are printed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; up to ten findings of a rule
    Text,
    /// One line of JSON, as with `--output json`
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

const LINT: &str = "\
Examples:
  latchkey fleet lint
  latchkey fleet lint --log .latchkey/events.jsonl --format sarif > lint.sarif

Exit codes: 0 nothing found at the level of --fail-on or above, 1 something,
64 the records can't be read. --help explains more.";

const LINT_LONG: &str = "\
Each finding has a rule; docs/fleet.md lists the rules. Two of them are the
policy checks of AWS IoT Device Defender's audit, which AWS makes on the
policies that are stored there, and so not on an authorizer's answers.

Examples:
  latchkey fleet lint
      the records and grants of the store

  latchkey fleet lint --log .latchkey/events.jsonl --fail-on note
      also devices and second passwords that were never used

  latchkey fleet lint --document policy.json --format sarif > lint.sarif
      for a code scanner, with a policy that the fleet's backend uses

Exit codes: 0 nothing found at the level of --fail-on or above, 1 something,
64 the records can't be read.";
