//! `latchkey local init`: a settings file to begin with.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use cli::console;

use super::CONFIG_FILE;
use crate::config::template::TEMPLATE;

/// The flags.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// The file to write
    #[arg(default_value = CONFIG_FILE)]
    pub file: PathBuf,

    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

pub(super) fn run(args: &InitArgs) -> ExitCode {
    match write(&args.file, args.force) {
        Ok(()) => {
            let file = args.file.display();
            _ = writeln!(
                io::stdout(),
                "wrote {file}: every setting is in it, with its default after a `#`\n  next    \
                 latchkey local{}",
                if args.file == Path::new(CONFIG_FILE) { String::new() } else { format!(" --config {file}") }
            );
            ExitCode::SUCCESS
        }
        Err(error) => console::usage_error("latchkey local init", &error),
    }
}

fn write(file: &Path, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    let unwritable = || format!("can't write `{}`", file.display());
    let mut opened = match options.open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{}` already exists; `--force` overwrites it", file.display())
        }
        opened => opened.with_context(unwritable)?,
    };
    opened.write_all(TEMPLATE.as_bytes()).with_context(unwritable)
}
