//! The result of a run, as JSON and as text.

mod text;

pub(crate) use self::text::counted;

use std::collections::BTreeMap;

use serde::Serialize;

/// What became of a fleet. As JSON its names are stable; `Display` is for people, within 72 columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Whether every expected device got through.
    pub ok: bool,
    /// How many devices got how far.
    pub devices: Devices,
    /// How many messages got how far.
    pub messages: Messages,
    /// From the start of TCP to CONNACK, in milliseconds; absent if no device connected.
    pub connect_latency_ms: Option<Latency>,
    /// From PUBLISH to PUBACK, in milliseconds; absent if nothing was acknowledged.
    pub publish_latency_ms: Option<Latency>,
    /// Attempts to connect that the server refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Attempts to connect that did not reach the server, by reason.
    pub unreachable: BTreeMap<String, u64>,
    /// Connections that were lost, by reason.
    pub lost: BTreeMap<String, u64>,
    /// Messages that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Measurements that gave no reading.
    pub sensor_failures: u64,
    /// From start to end, in milliseconds.
    pub wall_time_ms: u64,
}

/// Numbers of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Devices {
    /// That were to take part.
    pub expected: usize,
    /// That tried to connect; fewer than expected if the run ended during the ramp.
    pub started: usize,
    /// That were connected at some time.
    pub connected: usize,
    /// That were connected at the end, before they disconnected.
    pub online: usize,
    /// Of those online, the ones that had a reading acknowledged.
    pub got_through: usize,
    /// That the server refused last.
    pub refused: usize,
    /// That did not reach the server last.
    pub unreachable: usize,
    /// That lost a connection at some time.
    pub lost: usize,
}

/// Numbers of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Messages {
    /// Handed to the connection.
    pub sent: u64,
    /// Acknowledged by the server.
    pub acknowledged: u64,
    /// Sent and not acknowledged.
    pub failed: u64,
}

/// How long something took, in milliseconds; above a minute it counts as a minute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How often it was measured.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 95 of 100 took at most this.
    pub p95: f64,
    /// 99 of 100 took at most this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}
