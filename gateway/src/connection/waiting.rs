//! What a connection waits for before its CONNECT or first request, and no longer than it may.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::log::ConnectionLog;
use crate::shared::Shared;

/// AWS's word for what there is too much of; which it uses here is *(unverified)*.
const CROWDED_OUT: (&str, &str) = (
    "THROTTLED",
    "too many connections are still in their TLS handshake or before their CONNECT, and this was the oldest: \
     `--max-handshakes` allows more",
);

/// A connection that waits.
pub(super) struct Waiting<'a> {
    pub(super) shared: &'a Shared,
    pub(super) log: &'a ConnectionLog,
    pub(super) crowded_out: &'a CancellationToken,
}

impl Waiting<'_> {
    /// What comes in time; if nothing does, the log says so with this reason.
    pub(super) async fn in_time<T>(
        &self,
        reason: &'static str,
        what: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let limit = self.shared.settings.limits.connect_timeout;
        let work = self.or_crowded_out(self.shared.clock.timeout(limit, work));
        // Who has not shown yet who it is has nothing to lose when the gateway stops.
        let done = tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => return None,
            done = work => done?,
        };
        if done.is_none() {
            self.log.refused(reason, format!("no {what} within {limit:?}"));
        }
        done
    }

    /// What comes before others need the permit.
    pub(super) async fn or_crowded_out<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.crowded_out.cancelled() => {
                let (reason, details) = CROWDED_OUT;
                self.log.refused(reason, details.to_owned());
                None
            }
        }
    }
}
