//! `latchkey local init`: writes a settings file that explains every setting.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::Args;
use cli::{
    console,
    output::{self, escaped},
};

use super::CONFIG_FILE;

/// The settings file that is written. It has every key with its default after a `#`, so it changes nothing.
const TEMPLATE: &str = include_str!("../config/template.toml");

/// The flags of `init`.
#[derive(Args)]
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
            let file = args.file.display().to_string();
            let file = escaped(&file);
            _ = writeln!(
                output::stdout(),
                "wrote {file}, which has every setting with its default after a `#`\n  next    latchkey local{}",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    /// The template's settings without the `# ` before them; prose begins with `##`.
    fn settings() -> String {
        let lines = TEMPLATE.lines().filter(|line| !line.starts_with("##"));
        lines.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn template_sets_nothing() {
        let table: toml::Table = toml::from_str(TEMPLATE).unwrap();
        assert!(table.is_empty(), "{table:?}");
    }

    #[test]
    fn every_line_of_the_template_is_a_setting() {
        if let Err(error) = toml::from_str::<Overrides>(&settings()) {
            panic!("{error}");
        }
    }

    #[test]
    fn template_has_every_key() {
        let settings = settings();
        // Serde's error names every key when it meets one that does not exist.
        for table in [
            "",
            "[ports]\n",
            "[limits]\n",
            "[quotas]\n",
            "[doors]\n",
            "[[authorizer]]\n",
            "[[domain]]\n",
            "[[thing]]\n",
            "[[certificate]]\n",
            "[[policy]]\n",
        ] {
            let error =
                toml::from_str::<Overrides>(&format!("{table}no_such_key = 1\n")).err().unwrap().to_string();
            let (_, expected) =
                error.split_once("expected one of ").or_else(|| error.split_once("expected ")).unwrap();
            for key in expected
                .split(['`', ','])
                .map(str::trim)
                .filter(|key| !matches!(*key, "" | "or") && !key.contains(' '))
            {
                let there = settings.lines().any(|line| {
                    line.split(['=', ' ', '{'])
                        .next()
                        .is_some_and(|name| name.trim().trim_matches(['"', '[', ']']) == key)
                });
                assert!(there, "`{key}` of `{}`", table.trim());
            }
        }
    }
}
