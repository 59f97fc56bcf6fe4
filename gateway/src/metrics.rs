//! The gateway's metrics, in the text format of Prometheus.
//!
//! Every line of the gateway's own log is counted by its event, status and reason, so the log and the metrics agree.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::delayed_will_limit::DelayedWills;

/// The gateway's counters. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Counters>);

struct Counters {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    calls: Family<CallLabels, Histogram, fn() -> Histogram>,
    /// Looked up once, because every message is counted.
    messages_in: Counter,
    messages_out: Counter,
    dropped_log_lines: Counter,
    connections: Gauge,
    handshakes: Gauge,
    delayed_wills: Gauge,
    delayed_will_bytes: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event_type: &'static str,
    protocol: &'static str,
    status: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    authorizer: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    direction: &'static str,
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    In,
    /// To a client.
    Out,
}

/// Counts one open connection until it is dropped.
pub struct Counted(Gauge);

impl Metrics {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Self {
        let calls: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let messages = Family::<MessageLabels, Counter>::default();
        let in_direction = |direction| messages.get_or_create(&MessageLabels { direction }).clone();
        let mut counters = Counters {
            registry: Registry::with_prefix("latchkey"),
            events: Family::default(),
            calls: Family::new_with_constructor(calls),
            messages_in: in_direction("in"),
            messages_out: in_direction("out"),
            dropped_log_lines: Counter::default(),
            connections: Gauge::default(),
            handshakes: Gauge::default(),
            delayed_wills: Gauge::default(),
            delayed_will_bytes: Gauge::default(),
        };
        let Counters { registry, events, calls, dropped_log_lines, connections, handshakes, .. } =
            &mut counters;
        registry.register("events", "Lines of the gateway's log", events.clone());
        registry.register_with_unit(
            "authorizer_calls",
            "How long calls of the authorizers took",
            Unit::Seconds,
            calls.clone(),
        );
        registry.register("messages", "Messages from and to clients", messages);
        registry.register(
            "log_lines_dropped",
            "Lines that are missing in the gateway's log",
            dropped_log_lines.clone(),
        );
        registry.register("connections", "Connections that are open", connections.clone());
        registry.register(
            "handshakes",
            "Connections before their CONNECT or first request",
            handshakes.clone(),
        );
        let wills = [
            ("delayed_wills", "Last wills that wait for their delay", &counters.delayed_wills),
            (
                "delayed_will_bytes",
                "Bytes of last wills that wait for their delay",
                &counters.delayed_will_bytes,
            ),
        ];
        for (name, help, gauge) in wills {
            counters.registry.register(name, help, gauge.clone());
        }
        Self(Arc::new(counters))
    }

    /// Counts a line of the log.
    pub fn log_entry(
        &self,
        event_type: &'static str,
        protocol: &'static str,
        status: &'static str,
        reason: Option<&'static str>,
    ) {
        let labels = EventLabels { event_type, protocol, status, reason: reason.unwrap_or_default() };
        self.0.events.get_or_create(&labels).inc();
    }

    /// The lines that were dropped because the log's queue was full or its file could not be written.
    #[must_use]
    pub fn dropped_log_lines(&self) -> &Counter {
        &self.0.dropped_log_lines
    }

    /// Counts a call of an authorizer, whose result is `allow`, `deny` or `error`.
    pub fn call(&self, authorizer: &str, result: &'static str, took: Duration) {
        let labels = CallLabels { authorizer: authorizer.to_owned(), result };
        self.0.calls.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a message.
    pub fn message(&self, direction: Direction) {
        match direction {
            Direction::In => self.0.messages_in.inc(),
            Direction::Out => self.0.messages_out.inc(),
        };
    }

    /// Counts an open connection until the returned value is dropped.
    #[must_use]
    pub fn connection(&self) -> Counted {
        self.0.connections.inc();
        Counted(self.0.connections.clone())
    }

    /// All metrics as text; `handshakes` connections are before their CONNECT or first request, and `wills` wait for their
    /// delay.
    ///
    /// # Errors
    ///
    /// Never: text can always be written.
    pub fn text(&self, handshakes: usize, wills: DelayedWills) -> Result<String, fmt::Error> {
        let counters = &*self.0;
        let gauges = [
            (&counters.handshakes, handshakes),
            (&counters.delayed_wills, wills.number),
            (&counters.delayed_will_bytes, wills.bytes),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
