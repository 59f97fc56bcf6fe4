//! The progress of long work, on standard error.

use std::time::{Duration, Instant};

use cli::{console::status, output};
use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

/// Without a terminal, a line is printed this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How far work has come: a bar on a terminal, otherwise a line now and then. Both say how long the rest takes.
pub(crate) struct Progress {
    what: String,
    of: u64,
    done: u64,
    start: Instant,
    last: Instant,
    bar: Option<ProgressBar>,
    /// Whether what is counted is bytes of a file, which are shown as a share of it.
    is_share: bool,
    /// Whether the end gets a line too.
    is_end_shown: bool,
}

impl Progress {
    /// Begins to count things: `what` is `records written` for example.
    pub(crate) fn of_things(what: &str, of: u64) -> Self {
        Self::new(what, of, false)
    }

    /// Begins to count the bytes of a file that were read: `what` is `checked` for example.
    pub(crate) fn of_file(what: &str, bytes: u64) -> Self {
        Self::new(what, bytes, true)
    }

    /// With a line at the end, however short the work was.
    #[cfg(feature = "aws")]
    pub(crate) fn with_end(mut self) -> Self {
        self.is_end_shown = true;
        self
    }

    fn new(what: &str, of: u64, is_share: bool) -> Self {
        let count = if is_share {
            "{percent}% of the file".to_owned()
        } else {
            "{human_pos} of {human_len}".to_owned()
        };
        let template = format!("{{bar:30}}  {count} {what}, {{eta}} left");
        let style = ProgressStyle::with_template(&template).ok().filter(|_| output::stderr().is_terminal());
        let now = Instant::now();
        let bar = style.map(|style| ProgressBar::new(of).with_style(style));
        Self { what: what.to_owned(), of, done: 0, start: now, last: now, bar, is_share, is_end_shown: false }
    }

    /// One more is done.
    pub(crate) fn advance(&mut self) {
        self.set(self.done.saturating_add(1));
    }

    /// This number is done.
    pub(crate) fn set(&mut self, done: u64) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let now = Instant::now();
        let is_end = done == self.of && self.is_end_shown && !self.is_share;
        if is_end || now.duration_since(self.last) >= LINE_EVERY {
            self.last = now;
            self.is_end_shown = true;
            status(&self.line(now.duration_since(self.start)));
        }
    }

    /// Prints a line without disturbing the bar.
    #[cfg(feature = "aws")]
    pub(crate) fn status(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| status(text)),
            None => status(text),
        }
    }

    /// How far it has come after this time.
    fn line(&self, after: Duration) -> String {
        let Self { what, of, done, .. } = self;
        let count = if self.is_share {
            format!("{}% of the file", done.saturating_mul(100).checked_div(*of).unwrap_or(100))
        } else {
            format!("{} of {}", HumanCount(*done), HumanCount(*of))
        };
        let rest = u128::from(of.saturating_sub(*done));
        let left = after.as_millis().saturating_mul(rest).checked_div(u128::from(*done));
        let left = left.and_then(|left| u64::try_from(left).ok()).map(Duration::from_millis);
        match left.filter(|_| rest > 0) {
            Some(left) => format!("{count} {what}, about {} left", HumanDuration(left)),
            None => format!("{count} {what}"),
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
    fn a_line_says_how_long_the_rest_takes() {
        let mut progress = Progress::of_things("records written", 4_000);
        let after = Duration::from_secs(30);
        assert_eq!(progress.line(after), "0 of 4,000 records written");
        progress.done = 1_000;
        assert_eq!(progress.line(after), "1,000 of 4,000 records written, about 2 minutes left");
        let mut share = Progress::of_file("checked", 0);
        assert_eq!(share.line(after), "100% of the file checked");
        share.of = 200;
        share.done = 150;
        assert_eq!(share.line(after), "75% of the file checked, about 10 seconds left");
    }
}
