//! A limit on connections that have not yet sent their CONNECT or first request. One more than the limit ends the oldest
//! of them, so a client that leaves thousands of connections half open keeps no other client out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The limit on connections before their CONNECT or first request.
pub struct HandshakeLimit {
    limit: usize,
    permits: Mutex<Permits>,
}

#[derive(Default)]
struct Permits {
    /// In the order in which they were acquired.
    taken: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// Allows one connection to be before its CONNECT or first request. Dropping it releases it.
pub struct HandshakePermit {
    limit: Arc<HandshakeLimit>,
    number: Mutex<Option<u64>>,
    evicted: CancellationToken,
}

impl HandshakeLimit {
    /// A limit of `limit` connections, and of at least one.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), permits: Mutex::default() })
    }

    /// A permit for one more connection.
    #[must_use]
    pub fn acquire(self: &Arc<Self>) -> HandshakePermit {
        let permit = HandshakePermit {
            limit: Arc::clone(self),
            number: Mutex::new(None),
            evicted: CancellationToken::new(),
        };
        permit.reacquire();
        permit
    }

    fn take(&self, evicted: &CancellationToken) -> u64 {
        let mut permits = self.permits();
        while permits.taken.len() >= self.limit {
            let Some((_, oldest)) = permits.taken.pop_first() else { break };
            oldest.cancel();
        }
        let number = permits.next;
        permits.next += 1;
        permits.taken.insert(number, evicted.clone());
        number
    }

    /// How many connections hold a permit.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.permits().taken.len()
    }

    fn permits(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandshakePermit {
    /// Cancelled when a later connection needs the permit; never while it is released.
    #[must_use]
    pub fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }

    /// Gives the permit up: the client is authenticated, or the connection waits for the authorizer.
    pub fn release(&self) {
        if let Some(number) = self.number().take() {
            self.limit.permits().taken.remove(&number);
        }
    }

    /// Acquires the permit again: the client has to authenticate again.
    pub fn reacquire(&self) {
        let mut number = self.number();
        if number.is_none() {
            *number = Some(self.limit.take(&self.evicted));
        }
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_above_the_limit_ends_the_oldest() {
        let limit = HandshakeLimit::new(2);
        let out = |permit: &HandshakePermit| permit.evicted().is_cancelled();
        let (first, second, third) = (limit.acquire(), limit.acquire(), limit.acquire());
        assert!(out(&first) && !out(&second) && !out(&third));
        drop(first);
        assert_eq!(limit.taken(), 2);
        let left = third.evicted();
        drop(third);
        let fourth = limit.acquire();
        assert!(!out(&second), "the third has released its permit");
        let _fifth = limit.acquire();
        assert!(out(&second) && !left.is_cancelled() && !out(&fourth));
        assert_eq!(limit.taken(), 2);
    }

    #[test]
    fn released_permit_is_free_until_it_is_acquired_again() {
        let limit = HandshakeLimit::new(1);
        let first = limit.acquire();
        first.release();
        let second = limit.acquire();
        assert!(!first.evicted().is_cancelled() && !second.evicted().is_cancelled());
        first.reacquire();
        first.reacquire();
        assert!(second.evicted().is_cancelled());
        assert_eq!(limit.taken(), 1);
        drop(first);
        assert_eq!(limit.taken(), 0);
    }
}
