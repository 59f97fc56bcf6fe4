//! The function's lines and AWS IoT's own log in CloudWatch Logs.
//!
//! Each query returns its events in the order of their times (API reference, `API_FilterLogEvents`), a page at a time, so that
//! no more than a page of each is in memory.

use std::{
    collections::{HashMap, VecDeque},
    time::UNIX_EPOCH,
};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::{Client, config::Builder};
use cli::console::status;
use tokio::time::{Instant, sleep};

use super::{
    BETWEEN_READS_OF_CLOUDWATCH,
    line::{Kind, Line},
    now,
    recent::{Recent, RecentQuery},
};
use crate::aws::{BRIEF, call_error, configuration, has_code, patient};

/// The function's decisions.
const DECISIONS: &str = r#"$.event = "decision""#;
/// The events of AWS IoT's lines about connects, ends and refusals.
const CLIENTS: &str = r#"$.eventType = "Connect" || $.eventType = "Disconnect" || $.status = "Failure""#;
/// What Lambda writes when the function broke.
const BROKEN: &str = r#"?"Task timed out" ?"Runtime exited" ?"Runtime.ExitError""#;
/// How far back a query goes again, in milliseconds, because CloudWatch has events some time after they were.
const OVERLAP: u64 = 60_000;

/// The queries, and what is read of them.
pub(super) struct CloudWatchLog {
    calls: Client,
    queries: Vec<Query>,
    /// Events that were read and that a query may return again, by their ids, with their times.
    read: HashMap<String, u64>,
    /// The only client whose lines are asked for. Others may come all the same.
    client: Option<String>,
    /// What is said about a log that is off.
    notes: Vec<String>,
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
        Self {
            calls: Client::from_conf(config),
            queries: queries.into(),
            read: HashMap::new(),
            client: None,
            notes: Vec::new(),
            began: now,
        }
    }

    /// The next line, `None` at the end of what is there so far.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Line>> {
        for index in 0..self.queries.len() {
            self.fill(index).await?;
        }
        for note in self.notes.drain(..) {
            status(&note);
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

    /// Reads all that is there so far. A group that can't be read is left out from then on, and `recent` says why.
    async fn read_all(&mut self, recent: &mut Recent) {
        for index in 0..self.queries.len() {
            loop {
                let filled = self.fill(index).await;
                let Some(query) = self.queries.get_mut(index) else { break };
                if let Err(error) = filled {
                    query.state = State::Absent;
                    recent.fail(&error);
                }
                if query.lines.is_empty() {
                    break;
                }
                recent.lines.extend(query.lines.drain(..));
            }
        }
        self.notes.drain(..).for_each(|note| recent.note(note));
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
            let call = self.calls.filter_log_events().log_group_name(&query.group);
            let call = call.filter_pattern(query.kind.pattern(self.client.as_deref())).set_next_token(token);
            let page = match call.start_time(i64::try_from(query.since).unwrap_or(i64::MAX)).send().await {
                Ok(page) => page,
                Err(error)
                    if has_code(&error, "ResourceNotFoundException") && query.kind == QueryKind::Clients =>
                {
                    self.notes.push(format!(
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

/// As [`recent`](super::recent::recent).
pub(super) async fn recent(query: &RecentQuery<'_>, is_enough: impl Fn(&[Line]) -> bool) -> Recent {
    let mut recent = Recent::default();
    let deadline = Instant::now() + query.limit;
    let aws = match configuration(query.region, BRIEF).await {
        Ok(aws) => aws,
        Err(error) => {
            recent.fail(&error);
            return recent;
        }
    };
    let since = query.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let mut log = CloudWatchLog::new(&aws, query.group, query.iot_group, since, now());
    log.client = Some(query.client_id.to_owned());
    loop {
        log.read_all(&mut recent).await;
        recent
            .lines
            .retain(|line| line.kind == Kind::Broken || line.client_id.as_deref() == Some(query.client_id));
        recent.lines.sort_by_key(|line| line.time);
        let left = deadline.saturating_duration_since(Instant::now());
        let is_readable = log.queries.iter().any(|query| !matches!(query.state, State::Absent));
        if left.is_zero() || !is_readable || is_enough(&recent.lines) {
            return recent;
        }
        sleep(left.min(BETWEEN_READS_OF_CLOUDWATCH)).await;
        log.restart(now());
    }
}

impl QueryKind {
    /// The pattern of its lines, and only of one client's if that client's id needs no escape in a pattern.
    fn pattern(self, client: Option<&str>) -> String {
        let is_plain = |id: &&str| id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
        let (events, field) = match self {
            Self::Decisions => (DECISIONS, "client_id"),
            Self::Broken => return BROKEN.to_owned(),
            Self::Clients => (CLIENTS, "clientId"),
        };
        match client.filter(is_plain) {
            Some(id) => format!("{{ ({events}) && $.{field} = \"{id}\" }}"),
            None => format!("{{ {events} }}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_a_client_only_if_its_id_needs_no_escape() {
        let (decisions, clients) = (QueryKind::Decisions, QueryKind::Clients);
        assert_eq!(decisions.pattern(None), r#"{ $.event = "decision" }"#);
        assert_eq!(
            decisions.pattern(Some("a:b.c-1")),
            r#"{ ($.event = "decision") && $.client_id = "a:b.c-1" }"#
        );
        assert!(clients.pattern(Some("d")).ends_with(r#"$.status = "Failure") && $.clientId = "d" }"#));
        for id in ["a\" }", "a*", "ü", "a b", "a\\"] {
            assert_eq!(clients.pattern(Some(id)), clients.pattern(None), "{id}");
        }
        assert_eq!(QueryKind::Broken.pattern(Some("d")), BROKEN);
    }
}
