//! Counts over events: connects, refusals, take-overs, and the devices that were seen. No IO, and bounded memory.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::logs::event::{Decider, Event, Outcome, What};

/// The reason of an end by another connection with the same client id.
const TAKEN_OVER: [&str; 2] = ["DUPLICATE_CLIENTID", "DUPLICATE_CLIENT_ID"];
/// Kinds of refusals that are counted apart. Reasons come from AWS and the function, not from clients.
const MAX_REASONS: usize = 1_000;
/// Client ids whose take-overs are counted.
const MAX_CLIENT_IDS: usize = 100_000;
/// Minutes that are counted apart: about half a year.
const MAX_MINUTES: usize = 262_144;

/// Counts over the events of a log.
pub struct Counts {
    since: u64,
    refusals: BTreeMap<Kind, Refusal>,
    takeovers: HashMap<String, u64>,
    /// Connects of a minute since 1970: by AWS IoT's lines, and by the function's decisions.
    minutes: BTreeMap<u64, [u64; 2]>,
    connects: [u64; 2],
    /// The devices with an enabled record.
    devices: HashMap<String, Seen>,
    /// The devices of client ids, of those that have a record.
    clients: HashMap<String, String>,
    left_out: u64,
}

/// A kind of refusal: whether it is a fault, its reason, who decided, and whether the function has no line about it.
type Kind = (bool, String, bool, bool);

/// Refusals of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: String,
    /// Who decided.
    pub by: Decider,
    /// Whether the function has no line about them.
    pub is_without_function: bool,
    /// How many there are.
    pub count: u64,
    /// The time of the last one, in milliseconds since 1970.
    pub last: u64,
    /// The device, client id or address of the last one that has one.
    pub example: Option<String>,
}

/// What is known of a device.
#[derive(Clone, Copy, Default)]
struct Seen {
    is_seen: bool,
    is_live: bool,
}

impl Counts {
    /// No events yet, from `since` on, of these devices.
    pub fn new(devices: impl IntoIterator<Item = String>, since: u64) -> Self {
        Self {
            since,
            refusals: BTreeMap::new(),
            takeovers: HashMap::new(),
            minutes: BTreeMap::new(),
            connects: [0, 0],
            devices: devices.into_iter().map(|name| (name, Seen::default())).collect(),
            clients: HashMap::new(),
            left_out: 0,
        }
    }

    /// Adds an event.
    pub fn add(&mut self, event: &Event) {
        match event.outcome {
            Outcome::Allow => self.allowed(event),
            Outcome::Deny | Outcome::Fault => self.refused(event),
            Outcome::End => self.ended(event),
        }
        if let Some(seen) = self.device(event).and_then(|name| self.devices.get_mut(&name)) {
            seen.is_seen = true;
            match event.outcome {
                Outcome::Allow => seen.is_live = true,
                // Of two connections with one client id, the later one stays.
                Outcome::End if !is_take_over(event) => seen.is_live = false,
                // A connection whose refresh is refused ends.
                Outcome::End | Outcome::Deny | Outcome::Fault => {}
            }
        }
    }

    /// The name of the event's device, if it has a record.
    fn device(&self, event: &Event) -> Option<String> {
        let by_client = || event.client_id.as_ref().and_then(|id| self.clients.get(id)).cloned();
        let name = event.device.clone().or_else(by_client).or_else(|| event.client_id.clone())?;
        self.devices.contains_key(&name).then_some(name)
    }

    fn allowed(&mut self, event: &Event) {
        if event.what != What::Connect {
            return;
        }
        if let (Some(device), Some(id)) = (&event.device, &event.client_id)
            && device != id
            && self.devices.contains_key(device)
            && (self.clients.len() < MAX_CLIENT_IDS || self.clients.contains_key(id))
        {
            self.clients.insert(id.clone(), device.clone());
        }
        let minute = event.time / 60_000;
        let has_room = self.minutes.len() < MAX_MINUTES || self.minutes.contains_key(&minute);
        for (at, is_one) in [event.has_connect, event.has_decision].into_iter().enumerate() {
            let Some(count) = self.connects.get_mut(at).filter(|_| is_one) else { continue };
            *count += 1;
            if has_room && let Some(count) = self.minutes.entry(minute).or_default().get_mut(at) {
                *count += 1;
            }
        }
    }

    fn refused(&mut self, event: &Event) {
        let reason = event.reason.clone().unwrap_or_else(|| "without a reason".to_owned());
        let is_fault = event.outcome == Outcome::Fault;
        let (by, is_without_function) = (event.by, event.is_without_function());
        let kind = (is_fault, reason.clone(), by == Decider::Function, is_without_function);
        if self.refusals.len() >= MAX_REASONS && !self.refusals.contains_key(&kind) {
            self.left_out += 1;
            return;
        }
        let refusal = self.refusals.entry(kind).or_insert_with(|| Refusal {
            reason,
            by,
            is_without_function,
            count: 0,
            last: 0,
            example: None,
        });
        refusal.count += 1;
        refusal.last = refusal.last.max(event.time);
        let example = event.device.as_ref().or(event.client_id.as_ref()).or(event.address.as_ref());
        refusal.example = example.cloned().or(refusal.example.take());
    }

    fn ended(&mut self, event: &Event) {
        let Some(id) = event.client_id.as_ref().filter(|_| is_take_over(event)) else { return };
        if self.takeovers.len() >= MAX_CLIENT_IDS && !self.takeovers.contains_key(id) {
            self.left_out += 1;
            return;
        }
        *self.takeovers.entry(id.clone()).or_default() += 1;
    }

    /// Whether AWS IoT's own log is there, so that connects are known apart from refreshes.
    #[must_use]
    pub fn has_connects(&self) -> bool {
        let [by_aws_iot, by_function] = self.connects;
        by_aws_iot > 0 || by_function == 0
    }

    /// How many connects there are.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.of(self.connects)
    }

    fn of(&self, [by_aws_iot, by_function]: [u64; 2]) -> u64 {
        if self.has_connects() { by_aws_iot } else { by_function }
    }

    /// The minute since 1970 with the most connects, and how many.
    #[must_use]
    pub fn busiest_minute(&self) -> Option<(u64, u64)> {
        let minutes = self.minutes.iter().map(|(minute, counts)| (*minute, self.of(*counts)));
        minutes
            .max_by_key(|(minute, count)| (*count, std::cmp::Reverse(*minute)))
            .filter(|(_, count)| *count > 0)
    }

    /// Refusals by their kinds, the most frequent first.
    #[must_use]
    pub fn refusals(&self) -> Vec<&Refusal> {
        self.kinds(false)
    }

    /// Faults by their kinds, the most frequent first.
    #[must_use]
    pub fn faults(&self) -> Vec<&Refusal> {
        self.kinds(true)
    }

    fn kinds(&self, faults: bool) -> Vec<&Refusal> {
        let kinds = self.refusals.iter().filter(|((is_fault, ..), _)| *is_fault == faults);
        let mut kinds = kinds.map(|(_, refusal)| refusal).collect::<Vec<_>>();
        kinds.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
        kinds
    }

    /// Client ids that several connections fight over, with the number of take-overs, the most frequent first.
    #[must_use]
    pub fn takeovers(&self) -> Vec<(&str, u64)> {
        let mut takeovers =
            self.takeovers.iter().map(|(id, count)| (id.as_str(), *count)).collect::<Vec<_>>();
        takeovers.sort_by(|(one, one_count), (other, other_count)| {
            other_count.cmp(one_count).then(one.cmp(other))
        });
        takeovers
    }

    /// The devices of which no event is in the log, in the order of their names.
    #[must_use]
    pub fn not_seen(&self) -> Vec<&str> {
        let not_seen = self.devices.iter().filter(|(_, seen)| !seen.is_seen);
        let mut names = not_seen.map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        names.sort_unstable();
        names
    }

    /// How many devices connected or refreshed, and did not disconnect since.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.devices.values().map(|seen| u64::from(seen.is_live)).sum()
    }

    /// Events of kinds for which there was no room.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The counts, with up to `top` of each kind.
    #[must_use]
    pub fn json(&self, top: usize) -> Value {
        let refusals = |list: Vec<&Refusal>| {
            let list = list.into_iter().take(top).map(|refusal| {
                json!({
                    "reason": refusal.reason, "count": refusal.count, "last": at(refusal.last), "example": refusal.example,
                    "decided_by": match refusal.by { Decider::Function => "function", Decider::AwsIot => "aws_iot" },
                    "function_has_line": !refusal.is_without_function,
                })
            });
            list.collect::<Vec<_>>()
        };
        let takeovers = self.takeovers();
        let takeovers =
            takeovers.iter().take(top).map(|(id, count)| json!({"client_id": id, "count": count}));
        let minutes =
            self.minutes.iter().map(|(minute, counts)| (at(minute * 60_000), json!(self.of(*counts))));
        json!({
            "since": at(self.since), "connects": self.connects(), "with_refreshes": !self.has_connects(),
            "connects_by_minute": minutes.collect::<serde_json::Map<_, _>>(), "refusals": refusals(self.refusals()),
            "faults": refusals(self.faults()), "takeovers": takeovers.collect::<Vec<_>>(), "not_seen": self.not_seen(),
            "left_out": self.left_out,
        })
    }
}

fn is_take_over(event: &Event) -> bool {
    event.reason.as_deref().is_some_and(|reason| TAKEN_OVER.contains(&reason))
}

fn at(millis: u64) -> String {
    humantime::format_rfc3339_seconds(crate::logs::line::time_of(millis)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{line::Line, merge::Merger};

    /// Events of lines of a log, each as `minute, line` without its time.
    fn counts(lines: &[(u64, Value)], devices: &[&str]) -> Counts {
        let (mut merger, mut counts) =
            (Merger::new(1_000), Counts::new(devices.iter().map(ToString::to_string), 0));
        for (minute, line) in lines {
            let mut line = line.clone();
            line["timestamp"] = json!(at(minute * 60_000));
            let line = Line::parse(&line.to_string(), None).unwrap_or_else(|| panic!("{line}"));
            merger.add(line).iter().for_each(|event| counts.add(event));
        }
        merger.finish().iter().for_each(|event| counts.add(event));
        counts
    }

    fn decision(outcome: &str, device: &str, client_id: &str, reason: &str) -> Value {
        json!({"event": "decision", "outcome": outcome, "device": device, "client_id": client_id, "reason": reason})
    }

    fn aws(event: &str, status: &str, client_id: &str, reason: &str) -> Value {
        json!({"eventType": event, "status": status, "clientId": client_id, "reason": reason})
    }

    #[test]
    fn connects_refusals_and_take_overs_are_counted() {
        let lines = [
            (10, decision("allow", "a", "a-1", "")),
            (10, aws("Connect", "Success", "a-1", "")),
            (11, decision("allow", "b", "b", "")),
            (11, aws("Connect", "Success", "b", "")),
            (11, decision("allow", "b", "b", "")),
            (11, aws("Connect", "Success", "b", "")),
            (11, aws("Disconnect", "Failure", "b", "DUPLICATE_CLIENT_ID")),
            (12, decision("deny", "c", "c", "wrong_password")),
            (12, aws("Connect", "Failure", "c", "NOT_AUTHENTICATED")),
            (13, decision("deny", "c", "c", "wrong_password")),
            (14, aws("Connection.AuthNError", "Failure", "x", "CUSTOM_AUTHORIZER_NOT_FOUND")),
            (15, aws("Disconnect", "Success", "a-1", "CLIENT_INITIATED_DISCONNECT")),
            // A refresh: no connect.
            (16, decision("allow", "b", "b", "")),
            (17, json!({"event": "decision", "outcome": "fault", "error_type": "store_fault"})),
        ];
        let counts = counts(&lines, &["a", "b", "c", "d"]);
        assert_eq!((counts.connects(), counts.busiest_minute()), (3, Some((11, 2))));
        let kinds = |list: Vec<&Refusal>| {
            let kinds = list
                .into_iter()
                .map(|it| (it.reason.clone(), it.count, it.is_without_function, it.last / 60_000));
            kinds.collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(counts.refusals()),
            [
                ("wrong_password".to_owned(), 2, false, 13),
                ("CUSTOM_AUTHORIZER_NOT_FOUND".to_owned(), 1, true, 14),
            ]
        );
        assert_eq!(kinds(counts.faults()), [("store_fault".to_owned(), 1, false, 17)]);
        assert_eq!(counts.takeovers(), [("b", 1)]);
        // `a` has disconnected; `b` was taken over by itself; `c` was refused, which is seen; `d` is not.
        assert_eq!((counts.live(), counts.not_seen()), (1, vec!["d"]));
        let json = counts.json(1);
        assert_eq!(json["refusals"].as_array().unwrap().len(), 1);
        assert_eq!(json["connects_by_minute"]["1970-01-01T00:11:00Z"], 2);
    }

    #[test]
    fn without_aws_iots_log_decisions_are_counted() {
        let lines = [(1, decision("allow", "a", "a", "")), (2, decision("allow", "a", "a", ""))];
        let counts = counts(&lines, &["a"]);
        assert_eq!((counts.connects(), counts.has_connects(), counts.live()), (2, false, 1));
        let none = Counts::new([], 0);
        assert_eq!((none.connects(), none.has_connects(), none.busiest_minute()), (0, true, None));
    }

    #[test]
    fn what_clients_choose_fills_no_memory() {
        let mut counts = Counts::new([], 0);
        let event = |n: usize| {
            let line = aws("Disconnect", "Failure", &n.to_string(), "DUPLICATE_CLIENTID");
            let mut line = line;
            line["timestamp"] = json!(at(0));
            let mut merger = Merger::new(0);
            merger.add(Line::parse(&line.to_string(), None).unwrap());
            merger.finish().remove(0)
        };
        for n in 0..MAX_CLIENT_IDS + 5 {
            counts.add(&event(n));
        }
        assert_eq!((counts.takeovers.len(), counts.left_out()), (MAX_CLIENT_IDS, 5));
    }
}
