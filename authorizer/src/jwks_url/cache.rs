//! The fetched keys, and the decision whether to fetch again, without IO and without a clock.

use std::{sync::Arc, time::Duration};

use device_auth::jwt::{keys::Keys, token::UnverifiedToken};

use crate::{fault::JwksFault, moment::Moment};

/// The shortest time from a failed fetch to the next one while old keys are used: an issuer that is down must not delay every
/// connect by the time limit.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The same without keys, so that not every token causes a fetch.
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The longest time for which fetched keys are used: an attacker who blocks the way to the issuer must not keep a revoked key
/// in use for ever.
const MAX_STALE: Duration = Duration::from_hours(24);

/// The times of fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksTiming {
    /// For how long fetched keys are used before they are fetched again.
    pub max_age: Duration,
    /// The time limit of one fetch with its connection. IoT Core waits 5 s for the whole function.
    pub time_limit: Duration,
    /// The shortest time between two fetches for unknown `kid`s.
    pub refetch_interval: Duration,
}

impl JwksTiming {
    /// Once an hour, 1 s, and 5 minutes for an unknown `kid`.
    pub const DEFAULT: Self = Self {
        max_age: Duration::from_hours(1),
        time_limit: Duration::from_secs(1),
        refetch_interval: Duration::from_mins(5),
    };
}

/// The fetched keys, and the last attempts.
#[derive(Default)]
pub(super) struct Cache {
    fetched: Option<Fetched>,
    failure: Option<Failure>,
    unknown_kid_at: Option<Moment>,
}

struct Fetched {
    keys: Arc<Keys>,
    at: Moment,
}

struct Failure {
    fault: JwksFault,
    at: Moment,
}

/// The reason for a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchReason {
    /// No keys are cached, or they are old.
    Age,
    /// No cached key has the token's `kid`.
    UnknownKid,
}

impl Cache {
    /// Why to fetch for a token that was presented at `asked`; `None` if no fetch is due. A fetch that ended after that was
    /// waited for, and is not repeated.
    pub(super) fn due(
        &self,
        token: &UnverifiedToken<'_>,
        timing: &JwksTiming,
        asked: Moment,
    ) -> Option<FetchReason> {
        if self.failure.as_ref().is_some_and(|failure| failure.at.is_after(asked)) {
            return None;
        }
        let since = |moment: Moment| moment.age(asked);
        let Some(fetched) = &self.fetched else {
            let waited =
                self.failure.as_ref().is_none_or(|failure| since(failure.at) >= FIRST_RETRY_INTERVAL);
            return waited.then_some(FetchReason::Age);
        };
        if fetched.at.is_after(asked) {
            return None;
        }
        if since(fetched.at) >= timing.max_age {
            let waited = self.failure.as_ref().is_none_or(|failure| since(failure.at) >= RETRY_INTERVAL);
            return waited.then_some(FetchReason::Age);
        }
        let waited = self.unknown_kid_at.is_none_or(|at| since(at) >= timing.refetch_interval);
        let unknown = !fetched.keys.has_key_for(token);
        (unknown && waited).then_some(FetchReason::UnknownKid)
    }

    pub(super) fn note_attempt(&mut self, reason: FetchReason, now: Moment) {
        if reason == FetchReason::UnknownKid {
            self.unknown_kid_at = Some(now);
        }
    }

    pub(super) fn succeed(&mut self, keys: Keys, now: Moment) {
        *self = Self {
            fetched: Some(Fetched { keys: Arc::new(keys), at: now }),
            failure: None,
            unknown_kid_at: self.unknown_kid_at,
        };
    }

    pub(super) fn fail(&mut self, fault: JwksFault, now: Moment) {
        self.failure = Some(Failure { fault, at: now });
    }

    pub(super) fn has_keys(&self) -> bool {
        self.fetched.is_some()
    }

    /// The keys, unless there are none or they are too old.
    pub(super) fn answer(&self, now: Moment) -> Result<Arc<Keys>, JwksFault> {
        match (&self.fetched, &self.failure) {
            (Some(fetched), None) => Ok(Arc::clone(&fetched.keys)),
            (Some(fetched), Some(_)) if fetched.at.age(now) < MAX_STALE => Ok(Arc::clone(&fetched.keys)),
            (_, Some(failure)) => Err(failure.fault.clone()),
            // This never happens: without both, a fetch is due, and it sets one of them.
            (None, None) => Err(JwksFault::TimedOut),
        }
    }
}
