//! How far a run is, on standard error: a bar on a terminal, otherwise a line now and then.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};

use crate::count::grouped;

/// Lines for whoever reads a log.
const LINE_EVERY: usize = 100;

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    done: usize,
    wanted: usize,
}

/// Tells a person something.
pub(crate) fn say(text: &str) {
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}

impl Progress {
    pub(super) fn new(wanted: usize) -> Self {
        let template = "{bar:30}  {human_pos} of {human_len} devices tried, {eta} left";
        let style = ProgressStyle::with_template(template).ok().filter(|_| io::stderr().is_terminal());
        let length = u64::try_from(wanted).unwrap_or(u64::MAX);
        Self { bar: style.map(|style| ProgressBar::new(length).with_style(style)), done: 0, wanted }
    }

    pub(super) fn advance(&mut self) {
        self.done = self.done.saturating_add(1);
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.done.is_multiple_of(LINE_EVERY) || self.done == self.wanted => {
                say(&format!("{} of {} devices tried", grouped(self.done), grouped(self.wanted)));
            }
            None => {}
        }
    }

    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
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
