//! The two lines about one refused attempt, the function's and the gateway's own, which come in either order.
//!
//! The one that comes first waits for the other. It waits for a short time and takes one of a limited number of places, so
//! that a line that never comes neither holds up the first one nor costs memory. Nothing here reads a clock.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a line waits for the other one. The function writes its line before its answer, so in most cases the two come
/// within a millisecond.
pub(super) const JOIN_TIME: Duration = Duration::from_millis(500);
/// The lines that wait at a time.
const MAX_WAITING: usize = 256;

/// A line about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Half<R, D> {
    /// The gateway's own.
    Refusal(R),
    /// The function's.
    Decision(D),
}

/// A line that waits no longer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Attempt<R, D> {
    /// Both lines have come.
    Whole(R, D),
    /// The other one has not come.
    Alone(Half<R, D>),
}

/// The lines that wait for their other half, the oldest first.
pub(super) struct Attempts<R, D>(VecDeque<Waiting<R, D>>);

struct Waiting<R, D> {
    since: Instant,
    connection_id: String,
    half: Half<R, D>,
}

impl<R, D> Default for Attempts<R, D> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<R, D> Attempts<R, D> {
    /// Adds a line. Returns the attempt that it completes, or the line that waits no longer because there are too many.
    pub(super) fn add(
        &mut self,
        connection_id: &str,
        half: Half<R, D>,
        now: Instant,
    ) -> Option<Attempt<R, D>> {
        let is_other = |waiting: &Waiting<R, D>| {
            waiting.connection_id == connection_id
                && matches!(
                    (&waiting.half, &half),
                    (Half::Refusal(_), Half::Decision(_)) | (Half::Decision(_), Half::Refusal(_))
                )
        };
        let other = self.0.iter().position(is_other).and_then(|at| self.0.remove(at));
        match (other.map(|waiting| waiting.half), half) {
            (Some(Half::Refusal(refusal)), Half::Decision(decision))
            | (Some(Half::Decision(decision)), Half::Refusal(refusal)) => {
                Some(Attempt::Whole(refusal, decision))
            }
            (_, half) => {
                let connection_id = connection_id.to_owned();
                self.0.push_back(Waiting { since: now, connection_id, half });
                let oldest = if self.0.len() > MAX_WAITING { self.0.pop_front() } else { None };
                oldest.map(|waiting| Attempt::Alone(waiting.half))
            }
        }
    }

    /// When the next line has waited for long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.front().map(|waiting| waiting.since + JOIN_TIME)
    }

    /// Takes a line that has waited for long enough.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Attempt<R, D>> {
        self.due().filter(|due| *due <= now)?;
        self.take()
    }

    /// Takes a line, however long it has waited.
    pub(super) fn take(&mut self) -> Option<Attempt<R, D>> {
        self.0.pop_front().map(|waiting| Attempt::Alone(waiting.half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Texts = Attempts<&'static str, &'static str>;

    #[test]
    fn two_lines_of_a_connection_are_one_attempt_in_either_order() {
        let now = Instant::now();
        let whole = Some(Attempt::Whole("refused", "wrong_password"));
        for refusal_first in [true, false] {
            let mut attempts = Texts::default();
            let mut halves = [Half::Refusal("refused"), Half::Decision("wrong_password")];
            if !refusal_first {
                halves.reverse();
            }
            let [first, second] = halves;
            assert_eq!(attempts.add("other", first.clone(), now), None);
            assert_eq!(attempts.add("c", first.clone(), now), None);
            assert_eq!(attempts.add("c", second, now), whole, "{refusal_first}");
            assert_eq!((attempts.take(), attempts.take()), (Some(Attempt::Alone(first)), None));
        }
    }

    #[test]
    fn line_whose_other_half_does_not_come_leaves_alone() {
        let now = Instant::now();
        let mut attempts = Texts::default();
        assert_eq!(attempts.add("a", Half::Refusal("a"), now), None);
        // At a refresh the same connection has another attempt.
        assert_eq!(attempts.add("a", Half::Refusal("a again"), now + JOIN_TIME / 2), None);
        assert_eq!(attempts.take_due(now + JOIN_TIME / 2), None);
        assert_eq!(attempts.take_due(now + JOIN_TIME), Some(Attempt::Alone(Half::Refusal("a"))));
        assert_eq!(
            (attempts.take_due(now + JOIN_TIME), attempts.due()),
            (None, Some(now + JOIN_TIME * 3 / 2))
        );
    }

    #[test]
    fn number_of_waiting_lines_is_bounded_and_none_is_lost() {
        let now = Instant::now();
        let mut attempts = Attempts::<usize, usize>::default();
        let early = (0..MAX_WAITING + 9).filter_map(|n| attempts.add(&n.to_string(), Half::Decision(n), now));
        let early = early.collect::<Vec<_>>();
        let late = std::iter::from_fn(|| attempts.take_due(now + JOIN_TIME)).collect::<Vec<_>>();
        assert_eq!((early.len(), late.len()), (9, MAX_WAITING));
        let all = early.into_iter().chain(late);
        assert!(all.eq((0..MAX_WAITING + 9).map(|n| Attempt::Alone(Half::Decision(n)))));
    }
}
