//! A limit on connections that have not sent their CONNECT. One more than the limit ends the oldest of them, so a client that
//! leaves connections half open keeps no device out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The limit.
pub struct Handshakes {
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// In the order in which they came.
    tokens: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// One connection before its CONNECT, until it is dropped.
pub struct Handshake {
    of: Arc<Handshakes>,
    number: u64,
    evicted: CancellationToken,
}

impl Handshakes {
    /// A limit of at least one.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), open: Mutex::default() })
    }

    /// One more connection.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> Handshake {
        let evicted = CancellationToken::new();
        let mut open = self.open();
        while open.tokens.len() >= self.limit {
            let Some((_, oldest)) = open.tokens.pop_first() else { break };
            oldest.cancel();
        }
        let number = open.next;
        open.next += 1;
        open.tokens.insert(number, evicted.clone());
        drop(open);
        Handshake { of: Arc::clone(self), number, evicted }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Completes when a later connection needs the place.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of.open().tokens.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_limit_ends_the_oldest() {
        let limit = Handshakes::new(2);
        let (first, second) = (limit.begin(), limit.begin());
        assert!(!first.evicted.is_cancelled());
        let third = limit.begin();
        assert!(first.evicted.is_cancelled() && !second.evicted.is_cancelled());
        drop(second);
        let fourth = limit.begin();
        assert!(!third.evicted.is_cancelled() && !fourth.evicted.is_cancelled());
        drop(first);
        assert_eq!(limit.open().tokens.len(), 2, "it had lost its place already");
    }
}
