//! How fast clients connect.
//!
//! Source: AWS general reference, `iot-core`. Only those count whom the authorizer and the policies let in, so that nobody
//! can keep a device out by its client id alone *(unverified)*.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{clock::Moment, quotas::Quotas, session::rate::Rate};

/// With fewer client ids than this it isn't worth while to look for those that don't count any more.
const FEW: usize = 1_024;

/// Who connected within the last second.
pub struct ConnectRate(Mutex<State>);

struct State {
    all: Rate,
    by_client: HashMap<Arc<str>, Rate>,
    /// How many client ids there may be before the next look.
    room: usize,
}

/// A client has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Throttled {
    /// Because of its own CONNECTs.
    #[error(
        "this client id connects too often (AWS takes one CONNECT a second): wait a second longer each time"
    )]
    ClientId,
    /// Because of everybody's.
    #[error(
        "too many clients connect at a time (AWS takes 3,000 a second): spread them, and wait longer each time"
    )]
    Account,
}

impl ConnectRate {
    /// Nobody did.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self(Mutex::new(State { all: Rate::new(now), by_client: HashMap::new(), room: FEW }))
    }

    /// A client connects.
    ///
    /// # Errors
    ///
    /// When that is more than the quotas allow.
    pub fn admit(&self, client_id: &Arc<str>, quotas: &Quotas, now: Moment) -> Result<(), Throttled> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if quotas.connects_per_second.is_some_and(|rate| !state.all.try_take(rate, now)) {
            return Err(Throttled::Account);
        }
        let Some(rate) = quotas.connects_per_second_per_client_id else { return Ok(()) };
        state.make_room(now);
        let of_client = state.by_client.entry(Arc::clone(client_id)).or_insert(Rate::new(now));
        if of_client.try_take(rate, now) { Ok(()) } else { Err(Throttled::ClientId) }
    }
}

impl State {
    fn make_room(&mut self, now: Moment) {
        if self.by_client.len() >= self.room {
            self.by_client.retain(|_, rate| !rate.is_over(now));
            self.room = FEW.max(self.by_client.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_client_id_connects_once_a_second_and_others_do_not_matter_to_it() {
        let begin = Clock::Manual(ManualClock::new()).now();
        let connects = ConnectRate::new(begin);
        let admit = |id: &str, at| connects.admit(&id.into(), &Quotas::AWS, at);
        assert_eq!(admit("a", begin), Ok(()));
        assert_eq!(admit("a", begin + SECOND / 2), Err(Throttled::ClientId));
        assert_eq!(admit("b", begin + SECOND / 2), Ok(()));
        assert_eq!(admit("a", begin + SECOND), Ok(()));
        assert_eq!(admit("a", begin + SECOND * 3 / 2), Err(Throttled::ClientId));
        assert_eq!(connects.admit(&"a".into(), &Quotas::AWS.at_any_rate(), begin + SECOND), Ok(()));
    }

    #[test]
    fn all_together_connect_three_thousand_times_a_second_and_are_forgotten_then() {
        let begin = Clock::Manual(ManualClock::new()).now();
        let connects = ConnectRate::new(begin);
        for n in 0..3_000 {
            assert_eq!(connects.admit(&n.to_string().into(), &Quotas::AWS, begin), Ok(()), "{n}");
        }
        assert_eq!(connects.admit(&"one more".into(), &Quotas::AWS, begin), Err(Throttled::Account));
        let later = begin + SECOND * 2;
        for n in 0..3_000 {
            assert_eq!(connects.admit(&format!("other {n}").into(), &Quotas::AWS, later), Ok(()), "{n}");
        }
        let known = connects.0.lock().unwrap().by_client.len();
        assert!(known <= 6_000, "{known} client ids are remembered");
    }
}
