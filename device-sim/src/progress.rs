//! The lines that are printed while a fleet runs.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cli::console::{COLUMNS, message};
use cli::output::escaped;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mqtt::PubAckCode;

use crate::client::{Closed, RequestError};
use crate::device::{ATTEMPTS_TO_REACH, Event, EventKind};
use crate::fleet::Observer;
use crate::live_view::{self, Rates, View};
use crate::tally::Tally;

/// Where the command writes.
pub struct Streams<'a> {
    /// Readings and the summary.
    pub out: &'a mut (dyn Write + Send),
    /// Progress, warnings and errors.
    pub err: &'a mut (dyn Write + Send),
    /// Whether a live view may be drawn on standard error.
    pub terminal: bool,
}

/// Which lines are printed, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    /// Whether there is a line for each acknowledged reading.
    pub(crate) readings: bool,
    /// Whether there are lines for progress and warnings.
    pub(crate) progress: bool,
    /// Whether standard output is for JSON, so that readings go to standard error.
    pub(crate) json: bool,
}

/// Prints readings, warnings and progress: a live view on a terminal, otherwise a line every few seconds.
pub(crate) struct Progress<'a, 'b> {
    streams: &'a mut Streams<'b>,
    lines: Lines,
    bar: Option<ProgressBar>,
    began: Instant,
    duration: Option<Duration>,
    rates: Rates,
    /// Whether a write to standard output has failed.
    broken: bool,
}

impl<'a, 'b> Progress<'a, 'b> {
    /// The progress of a run that begins now, and takes `duration` if it ends by itself.
    pub(crate) fn new(streams: &'a mut Streams<'b>, lines: Lines, duration: Option<Duration>) -> Self {
        // What a dumb terminal shows can't be taken away.
        let can_redraw =
            streams.terminal && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        let bar = (can_redraw && lines.progress).then(bar);
        let (began, rates) = (Instant::now(), Rates::default());
        Self { streams, lines, bar, began, duration, rates, broken: false }
    }
}

impl Observer for Progress<'_, '_> {
    fn event(&mut self, event: &Event, new_reason: bool, _: &Tally) -> ControlFlow<()> {
        if self.lines.readings
            && let EventKind::Acknowledged(reading, _) = event.kind
        {
            let quantity = reading.quantity();
            let line = format!("{}  {quantity} {reading} {}", event.device, quantity.unit());
            self.print(&line);
        }
        if new_reason
            && self.lines.progress
            && let Some(warning) = warning(event)
        {
            self.status(&warning);
        }
        if self.broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn tick(&mut self, tally: &Tally) -> ControlFlow<()> {
        if let Some(bar) = &self.bar {
            let elapsed = self.began.elapsed();
            self.rates.note(elapsed, tally.messages().acknowledged);
            let view = View { tally, elapsed, duration: self.duration, rates: &self.rates };
            let (columns, rows) = size();
            bar.set_message(live_view::lines(&view, columns, rows).join("\n"));
        } else if self.lines.progress {
            self.status(&live_view::line(tally));
        }
        ControlFlow::Continue(())
    }

    fn interval(&self) -> Duration {
        if self.bar.is_some() { REDRAW } else { LINE }
    }
}

/// The time between two drawings of the live view.
const REDRAW: Duration = Duration::from_millis(200);
/// The time between two lines.
const LINE: Duration = Duration::from_secs(5);

impl Drop for Progress<'_, '_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress<'_, '_> {
    /// Prints a line of the result. It is flushed, because another program may read it.
    fn print(&mut self, line: &str) {
        let Streams { out, err, .. } = &mut *self.streams;
        let stream = if self.lines.json { err } else { out };
        let line = escaped(line);
        let mut write = || writeln!(stream, "{line}").and_then(|()| stream.flush());
        let written: io::Result<()> = match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
        self.broken |= written.is_err();
    }

    /// Prints a line to standard error, wrapped on a terminal only. A failed write has no other place to go.
    fn status(&mut self, line: &str) {
        let line = message(line, self.streams.terminal);
        let err = &mut self.streams.err;
        let mut write = || writeln!(err, "{line}");
        let written: io::Result<()> = match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
        written.unwrap_or_default();
    }
}

fn warning(event: &Event) -> Option<String> {
    let device = &event.device;
    let cure = cure(&event.kind);
    match &event.kind {
        EventKind::NotConnected { error, again: true } => {
            Some(format!("{device}: {error}{cure}; trying again"))
        }
        EventKind::NotConnected { error, again: false } => Some(format!("{device}: {error}{cure}")),
        EventKind::Failed(error) => Some(format!("{device}: a reading failed: {error}{cure}")),
        EventKind::GaveUp => Some(format!(
            "{device}: no device has reached the server in {ATTEMPTS_TO_REACH} attempts, so the run ends"
        )),
        EventKind::Lost(error) => Some(format!("{device}: connection lost: {error}; connecting again")),
        _ => None,
    }
}

/// What to do about a refusal. The server does not tell a device why it refuses it.
fn cure(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::NotConnected { error, .. } if error.is_refusal() => {
            "; the log of `latchkey local`, or on AWS the log of the function, says why"
        }
        EventKind::Failed(RequestError::PublishRefused { code: PubAckCode::NotAuthorized, .. }) => {
            "; its grant must allow `sensor/{client_id}/…`: `--grant sht20`"
        }
        // In MQTT 3.1.1 the server refuses a message by closing the connection.
        EventKind::Failed(RequestError::Closed(Closed::ByServer | Closed::Disconnected { .. })) => {
            "; the log of `latchkey local`, or on AWS the log of the function, says why"
        }
        _ => "",
    }
}

/// What draws the view, and takes it away before a line is printed.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The columns and the rows of the terminal, which can change at any time.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size();
    size.map_or((COLUMNS, ROWS), |(columns, rows)| (columns.0.into(), rows.0.into()))
}

const ROWS: usize = 24;
