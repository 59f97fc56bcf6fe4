//! The connections that have not come as far as their CONNECT or first request: so many at most, and one more ends the
//! oldest. Whoever opens thousands and leaves them half open keeps nobody out who goes on at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The places of connections that are being opened.
pub struct Openings {
    limit: usize,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    /// By the order in which they were taken.
    taken: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// One connection's place, until it is dropped. It may be left, and taken again.
pub struct Place {
    openings: Arc<Openings>,
    number: Mutex<Option<u64>>,
    crowded_out: CancellationToken,
}

impl Openings {
    /// So many places, and one at least.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), places: Mutex::default() })
    }

    /// A place for one more connection.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Place {
        let place = Place {
            openings: Arc::clone(self),
            number: Mutex::new(None),
            crowded_out: CancellationToken::new(),
        };
        place.come_back();
        place
    }

    fn take(&self, crowded_out: &CancellationToken) -> u64 {
        let mut places = self.places();
        while places.taken.len() >= self.limit {
            let Some((_, oldest)) = places.taken.pop_first() else { break };
            oldest.cancel();
        }
        let number = places.next;
        places.next += 1;
        places.taken.insert(number, crowded_out.clone());
        number
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.places().taken.len()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Cancelled when a later connection needs the place; never while it is left.
    #[must_use]
    pub fn crowded_out(&self) -> CancellationToken {
        self.crowded_out.clone()
    }

    /// The connection has shown who it is, or waits for somebody else than its client.
    pub fn leave(&self) {
        if let Some(number) = self.number().take() {
            self.openings.places().taken.remove(&number);
        }
    }

    /// The connection has to show who it is again.
    pub fn come_back(&self) {
        let mut number = self.number();
        if number.is_none() {
            *number = Some(self.openings.take(&self.crowded_out));
        }
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_ends_the_oldest_that_is_still_there() {
        let openings = Openings::new(2);
        let out = |place: &Place| place.crowded_out().is_cancelled();
        let (first, second, third) = (openings.enter(), openings.enter(), openings.enter());
        assert!(out(&first) && !out(&second) && !out(&third));
        drop(first);
        assert_eq!(openings.taken(), 2);
        let left = third.crowded_out();
        drop(third);
        let fourth = openings.enter();
        assert!(!out(&second), "the third has left its place");
        let _fifth = openings.enter();
        assert!(out(&second) && !left.is_cancelled() && !out(&fourth));
        assert_eq!(openings.taken(), 2);
    }

    #[test]
    fn a_place_that_was_left_is_the_next_ones_until_it_is_taken_again() {
        let openings = Openings::new(1);
        let first = openings.enter();
        first.leave();
        let second = openings.enter();
        assert!(!first.crowded_out().is_cancelled() && !second.crowded_out().is_cancelled());
        first.come_back();
        first.come_back();
        assert!(second.crowded_out().is_cancelled());
        assert_eq!(openings.taken(), 1);
        drop(first);
        assert_eq!(openings.taken(), 0);
    }
}
