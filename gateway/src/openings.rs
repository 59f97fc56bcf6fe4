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

/// One connection's place, until it is dropped.
pub struct Place {
    openings: Arc<Openings>,
    number: u64,
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
        let mut places = self.places();
        while places.taken.len() >= self.limit {
            let Some((_, oldest)) = places.taken.pop_first() else { break };
            oldest.cancel();
        }
        let (number, crowded_out) = (places.next, CancellationToken::new());
        places.next += 1;
        places.taken.insert(number, crowded_out.clone());
        Place { openings: Arc::clone(self), number, crowded_out }
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
    /// Cancelled when a later connection needs the place; never once it was dropped.
    #[must_use]
    pub fn crowded_out(&self) -> CancellationToken {
        self.crowded_out.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.openings.places().taken.remove(&self.number);
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
}
