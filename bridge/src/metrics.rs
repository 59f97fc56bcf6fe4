//! The bridge's metrics, in the text format of Prometheus.

use std::fmt;
use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::rules::Translation;
use crate::tls::Validity;

/// The bridge's counters. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Counters>);

struct Counters {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    translations: Family<TranslationLabels, Counter>,
    /// Looked up once, because every message is counted.
    messages_up: Counter,
    messages_down: Counter,
    devices: Gauge,
    handshakes: Gauge,
    outage: Gauge,
    spool_messages: Gauge,
    spool_bytes: Gauge,
    spool_dropped: Counter,
    dropped_log_lines: Counter,
    /// Empty without a certificate.
    certificate_expiry: Family<ListenerLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    event_type: &'static str,
    status: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TranslationLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

/// Counts one thing that is open until it is dropped.
pub struct Counted(Gauge);

impl Metrics {
    /// Counters at zero.
    #[must_use]
    pub fn new() -> Self {
        let messages = Family::<MessageLabels, Counter>::default();
        let direction = |direction| messages.get_or_create(&MessageLabels { direction }).clone();
        let mut counters = Counters {
            registry: Registry::with_prefix("latchkey_bridge"),
            events: Family::default(),
            translations: Family::default(),
            messages_up: direction("up"),
            messages_down: direction("down"),
            devices: Gauge::default(),
            handshakes: Gauge::default(),
            outage: Gauge::default(),
            spool_messages: Gauge::default(),
            spool_bytes: Gauge::default(),
            spool_dropped: Counter::default(),
            dropped_log_lines: Counter::default(),
            certificate_expiry: Family::default(),
        };
        for kind in Translation::ALL {
            _ = counters.translations.get_or_create(&TranslationLabels { kind: kind.as_str() });
        }
        let registry = &mut counters.registry;
        registry.register("events", "Lines of the bridge's log", counters.events.clone());
        let help = "What the bridge changed in packets";
        registry.register("translations", help, counters.translations.clone());
        registry.register("messages", "Messages of devices (up) and for devices (down)", messages);
        let help = "Messages that the spool dropped because it was full, or could not read";
        registry.register("spool_dropped", help, counters.spool_dropped.clone());
        let help = "Lines that are missing in the bridge's log";
        registry.register("log_lines_dropped", help, counters.dropped_log_lines.clone());
        let help = "When the certificate expires, in seconds since 1970";
        registry.register("certificate_expiry_timestamp_seconds", help, counters.certificate_expiry.clone());
        let gauges = [
            ("devices", "Devices that are connected upstream", &counters.devices),
            ("handshakes", "Connections before their CONNECT", &counters.handshakes),
            ("upstream_outage", "1 while AWS can't be reached", &counters.outage),
            ("spool_messages", "Messages in the spool", &counters.spool_messages),
            ("spool_bytes", "Bytes of the messages in the spool", &counters.spool_bytes),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        Self(Arc::new(counters))
    }

    /// Counts a line of the log.
    pub fn log_entry(&self, event_type: &'static str, status: &'static str, reason: &'static str) {
        self.0.events.get_or_create(&EventLabels { event_type, status, reason }).inc();
    }

    /// Counts something that was changed.
    pub fn translation(&self, translation: Translation) {
        self.0.translations.get_or_create(&TranslationLabels { kind: translation.as_str() }).inc();
    }

    /// Counts a message of a device.
    pub fn message_up(&self) {
        self.0.messages_up.inc();
    }

    /// Counts a message for a device.
    pub fn message_down(&self) {
        self.0.messages_down.inc();
    }

    /// Counts a connected device until the returned value is dropped.
    #[must_use]
    pub fn device(&self) -> Counted {
        self.0.devices.inc();
        Counted(self.0.devices.clone())
    }

    /// Counts a connection before its CONNECT until the returned value is dropped.
    #[must_use]
    pub fn handshake(&self) -> Counted {
        self.0.handshakes.inc();
        Counted(self.0.handshakes.clone())
    }

    /// What the spool has, and how many messages it dropped since the last call.
    pub fn spool(&self, messages: u64, bytes: u64, dropped: u64) {
        self.0.spool_messages.set(i64::try_from(messages).unwrap_or(i64::MAX));
        self.0.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.0.spool_dropped.inc_by(dropped);
    }

    /// Lines that the log had to drop.
    #[must_use]
    pub fn dropped_log_lines(&self) -> &Counter {
        &self.0.dropped_log_lines
    }

    /// The certificate of the TLS port expires at this moment.
    pub fn certificate(&self, validity: Validity) {
        let listener = ListenerLabels { listener: "mqtts" };
        self.0.certificate_expiry.get_or_create(&listener).set(validity.not_after);
    }

    /// All metrics as text.
    ///
    /// # Errors
    ///
    /// Never: text can always be written.
    pub fn text(&self, outage: bool) -> Result<String, fmt::Error> {
        self.0.outage.set(outage.into());
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
