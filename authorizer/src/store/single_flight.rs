//! One call for many who ask the same at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;

/// Calls on their way, by what they ask for. It holds no answer that somebody isn't waiting for.
pub(super) struct SingleFlight<K: Eq + Hash, V>(Mutex<Flights<K, V>>);

type Flights<K, V> = HashMap<K, Arc<OnceCell<V>>>;

/// A place in a call that is on its way.
struct Seat<'a, K: Eq + Hash, V> {
    flights: &'a SingleFlight<K, V>,
    key: &'a K,
    answer: Arc<OnceCell<V>>,
}

impl<K: Eq + Hash + Clone, V: Clone> SingleFlight<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The answer of `call`, or of the call for `key` that somebody has begun. If the one who makes the call
    /// goes away, the next of those who wait makes theirs.
    pub(super) async fn run<F: Future<Output = V>>(&self, key: &K, call: impl FnOnce() -> F) -> V {
        let seat = self.seat(key);
        seat.answer.get_or_init(call).await.clone()
    }

    fn seat<'a>(&'a self, key: &'a K) -> Seat<'a, K, V> {
        let answer = Arc::clone(self.lock().entry(key.clone()).or_default());
        Seat { flights: self, key, answer }
    }
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    fn lock(&self) -> MutexGuard<'_, Flights<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Drop for Seat<'_, K, V> {
    /// Takes the call off the list once it is answered, or nobody waits for it any more. Who asks then asks anew.
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Seats are taken and left under the lock, so the count is right: the list and this seat.
        let over = self.answer.initialized() || Arc::strong_count(&self.answer) == 2;
        if over && flights.get(self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.answer)) {
            flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future};

    use super::*;

    async fn yield_then(value: u32) -> u32 {
        tokio::task::yield_now().await;
        value
    }

    #[tokio::test]
    async fn those_who_ask_the_same_get_one_answer_and_nothing_stays() {
        let flights = SingleFlight::<&str, u32>::new();
        let calls = Cell::new(0);
        let ask = |key| {
            let (flights, calls) = (&flights, &calls);
            async move {
                let call = || {
                    calls.set(calls.get() + 1);
                    yield_then(calls.get())
                };
                flights.run(&key, call).await
            }
        };
        assert_eq!(tokio::join!(ask("a"), ask("a"), ask("b"), ask("a")), (1, 1, 2, 1));
        assert_eq!((ask("a").await, calls.get()), (3, 3));
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_call_to_the_next_and_nothing_on_the_list() {
        let flights = SingleFlight::<&str, u32>::new();
        let mut leader = Box::pin(flights.run(&"a", future::pending::<u32>));
        let mut follower = Box::pin(flights.run(&"a", || future::ready(7)));
        assert!(poll_once(leader.as_mut()).await.is_none());
        assert!(poll_once(follower.as_mut()).await.is_none());
        drop(leader);
        assert_eq!(follower.await, 7);
        let mut alone = Box::pin(flights.run(&"a", future::pending::<u32>));
        assert!(poll_once(alone.as_mut()).await.is_none());
        assert_eq!(flights.lock().len(), 1);
        drop(alone);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn who_comes_after_the_answer_asks_anew() {
        let flights = SingleFlight::<&str, u32>::new();
        let mut leader = Box::pin(flights.run(&"a", || yield_then(1)));
        let mut slow = Box::pin(flights.run(&"a", || yield_then(2)));
        assert!(poll_once(leader.as_mut()).await.is_none());
        assert!(poll_once(slow.as_mut()).await.is_none());
        assert_eq!(leader.await, 1);
        assert_eq!(flights.run(&"a", || yield_then(3)).await, 3);
        assert_eq!(slow.await, 1);
    }

    /// Polls once.
    async fn poll_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            value = &mut future => Some(value),
            () = future::ready(()) => None,
        }
    }
}
