//! For the stores in AWS: one call for concurrent look-ups of a device, and the log of an outage.
//!
//! `quick_cache` has a guarded insert that shares one computation too, but it shares only a value that enters the cache:
//! after a fault each waiting look-up would make its own call, one after the other, and an old record could not stay in the
//! cache until a new one arrives.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::OnceCell;

use crate::fault::StoreFault;

/// Calls in flight by key. An answer is dropped when the last look-up that waits for it ends.
pub(super) struct SingleFlight<K: Eq + Hash, V>(Mutex<Flights<K, V>>);

type Flights<K, V> = HashMap<K, Arc<OnceCell<V>>>;

/// One waiter for a call in flight.
struct Waiter<'a, K: Eq + Hash, V> {
    flights: &'a SingleFlight<K, V>,
    key: &'a K,
    answer: Arc<OnceCell<V>>,
}

impl<K: Eq + Hash + Clone, V: Clone> SingleFlight<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// The answer of `call`, or of the call for `key` that is in flight. If the future that makes the call is dropped, the
    /// next waiter makes its own call.
    pub(super) async fn run<F: Future<Output = V>>(&self, key: &K, call: impl FnOnce() -> F) -> V {
        let waiter = self.waiter(key);
        waiter.answer.get_or_init(call).await.clone()
    }

    fn waiter<'a>(&'a self, key: &'a K) -> Waiter<'a, K, V> {
        let answer = Arc::clone(self.lock().entry(key.clone()).or_default());
        Waiter { flights: self, key, answer }
    }
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    fn lock(&self) -> MutexGuard<'_, Flights<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Drop for Waiter<'_, K, V> {
    /// Removes the call when it is answered, or when the last waiter leaves. The next look-up then makes a new call.
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Waiters are added and removed under the lock, so the count is exact: the map and this waiter.
        let ended = self.answer.initialized() || Arc::strong_count(&self.answer) == 2;
        if ended && flights.get(self.key).is_some_and(|listed| Arc::ptr_eq(listed, &self.answer)) {
            flights.remove(self.key);
        }
    }
}

/// Whether old records replace the answers of a store.
#[derive(Default)]
pub(super) struct Outage(AtomicBool);

impl Outage {
    /// Notes that an old record replaced the answer after `fault`. An outage writes one line.
    pub(super) fn goes_on(&self, fault: &StoreFault) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "authorizer::store",
                event = "store_outage",
                kind = fault.kind().as_str(),
                error = %fault,
                "the store does not answer; cached records are used"
            );
        }
    }

    /// Notes that the store has answered.
    pub(super) fn is_over(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!(target: "authorizer::store", event = "store_back", "the store answers again");
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
    async fn concurrent_calls_for_a_key_share_one_answer() {
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
    async fn dropped_leader_leaves_the_call_to_the_next_waiter() {
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
    async fn call_after_the_answer_is_a_new_one() {
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
