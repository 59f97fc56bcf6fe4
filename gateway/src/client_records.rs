//! What is known of the last connection of each client id: the `versionNumber` of its lifecycle events, and what API calls and
//! the console read of it or do to it. It is forgotten some time after the client has disconnected.
//!
//! Source: AWS IoT Core developer guide, `life-cycle-events`; API reference, `API_iotdata_GetConnection` and
//! `API_iotdata_DeleteConnection`.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use crate::{clock::Moment, metrics::Direction, session::SessionState};

/// For how long the record of a client without a persistent session is kept.
pub const KEPT: Duration = Duration::from_hours(1);
/// Client ids without a connection whose records are kept. One more forgets the one that is due first.
const MAX_AWAY: usize = 20_000;

/// The records of all client ids.
#[derive(Default)]
pub struct ClientRecords(Mutex<State>);

#[derive(Default)]
struct State {
    by_client: HashMap<Arc<str>, Record>,
    /// The clients without a connection, with the moment at which each is forgotten.
    away: BTreeSet<(Moment, Arc<str>)>,
}

/// A client id's last connection.
struct Record {
    connection: Arc<ConnectionRecord>,
    /// Its end, and when it is forgotten; `None` while it is open.
    end: Option<(ConnectionEnd, Moment)>,
}

/// What is known of a connection from its CONNECT on.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// `versionNumber`: 0 at the first connection of a client id, and one more at each later one.
    pub version: u64,
    /// When it began.
    pub since: Moment,
    /// What the CONNECT and the connection are.
    pub details: ConnectionDetails,
    /// The API call that ends it.
    deletion: OnceLock<Deletion>,
    /// Other requests that it has not seen yet.
    requests: Mutex<Vec<ConnectionRequest>>,
    requested: Notify,
    received: AtomicU64,
    sent: AtomicU64,
}

/// What others ask of a connection.
#[derive(Debug)]
pub enum ConnectionRequest {
    /// End.
    Delete(Deletion),
    /// Ask the authorizer again now.
    Refresh,
    /// End as if the link to the client were broken.
    Cut,
    /// Tell the state of the session.
    Inspect(oneshot::Sender<SessionState>),
}

/// What the CONNECT and the connection are.
#[derive(Clone, Debug)]
pub struct ConnectionDetails {
    /// The client's address.
    pub source: SocketAddr,
    /// The gateway's own address, if it is known.
    pub target: Option<SocketAddr>,
    /// The keep-alive that the client asked for, in seconds.
    pub keep_alive: u16,
    /// Whether it began a new session.
    pub clean_session: bool,
    /// For how long its session outlives it.
    pub session_expiry: Duration,
    /// The client's Thing.
    pub thing_name: Option<String>,
}

/// How an API call ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// The session ends too.
    pub clean_session: bool,
    /// The last will is not published.
    pub prevent_will: bool,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionEnd {
    /// When.
    pub at: Moment,
    /// AWS's `disconnectReason`.
    pub reason: &'static str,
}

impl ClientRecords {
    /// A new connection.
    #[must_use]
    pub fn connected(
        &self,
        client_id: &Arc<str>,
        details: ConnectionDetails,
        now: Moment,
    ) -> Arc<ConnectionRecord> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(now);
        let State { by_client, away } = &mut *state;
        let earlier = by_client.get(client_id);
        if let Some((_, at)) = earlier.and_then(|earlier| earlier.end) {
            away.remove(&(at, Arc::clone(client_id)));
        }
        let connection = Arc::new(ConnectionRecord {
            version: earlier.map_or(0, |earlier| earlier.connection.version + 1),
            since: now,
            details,
            deletion: OnceLock::new(),
            requests: Mutex::default(),
            requested: Notify::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        });
        let record = Record { connection: Arc::clone(&connection), end: None };
        by_client.insert(Arc::clone(client_id), record);
        connection
    }

    /// A connection has ended. Its client is forgotten at `forgotten_at`, unless it connects again before, or has done so
    /// already.
    pub fn disconnected(
        &self,
        client_id: &Arc<str>,
        connection: &ConnectionRecord,
        end: ConnectionEnd,
        forgotten_at: Moment,
    ) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { by_client, away } = &mut *state;
        let last = by_client.get_mut(client_id);
        let Some(last) = last.filter(|last| last.connection.version == connection.version) else { return };
        last.end = Some((end, forgotten_at));
        away.insert((forgotten_at, Arc::clone(client_id)));
        if away.len() > MAX_AWAY {
            state.forget_first();
        }
    }

    /// The last connection of a client id, and its end if it has ended.
    #[must_use]
    pub fn of(&self, client_id: &str, now: Moment) -> Option<(Arc<ConnectionRecord>, Option<ConnectionEnd>)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(now);
        let Record { connection, end } = state.by_client.get(client_id)?;
        Some((Arc::clone(connection), end.map(|(end, _)| end)))
    }

    /// The connections that are open, in no order.
    #[must_use]
    pub fn open(&self) -> Vec<(Arc<str>, Arc<ConnectionRecord>)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = state.by_client.iter().filter(|(_, record)| record.end.is_none());
        open.map(|(client_id, record)| (Arc::clone(client_id), Arc::clone(&record.connection))).collect()
    }
}

impl ConnectionRecord {
    /// Ends the connection. Only the first call counts.
    pub fn delete(&self, deletion: Deletion) {
        _ = self.deletion.set(deletion);
        self.requested.notify_one();
    }

    /// Asks something of the connection.
    pub fn request(&self, request: ConnectionRequest) {
        match request {
            ConnectionRequest::Delete(deletion) => self.delete(deletion),
            other => {
                self.requests().push(other);
                self.requested.notify_one();
            }
        }
    }

    /// Waits for the next request.
    pub async fn requested(&self) -> ConnectionRequest {
        loop {
            if let Some(deletion) = self.deletion.get() {
                return ConnectionRequest::Delete(*deletion);
            }
            if let Some(request) = self.requests().pop() {
                return request;
            }
            self.requested.notified().await;
        }
    }

    /// Counts a message from the client or to it.
    pub fn count(&self, direction: Direction) {
        let counter = match direction {
            Direction::In => &self.received,
            Direction::Out => &self.sent,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The messages from the client and to it so far.
    #[must_use]
    pub fn messages(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<ConnectionRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Moment) {
        while self.away.first().is_some_and(|(at, _)| *at <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, client_id)) = self.away.pop_first() {
            self.by_client.remove(&client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn start() -> (ClientRecords, Moment) {
        (ClientRecords::default(), Clock::Manual(ManualClock::new()).now())
    }

    fn connected(records: &ClientRecords, id: &Arc<str>, now: Moment) -> Arc<ConnectionRecord> {
        let details = ConnectionDetails {
            source: (Ipv4Addr::LOCALHOST, 1).into(),
            target: None,
            keep_alive: 60,
            clean_session: true,
            session_expiry: Duration::ZERO,
            thing_name: None,
        };
        records.connected(id, details, now)
    }

    fn disconnected(records: &ClientRecords, id: &Arc<str>, connection: &ConnectionRecord, now: Moment) {
        records.disconnected(
            id,
            connection,
            ConnectionEnd { at: now, reason: "CONNECTION_LOST" },
            now + KEPT,
        );
    }

    #[test]
    fn each_connection_of_a_client_id_has_the_next_number_until_it_is_forgotten() {
        let (records, now) = start();
        let (a, b) = ("a".into(), "b".into());
        let first = connected(&records, &a, now);
        assert_eq!((first.version, connected(&records, &b, now).version), (0, 0));
        disconnected(&records, &a, &first, now);
        let second = connected(&records, &a, now + KEPT / 2);
        assert_eq!(second.version, 1, "it is back in time");
        disconnected(&records, &a, &second, now);
        assert!(records.of("a", now + KEPT).is_none() && records.of("b", now + KEPT).is_some());
        assert_eq!(connected(&records, &a, now + KEPT).version, 0, "it was forgotten");
        assert_eq!(connected(&records, &b, now + KEPT * 9).version, 1, "it never went");
    }

    #[test]
    fn end_of_a_connection_that_was_taken_over_forgets_nothing() {
        let (records, now) = start();
        let id = "a".into();
        let first = connected(&records, &id, now);
        assert_eq!(connected(&records, &id, now).version, 1);
        disconnected(&records, &id, &first, now);
        assert_eq!(records.of("a", now + KEPT * 2).unwrap().1, None, "the second one is open");
        assert_eq!(connected(&records, &id, now + KEPT * 2).version, 2);
    }

    #[test]
    fn number_of_clients_without_a_connection_is_bounded() {
        let (records, now) = start();
        for n in 0..MAX_AWAY + 10 {
            let id = n.to_string().into();
            let connection = connected(&records, &id, now);
            disconnected(&records, &id, &connection, now);
        }
        let state = records.0.lock().unwrap();
        assert_eq!((state.by_client.len(), state.away.len()), (MAX_AWAY, MAX_AWAY));
    }

    #[tokio::test]
    async fn first_call_ends_the_connection_even_if_it_comes_before_the_wait() {
        let (records, now) = start();
        let connection = connected(&records, &"a".into(), now);
        let first = Deletion { clean_session: true, prevent_will: false };
        connection.delete(first);
        connection.delete(Deletion { clean_session: false, prevent_will: true });
        assert!(
            matches!(connection.requested().await, ConnectionRequest::Delete(deletion) if deletion == first)
        );
    }
}
