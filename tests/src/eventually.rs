//! Waiting for what must happen, with a bound.

use std::{future::Future, time::Duration};

/// Far more than anything here takes; a test that gets this far has failed.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Asks again and again until `probe` gives something.
pub async fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = probe() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Asks again and again until `probe`, which takes its time, says that it is so.
pub async fn until(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !probe().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

/// Waits for `work`, but not for ever.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("{what} took too long"))
}
