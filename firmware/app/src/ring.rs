//! Readings that are not delivered yet. They outlive a lost connection; when there are too many, the oldest go.

use core::cell::RefCell;

use device_core::Reading;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use heapless::Deque;

/// A reading and when it was taken, by the device's own timer: the time of day may not be known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsent {
    /// What was measured.
    pub reading: Reading,
    /// When.
    pub taken: Instant,
    /// Numbers readings, so that one is told from another that took its place.
    number: u32,
}

/// How many readings are kept: two an interval, so an hour and four minutes at one interval a minute.
pub const CAPACITY: usize = 128;

/// The readings that wait, oldest first.
pub struct Ring {
    state: RefCell<State>,
    filled: Signal<NoopRawMutex, ()>,
}

struct State {
    readings: Deque<Unsent, CAPACITY>,
    next: u32,
    dropped: u32,
}

impl Ring {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        let state = State { readings: Deque::new(), next: 0, dropped: 0 };
        Self { state: RefCell::new(state), filled: Signal::new() }
    }

    /// Adds a reading. If there is no room, the oldest is dropped, and how many were so far is told.
    pub fn push(&self, reading: Reading, taken: Instant) -> Option<u32> {
        let mut state = self.state.borrow_mut();
        let number = state.next;
        state.next = number.wrapping_add(1);
        let full = state.readings.is_full();
        if full {
            state.readings.pop_front();
            state.dropped = state.dropped.saturating_add(1);
        }
        // There is room: it was made.
        _ = state.readings.push_back(Unsent { reading, taken, number });
        self.filled.signal(());
        full.then_some(state.dropped)
    }

    /// The oldest reading, which stays until it is [removed](Self::remove).
    #[must_use]
    pub fn oldest(&self) -> Option<Unsent> {
        self.state.borrow().readings.front().copied()
    }

    /// Removes a reading that was delivered, unless it was dropped meanwhile.
    pub fn remove(&self, delivered: &Unsent) {
        let mut state = self.state.borrow_mut();
        if state.readings.front().is_some_and(|oldest| oldest.number == delivered.number) {
            state.readings.pop_front();
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.borrow().readings.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until there is a reading. Dropping the future loses none.
    pub async fn filled(&self) {
        while self.is_empty() {
            self.filled.wait().await;
        }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(number: i32) -> Reading {
        Reading::temperature(number)
    }

    fn drain(ring: &Ring) -> Vec<i32> {
        let mut all = Vec::new();
        while let Some(unsent) = ring.oldest() {
            all.push(unsent.reading.milli());
            ring.remove(&unsent);
        }
        all
    }

    #[test]
    fn readings_leave_in_their_order() {
        let ring = Ring::new();
        for number in 0..5 {
            assert_eq!(ring.push(reading(number), Instant::MIN), None);
        }
        assert_eq!(drain(&ring), [0, 1, 2, 3, 4]);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_counts() {
        let ring = Ring::new();
        let capacity = i32::try_from(CAPACITY).unwrap();
        for number in 0..capacity {
            assert_eq!(ring.push(reading(number), Instant::MIN), None);
        }
        assert_eq!(ring.push(reading(capacity), Instant::MIN), Some(1));
        assert_eq!(ring.push(reading(capacity + 1), Instant::MIN), Some(2));
        assert_eq!(ring.len(), CAPACITY);
        assert_eq!(drain(&ring), (2..capacity + 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_reading_that_was_dropped_on_its_way_takes_no_other_with_it() {
        let ring = Ring::new();
        ring.push(reading(0), Instant::MIN);
        let on_its_way = ring.oldest().unwrap();
        for number in 0..i32::try_from(CAPACITY).unwrap() {
            ring.push(reading(1 + number), Instant::MIN);
        }
        ring.remove(&on_its_way);
        assert_eq!(ring.len(), CAPACITY);
        assert_eq!(ring.oldest().unwrap().reading, reading(1));
    }

    #[test]
    fn an_unsent_reading_stays() {
        let ring = Ring::new();
        ring.push(reading(7), Instant::MIN);
        assert_eq!(ring.oldest(), ring.oldest());
        assert_eq!(ring.len(), 1);
    }
}
