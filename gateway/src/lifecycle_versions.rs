//! The `versionNumber` of lifecycle events: 0 at the first connection of a client id, and one more at each later one. It is
//! forgotten some time after the client has disconnected.
//!
//! Source: AWS IoT Core developer guide, `life-cycle-events`.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Moment;

/// For how long the number of a client without a persistent session is kept.
pub const KEPT: Duration = Duration::from_hours(1);
/// Client ids without a connection whose numbers are kept. One more forgets the one that is due first.
const MAX_AWAY: usize = 20_000;

/// The version number of each client id's last connection.
#[derive(Default)]
pub struct LifecycleVersions(Mutex<State>);

#[derive(Default)]
struct State {
    by_client: HashMap<Arc<str>, Last>,
    /// The clients without a connection, with the moment at which each is forgotten.
    away: BTreeSet<(Moment, Arc<str>)>,
}

/// A client id's last connection.
struct Last {
    version: u64,
    /// When it is forgotten; `None` while it is open.
    forgotten_at: Option<Moment>,
}

impl LifecycleVersions {
    /// The version number of a new connection.
    #[must_use]
    pub fn connected(&self, client_id: &Arc<str>, now: Moment) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(now);
        let State { by_client, away } = &mut *state;
        let Some(last) = by_client.get_mut(client_id) else {
            by_client.insert(Arc::clone(client_id), Last { version: 0, forgotten_at: None });
            return 0;
        };
        if let Some(at) = last.forgotten_at.take() {
            away.remove(&(at, Arc::clone(client_id)));
        }
        last.version += 1;
        last.version
    }

    /// The connection with this version number has ended. Its client is forgotten at `forgotten_at`, unless it connects again
    /// before, or has done so already.
    pub fn disconnected(&self, client_id: &Arc<str>, version: u64, forgotten_at: Moment) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { by_client, away } = &mut *state;
        let Some(last) = by_client.get_mut(client_id).filter(|last| last.version == version) else { return };
        last.forgotten_at = Some(forgotten_at);
        away.insert((forgotten_at, Arc::clone(client_id)));
        if away.len() > MAX_AWAY {
            state.forget_first();
        }
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
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn each_connection_of_a_client_id_has_the_next_number_until_it_is_forgotten() {
        let now = Clock::Manual(ManualClock::new()).now();
        let versions = LifecycleVersions::default();
        let (a, b) = ("a".into(), "b".into());
        assert_eq!((versions.connected(&a, now), versions.connected(&b, now)), (0, 0));
        versions.disconnected(&a, 0, now + KEPT);
        assert_eq!(versions.connected(&a, now + KEPT / 2), 1, "it is back in time");
        versions.disconnected(&a, 1, now + KEPT);
        assert_eq!(versions.connected(&a, now + KEPT), 0, "it was forgotten");
        assert_eq!(versions.connected(&b, now + KEPT * 9), 1, "it never went");
    }

    #[test]
    fn end_of_a_connection_that_was_taken_over_forgets_nothing() {
        let now = Clock::Manual(ManualClock::new()).now();
        let versions = LifecycleVersions::default();
        let id = "a".into();
        assert_eq!((versions.connected(&id, now), versions.connected(&id, now)), (0, 1));
        versions.disconnected(&id, 0, now + KEPT);
        assert_eq!(versions.connected(&id, now + KEPT * 2), 2);
    }

    #[test]
    fn number_of_clients_without_a_connection_is_bounded() {
        let now = Clock::Manual(ManualClock::new()).now();
        let versions = LifecycleVersions::default();
        for n in 0..MAX_AWAY + 10 {
            let id = n.to_string().into();
            let version = versions.connected(&id, now);
            versions.disconnected(&id, version, now + KEPT);
        }
        let state = versions.0.lock().unwrap();
        assert_eq!((state.by_client.len(), state.away.len()), (MAX_AWAY, MAX_AWAY));
    }
}
