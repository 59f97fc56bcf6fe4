//! What a run has to end with, where that is not that every device gets through.

use std::fmt;

use clap::Args;
use cli::console::counted;
use serde::{Deserialize, Serialize};

use super::Share;
use crate::summary::Summary;

/// The expectations of a command line.
#[derive(Debug, Clone, Args)]
pub struct ExpectArgs {
    /// Expect this share of the devices to be refused: `3%`, or a number of devices
    ///
    /// Expect this share of the devices to be refused at their last attempt: `3%`, or a number of devices. All others have
    /// to get through, except those whose fault keeps them from it.
    #[arg(long, value_name = "SHARE")]
    pub expect_refused: Option<Share>,

    /// Expect this share of the devices not to reach the server
    #[arg(long, value_name = "SHARE")]
    pub expect_unreachable: Option<Share>,

    /// Expect this share of the devices to lose a connection
    #[arg(long, value_name = "SHARE")]
    pub expect_lost: Option<Share>,

    /// Expect at most N errors at devices without a fault
    ///
    /// Expect at most N errors at devices without a fault: attempts, connections, messages and measurements that failed.
    #[arg(long, value_name = "N")]
    pub expect_errors: Option<u32>,

    /// How far a share may be off: `0.5%`, or a number of devices
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub tolerance: Share,
}

/// An expectation, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// What was expected.
    pub of: Expected,
    /// The share of the devices that was expected, or the number of errors at most.
    pub share: Share,
    /// How far the share may be off.
    pub tolerance: Share,
    /// How many devices or errors were expected.
    pub expected: u64,
    /// How many there were.
    pub seen: u64,
    /// Whether that is what was expected. A shard can't know: the expectation is one of the whole fleet.
    pub met: Option<bool>,
}

/// What can be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// Devices that are refused.
    Refused,
    /// Devices that do not reach the server.
    Unreachable,
    /// Devices that lose a connection.
    Lost,
    /// Errors at devices without a fault.
    Errors,
}

impl ExpectArgs {
    /// What is expected, before anything was seen.
    #[must_use]
    pub fn expectations(&self) -> Vec<Expectation> {
        let shares = [
            (Expected::Refused, self.expect_refused, self.tolerance),
            (Expected::Unreachable, self.expect_unreachable, self.tolerance),
            (Expected::Lost, self.expect_lost, self.tolerance),
            (Expected::Errors, self.expect_errors.map(Share::Devices), Share::Devices(0)),
        ];
        let expectations = shares.into_iter().filter_map(|(of, share, tolerance)| {
            Some(Expectation { of, share: share?, tolerance, expected: 0, seen: 0, met: None })
        });
        expectations.collect()
    }
}

/// Judges a run by its expectations: sets what was seen, and [`Summary::ok`]. Those of a shard are judged when all shards
/// are merged.
pub fn judge(summary: &mut Summary, is_whole: bool) {
    let Summary { devices, faults, expectations, ok, .. } = summary;
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    for expectation in &mut *expectations {
        let Expectation { of, share, tolerance, expected, seen, met } = expectation;
        *expected = number(share.of(devices.expected));
        *seen = match of {
            Expected::Refused => number(devices.refused),
            Expected::Unreachable => number(devices.unreachable),
            Expected::Lost => number(devices.lost),
            Expected::Errors => faults.errors_without_fault,
        };
        let is_met = match of {
            Expected::Errors => *seen <= *expected,
            _ => expected.abs_diff(*seen) <= number(tolerance.of(devices.expected)),
        };
        *met = is_whole.then_some(is_met);
    }
    let is_expected = |of| expectations.iter().any(|expectation| expectation.of == of);
    let others_got_through = faults.missing.other == 0
        && (faults.missing.refused == 0 || is_expected(Expected::Refused))
        && (faults.missing.unreachable == 0 || is_expected(Expected::Unreachable));
    let is_met = expectations.iter().all(|expectation| expectation.met != Some(false));
    *ok = devices.expected > 0 && others_got_through && is_met;
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, share, tolerance, expected, seen, .. } = self;
        let about = match tolerance {
            Share::Devices(0) => String::new(),
            tolerance => format!(", give or take {tolerance}"),
        };
        let devices = match share {
            Share::Percent(_) => format!("{} ({share})", counted(*expected, "device")),
            Share::Devices(_) => counted(*expected, "device"),
        };
        match of {
            Expected::Refused => write!(f, "expected {devices} to be refused{about}; seen: {seen}"),
            Expected::Unreachable => {
                write!(f, "expected {devices} not to reach the server{about}; seen: {seen}")
            }
            Expected::Lost => write!(f, "expected {devices} to lose a connection{about}; seen: {seen}"),
            Expected::Errors => {
                let errors = counted(*expected, "error");
                write!(f, "expected at most {errors} at devices without a fault; seen: {seen}")
            }
        }
    }
}
