//! Two rates at once: one for each key, and one for all of them together. Keys are client ids, topics or principals.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{clock::Moment, rate::Rate};

/// The number of keys below which old ones are not removed.
const FEW: usize = 1_024;

/// What came in the last second, of each key and of all.
pub struct RateByKey(Mutex<State>);

struct State {
    all: Rate,
    by_key: HashMap<Arc<str>, Rate>,
    /// The number of keys at which old ones are removed.
    room: usize,
}

/// The rates that are allowed; `None` has no limit.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// A second of one key.
    pub each: Option<NonZeroU32>,
    /// A second of all keys together.
    pub all: Option<NonZeroU32>,
}

/// The rate that is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// That of the key.
    Each(NonZeroU32),
    /// That of all keys together.
    All(NonZeroU32),
}

impl RateByKey {
    /// Nothing came yet.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self(Mutex::new(State { all: Rate::new(now), by_key: HashMap::new(), room: FEW }))
    }

    /// Counts one of this key.
    ///
    /// # Errors
    ///
    /// When it exceeds a rate.
    pub fn admit(&self, key: &Arc<str>, allowed: Allowed, now: Moment) -> Result<(), Exceeded> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rate) = allowed.all
            && !state.all.try_take(rate, now)
        {
            return Err(Exceeded::All(rate));
        }
        let Some(rate) = allowed.each else { return Ok(()) };
        state.make_room(now);
        let of_key = state.by_key.entry(Arc::clone(key)).or_insert(Rate::new(now));
        if of_key.try_take(rate, now) { Ok(()) } else { Err(Exceeded::Each(rate)) }
    }
}

impl State {
    fn make_room(&mut self, now: Moment) {
        if self.by_key.len() >= self.room {
            self.by_key.retain(|_, rate| !rate.is_over(now));
            self.room = FEW.max(self.by_key.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    const SECOND: Duration = Duration::from_secs(1);

    fn rates(each: u32, all: u32) -> (RateByKey, Allowed, Moment) {
        let begin = Clock::Manual(ManualClock::new()).now();
        let allowed = Allowed { each: NonZeroU32::new(each), all: NonZeroU32::new(all) };
        (RateByKey::new(begin), allowed, begin)
    }

    #[test]
    fn each_key_has_its_rate_whatever_comes_of_others() {
        let (rates, allowed, begin) = rates(1, 0);
        let admit = |key: &str, at| rates.admit(&key.into(), allowed, at);
        let exceeded = Err(Exceeded::Each(NonZeroU32::MIN));
        assert_eq!(admit("a", begin), Ok(()));
        assert_eq!(admit("a", begin + SECOND / 2), exceeded);
        assert_eq!(admit("b", begin + SECOND / 2), Ok(()));
        assert_eq!(admit("a", begin + SECOND), Ok(()));
        assert_eq!(admit("a", begin + SECOND * 3 / 2), exceeded);
        let unlimited = Allowed { each: None, all: None };
        assert_eq!(rates.admit(&"a".into(), unlimited, begin + SECOND), Ok(()));
    }

    #[test]
    fn all_keys_have_a_rate_together_and_old_keys_are_removed() {
        let (rates, allowed, begin) = rates(1, 3_000);
        for n in 0..3_000 {
            assert_eq!(rates.admit(&n.to_string().into(), allowed, begin), Ok(()), "{n}");
        }
        let one_more = rates.admit(&"one more".into(), allowed, begin);
        assert_eq!(one_more, Err(Exceeded::All(NonZeroU32::new(3_000).unwrap())));
        let later = begin + SECOND * 2;
        for n in 0..3_000 {
            assert_eq!(rates.admit(&format!("other {n}").into(), allowed, later), Ok(()), "{n}");
        }
        let known = rates.0.lock().unwrap().by_key.len();
        assert!(known <= 6_000, "{known} keys are remembered");
    }
}
