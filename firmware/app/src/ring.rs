//! The ring buffer of readings that are not delivered yet. It outlives a lost connection; when it is full, the oldest
//! reading is dropped.

use core::cell::RefCell;

use device_core::Reading;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use heapless::Deque;

/// A reading and when it was measured, by the device's own timer: the time of day may not be known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedReading {
    /// What was measured.
    pub reading: Reading,
    /// When it was measured.
    pub measured_at: Instant,
    /// Tells a reading from another that has taken its place.
    sequence: u32,
}

/// How many readings are kept. There are two for each interval, so an interval of a minute fills it in 64 minutes.
pub const CAPACITY: usize = 128;

/// Queued readings, oldest first.
pub struct Ring {
    state: RefCell<State>,
    pushed: Signal<NoopRawMutex, ()>,
}

struct State {
    readings: Deque<QueuedReading, CAPACITY>,
    next_sequence: u32,
    dropped: u32,
}

impl Ring {
    /// An empty ring.
    #[must_use]
    pub const fn new() -> Self {
        let state = State { readings: Deque::new(), next_sequence: 0, dropped: 0 };
        Self { state: RefCell::new(state), pushed: Signal::new() }
    }

    /// Adds a reading. If the ring is full, drops the oldest and returns how many were dropped so far.
    pub fn push(&self, reading: Reading, measured_at: Instant) -> Option<u32> {
        let mut state = self.state.borrow_mut();
        let sequence = state.next_sequence;
        state.next_sequence = sequence.wrapping_add(1);
        let full = state.readings.is_full();
        if full {
            state.readings.pop_front();
            state.dropped = state.dropped.saturating_add(1);
        }
        // It is not full any more.
        _ = state.readings.push_back(QueuedReading { reading, measured_at, sequence });
        self.pushed.signal(());
        full.then_some(state.dropped)
    }

    /// The oldest reading, which stays until it is [removed](Self::remove).
    #[must_use]
    pub fn oldest(&self) -> Option<QueuedReading> {
        self.state.borrow().readings.front().copied()
    }

    /// Removes a delivered reading, unless it was dropped meanwhile.
    pub fn remove(&self, delivered: &QueuedReading) {
        let mut state = self.state.borrow_mut();
        if state.readings.front().is_some_and(|oldest| oldest.sequence == delivered.sequence) {
            state.readings.pop_front();
        }
    }

    /// How many readings are queued.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.borrow().readings.len()
    }

    /// Whether no reading is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until a reading is queued. Dropping the future loses no reading.
    pub async fn not_empty(&self) {
        while self.is_empty() {
            self.pushed.wait().await;
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
        while let Some(queued) = ring.oldest() {
            all.push(queued.reading.milli());
            ring.remove(&queued);
        }
        all
    }

    #[test]
    fn readings_are_removed_in_their_order() {
        let ring = Ring::new();
        for number in 0..5 {
            assert_eq!(ring.push(reading(number), Instant::MIN), None);
        }
        assert_eq!(drain(&ring), [0, 1, 2, 3, 4]);
        assert!(ring.is_empty());
    }

    #[test]
    fn full_ring_drops_the_oldest_and_counts() {
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
    fn removing_a_reading_that_was_dropped_removes_no_other() {
        let ring = Ring::new();
        ring.push(reading(0), Instant::MIN);
        let in_flight = ring.oldest().unwrap();
        for number in 0..i32::try_from(CAPACITY).unwrap() {
            ring.push(reading(1 + number), Instant::MIN);
        }
        ring.remove(&in_flight);
        assert_eq!(ring.len(), CAPACITY);
        assert_eq!(ring.oldest().unwrap().reading, reading(1));
    }

    #[test]
    fn oldest_reading_stays_until_it_is_removed() {
        let ring = Ring::new();
        ring.push(reading(7), Instant::MIN);
        assert_eq!(ring.oldest(), ring.oldest());
        assert_eq!(ring.len(), 1);
    }
}
