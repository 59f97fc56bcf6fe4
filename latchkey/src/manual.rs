//! `latchkey completions` and `latchkey man`, made of clap's description of the commands.

use std::{fs, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use cli::{
    console::{self, counted},
    output,
};

/// Print a shell's completions
#[derive(Args)]
#[command(after_help = COMPLETIONS)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

const COMPLETIONS: &str = "\
Examples:
  latchkey completions bash > ~/.local/share/bash-completion/completions/latchkey
  latchkey completions zsh > ~/.zfunc/_latchkey
  latchkey completions fish > ~/.config/fish/completions/latchkey.fish
  latchkey completions powershell >> $PROFILE";

/// Print a command's manual page, or write all pages to a folder
#[derive(Args)]
#[command(after_help = MAN)]
pub(crate) struct ManArgs {
    /// The command, as it is typed after `latchkey` [default: latchkey itself]
    #[arg(value_name = "COMMAND", conflicts_with = "folder")]
    command: Vec<String>,

    /// Write the page of every command to this folder
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

const MAN: &str = "\
Examples:
  latchkey man fleet add | man -l -
  latchkey man --folder ~/.local/share/man/man1";

/// Prints the completions of `command`.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    // The generator panics if it can't write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "latchkey", &mut script);
    match output::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("latchkey completions", &error.into()),
    }
}

/// Prints or writes the manual pages of `command`.
pub(crate) fn man(args: &ManArgs, command: Command) -> ExitCode {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let written = match &args.folder {
        Some(folder) => return in_folder(folder, command),
        None => page(command, &args.command),
    };
    match written {
        Err(error) => console::usage_error("latchkey man", &error),
        Ok(page) => match output::stdout().write_all(&page) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed("latchkey man", &error.into()),
        },
    }
}

/// The page of the command below `command` that these words name.
fn page(mut command: Command, words: &[String]) -> anyhow::Result<Vec<u8>> {
    for word in words {
        let below = command.find_subcommand(word).cloned();
        command = below.with_context(|| {
            format!("there is no command `{}`; `latchkey --help` lists the commands", words.join(" "))
        })?;
    }
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(page)
}

fn in_folder(folder: &PathBuf, command: Command) -> ExitCode {
    let pages = {
        fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder))
            .and_then(|()| Ok(fs::read_dir(folder)?.count()))
    };
    match pages.with_context(|| {
        format!("can't write to the folder `{}`; choose another with `--folder`", folder.display())
    }) {
        Ok(pages) => {
            console::status(&format!("`{}` has {}", folder.display(), counted(pages, "file")));
            ExitCode::SUCCESS
        }
        Err(error) => console::usage_error("latchkey man", &error),
    }
}

/// The program has done its work; only its reader has gone.
fn failed(program: &str, error: &anyhow::Error) -> ExitCode {
    console::print_error(program, error);
    ExitCode::FAILURE
}
