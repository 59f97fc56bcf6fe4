//! How much there may be at a time.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use clap::Args;

use crate::{config::LimitsTable, settings::Limits};

/// More than one process may have open at once, as most systems are set up: the next one has to wait.
const CONNECTIONS: usize = 15_000;
/// Far above what a fleet that reconnects all at once has under way, far below what would hurt.
const HANDSHAKES: usize = 1_000;
const CONNECT_TIMEOUT_SECONDS: u64 = 10;

/// The flags.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitArgs {
    /// How many connections there may be at a time; the next one waits [default: 15000]
    #[arg(long, value_name = "N")]
    pub max_connections: Option<NonZeroUsize>,

    /// How many connections may be before their CONNECT or first request; one more ends the oldest [default: 1000]
    #[arg(long, value_name = "N")]
    pub max_handshakes: Option<NonZeroUsize>,

    /// The time for a TLS handshake, and then for a CONNECT or the begin of a request [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub connect_timeout: Option<NonZeroU64>,
}

impl LimitArgs {
    /// What was typed, then what the file says, then the defaults.
    pub(super) fn put_together(self, file: LimitsTable) -> Limits {
        let seconds = self.connect_timeout.or(file.connect_timeout_seconds);
        Limits {
            connections: self.max_connections.or(file.connections).map_or(CONNECTIONS, NonZeroUsize::get),
            handshakes: self.max_handshakes.or(file.handshakes).map_or(HANDSHAKES, NonZeroUsize::get),
            connect_timeout: Duration::from_secs(seconds.map_or(CONNECT_TIMEOUT_SECONDS, NonZeroU64::get)),
        }
    }
}
