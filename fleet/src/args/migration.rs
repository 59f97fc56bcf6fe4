//! `check-migration`.

use std::path::PathBuf;

use clap::Args;

use super::{CREDENTIAL, examples, one_of};
use crate::import::{EmqxHash, SOURCES, Source};

/// Say what of a fleet will not work on AWS, and how each device can move
#[derive(Args, Debug)]
#[command(after_help = examples::CHECK_MIGRATION, after_long_help = examples::CHECK_MIGRATION_LONG)]
pub struct CheckMigrationArgs {
    /// The file with the users or devices, as `import` reads it
    pub export: PathBuf,

    /// What wrote the file
    #[arg(long, value_name = "SOURCE", value_parser = one_of(&SOURCES, Source::as_str), help_heading = CREDENTIAL)]
    pub from: Source,

    /// The product of all devices, if the file has no column for it
    #[arg(long, value_name = "KEY", help_heading = CREDENTIAL)]
    pub product: Option<String>,

    /// How EMQX hashes: prefix, suffix, pbkdf2:ITERATIONS or plain
    #[arg(long, value_name = "HOW", default_value = "prefix", help_heading = CREDENTIAL)]
    pub emqx_hash: EmqxHash,

    /// The topics that the firmware uses, one a line
    #[arg(long, value_name = "FILE")]
    pub topics: Option<PathBuf>,

    /// Captured packets (pcap, pcapng), or mosquitto's log; several times for several files
    ///
    /// Captured packets (pcap or pcapng, of `tcpdump -w` for example), or the log of mosquitto with `log_type all`. Set it
    /// several times for several files. A capture shows what devices offer in TLS, and all of what they send without TLS.
    #[arg(long, value_name = "FILE")]
    pub capture: Vec<PathBuf>,
}
