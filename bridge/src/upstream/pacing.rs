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
    /// A device tries whether the server can be reached again.
    trying: bool,
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
        let of_site = self.next_slot.max(outage).max(now);
        let slot = of_site.max(own);
        if slot > latest {
            return Err(Held::Busy);
        }
        // A client that waits for its own sake keeps no other from its slot.
        self.next_slot = of_site + Duration::from_secs(1) / self.connects_per_second;
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

    /// A device's moment has come. While the server can't be reached, one device tries, and the others wait for what it finds.
    ///
    /// # Errors
    ///
    /// [`Held::Outage`].
    pub fn begin(&mut self, now: Instant) -> Result<(), Held> {
        let Some(outage) = &mut self.outage else { return Ok(()) };
        if outage.until > now || outage.trying {
            return Err(Held::Outage);
        }
        outage.trying = true;
        Ok(())
    }

    /// A device's attempt is over, whatever it found.
    pub fn end(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.trying = false;
        }
    }

    /// The server was reached, and did not answer a CONNECT. In an outage it goes on; otherwise it may be about this device.
    pub fn unanswered(&mut self, now: Instant, random: u32) {
        if self.outage.is_some() {
            self.unreached(now, random);
        }
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
                self.outage = Some(Outage { backoff, until, since: now, trying: false });
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

    /// An hour without the server, by a clock that the test moves: devices with a spool try again and again.
    #[test]
    fn an_hour_of_outage_is_one_attempt_at_a_time_and_its_end_is_paced() {
        const DEVICES: u32 = 500;
        const RATE: u32 = 20;
        let (mut pacing, start) = pacing(RATE);
        let end = start + Duration::from_hours(1);
        let mut devices = (0..DEVICES)
            .map(|number| {
                let backoff = Backoff::new(OUTAGE[0], OUTAGE[1]).unwrap();
                (id(&number.to_string()), backoff, start)
            })
            .collect::<Vec<_>>();
        let mut random = 1_u32;
        let mut random = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random
        };
        let (mut now, mut attempts, mut connected, mut connects) = (start, 0_u32, 0, Vec::new());
        // Moments at which a device that was given one begins.
        let mut begins = std::collections::BTreeSet::new();
        while connected < DEVICES {
            for (number, (id, backoff, next)) in devices.iter_mut().enumerate() {
                if *next > now {
                    continue;
                }
                match pacing.reserve(id, &ONE, now) {
                    Ok(slot) => {
                        begins.insert((slot, number));
                        *next = now + Duration::from_hours(24);
                    }
                    Err(_) => *next = now + backoff.next_delay(random()),
                }
            }
            while let Some((slot, number)) = begins.first().copied().filter(|(slot, _)| *slot <= now) {
                begins.remove(&(slot, number));
                let (id, backoff, next) = &mut devices[number];
                let begun = pacing.begin(now);
                if begun.is_ok() && now >= end {
                    pacing.accepted(id);
                    pacing.end();
                    connected += 1;
                    connects.push(now);
                    continue;
                }
                if begun.is_ok() {
                    attempts += 1;
                    pacing.unreached(now, random());
                    pacing.end();
                }
                *next = now + backoff.next_delay(random());
            }
            now += Duration::from_millis(50);
            assert!(now < end + Duration::from_mins(5), "{connected} of {DEVICES} are back");
        }
        // The backoff of the site is 15 to 30 seconds after its first steps, and a device has to be there to try.
        assert!((60..400).contains(&attempts), "{attempts} attempts in an hour");
        let second = Duration::from_secs(1);
        let most = connects
            .iter()
            .map(|from| connects.iter().filter(|at| (*from..*from + second).contains(*at)).count());
        let most = most.max().unwrap();
        assert!(most <= RATE as usize + 2, "{most} connects in a second");
    }

    #[test]
    fn an_attempt_that_is_given_up_lets_another_device_try() {
        let (mut pacing, now) = pacing(10);
        assert_eq!(pacing.begin(now), Ok(()));
        pacing.unanswered(now, 0);
        assert_eq!(pacing.outage_since(), None, "one device's CONNECT without an answer is no outage");
        pacing.unreached(now, 0);
        let later = pacing.outage_until().unwrap();
        assert_eq!((pacing.begin(now), pacing.begin(later)), (Err(Held::Outage), Ok(())));
        assert_eq!(pacing.begin(later), Err(Held::Outage));
        pacing.end();
        assert_eq!(pacing.begin(later), Ok(()));
        pacing.unanswered(later, 0);
        assert!(pacing.outage_until().unwrap() > later, "an outage goes on");
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
