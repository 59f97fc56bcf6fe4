//! Server-sent events: attempts as they come, and the messages of an observer.
//!
//! A stream is read at a fixed rate and has a bounded number of rows or messages each time. What is left out is counted in it, so a
//! page shows that it is a sample.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::Response,
    response::{
        IntoResponse as _,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::{CallError, Console, Query, observer::Observer};

/// How often a stream sends.
const TICK: Duration = Duration::from_millis(250);
/// The rows or messages that a stream sends each time.
const MAX_ROWS: usize = 25;
const MAX_MESSAGES: usize = 50;
/// The records that are read each time, for all streams together: 6,000 a second, what 1,000 connects make. More of them wait, and
/// the oldest leave unread.
const READ_EACH_TIME: usize = 1_500;
/// The least time between two readings: a little less than the time between two events of a stream.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// What a stream sends.
enum Source {
    /// Attempts that have changed since this change.
    Attempts(u64),
    /// Messages on these topic filters.
    Messages(Box<Observer>),
}

struct Streaming {
    console: Arc<Console>,
    source: Source,
    /// The first event names the gateway's start, so that a page sees a restart.
    greeted: bool,
    lost: u64,
    _permit: OwnedSemaphorePermit,
}

/// Opens a stream of what `of` names.
pub(super) fn open(console: &Arc<Console>, query: &Query) -> Result<Response<Body>, CallError> {
    let permit = Arc::clone(&console.streams).try_acquire_owned();
    let permit = permit.map_err(|_| CallError::unavailable("too many pages are open: close some"))?;
    let source = match query.text("of") {
        "attempts" => Source::Attempts(console.attempts().last_change()),
        "messages" => {
            let filters = query.all("filter").map(str::to_owned).collect::<Vec<_>>();
            Source::Messages(Box::new(Observer::new(&console.shared, &filters)?))
        }
        _ => return Err(CallError::invalid("`of` has to be `attempts` or `messages`")),
    };
    let lost = console.recent.lost();
    let streaming = Streaming { console: Arc::clone(console), source, greeted: false, lost, _permit: permit };
    let events = Sse::new(events(streaming)).keep_alive(KeepAlive::new().interval(Duration::from_secs(10)));
    Ok(events.into_response())
}

fn events(streaming: Streaming) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(streaming, async |mut streaming| {
        let event = streaming.next().await?;
        Some((Ok(event), streaming))
    })
}

impl Streaming {
    /// The next event; `None` when the gateway stops.
    async fn next(&mut self) -> Option<Event> {
        if !std::mem::replace(&mut self.greeted, true) {
            if let Source::Messages(observer) = &mut self.source {
                observer.subscribe().await;
            }
            let hello = json!({"instance": self.console.instance});
            return Some(Event::default().event("hello").data(hello.to_string()));
        }
        let stopping = self.console.shared.stopping.clone();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return None,
                event = self.read() => if event.is_some() { return event },
            }
        }
    }

    /// What came in the time between two events, if anything did.
    async fn read(&mut self) -> Option<Event> {
        let (name, data) = match &mut self.source {
            Source::Attempts(change) => {
                tokio::time::sleep(TICK).await;
                ("attempts", attempts(&self.console, change, &mut self.lost))
            }
            Source::Messages(observer) => ("messages", observer.messages(TICK, MAX_MESSAGES).await),
        };
        Some(Event::default().event(name).data(data?.to_string()))
    }
}

fn attempts(console: &Console, change: &mut u64, lost: &mut u64) -> Option<Value> {
    let mut attempts = console.attempts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    attempts.read_in_turn(&console.recent, READ_EACH_TIME, READ_PAUSE, Instant::now());
    let summary = attempts.summary();
    let (rows, skipped) = attempts.changed_since(*change, MAX_ROWS);
    *change = attempts.last_change();
    let now_lost = console.recent.lost();
    let newly_lost = now_lost - std::mem::replace(lost, now_lost);
    if rows.is_empty() && newly_lost == 0 {
        return None;
    }
    let shown = rows.iter().map(|row| Arc::clone(&row.connection_id)).collect::<Vec<_>>();
    let event = json!({"attempts": rows, "skipped": skipped, "lost": newly_lost, "summary": summary});
    attempts.keep_shown(&console.recent, shown);
    Some(event)
}
