//! AWS's quotas on the rate of CONNECTs.
//!
//! A CONNECT counts only if the authorizer and the policies allow it, so an attacker can't lock a device out by using its
//! client id *(unverified)*.
//!
//! Source: AWS general reference, `iot-core`.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{clock::Moment, quotas::Quotas, session::rate::Rate};

/// The number of client ids below which old ones are not removed.
const FEW: usize = 1_024;

/// The CONNECTs of the last second.
pub struct ConnectRate(Mutex<State>);

struct State {
    all: Rate,
    by_client: HashMap<Arc<str>, Rate>,
    /// The number of client ids at which old ones are removed.
    room: usize,
}

/// A CONNECT that a quota does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Throttled {
    /// The quota on CONNECTs of one client id.
    #[error("this client id connects more than {0} times a second: wait a second longer each time")]
    ClientId(NonZeroU32),
    /// The quota on CONNECTs of all clients.
    #[error("more than {0} clients connect a second: spread them, and wait longer each time")]
    Account(NonZeroU32),
}

impl ConnectRate {
    /// No CONNECT yet.
    #[must_use]
    pub fn new(now: Moment) -> Self {
        Self(Mutex::new(State { all: Rate::new(now), by_client: HashMap::new(), room: FEW }))
    }

    /// Counts a CONNECT.
    ///
    /// # Errors
    ///
    /// When it exceeds a quota.
    pub fn admit(&self, client_id: &Arc<str>, quotas: &Quotas, now: Moment) -> Result<(), Throttled> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rate) = quotas.connects_per_second
            && !state.all.try_take(rate, now)
        {
            return Err(Throttled::Account(rate));
        }
        let Some(rate) = quotas.connects_per_second_per_client_id else { return Ok(()) };
        state.make_room(now);
        let of_client = state.by_client.entry(Arc::clone(client_id)).or_insert(Rate::new(now));
        if of_client.try_take(rate, now) { Ok(()) } else { Err(Throttled::ClientId(rate)) }
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
    fn client_id_connects_once_a_second_whatever_others_do() {
        let begin = Clock::Manual(ManualClock::new()).now();
        let connects = ConnectRate::new(begin);
        let admit = |id: &str, at| connects.admit(&id.into(), &Quotas::AWS, at);
        assert_eq!(admit("a", begin), Ok(()));
        assert_eq!(admit("a", begin + SECOND / 2), Err(Throttled::ClientId(NonZeroU32::MIN)));
        assert_eq!(admit("b", begin + SECOND / 2), Ok(()));
        assert_eq!(admit("a", begin + SECOND), Ok(()));
        assert_eq!(admit("a", begin + SECOND * 3 / 2), Err(Throttled::ClientId(NonZeroU32::MIN)));
        assert_eq!(connects.admit(&"a".into(), &Quotas::AWS.at_any_rate(), begin + SECOND), Ok(()));
    }

    #[test]
    fn account_connects_three_thousand_times_a_second_and_old_client_ids_are_removed() {
        let begin = Clock::Manual(ManualClock::new()).now();
        let connects = ConnectRate::new(begin);
        for n in 0..3_000 {
            assert_eq!(connects.admit(&n.to_string().into(), &Quotas::AWS, begin), Ok(()), "{n}");
        }
        assert_eq!(
            connects.admit(&"one more".into(), &Quotas::AWS, begin),
            Err(Throttled::Account(NonZeroU32::new(3_000).unwrap()))
        );
        let later = begin + SECOND * 2;
        for n in 0..3_000 {
            assert_eq!(connects.admit(&format!("other {n}").into(), &Quotas::AWS, later), Ok(()), "{n}");
        }
        let known = connects.0.lock().unwrap().by_client.len();
        assert!(known <= 6_000, "{known} client ids are remembered");
    }
}
