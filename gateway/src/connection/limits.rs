//! The limits on a connection before its client is connected: how long a step may take, and until when its permit is its own.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::log::ConnectionLog;
use crate::shared::Shared;

/// The reason and details of an eviction: a limit of the gateway's own, with AWS's word for others.
const EVICTED: (&str, &str) = (
    "THROTTLED",
    "too many connections are still in their TLS handshake or before their CONNECT, and this was the oldest: \
     `--max-handshakes` allows more",
);

/// The steps that a connection may only take so long for, and only while its permit is not needed for a later one.
pub(super) struct HandshakeLimits<'a> {
    pub(super) shared: &'a Shared,
    pub(super) log: &'a ConnectionLog,
    pub(super) evicted: &'a CancellationToken,
}

impl HandshakeLimits<'_> {
    /// The output of `work`, if it comes within the time for a client to connect. If not, the log says that `what` is
    /// missing.
    pub(super) async fn within_timeout<T>(
        &self,
        reason: &'static str,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let timeout = self.shared.settings.limits.connect_timeout;
        let work = self.unless_evicted(self.shared.clock.timeout(timeout, work));
        // A client that is not authenticated yet loses nothing when the gateway stops.
        let done = tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => return None,
            done = work => done?,
        };
        if done.is_none() {
            let cure =
                "the client sends nothing, or only a part; look at what it connects with, and at the network";
            self.log.connect_refused(reason, format!("no {what} within {timeout:?}: {cure}"));
        }
        done
    }

    /// The output of `work`, unless a later connection needs the permit first.
    pub(super) async fn unless_evicted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.evicted.cancelled() => {
                let (reason, details) = EVICTED;
                self.log.connect_refused(reason, details.to_owned());
                None
            }
        }
    }
}
