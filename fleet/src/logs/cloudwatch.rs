//! The function's lines and AWS IoT's own log in CloudWatch Logs.
//!
//! Each query returns its events in the order of their times (API reference, `API_FilterLogEvents`), a page at a time, so that
//! no more than a page of each is in memory.

use std::collections::{HashMap, VecDeque};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::{Client, config::Builder};
use cli::console::status;

use super::line::{Kind, Line};
use crate::aws::{call_error, has_code, patient};

/// The function's decisions.
const DECISIONS: &str = r#"{ $.event = "decision" }"#;
/// What Lambda writes when the function broke.
const BROKEN: &str = r#"?"Task timed out" ?"Runtime exited" ?"Runtime.ExitError""#;
/// AWS IoT's lines about connects, ends and refusals.
const CLIENTS: &str = r#"{ $.eventType = "Connect" || $.eventType = "Disconnect" || $.status = "Failure" }"#;
/// How far back a query goes again, in milliseconds, because CloudWatch has events some time after they were.
const OVERLAP: u64 = 60_000;

/// The queries, and what is read of them.
pub(super) struct CloudWatchLog {
    client: Client,
    queries: Vec<Query>,
    /// Events that were read and that a query may return again, by their ids, with their times.
    read: HashMap<String, u64>,
    /// When the queries began.
    began: u64,
}

struct Query {
    group: String,
    kind: QueryKind,
    since: u64,
    state: State,
    lines: VecDeque<Line>,
}

/// What a query is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QueryKind {
    Decisions,
    Broken,
    /// AWS IoT's own log. It may be off.
    Clients,
}

/// How far a query is read.
enum State {
    Begin,
    Next(String),
    End,
    /// There is no such group.
    Absent,
}

impl CloudWatchLog {
    /// The groups of the function and of AWS IoT, from a time on.
    pub(super) fn new(aws: &SdkConfig, group: &str, iot_group: &str, since: u64, now: u64) -> Self {
        let config = Builder::from(aws).retry_partition(patient()).build();
        let queries =
            [(group, QueryKind::Decisions), (group, QueryKind::Broken), (iot_group, QueryKind::Clients)];
        let queries = queries.map(|(group, kind)| Query {
            group: group.to_owned(),
            kind,
            since,
            state: State::Begin,
            lines: VecDeque::new(),
        });
        Self { client: Client::from_conf(config), queries: queries.into(), read: HashMap::new(), began: now }
    }

    /// The next line, `None` at the end of what is there so far.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Line>> {
        for index in 0..self.queries.len() {
            self.fill(index).await?;
        }
        let first = self.queries.iter_mut().filter(|query| !query.lines.is_empty());
        let first = first.min_by_key(|query| query.lines.front().map(|line| line.time));
        Ok(first.and_then(|query| query.lines.pop_front()))
    }

    /// Begins the queries again, for what has come meanwhile. CloudWatch may have got it after later events.
    pub(super) fn restart(&mut self, now: u64) {
        let since = self.began.saturating_sub(OVERLAP);
        for query in &mut self.queries {
            if !matches!(query.state, State::Absent) {
                (query.state, query.since) = (State::Begin, query.since.max(since));
            }
        }
        self.read.retain(|_, time| *time >= since);
        self.began = now;
    }

    /// Reads pages of a query until it has a line, or no more.
    async fn fill(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(query) = self.queries.get_mut(index) else { return Ok(()) };
        while query.lines.is_empty() {
            let token = match &query.state {
                State::Begin => None,
                State::Next(token) => Some(token.clone()),
                State::End | State::Absent => return Ok(()),
            };
            let call = self.client.filter_log_events().log_group_name(&query.group);
            let call = call.filter_pattern(query.kind.pattern()).set_next_token(token);
            let page = match call.start_time(i64::try_from(query.since).unwrap_or(i64::MAX)).send().await {
                Ok(page) => page,
                Err(error)
                    if has_code(&error, "ResourceNotFoundException") && query.kind == QueryKind::Clients =>
                {
                    status(&format!(
                        "there is no log group `{}`, so refusals before the function are not shown: `iotLogging` in the \
                         stage's settings turns AWS IoT's own log on",
                        query.group
                    ));
                    query.state = State::Absent;
                    return Ok(());
                }
                Err(error) if has_code(&error, "ResourceNotFoundException") => anyhow::bail!(
                    "there is no log group `{}` in this account and region: set AWS_PROFILE and `--region`, or name the \
                     function's group with `--log-group`",
                    query.group
                ),
                Err(error) => return Err(call_error(&error, "logs:FilterLogEvents")),
            };
            for event in page.events() {
                let Some(time) = event.timestamp().and_then(|time| u64::try_from(time).ok()) else {
                    continue;
                };
                let line = event.message().and_then(|message| Line::parse(message, Some(time)));
                // Another service in CloudWatch's place may know no patterns.
                let Some(line) = line.filter(|line| query.kind.is_for(line.kind)) else { continue };
                // Only recent events can come again.
                let is_recent = time >= self.began.saturating_sub(OVERLAP);
                let id = event.event_id().filter(|_| is_recent);
                if id.is_none_or(|id| self.read.insert(id.to_owned(), time).is_none()) {
                    query.lines.push_back(line);
                }
            }
            query.state = page.next_token().map_or(State::End, |token| State::Next(token.to_owned()));
        }
        Ok(())
    }
}

impl QueryKind {
    fn pattern(self) -> &'static str {
        match self {
            Self::Decisions => DECISIONS,
            Self::Broken => BROKEN,
            Self::Clients => CLIENTS,
        }
    }

    fn is_for(self, kind: Kind) -> bool {
        match kind {
            Kind::Decision(_) => self == Self::Decisions,
            Kind::Broken => self == Self::Broken,
            Kind::Connect { .. } | Kind::Request(_) | Kind::Disconnect => self == Self::Clients,
        }
    }
}
