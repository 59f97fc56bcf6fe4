//! AWS's quotas on rates that all connections of an account share.
//!
//! A CONNECT counts only if the authorizer and the policies allow it, so an attacker can't lock a device out by using its
//! client id *(guess: a refused CONNECT does not count for the rate)*.
//!
//! Source: AWS general reference, `iot-core`.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use mqtt::TopicName;

use crate::{
    clock::Moment,
    quotas::{LimitError, Quotas},
    rate::Rate,
    rate_by_key::{Allowed, Exceeded, RateByKey},
    shadow::{ShadowId, error::ShadowError},
};

/// What the clients of the account did in the last second.
pub struct AccountRates {
    connects: RateByKey,
    retained: RateByKey,
    shadow_requests: RateByKey,
    https_publishes: RateByKey,
    subscriptions: Mutex<Rate>,
    /// The next CONNECTs that a test wants refused.
    connects_to_refuse: AtomicU32,
}

/// A CONNECT that a quota does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Throttled {
    /// The quota on CONNECTs of one client id.
    #[error("a client id may connect at most {0} times a second: wait a second longer each time")]
    ClientId(NonZeroU32),
    /// The quota on CONNECTs of all clients.
    #[error("more than {0} clients connect a second: spread them, and wait longer each time")]
    Account(NonZeroU32),
    /// A test asked for it.
    #[error("the test API asked for it")]
    Test,
}

impl AccountRates {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(now: Moment) -> Arc<Self> {
        Arc::new(Self {
            connects: RateByKey::new(now),
            retained: RateByKey::new(now),
            shadow_requests: RateByKey::new(now),
            https_publishes: RateByKey::new(now),
            subscriptions: Mutex::new(Rate::new(now)),
            connects_to_refuse: AtomicU32::new(0),
        })
    }

    /// Counts a CONNECT.
    ///
    /// # Errors
    ///
    /// When it exceeds a quota.
    pub fn connect(&self, client_id: &Arc<str>, quotas: &Quotas, now: Moment) -> Result<(), Throttled> {
        let less = |left: u32| left.checked_sub(1);
        if self.connects_to_refuse.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Err(Throttled::Test);
        }
        let allowed =
            Allowed { each: quotas.connects_per_second_per_client_id, all: quotas.connects_per_second };
        self.connects.admit(client_id, allowed, now).map_err(|exceeded| match exceeded {
            Exceeded::Each(rate) => Throttled::ClientId(rate),
            Exceeded::All(rate) => Throttled::Account(rate),
        })
    }

    /// Refuses the next CONNECTs as if they exceeded a quota.
    pub fn refuse_connects(&self, connects: u32) {
        self.connects_to_refuse.store(connects, Ordering::Relaxed);
    }

    /// How many of the next CONNECTs are refused.
    #[must_use]
    pub fn connects_to_refuse(&self) -> u32 {
        self.connects_to_refuse.load(Ordering::Relaxed)
    }

    /// Counts a request for a shadow, over MQTT or HTTPS.
    ///
    /// # Errors
    ///
    /// When it exceeds a quota *(guess: a request above a rate is rejected with 429)*.
    pub fn shadow(&self, id: &ShadowId, quotas: &Quotas, now: Moment) -> Result<(), ShadowError> {
        let (each, all) = (quotas.shadow_requests_per_second_per_shadow, quotas.shadow_requests_per_second);
        let admitted = self.shadow_requests.admit(&id.to_string().into(), Allowed { each, all }, now);
        admitted.map_err(|_| ShadowError::TooManyRequests)
    }

    /// Counts a message that is to be retained, over MQTT or HTTPS.
    ///
    /// # Errors
    ///
    /// When it exceeds a quota.
    pub fn retain(&self, topic: &TopicName, quotas: &Quotas, now: Moment) -> Result<(), LimitError> {
        let (each, all) =
            (quotas.retained_publishes_per_second_per_topic, quotas.retained_publishes_per_second);
        self.retained.admit(&topic.as_str().into(), Allowed { each, all }, now).map_err(|exceeded| {
            match exceeded {
                Exceeded::Each(rate) => LimitError::RetainedPerTopic(rate),
                Exceeded::All(rate) => LimitError::Retained(rate),
            }
        })
    }

    /// Counts an HTTPS publish of a principal. A client with many connections has no more than one with one.
    ///
    /// # Errors
    ///
    /// When it exceeds a quota.
    pub fn publish_over_https(
        &self,
        principal_id: &Arc<str>,
        quotas: &Quotas,
        now: Moment,
    ) -> Result<(), LimitError> {
        let allowed = Allowed { each: quotas.publishes_per_second, all: None };
        self.https_publishes.admit(principal_id, allowed, now).map_err(|exceeded| match exceeded {
            Exceeded::Each(rate) | Exceeded::All(rate) => LimitError::PublishesOfPrincipal(rate),
        })
    }

    /// Counts a topic filter of a SUBSCRIBE.
    ///
    /// # Errors
    ///
    /// When it exceeds a quota.
    pub fn subscribe(&self, quotas: &Quotas, now: Moment) -> Result<(), LimitError> {
        let Some(rate) = quotas.subscriptions_per_second else { return Ok(()) };
        let mut subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        if subscriptions.try_take(rate, now) { Ok(()) } else { Err(LimitError::Subscriptions(rate)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn quotas_of_aws_name_themselves() {
        let now = Clock::Manual(ManualClock::new()).now();
        let rates = AccountRates::new(now);
        let (id, topic) = ("c".into(), "t".parse().unwrap());
        assert_eq!(rates.connect(&id, &Quotas::AWS, now), Ok(()));
        assert_eq!(rates.connect(&id, &Quotas::AWS, now), Err(Throttled::ClientId(NonZeroU32::MIN)));
        assert_eq!(rates.retain(&topic, &Quotas::AWS, now), Ok(()));
        let error = rates.retain(&topic, &Quotas::AWS, now).unwrap_err();
        assert_eq!(
            error.to_string(),
            "discarded: at most 1 a second of the messages on a topic may be retained"
        );
        assert_eq!(rates.retain(&topic, &Quotas::AWS, now + Duration::from_secs(1)), Ok(()));
        for _ in 0..3_000 {
            assert_eq!(rates.subscribe(&Quotas::AWS, now), Ok(()));
        }
        let error = rates.subscribe(&Quotas::AWS, now).unwrap_err();
        assert_eq!(
            error.to_string(),
            "all clients together subscribe to more than 3000 topic filters a second"
        );
    }
}
