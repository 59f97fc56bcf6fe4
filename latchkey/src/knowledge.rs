//! What the doctor asks the gateway's and the operator's part for.

use std::{num::NonZeroU16, path::Path, time::SystemTime};

use device_sim::doctor::{CloudSteps, Knowledge, LogGroups, observation::LogStep};
use fleet::logs::{
    line::{Kind, Line, Outcome, Request},
    reason::explanation,
    recent::{RecentQuery, recent},
};

/// All parts of this program.
pub(crate) struct Parts;

impl Knowledge for Parts {
    fn log_steps(&self, log: &Path, client_id: &str, since: SystemTime) -> Option<Vec<LogStep>> {
        // It makes a few connections.
        let last = NonZeroU16::new(10)?;
        let attempts = gateway::why::attempts(log, client_id, last, since).ok()?;
        Some(LogStep::of_attempts(&attempts))
    }

    async fn cloud_steps(&self, groups: &LogGroups, client_id: &str, since: SystemTime) -> CloudSteps {
        let (group, iot_group) = (groups.function.as_str(), groups.iot.as_str());
        let region = groups.region.as_deref();
        let query = RecentQuery { group, iot_group, region, client_id, since, limit: groups.limit };
        let read = recent(&query, is_enough).await;
        let steps = read.lines.iter().map(step_of).collect::<Vec<_>>();
        // If a group could not be read, the absence of a line says nothing.
        let steps = Some(steps).filter(|steps| !read.has_failed || steps.iter().any(|step| step.problem));
        CloudSteps { steps, notes: read.notes }
    }

    fn kit_values(&self, text: &str) -> Option<Vec<(String, String)>> {
        fleet::kit::read::values(text)
    }
}

/// AWS IoT's reasons for a refused connect that may be the function's decision, whose line says more.
const MAY_BE_DECIDED: [&str; 3] =
    ["NOT_AUTHENTICATED", "AUTHORIZATION_FAILURE", "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR"];

/// Whether the lines say why something was refused, so that no other has to be waited for.
fn is_enough(lines: &[Line]) -> bool {
    let is_decided = lines.iter().any(|line| matches!(line.kind, Kind::Decision(_)));
    let has_broken = lines.iter().any(|line| line.kind == Kind::Broken);
    lines.iter().any(|line| match line.kind {
        Kind::Decision(outcome) => outcome != Outcome::Allow,
        Kind::Connect { is_success: false } => {
            let may_be_decided = line.reason.as_deref().is_none_or(|reason| MAY_BE_DECIDED.contains(&reason));
            !may_be_decided || is_decided || has_broken
        }
        Kind::Request(_) => true,
        Kind::Disconnect => {
            line.reason.as_deref().is_some_and(|reason| reason.starts_with("DUPLICATE_CLIENT"))
        }
        Kind::Connect { is_success: true } | Kind::Broken => false,
    })
}

/// A line as a step, as `latchkey why` has those of the gateway's log.
fn step_of(line: &Line) -> LogStep {
    let reason = line.reason.clone().unwrap_or_default();
    let is_usual = reason == "CLIENT_INITIATED_DISCONNECT";
    let (step, problem, action) = match line.kind {
        Kind::Decision(outcome) => ("decision", outcome != Outcome::Allow, None),
        Kind::Connect { is_success: true } => ("connected", false, None),
        Kind::Connect { is_success: false } => ("refused", true, Some("iot:Connect")),
        Kind::Request(Request::Publish) => ("denied", true, Some("iot:Publish")),
        Kind::Request(Request::Receive) => ("denied", true, Some("iot:Receive")),
        Kind::Request(Request::Subscribe) => ("denied", true, Some("iot:Subscribe")),
        Kind::Request(Request::Other) => ("denied", true, None),
        Kind::Disconnect => ("disconnected", !is_usual, None),
        Kind::Broken => ("function", true, None),
    };
    let action = action.filter(|_| reason == "AUTHORIZATION_FAILURE").map(str::to_owned);
    let own = line.text.clone();
    // The line's own words may have a cause and a cure already.
    let known = explanation(&reason).filter(|_| own.as_ref().is_none_or(|text| !text.contains("; ")));
    let words = [action, own, known.map(str::to_owned)].into_iter().flatten().collect::<Vec<_>>();
    LogStep { step: step.to_owned(), problem, reason, text: words.join(": ") }
}
