//! Ends connections, and watches until they are out.
//!
//! [`Schedule`] decides what follows from an answer, without a clock. Until the function's cache has forgotten a record, its
//! device may connect again; so each client is asked about once more after that time.

use std::{pin::pin, time::Duration};

use cli::{console::status, output};
use futures_util::{StreamExt as _, stream};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connections::Connections;

/// Between two questions about a client whose connection was ended just now.
const BETWEEN_POLLS: Duration = Duration::from_secs(1);
/// Between two questions about a client that may come back.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// Calls at a time.
const CONCURRENT_CALLS: usize = 10;
/// Without a terminal, one line is printed in this time.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A client that is watched.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    /// How often its connection was ended.
    pub(super) ended: u32,
    /// What is known in the end.
    pub(super) end: Option<End>,
    /// When it is asked about, after the start.
    next: Duration,
}

/// What is known of a client in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is not connected, and can't connect any more.
    Out,
    /// It is not connected, and may connect until the cache's time is over.
    OutForNow,
    /// It is connected.
    Connected,
}

/// When clients are asked about, counted from the change of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// From now on no connect is accepted.
    pub(super) safe: Duration,
    /// From now on nothing is waited for.
    pub(super) end: Duration,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The connection is ended, and the client is asked about at this time.
    Delete(Duration),
    /// The client is asked about at this time.
    Ask(Duration),
    /// Nothing more.
    Done(End),
}

impl Schedule {
    /// What follows from the answer to a question about a client whose connection was ended so often.
    fn next(self, now: Duration, is_connected: bool, ended: u32) -> Next {
        if is_connected {
            // A connection is ended once even if nothing is waited for.
            return if now >= self.end && ended > 0 {
                Next::Done(End::Connected)
            } else {
                Next::Delete(now + BETWEEN_POLLS)
            };
        }
        if now >= self.safe {
            return Next::Done(End::Out);
        }
        if now >= self.end {
            return Next::Done(End::OutForNow);
        }
        let look = if ended > 0 { now + BETWEEN_LOOKS } else { self.safe };
        Next::Ask(look.min(self.safe).min(self.end))
    }
}

impl Client {
    pub(super) fn new(id: String) -> Self {
        Self { id, ended: 0, end: None, next: Duration::ZERO }
    }

    /// Asks about the client at this time, and does what follows.
    async fn ask(
        &mut self,
        now: Duration,
        schedule: Schedule,
        connections: &Connections,
    ) -> anyhow::Result<()> {
        let is_connected = connections.get(&self.id).await?.is_some();
        match schedule.next(now, is_connected, self.ended) {
            Next::Delete(next) => {
                connections.delete(&self.id).await?;
                self.ended = self.ended.saturating_add(1);
                self.next = next;
            }
            Next::Ask(next) => self.next = next,
            Next::Done(end) => self.end = Some(end),
        }
        Ok(())
    }
}

/// Ends the connections of clients and watches them, from `start`, until all are out, nothing more is waited for, or `stop`.
///
/// # Errors
///
/// When a call fails. Clients without an end are then unknown.
pub(super) async fn watch(
    clients: &mut [&mut Client],
    schedule: Schedule,
    start: Instant,
    connections: &Connections,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut progress = Progress::new(clients.len());
    loop {
        let now = start.elapsed();
        let due = clients.iter_mut().filter(|client| client.end.is_none() && client.next <= now);
        {
            let asked = stream::iter(due).take_until(stop.cancelled());
            let asked = asked.map(|client| client.ask(start.elapsed(), schedule, connections));
            let mut asked = pin!(asked.buffer_unordered(CONCURRENT_CALLS));
            while let Some(asked) = asked.next().await {
                asked?;
                progress.tick();
            }
        }
        let waiting = clients.iter().filter(|client| client.end.is_none());
        progress.show(clients, schedule, start.elapsed());
        let Some(next) = waiting.map(|client| client.next).min() else { return Ok(()) };
        tokio::select! {
            () = sleep_until(start + next) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// The progress on standard error: a bar on a terminal, otherwise a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    of: u64,
    last_line: Instant,
}

impl Progress {
    fn new(of: usize) -> Self {
        let of = u64::try_from(of).unwrap_or(u64::MAX);
        let style = ProgressStyle::with_template("{bar:20}  {msg}").ok();
        let style = style.filter(|_| output::stderr().is_terminal() && of > 0);
        let bar = style.map(|style| ProgressBar::new(of).with_style(style));
        Self { bar, of, last_line: Instant::now() }
    }

    fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.tick();
        }
    }

    fn show(&mut self, clients: &[&mut Client], schedule: Schedule, now: Duration) {
        let out = clients.iter().filter(|client| client.end.is_some()).count();
        let ended = clients.iter().map(|client| u64::from(client.ended)).sum::<u64>();
        let left = schedule.safe.min(schedule.end).saturating_sub(now).as_secs();
        let text = format!(
            "{} of {} client ids checked, {} ended, the cache forgets in {left}s",
            HumanCount(u64::try_from(out).unwrap_or(u64::MAX)),
            HumanCount(self.of),
            HumanCount(ended)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::try_from(out).unwrap_or(u64::MAX));
                bar.set_message(text);
            }
            None if self.last_line.elapsed() >= BETWEEN_LINES => {
                self.last_line = Instant::now();
                status(&text);
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_out_when_it_is_gone_after_the_caches_time() {
        let s = Duration::from_secs;
        let schedule = Schedule { safe: s(60), end: s(90) };
        for (now, is_connected, ended, next) in [
            (0, false, 0, Next::Ask(s(60))),
            (0, true, 0, Next::Delete(s(1))),
            (1, false, 1, Next::Ask(s(6))),
            (58, false, 1, Next::Ask(s(60))),
            (60, false, 1, Next::Done(End::Out)),
            (60, false, 0, Next::Done(End::Out)),
            (60, true, 0, Next::Delete(s(61))),
            (90, true, 3, Next::Done(End::Connected)),
        ] {
            assert_eq!(schedule.next(s(now), is_connected, ended), next, "{now} {is_connected} {ended}");
        }
        // Less time than the cache's, and none.
        let schedule = Schedule { safe: s(60), end: s(10) };
        assert_eq!(schedule.next(s(7), false, 1), Next::Ask(s(10)));
        assert_eq!(schedule.next(s(10), false, 1), Next::Done(End::OutForNow));
        let schedule = Schedule { safe: s(60), end: s(0) };
        assert_eq!(schedule.next(s(0), true, 0), Next::Delete(s(1)));
        assert_eq!(schedule.next(s(1), true, 1), Next::Done(End::Connected));
        assert_eq!(schedule.next(s(0), false, 0), Next::Done(End::OutForNow));
    }
}
