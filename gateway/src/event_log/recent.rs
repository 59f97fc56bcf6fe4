//! The last records of the log's one flow, in memory, for the console.
//!
//! Writing one costs a copy of a line. Whoever shows them takes them out and reads them; until then they wait here, and their
//! number and bytes are bounded: the oldest ones go first, and are counted.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::EventType;
use crate::lambda::Call;

/// The bytes that one record may have on average. The records of all attempts together have no more than this times their number.
const BYTES_EACH: usize = 2_048;
/// What a record costs besides its texts.
const OVERHEAD_BYTES: usize = 128;
/// The longest text of a record. A longer one is not kept: it would be cut in the middle of its JSON.
const MAX_TEXT_BYTES: usize = 64 * 1_024;
/// The lines of each function that are kept, and their characters.
const FUNCTION_LINES: usize = 200;
const FUNCTION_LINE_CHARACTERS: usize = 4_096;
/// The calls of each authorizer whose durations are kept.
const DURATIONS: usize = 512;

/// The last records.
pub struct Recent {
    /// The most records that wait.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: VecDeque<Record>,
    bytes: usize,
    /// Records that nobody has taken out in time.
    lost: u64,
    functions: BTreeMap<Arc<str>, FunctionRecord>,
}

/// What is known of one function or authorizer.
#[derive(Clone, Debug, Default)]
pub struct FunctionRecord {
    /// The last lines of its own log.
    pub lines: VecDeque<FunctionLine>,
    /// How many lines there were.
    pub lines_total: u64,
    /// Its calls by their result: `allow`, `deny` and `error`.
    pub calls: BTreeMap<&'static str, u64>,
    /// How long the last calls took.
    pub durations: VecDeque<Duration>,
    /// The last error.
    pub last_error: Option<(i64, String)>,
}

/// A line of a function's own log.
#[derive(Clone, Debug)]
pub struct FunctionLine {
    /// When it came, in milliseconds since 1970.
    pub at: i64,
    /// The line, cut if it is long.
    pub text: String,
}

/// One record, in the order of the flow.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// What it says.
    pub content: Content,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A line of the gateway's, as JSON.
    Line {
        /// The line.
        json: String,
        /// The kind of event.
        event_type: EventType,
        /// The time since the connection was accepted, or since the request came.
        took: Option<Duration>,
    },
    /// A decision line of the function's, as JSON.
    Decision(String),
    /// What a client presented, as the function's event without its secrets.
    Presented {
        /// The connection's id.
        connection_id: String,
        /// The event.
        event: String,
    },
    /// A call of an authorizer.
    Called(CallRecord),
    /// What the client saw of its refusal.
    Seen {
        /// The connection's id.
        connection_id: String,
        /// It, in words.
        text: String,
    },
}

/// A call of an authorizer, and its answer.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// The connection's id.
    pub connection_id: String,
    /// The authorizer's name.
    pub authorizer: String,
    /// Why it was called.
    pub call: Call,
    /// `allow`, `deny` or `error`.
    pub result: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The answer's known members, as JSON.
    pub answer: Option<String>,
    /// Why there is no answer that can be used.
    pub error: Option<String>,
}

impl Content {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES
            + match self {
                Self::Line { json, .. } | Self::Decision(json) => json.len(),
                Self::Presented { connection_id, event } => connection_id.len() + event.len(),
                Self::Called(call) => {
                    let texts = [call.answer.as_ref(), call.error.as_ref()];
                    texts.into_iter().flatten().map(String::len).sum()
                }
                Self::Seen { text, .. } => text.len(),
            }
    }
}

impl Record {
    /// What it costs in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.content.bytes()
    }
}

impl Recent {
    /// None yet, and never more than `capacity`.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// The most records that wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The most bytes that records have together.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.capacity.saturating_mul(BYTES_EACH)
    }

    /// Adds a record.
    pub fn add(&self, content: Content) {
        let bytes = content.bytes();
        let mut state = self.state();
        if bytes > MAX_TEXT_BYTES {
            state.lost += 1;
            return;
        }
        state.bytes += bytes;
        state.records.push_back(Record { at: unix_millis(), content });
        while state.records.len() > self.capacity || state.bytes > self.max_bytes() {
            let Some(oldest) = state.records.pop_front() else { return };
            state.bytes -= oldest.bytes();
            state.lost += 1;
        }
    }

    /// Takes out the oldest records.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<Record> {
        let mut state = self.state();
        let count = max.min(state.records.len());
        let taken = state.records.drain(..count).collect::<Vec<_>>();
        state.bytes -= taken.iter().map(Record::bytes).sum::<usize>();
        taken
    }

    /// How many records were not taken out in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Adds a line of a function's own log.
    pub fn add_function_line(&self, function: &Arc<str>, line: &str) {
        let text = line.chars().take(FUNCTION_LINE_CHARACTERS).collect();
        let mut state = self.state();
        let record = state.functions.entry(Arc::clone(function)).or_default();
        record.lines_total += 1;
        record.lines.push_back(FunctionLine { at: unix_millis(), text });
        if record.lines.len() > FUNCTION_LINES {
            record.lines.pop_front();
        }
    }

    /// Counts a call of an authorizer.
    pub fn count_call(&self, authorizer: &str, result: &'static str, took: Duration, error: Option<&str>) {
        let mut state = self.state();
        if !state.functions.contains_key(authorizer) {
            state.functions.insert(authorizer.into(), FunctionRecord::default());
        }
        let Some(record) = state.functions.get_mut(authorizer) else { return };
        *record.calls.entry(result).or_default() += 1;
        record.durations.push_back(took);
        if record.durations.len() > DURATIONS {
            record.durations.pop_front();
        }
        if let Some(error) = error {
            record.last_error = Some((unix_millis(), error.to_owned()));
        }
    }

    /// What is known of a function or authorizer.
    #[must_use]
    pub fn function(&self, name: &str) -> FunctionRecord {
        self.state().functions.get(name).cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock's time, in milliseconds since 1970.
fn unix_millis() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: String) -> Content {
        Content::Seen { connection_id: String::new(), text }
    }

    #[test]
    fn number_and_bytes_are_bounded_and_the_oldest_go_first() {
        let recent = Recent::new(10);
        for n in 0..25 {
            recent.add(seen(n.to_string()));
        }
        assert_eq!(recent.lost(), 15);
        let first = &recent.take(1)[0];
        assert!(matches!(&first.content, Content::Seen { text, .. } if text == "15"));
        assert_eq!(recent.take(100).len(), 9);
        for _ in 0..10 {
            recent.add(seen("x".repeat(8_000)));
        }
        let kept = recent.take(100);
        assert!(kept.len() < 4 && kept.iter().map(Record::bytes).sum::<usize>() <= recent.max_bytes());
        recent.add(seen("x".repeat(MAX_TEXT_BYTES)));
        assert!(recent.take(100).is_empty(), "one that is too long is not kept");
    }

    #[test]
    fn each_function_has_its_own_last_lines_and_calls() {
        let (recent, name) = (Recent::new(1), "a".into());
        for n in 0..FUNCTION_LINES + 5 {
            recent.add_function_line(&name, &n.to_string());
            recent.count_call("a", "deny", Duration::from_millis(1), None);
        }
        recent.add_function_line(&name, &"é".repeat(FUNCTION_LINE_CHARACTERS * 2));
        recent.count_call("b", "error", Duration::ZERO, Some("it broke"));
        let a = recent.function("a");
        assert_eq!((a.lines.len(), a.lines_total), (FUNCTION_LINES, 206));
        assert_eq!(a.lines.back().unwrap().text.chars().count(), FUNCTION_LINE_CHARACTERS);
        assert_eq!((a.calls["deny"], recent.function("b").calls["error"]), (205, 1));
        assert_eq!(recent.function("b").last_error.unwrap().1, "it broke");
    }
}
