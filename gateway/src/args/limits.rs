//! How much there may be at a time.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use anyhow::bail;
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

    /// For how long a session outlives its connection at most [default: 3600; AWS's limit is 604800]
    #[arg(long, value_name = "SECONDS")]
    pub max_session_expiry: Option<u32>,
}

impl LimitArgs {
    /// What was typed, then what the file says, then the defaults.
    ///
    /// # Errors
    ///
    /// When those in their handshake could keep all others out.
    pub(super) fn merge(self, file: LimitsTable) -> anyhow::Result<Limits> {
        let seconds = self.connect_timeout.or(file.connect_timeout_seconds);
        let connections = self.max_connections.or(file.connections).map_or(CONNECTIONS, NonZeroUsize::get);
        let handshakes = self.max_handshakes.or(file.handshakes).map(NonZeroUsize::get);
        if handshakes.is_some_and(|handshakes| handshakes >= connections && connections > 1) {
            bail!(
                "`--max-handshakes` has to be less than `--max-connections`: those who begin would keep all others out"
            );
        }
        Ok(Limits {
            connections,
            handshakes: handshakes.unwrap_or_else(|| HANDSHAKES.min(connections.div_ceil(2))),
            connect_timeout: Duration::from_secs(seconds.map_or(CONNECT_TIMEOUT_SECONDS, NonZeroU64::get)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_begin_never_have_all_connections() {
        let typed = |connections, handshakes| {
            let args = LimitArgs {
                max_connections: NonZeroUsize::new(connections),
                max_handshakes: NonZeroUsize::new(handshakes),
                connect_timeout: None,
                max_session_expiry: None,
            };
            let limits = args.merge(LimitsTable::default());
            limits.map(|limits| (limits.connections, limits.handshakes)).map_err(|error| error.to_string())
        };
        assert_eq!(typed(0, 0), Ok((15_000, 1_000)));
        assert_eq!(typed(500, 0), Ok((500, 250)));
        assert_eq!(typed(1, 0), Ok((1, 1)));
        assert_eq!(typed(500, 499), Ok((500, 499)));
        assert!(typed(500, 500).unwrap_err().contains("less than `--max-connections`"));
    }
}
