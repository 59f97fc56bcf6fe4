//! How many messages that waited go out in a second.

use std::{num::NonZeroU32, time::Duration};

use crate::clock::Moment;

const SECOND: Duration = Duration::from_secs(1);

/// Lets a number of messages through in each second, all of them at its beginning, so that a wait needs one timer for a
/// second and not one for each message *(guess: the ten messages of a second come together)*.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// `None` lets everything through at once.
    per_second: Option<NonZeroU32>,
    /// The beginning of the last second in which messages went out, and their number.
    second: Option<(Moment, u32)>,
}

impl Pace {
    pub(super) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self { per_second, second: None }
    }

    /// How many messages may go out now.
    pub(super) fn room(&self, now: Moment) -> usize {
        let Some(per_second) = self.per_second else { return usize::MAX };
        let sent = self.second.map_or(0, |(begin, sent)| if begin + SECOND <= now { 0 } else { sent });
        per_second.get().saturating_sub(sent) as usize
    }

    /// Counts messages that go out now.
    pub(super) fn count(&mut self, messages: usize, now: Moment) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.second = match self.second {
            Some((begin, sent)) if begin + SECOND > now => Some((begin, sent.saturating_add(messages))),
            _ => Some((now, messages)),
        };
    }

    /// When the next messages may go out, after as many as there was room for.
    pub(super) fn opens_at(&self) -> Option<Moment> {
        self.second.map(|(begin, _)| begin + SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn as_many_as_the_rate_says_go_out_in_each_second() {
        let begin = Clock::Manual(ManualClock::new()).now();
        let mut pace = Pace::new(NonZeroU32::new(10));
        let mut out = |millis: u64, wanted: usize| {
            let now = begin + Duration::from_millis(millis);
            let out = pace.room(now).min(wanted);
            pace.count(out, now);
            out
        };
        assert_eq!([out(0, 4), out(0, 7), out(999, 1), out(1_000, 100)], [4, 6, 0, 10]);
        assert_eq!([out(1_500, 1), out(5_000, 3), out(5_999, 100), out(6_000, 100)], [0, 3, 7, 10]);
        assert_eq!(pace.opens_at(), Some(begin + Duration::from_secs(7)));
        assert_eq!(Pace::new(None).room(begin), usize::MAX);
    }
}
