//! What all connections share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use server::handshake_limit::HandshakeLimit;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::log::Log;
use crate::metrics::Metrics;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::tls::ServerTls;
use crate::upstream::Upstream;

/// What all connections share.
pub struct Shared {
    /// The settings that need a restart.
    pub settings: Settings,
    /// The rules, for connections that begin.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// The TLS of `mqtts`, for connections that begin.
    pub tls: watch::Receiver<Option<Arc<ServerTls>>>,
    /// The way to AWS.
    pub upstream: Upstream,
    /// The spool, if there is one.
    pub spool: Option<Spool>,
    /// The log.
    pub log: Log,
    /// The counters.
    pub metrics: Metrics,
    /// Connections before their CONNECT.
    pub handshakes: Arc<HandshakeLimit>,
    /// Devices that may be connected besides those that are.
    pub devices: Semaphore,
    /// The connected devices.
    pub sessions: Sessions,
    /// Cancelled when the bridge is to stop.
    pub stopping: CancellationToken,
    /// The connections' tasks, so that the end of the bridge can wait for them.
    pub tasks: TaskTracker,
}

/// The connected devices, by the client id upstream.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<Arc<str>, Open>>,
    next: AtomicU64,
}

struct Open {
    number: u64,
    /// The device's own client id, if it is another.
    client_id: Option<Arc<str>>,
    taken_over: oneshot::Sender<()>,
}

/// A connected device, until it is dropped.
pub struct Registered<'a> {
    sessions: &'a Sessions,
    client_id: Arc<str>,
    number: u64,
}

impl Sessions {
    /// Adds a device that the server has just accepted, and tells an earlier one with its client id.
    pub fn register(
        &self,
        upstream_client_id: &Arc<str>,
        client_id: Option<Arc<str>>,
        taken_over: oneshot::Sender<()>,
    ) -> Registered<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let open = Open { number, client_id, taken_over };
        if let Some(earlier) = self.open().insert(Arc::clone(upstream_client_id), open) {
            // It may have ended just now.
            _ = earlier.taken_over.send(());
        }
        Registered { sessions: self, client_id: Arc::clone(upstream_client_id), number }
    }

    /// The client ids that are other ones upstream: the device's own, and the one upstream.
    #[must_use]
    pub fn mapped_client_ids(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let open = self.open();
        let mapped =
            open.iter().filter_map(|(upstream, open)| Some((open.client_id.clone()?, Arc::clone(upstream))));
        let mut mapped = mapped.collect::<Vec<_>>();
        mapped.sort();
        mapped
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Arc<str>, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut open = self.sessions.open();
        if open.get(&self.client_id).is_some_and(|open| open.number == self.number) {
            open.remove(&self.client_id);
        }
    }
}
