//! Whether to fetch, decided without IO and without a clock.

use std::{sync::Arc, time::Duration};

use device_auth::jwt::{keys::Keys, token::UnverifiedToken};

use crate::{fault::JwksFault, moment::Moment};

/// How long after a fetch that failed the next one follows while old keys serve on: an issuer that is down is not to
/// cost every connect the time limit.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The same where there are no keys yet, so that strangers' tokens don't make one fetch each.
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// How long keys may serve after they were fetched, at most: whoever keeps the authorizer from the issuer must not keep
/// a withdrawn key alive for ever.
const MAX_STALE: Duration = Duration::from_hours(24);

/// How often and how patiently keys are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksTiming {
    /// How long fetched keys are good before they are fetched again.
    pub max_age: Duration,
    /// How long one fetch may take, connecting included. IoT Core gives the whole function 5 s.
    pub time_limit: Duration,
    /// How long after a fetch for an unknown `kid` the next one may follow.
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

/// What has been fetched, and what has been tried.
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

/// Why to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// There are no keys, or they are old.
    Age,
    /// There are keys, but none with the token's `kid`.
    UnknownKid,
}

impl Cache {
    /// Whether to fetch for a token with this header, shown at the moment `asked`. A fetch that ended after that
    /// moment was waited for, and is not repeated.
    pub(super) fn due(
        &self,
        token: &UnverifiedToken<'_>,
        timing: &JwksTiming,
        asked: Moment,
    ) -> Option<Cause> {
        if self.failure.as_ref().is_some_and(|failure| failure.at.is_after(asked)) {
            return None;
        }
        let since = |moment: Moment| moment.age(asked);
        let Some(fetched) = &self.fetched else {
            let waited =
                self.failure.as_ref().is_none_or(|failure| since(failure.at) >= FIRST_RETRY_INTERVAL);
            return waited.then_some(Cause::Age);
        };
        if fetched.at.is_after(asked) {
            return None;
        }
        if since(fetched.at) >= timing.max_age {
            let waited = self.failure.as_ref().is_none_or(|failure| since(failure.at) >= RETRY_INTERVAL);
            return waited.then_some(Cause::Age);
        }
        let waited = self.unknown_kid_at.is_none_or(|at| since(at) >= timing.refetch_interval);
        let unknown = !fetched.keys.has_key_for(token);
        (unknown && waited).then_some(Cause::UnknownKid)
    }

    pub(super) fn note_attempt(&mut self, cause: Cause, now: Moment) {
        if cause == Cause::UnknownKid {
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

    /// The keys, unless there are none or they have served for too long.
    pub(super) fn answer(&self, now: Moment) -> Result<Arc<Keys>, JwksFault> {
        match (&self.fetched, &self.failure) {
            (Some(fetched), None) => Ok(Arc::clone(&fetched.keys)),
            (Some(fetched), Some(_)) if fetched.at.age(now) < MAX_STALE => Ok(Arc::clone(&fetched.keys)),
            (_, Some(failure)) => Err(failure.fault.clone()),
            // Never met: with neither, a fetch was due, and it ended in one of them.
            (None, None) => Err(JwksFault::TimedOut),
        }
    }
}
