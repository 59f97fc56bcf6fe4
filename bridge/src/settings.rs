//! What the bridge is to do. [`crate::config`] makes it from a file and flags.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::spool::SpoolLimits;
use crate::upstream::UpstreamSettings;

/// The settings that hold for the life of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that devices reach.
    pub listen: IpAddr,
    /// The ports.
    pub ports: Ports,
    /// The certificate of `mqtts`.
    pub tls: Option<TlsFiles>,
    /// The way to AWS.
    pub upstream: UpstreamSettings,
    /// The bounds.
    pub limits: Limits,
    /// The bounds of the spool, if there is one.
    pub spool: Option<SpoolLimits>,
    /// The folder of the spool.
    pub data: PathBuf,
}

/// The ports; 0 is a free one, and none is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// MQTT over TCP.
    pub mqtt: Option<u16>,
    /// MQTT over TLS.
    pub mqtts: Option<u16>,
    /// MQTT over WebSocket.
    pub websocket: Option<u16>,
    /// `/healthz` and `/metrics`.
    pub status: Option<u16>,
}

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What bounds the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connected devices.
    pub devices: usize,
    /// Connections before their CONNECT.
    pub handshakes: usize,
    /// The time for a TLS or WebSocket handshake, and then for the CONNECT.
    pub connect_timeout: Duration,
    /// The largest packet of a device.
    pub packet_bytes: u32,
}
