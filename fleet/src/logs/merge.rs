//! Joins the two lines about one connect: the function's decision, and AWS IoT's own.
//!
//! In the log of `latchkey local` both have the connection's id. AWS IoT's own log does not have it, so there a decision and a
//! line with the same client id within [`OF_AWS`] are one connect *(guess: a decision and a line of AWS IoT's own log)*. Nothing here reads a clock, and no more than
//! [`MAX_PENDING`] lines are kept.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{
    event::{Decider, Event, Outcome, What},
    line::{self, Kind, Line, Request},
};

/// How far apart the two lines about a connect may be, in milliseconds: IoT Core waits 5 s for the function.
#[cfg(any(feature = "aws", test))]
pub(super) const OF_AWS: u64 = 10_000;
/// The same for the gateway, which writes both lines into one log.
pub(super) const OF_GATEWAY: u64 = 1_000;
/// Lines that wait for their other half.
const MAX_PENDING: usize = 10_000;

/// The lines that wait, and what they are found by.
pub struct Merger {
    /// How far apart the two lines about a connect may be, in milliseconds.
    window: u64,
    /// By time, then by the order in which they came.
    pending: BTreeMap<Place, Pending>,
    /// The halves that wait for the other one, by their connection or client.
    waiting: HashMap<Key, VecDeque<Place>>,
    came: u64,
    latest: u64,
}

type Place = (u64, u64);

/// By what the two halves of a connect are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Connection(String),
    Client(String),
}

struct Pending {
    event: Event,
    /// The half that it is, and how it is found, unless it is whole.
    half: Option<(Half, Vec<Key>)>,
}

/// One of the two lines about a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Decision,
    /// AWS IoT's, and whether it says that the client is connected.
    Connect(bool),
}

impl Merger {
    /// Lines that are at most `window` milliseconds apart can be about one connect.
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self { window, pending: BTreeMap::new(), waiting: HashMap::new(), came: 0, latest: 0 }
    }

    /// Adds a line. Returns the events that no later line can change.
    pub fn add(&mut self, line: Line) -> Vec<Event> {
        self.latest = self.latest.max(line.time);
        let half = match line.kind {
            Kind::Decision(_) => Some(Half::Decision),
            Kind::Connect { is_success } => Some(Half::Connect(is_success)),
            Kind::Request(_) | Kind::Disconnect | Kind::Broken => None,
        };
        let keys = keys(&line);
        let other = half.and_then(|half| self.other(half, &line, &keys));
        if let Some(place) = other {
            self.forget(place);
            if let Some(pending) = self.pending.get_mut(&place) {
                pending.event.join(line);
                pending.half = None;
            }
        } else {
            self.came = self.came.saturating_add(1);
            let place = (line.time, self.came);
            let half = half.map(|half| (half, keys));
            for key in half.iter().flat_map(|(_, keys)| keys) {
                self.waiting.entry(key.clone()).or_default().push_back(place);
            }
            self.pending.insert(place, Pending { event: Event::of(line), half });
        }
        self.advance(self.latest)
    }

    /// The events that no line from `now` on can change, in the order of their times.
    pub fn advance(&mut self, now: u64) -> Vec<Event> {
        let mut done = Vec::new();
        while let Some((&place, _)) = self.pending.first_key_value() {
            let (time, _) = place;
            if time.saturating_add(self.window) >= now && self.pending.len() <= MAX_PENDING {
                break;
            }
            self.forget(place);
            done.extend(self.pending.remove(&place).map(|pending| pending.event));
        }
        done
    }

    /// All events that are left.
    #[must_use]
    pub fn finish(mut self) -> Vec<Event> {
        std::mem::take(&mut self.pending).into_values().map(|pending| pending.event).collect()
    }

    /// The other half of a connect.
    fn other(&self, half: Half, line: &Line, keys: &[Key]) -> Option<Place> {
        let places = keys.iter().filter_map(|key| self.waiting.get(key)).flatten();
        let mut places = places.filter(|(time, _)| time.abs_diff(line.time) <= self.window);
        places
            .find(|place| {
                let Some(Pending { event, half: Some((other, _)) }) = self.pending.get(place) else {
                    return false;
                };
                // Two connections of the same client are two, whatever else fits.
                let is_same = match (&event.connection, &line.connection) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                };
                let outcome = if half == Half::Decision { line.kind } else { event.decided };
                let connected = match (half, other) {
                    (Half::Decision, Half::Connect(connected)) => *connected,
                    (Half::Connect(connected), Half::Decision) => connected,
                    _ => return false,
                };
                // A client that the function refuses is not connected; one that it lets in may still be refused.
                is_same && !(connected && outcome != Kind::Decision(line::Outcome::Allow))
            })
            .copied()
    }

    /// A line waits no longer for its other half.
    fn forget(&mut self, place: Place) {
        let half = self.pending.get_mut(&place).and_then(|pending| pending.half.take());
        for key in half.into_iter().flat_map(|(_, keys)| keys) {
            if let Some(places) = self.waiting.get_mut(&key) {
                places.retain(|other| *other != place);
                if places.is_empty() {
                    self.waiting.remove(&key);
                }
            }
        }
    }
}

fn keys(line: &Line) -> Vec<Key> {
    let connection = line.connection.clone().map(Key::Connection);
    let client = line.client_id.clone().map(Key::Client);
    // AWS's own lines have no connection, so the function's line is found by its client id too.
    connection.into_iter().chain(client).collect()
}

impl Event {
    /// The event of one line.
    fn of(line: Line) -> Self {
        let Line { time, connection, client_id, device, address, topic, reason, text, kind } = line;
        let (what, outcome, by) = match kind {
            Kind::Decision(outcome) => (What::Connect, Outcome::from(outcome), Decider::Function),
            Kind::Connect { is_success: true } => (What::Connect, Outcome::Allow, Decider::AwsIot),
            Kind::Connect { is_success: false } => (What::Connect, Outcome::Deny, Decider::AwsIot),
            Kind::Request(Request::Publish) => (What::Publish, Outcome::Deny, Decider::AwsIot),
            Kind::Request(Request::Receive) => (What::Receive, Outcome::Deny, Decider::AwsIot),
            Kind::Request(Request::Subscribe) => (What::Subscribe, Outcome::Deny, Decider::AwsIot),
            Kind::Request(Request::Other) => (What::Request, Outcome::Deny, Decider::AwsIot),
            Kind::Disconnect => (What::Disconnect, Outcome::End, Decider::AwsIot),
            Kind::Broken => (What::Function, Outcome::Fault, Decider::Function),
        };
        let (has_decision, has_connect) =
            (matches!(kind, Kind::Decision(_)), matches!(kind, Kind::Connect { .. }));
        Self {
            time,
            what,
            outcome,
            by,
            connection,
            client_id,
            device,
            address,
            topic,
            reason,
            text,
            has_decision,
            has_connect,
            decided: kind,
        }
    }

    /// Adds the other line about the same connect.
    fn join(&mut self, line: Line) {
        let (was_decision, time) = (self.has_decision, self.time.min(line.time));
        let earlier = std::mem::replace(self, Self::of(line));
        self.time = time;
        self.connection = self.connection.take().or(earlier.connection);
        self.client_id = self.client_id.take().or(earlier.client_id);
        self.device = self.device.take().or(earlier.device);
        self.address = self.address.take().or(earlier.address);
        (self.has_decision, self.has_connect) = (true, true);
        let (decision, aws_iot) = if was_decision {
            (
                (earlier.outcome, earlier.reason, earlier.text),
                (self.outcome, self.reason.take(), self.text.take()),
            )
        } else {
            (
                (self.outcome, self.reason.take(), self.text.take()),
                (earlier.outcome, earlier.reason, earlier.text),
            )
        };
        // What the function refused was refused by it; what it let in and is not connected, by AWS IoT.
        let is_of_function = decision.0 != Outcome::Allow || aws_iot.0 == Outcome::Allow;
        self.by = if is_of_function { Decider::Function } else { Decider::AwsIot };
        (self.outcome, self.reason, self.text) = if is_of_function { decision } else { aws_iot };
    }
}

#[cfg(test)]
mod tests;
