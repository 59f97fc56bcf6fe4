//! What is shown while a fleet runs.

use std::io::{self, Write};
use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mqtt::PubAckCode;

use crate::client::{Closed, RequestError};
use crate::command::Streams;
use crate::event::{Event, What};
use crate::fleet::Observer;
use crate::summary::counted;
use crate::tally::Tally;

/// Which lines are wanted, and where they go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// A line for each acknowledged reading.
    pub(crate) readings: bool,
    /// Progress and warnings.
    pub(crate) progress: bool,
    /// Standard output is not for lines.
    pub(crate) json: bool,
}

/// Shows readings, warnings and progress: a bar on a terminal, else a line every few seconds.
pub(crate) struct Progress<'a, 'b> {
    streams: &'a mut Streams<'b>,
    wanted: Wanted,
    bar: Option<ProgressBar>,
    /// Standard output can't be written any more.
    broken: bool,
}

impl<'a, 'b> Progress<'a, 'b> {
    pub(crate) fn new(streams: &'a mut Streams<'b>, wanted: Wanted, expected: usize) -> Self {
        let bar = (streams.terminal && wanted.progress).then(|| bar(expected));
        Self { streams, wanted, bar, broken: false }
    }
}

impl Observer for Progress<'_, '_> {
    fn event(&mut self, event: &Event, new_reason: bool, tally: &Tally) -> ControlFlow<()> {
        if self.wanted.readings
            && let What::Acknowledged(reading, _) = event.what
        {
            let quantity = reading.quantity();
            let line = format!("{}  {quantity} {reading} {}", event.device, quantity.unit());
            self.print(&line);
        }
        if new_reason
            && self.wanted.progress
            && let Some(warning) = warning(event)
        {
            self.say(&warning);
        }
        if let Some(bar) = &self.bar {
            show(bar, tally);
        }
        if self.broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn tick(&mut self, tally: &Tally) -> ControlFlow<()> {
        if self.wanted.progress && self.bar.is_none() {
            let (devices, messages) = (tally.devices(), tally.messages());
            self.say(&format!(
                "{} of {} devices connected, {} refused, {} unreachable; {} acknowledged, {} failed",
                devices.online,
                devices.expected,
                devices.refused,
                devices.unreachable,
                counted(messages.acknowledged, "reading"),
                messages.failed
            ));
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Progress<'_, '_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress<'_, '_> {
    /// A line of the result, which someone may be reading through a pipe.
    fn print(&mut self, line: &str) {
        let Streams { out, err, .. } = &mut *self.streams;
        let stream = if self.wanted.json { err } else { out };
        let mut write = || writeln!(stream, "{line}").and_then(|()| stream.flush());
        let written: io::Result<()> = match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
        self.broken |= written.is_err();
    }

    /// A line for who is watching. Nobody may be.
    fn say(&mut self, line: &str) {
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
    let cure = cure(&event.what);
    match &event.what {
        What::NotConnected { error, again: true } => Some(format!("{device}: {error}{cure}; trying again")),
        What::NotConnected { error, again: false } => Some(format!("{device}: {error}{cure}")),
        What::Failed(error) => Some(format!("{device}: a reading failed: {error}{cure}")),
        What::Lost(error) => Some(format!("{device}: connection lost: {error}; connecting again")),
        _ => None,
    }
}

/// What to do about a refusal: the device is told nothing of why, which is as it should be.
fn cure(what: &What) -> &'static str {
    match what {
        What::NotConnected { error, .. } if error.is_refusal() => {
            "; the log of `latchkey local`, or on AWS that of the function, says why"
        }
        What::Failed(RequestError::PublishRefused { code: PubAckCode::NotAuthorized, .. }) => {
            "; its grant must allow `sensor/{client_id}/…`: `--grant sht20`"
        }
        // How a server of MQTT 3.1.1 refuses a message.
        What::Failed(RequestError::Closed(Closed::ByServer | Closed::Disconnected { .. })) => {
            "; the log of `latchkey local`, or on AWS that of the function, says why"
        }
        _ => "",
    }
}

fn bar(expected: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(u64::try_from(expected).ok(), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:16} {pos}/{len} connected  {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn show(bar: &ProgressBar, tally: &Tally) {
    let (online, messages) = (tally.online(), tally.messages());
    bar.set_position(online);
    bar.set_message(format!("{}, {} failed", counted(messages.acknowledged, "reading"), messages.failed));
}
