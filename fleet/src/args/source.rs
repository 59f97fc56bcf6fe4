//! What a file of users is, for `import`.

use std::path::PathBuf;

use clap::Args;
use device_auth::verifier::budget::FunctionMemory;

use super::{CREDENTIAL, OUTPUT, RECORD, memory, one_of};
use crate::import::{EmqxHash, SOURCES, Source};

/// Where the users come from, and what they may do.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// What wrote FILE
    ///
    /// What wrote FILE. `csv` is a table with the columns `username`, and `password` or `verifier`. `mosquitto-dynsec` is
    /// dynamic-security.json, with its roles and groups. `django` is the JSON of `dumpdata auth.user`, or a table.
    #[arg(long, value_name = "SOURCE", value_parser = one_of(&SOURCES, Source::as_str), help_heading = CREDENTIAL)]
    pub from: Option<Source>,

    /// The broker's access rules, which become grants
    ///
    /// The broker's access rules, which become grants: the `acl_file` of mosquitto or mosquitto-go-auth, or EMQX's acl.conf
    /// or the JSON of its built-in database. A rule that a grant can't have is named with its line.
    #[arg(long, value_name = "FILE", conflicts_with = "grant", help_heading = RECORD)]
    pub acl: Option<PathBuf>,

    /// Import without the rules that a grant can't have
    ///
    /// Import without the rules that a grant can't have, so that devices may do less than before. Otherwise one such rule is
    /// an error.
    #[arg(long, help_heading = RECORD)]
    pub skip_rules: bool,

    /// A client id of every user, with `%u` for the name, or `prefix*`
    ///
    /// A client id that every user may use, with `%u` in place of the user's name, or `prefix*`: `%u` and `%u-*` for example.
    /// Set it several times for several client ids. It is for users of which the file has none; the default is the name.
    #[arg(long = "client-id", value_name = "ID", help_heading = RECORD)]
    pub client_ids: Vec<String>,

    /// How EMQX hashes: prefix, suffix, pbkdf2:ITERATIONS or plain
    ///
    /// How EMQX hashes the passwords, which its export does not say. `prefix` is SHA-256 or SHA-512 over salt and password,
    /// `suffix` over password and salt, `plain` has the passwords themselves. Hashes of bcrypt are recognised.
    #[arg(long, value_name = "HOW", default_value = "prefix", help_heading = CREDENTIAL)]
    pub emqx_hash: EmqxHash,

    /// The function's memory in MB, which sets its time for a hash
    ///
    /// The function's memory in MB, as it is deployed. A user whose hash can't be checked in time with it is an error.
    /// Without it only hashes that are too slow for every function are one.
    #[arg(long, value_name = "MB", value_parser = memory, help_heading = CREDENTIAL)]
    pub memory: Option<FunctionMemory>,

    /// Check everything and write nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
}
