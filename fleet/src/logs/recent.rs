//! What both log groups of a deployment say about one client, for `latchkey doctor`.

use std::time::{Duration, SystemTime};

use super::line::Line;

/// Whose lines are looked for, and where.
#[derive(Clone, Debug)]
pub struct RecentQuery<'a> {
    /// The function's group.
    pub group: &'a str,
    /// The group of AWS IoT's own log.
    pub iot_group: &'a str,
    /// The region, if it is not that of the environment.
    pub region: Option<&'a str>,
    /// The client.
    pub client_id: &'a str,
    /// From when on.
    pub since: SystemTime,
    /// How long to wait for lines, which CloudWatch has some seconds after the event.
    pub limit: Duration,
}

/// What both groups say about a client.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// The client's lines, and those about a function that broke, by time.
    pub lines: Vec<Line>,
    /// Why something could not be read, and what to do.
    pub notes: Vec<String>,
    /// Whether something could not be read, so that the absence of a line says nothing.
    pub has_failed: bool,
}

impl Recent {
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        self.has_failed = true;
        self.note(format!("{error:#}"));
    }

    pub(super) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

/// Waits for a client's lines until they are enough, or the time is over. It reads what it can: what it can't is in the
/// notes.
#[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "only CloudWatch is waited for"))]
pub async fn recent(query: &RecentQuery<'_>, is_enough: impl Fn(&[Line]) -> bool) -> Recent {
    #[cfg(feature = "aws")]
    {
        super::cloudwatch::recent(query, is_enough).await
    }
    #[cfg(not(feature = "aws"))]
    {
        _ = (query, is_enough);
        let mut recent = Recent::default();
        recent.fail(&crate::run::not_built("logs"));
        recent
    }
}
