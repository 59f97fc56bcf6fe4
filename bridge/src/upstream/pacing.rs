//! When a device may connect upstream, without IO and without a clock of its own.
//!
//! AWS IoT Core accepts one CONNECT a second of a client id, and so many a second of an account. After an outage all devices
//! come back at once. And a device with a wrong password would try again for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use device_core::backoff::Backoff;
use mqtt::ConnectReasonCode;
use tokio::time::Instant;

/// More than the second that AWS demands between two CONNECTs of a client id, because the network delays some.
const CLIENT_INTERVAL: Duration = Duration::from_millis(1_100);
/// A device that connects more often than this is held back.
const STORM_BURST: u32 = 10;
/// How long a device that connects too often waits between two connects.
const STORM_INTERVAL: Duration = Duration::from_secs(6);
/// How long credentials that were refused are not tried again; it doubles with each refusal.
const FIRST_REFUSAL: Duration = Duration::from_secs(5);
/// The longest time for which credentials are not tried again.
const LAST_REFUSAL: Duration = Duration::from_mins(15);
/// The shortest and the longest time between two attempts while the server can't be reached.
const OUTAGE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// A client that did nothing for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_hours(1);
/// After how many connects the clients to forget are looked for.
const SWEEP_EVERY: usize = 1_024;

/// What a device presents, as a keyed digest whose key this process alone has.
pub type Presented = [u8; 32];

/// The pace of a site.
pub struct Pacing {
    connects_per_second: u32,
    longest_wait: Duration,
    next_slot: Instant,
    outage: Option<Outage>,
    clients: HashMap<Arc<str>, Client>,
    connects: usize,
}

struct Outage {
    backoff: Backoff,
    until: Instant,
    since: Instant,
}

struct Client {
    last: Instant,
    /// How many connects it may still make in a row.
    tokens: f64,
    refusal: Option<Refusal>,
}

struct Refusal {
    presented: Presented,
    until: Instant,
    lasts: Duration,
    code: ConnectReasonCode,
    reason_string: Option<Arc<str>>,
}

/// Why a device may not connect upstream now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// The server has refused the same credentials a short time ago, with this answer.
    Refused {
        /// The server's code.
        code: ConnectReasonCode,
        /// The server's words.
        reason_string: Option<Arc<str>>,
        /// For how long they are not tried again.
        for_another: Duration,
    },
    /// The device connects too often.
    Storm,
    /// Too many devices wait.
    Busy,
    /// The server can't be reached.
    Outage,
}

impl Pacing {
    /// So many connects a second, for which nobody waits longer than `longest_wait`.
    #[must_use]
    pub fn new(connects_per_second: u32, longest_wait: Duration, now: Instant) -> Self {
        Self {
            connects_per_second: connects_per_second.max(1),
            longest_wait,
            next_slot: now,
            outage: None,
            clients: HashMap::new(),
            connects: 0,
        }
    }

    /// The moment at which a client may connect.
    ///
    /// # Errors
    ///
    /// [`Held`], if it may not for longer than a device waits.
    pub fn reserve(
        &mut self,
        client_id: &Arc<str>,
        presented: &Presented,
        now: Instant,
    ) -> Result<Instant, Held> {
        self.sweep(now);
        let latest = now + self.longest_wait;
        let new = Client {
            last: now.checked_sub(CLIENT_INTERVAL).unwrap_or(now),
            tokens: f64::from(STORM_BURST),
            refusal: None,
        };
        let client = self.clients.get(client_id).unwrap_or(&new);
        if let Some(refusal) = client.refusal.as_ref().filter(|refusal| refusal.presented == *presented)
            && refusal.until > now
        {
            let (code, reason_string) = (refusal.code, refusal.reason_string.clone());
            return Err(Held::Refused { code, reason_string, for_another: refusal.until - now });
        }
        // An earlier connect of the client may still wait.
        let counted = now.max(client.last);
        let elapsed = now.saturating_duration_since(client.last).as_secs_f64();
        let tokens = (client.tokens + elapsed / STORM_INTERVAL.as_secs_f64()).min(STORM_BURST.into());
        let missing = (1.0 - tokens).max(0.0);
        let own = (client.last + CLIENT_INTERVAL).max(counted + STORM_INTERVAL.mul_f64(missing));
        if own > latest {
            return Err(Held::Storm);
        }
        let outage = self.outage.as_ref().map_or(now, |outage| outage.until);
        if outage > latest {
            return Err(Held::Outage);
        }
        let slot = self.next_slot.max(own).max(outage).max(now);
        if slot > latest {
            return Err(Held::Busy);
        }
        // A client that waits for its own sake keeps no other from its slot.
        self.next_slot = self.next_slot.max(now) + Duration::from_secs(1) / self.connects_per_second;
        // One that is held leaves nothing here, so that inventing client ids takes no memory.
        let client = self.clients.entry(Arc::clone(client_id)).or_insert(new);
        client.tokens = tokens
            + slot.saturating_duration_since(counted).as_secs_f64() / STORM_INTERVAL.as_secs_f64()
            - 1.0;
        client.last = slot;
        Ok(slot)
    }

    /// The moment before which no device connects because the server can't be reached.
    #[must_use]
    pub fn outage_until(&self) -> Option<Instant> {
        self.outage.as_ref().map(|outage| outage.until)
    }

    /// Since when the server can't be reached, if it can't.
    #[must_use]
    pub fn outage_since(&self) -> Option<Instant> {
        self.outage.as_ref().map(|outage| outage.since)
    }

    /// The server was reached and has answered.
    pub fn reached(&mut self) {
        self.outage = None;
    }

    /// The server was not reached. `random` is any evenly distributed number. It is true for the first time of an outage.
    pub fn unreached(&mut self, now: Instant, random: u32) -> bool {
        let [min, max] = OUTAGE;
        match &mut self.outage {
            // Those that were under way with it end with it.
            Some(outage) if outage.until > now => false,
            Some(outage) => {
                outage.until = now + outage.backoff.next_delay(random);
                false
            }
            None => {
                let Ok(mut backoff) = Backoff::new(min, max) else { return true };
                let until = now + backoff.next_delay(random);
                self.outage = Some(Outage { backoff, until, since: now });
                true
            }
        }
    }

    /// The server has accepted a client.
    pub fn accepted(&mut self, client_id: &str) {
        self.reached();
        if let Some(client) = self.clients.get_mut(client_id) {
            client.refusal = None;
        }
    }

    /// The server has refused a client with this answer. It returns how long the same credentials are not tried again.
    pub fn refused(
        &mut self,
        client_id: &str,
        presented: Presented,
        code: ConnectReasonCode,
        reason_string: Option<Arc<str>>,
        now: Instant,
    ) -> Duration {
        self.reached();
        let Some(client) = self.clients.get_mut(client_id) else { return FIRST_REFUSAL };
        let lasts = match &client.refusal {
            Some(earlier) if earlier.presented == presented => (earlier.lasts * 2).min(LAST_REFUSAL),
            _ => FIRST_REFUSAL,
        };
        client.refusal = Some(Refusal { presented, until: now + lasts, lasts, code, reason_string });
        lasts
    }

    fn sweep(&mut self, now: Instant) {
        self.connects += 1;
        if self.connects.is_multiple_of(SWEEP_EVERY) {
            self.clients.retain(|_, client| now.saturating_duration_since(client.last) < FORGET_AFTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);
    const ONE: Presented = [1; 32];
    const OTHER: Presented = [2; 32];

    fn pacing(rate: u32) -> (Pacing, Instant) {
        let now = Instant::now();
        (Pacing::new(rate, WAIT, now), now)
    }

    fn id(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn one_client_connects_less_than_once_a_second() {
        let (mut pacing, now) = pacing(1_000);
        let slots = [0, 1, 2].map(|_| pacing.reserve(&id("a"), &ONE, now).unwrap());
        assert_eq!(slots[0], now);
        for pair in slots.windows(2) {
            assert!(pair[1] - pair[0] > Duration::from_secs(1));
        }
        assert!(
            pacing.reserve(&id("b"), &ONE, now).unwrap() < slots[1],
            "another client need not wait for it"
        );
    }

    #[test]
    fn a_site_connects_so_often_a_second_and_no_device_waits_for_ever() {
        let (mut pacing, now) = pacing(10);
        let slots = (0..200).map(|number| pacing.reserve(&id(&number.to_string()), &ONE, now));
        let (given, held): (Vec<_>, Vec<_>) = slots.partition(Result::is_ok);
        assert_eq!(given.len(), 101, "ten a second, for ten seconds");
        assert!(held.into_iter().all(|held| held == Err(Held::Busy)));
        let last = given.into_iter().map(Result::unwrap).max().unwrap();
        assert_eq!(last - now, WAIT);
    }

    #[test]
    fn a_device_that_storms_is_held_back_and_comes_back() {
        let (mut pacing, mut now) = pacing(1_000);
        let start = now;
        let connects = 100;
        for _ in 0..connects {
            now = pacing.reserve(&id("a"), &ONE, now).unwrap();
        }
        let least = STORM_INTERVAL * (connects - STORM_BURST - 1);
        assert!(now - start > least, "{:?}", now - start);
        pacing.reserve(&id("a"), &ONE, now).unwrap();
        assert_eq!(
            pacing.reserve(&id("a"), &ONE, now),
            Err(Held::Storm),
            "it does not wait for two intervals"
        );
        now += Duration::from_mins(2);
        assert_eq!(pacing.reserve(&id("a"), &ONE, now), Ok(now));
    }

    #[test]
    fn refused_credentials_are_not_tried_again_for_longer_and_longer() {
        let (mut pacing, mut now) = pacing(1_000);
        let reason: Option<Arc<str>> = Some("no".into());
        let mut lasted = Duration::ZERO;
        for _ in 0..12 {
            pacing.reserve(&id("a"), &ONE, now).unwrap();
            let lasts = pacing.refused("a", ONE, ConnectReasonCode::NotAuthorized, reason.clone(), now);
            assert!(lasts > lasted || lasts == LAST_REFUSAL);
            lasted = lasts;
            let again = pacing.reserve(&id("a"), &ONE, now + lasts / 2).unwrap_err();
            let expected = Held::Refused {
                code: ConnectReasonCode::NotAuthorized,
                reason_string: reason.clone(),
                for_another: lasts / 2,
            };
            assert_eq!(again, expected);
            now += lasts;
        }
        assert_eq!(lasted, LAST_REFUSAL);
        pacing.reserve(&id("a"), &ONE, now).unwrap();
        pacing.refused("a", ONE, ConnectReasonCode::NotAuthorized, None, now);
        assert!(pacing.reserve(&id("a"), &OTHER, now).is_ok(), "another password is tried");
        pacing.accepted("a");
        assert!(pacing.reserve(&id("a"), &ONE, now).is_ok());
    }

    #[test]
    fn an_outage_spreads_the_attempts() {
        let (mut pacing, mut now) = pacing(1_000);
        assert!(pacing.unreached(now, 0));
        assert!(!pacing.unreached(now, u32::MAX), "those under way do not prolong it");
        assert_eq!(pacing.outage_until(), Some(now + Duration::from_secs(1)));
        let slot = pacing.reserve(&id("a"), &ONE, now).unwrap();
        assert_eq!(slot, now + Duration::from_secs(1));
        for _ in 0..8 {
            now = pacing.outage_until().unwrap();
            pacing.unreached(now, u32::MAX);
        }
        let longest = pacing.outage_until().unwrap() - now;
        assert!(longest > WAIT && longest <= OUTAGE[1], "{longest:?}");
        assert_eq!(pacing.reserve(&id("b"), &ONE, now), Err(Held::Outage));
        pacing.reached();
        assert_eq!((pacing.outage_since(), pacing.reserve(&id("c"), &ONE, now).is_ok()), (None, true));
    }
}
