//! `latchkey local reset`: deletes what clients and API calls have stored.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use cli::{console, output};

use super::settings;
use crate::{broker, registry};

/// The flags of `reset`.
#[derive(Args)]
pub struct ResetArgs {
    /// The gateway's data folder [default: as `latchkey local` has it]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// The gateway's settings file [default: latchkey.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The files, and what is in them.
const FILES: [(&str, &str); 3] = [
    (registry::store::FILE, "Things, certificates and policies"),
    (DYNAMODB, "tables of DynamoDB"),
    (broker::store::FILE, "sessions, retained messages and shadows"),
];
/// Also of a program that was built without DynamoDB.
const DYNAMODB: &str = "dynamodb.sqlite3";
/// What SQLite writes next to a file.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

pub(super) fn run(args: ResetArgs) -> ExitCode {
    let reset = reset(args).and_then(|text| Ok(output::stdout().write_all(text.as_bytes())?));
    match reset {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => console::usage_error("latchkey local reset", &error),
    }
}

/// What was deleted, a line for each file.
fn reset(args: ResetArgs) -> anyhow::Result<String> {
    let data = settings::data_folder(args.config, args.data)?;
    // Held until the files are gone, so that no gateway starts meanwhile.
    let _lock = broker::store::lock(&data)?;
    let mut deleted = String::new();
    for (file, content) in FILES {
        if delete(&data.join(file))? {
            let path = data.join(file).display().to_string();
            deleted.extend(["deleted ", &path, ": ", content, "\n"]);
        }
    }
    Ok(if deleted.is_empty() { format!("nothing is stored in {}\n", data.display()) } else { deleted })
}

/// Deletes a file and those next to it; whether there was one.
fn delete(path: &Path) -> anyhow::Result<bool> {
    let mut found = false;
    for suffix in SUFFIXES {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        match fs::remove_file(&file) {
            Ok(()) => found |= suffix.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("can't delete `{}`", file.display())),
        }
    }
    Ok(found)
}
