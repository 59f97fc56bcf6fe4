//! `latchkey`: the one command that people type. It only calls what the parts themselves offer.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod knowledge;
mod manual;
mod programs;

use std::{path::PathBuf, process::ExitCode};

use bridge::BridgeArgs;
use clap::{CommandFactory as _, Parser, Subcommand};
use cli::console;
use device_sim::{SimArgs, doctor::DoctorArgs, publish::PubArgs, subscribe::SubArgs};
use fleet::args::{FleetArgs, PolicyCommandLine};
use gateway::{args::LocalArgs, why::WhyArgs};

/// Let devices with a user name and a password into AWS IoT Core, and try all of it on this machine
#[derive(Parser)]
#[command(name = "latchkey", version, max_term_width = console::COLUMNS, after_help = FIRST_STEPS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = "First steps:
  latchkey demo                 see everything work, in ten seconds
  latchkey local                run AWS IoT Core's side, until Ctrl-C
  latchkey fleet add my-device  give one of your devices its password
  latchkey doctor               find out why a device can't connect
  latchkey why my-device        tell why it can't connect, or what it may do

`latchkey COMMAND -h` has the options of a command, --help explains them.";

#[derive(Subcommand)]
enum Command {
    /// Show everything at work: a gateway, an authorizer, a small fleet, and two refusals
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Show everything at work (this program was built without the feature `demo`)
    #[cfg(not(feature = "demo"))]
    Demo,
    /// Run AWS IoT Core on this machine, with the real authorizer
    Local(Box<LocalArgs>),
    /// Find out why a device can't connect: name, TCP, TLS, CONNECT, publish, step by step
    Doctor(Box<DoctorArgs>),
    /// Tell why a device can't connect, from the log of `latchkey local`
    Why(WhyArgs),
    /// Simulate a fleet of SHT20 devices, here or against AWS
    Sim(Box<SimArgs>),
    /// Publish messages as one device, here or on AWS
    Pub(Box<PubArgs>),
    /// Show the messages that one device receives, here or on AWS
    Sub(Box<SubArgs>),
    /// Let devices that can do neither TLS nor ALPN in, each as itself
    Bridge(Box<BridgeArgs>),
    /// Give devices their credentials and keep their records
    Fleet(FleetArgs),
    /// Ask policy documents whether they allow something
    Policy(Box<PolicyCommandLine>),
    /// Check settings, records, grants, keyring and certificates, as CI would
    Check(Box<check::CheckArgs>),
    /// Print a shell's completions
    Completions(manual::CompletionsArgs),
    /// Print a command's manual page, or write all pages to a folder
    Man(manual::ManArgs),
    /// Try every row of docs/fidelity.md on a gateway, or on AWS
    #[cfg(feature = "aws")]
    Conform(Box<conform::ConformArgs>),
    /// Try every row of docs/fidelity.md (this program was built without the feature `aws`)
    #[cfg(not(feature = "aws"))]
    #[command(disable_help_flag = true)]
    Conform {
        /// What a program with the feature `aws` accepts.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        _rest: Vec<std::ffi::OsString>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match console::parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args).await,
        #[cfg(not(feature = "demo"))]
        Command::Demo => console::usage_error(
            "latchkey demo",
            &anyhow::anyhow!(
                "this program was built without the feature `demo`; build it with \
                 `cargo install --locked --path latchkey --features demo`"
            ),
        ),
        Command::Local(args) => local(*args).await,
        Command::Doctor(args) => device_sim::doctor::run(&args, &knowledge::Parts).await,
        Command::Why(args) => gateway::why::run(&args),
        Command::Sim(args) => device_sim::run(&args).await.into(),
        Command::Pub(args) => device_sim::publish::run(&args).await,
        Command::Sub(args) => device_sim::subscribe::run(&args).await,
        Command::Bridge(args) => bridge::run(*args).await,
        Command::Fleet(args) => fleet::run(args).await,
        Command::Policy(args) => fleet::run_policy(*args),
        Command::Check(args) => check::run(*args).await,
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
        #[cfg(feature = "aws")]
        Command::Conform(args) => match std::env::current_exe() {
            Ok(program) => {
                let gateway = conform::host::GatewayProgram { program, arguments: vec!["local".to_owned()] };
                conform::run(*args, gateway).await
            }
            Err(error) => console::usage_error("latchkey conform", &error.into()),
        },
        #[cfg(not(feature = "aws"))]
        Command::Conform { .. } => console::usage_error(
            "latchkey conform",
            &anyhow::anyhow!(
                "this program was built without the feature `aws`; build it with \
                 `cargo install --locked --path latchkey --features aws`"
            ),
        ),
    }
}

async fn local(args: LocalArgs) -> ExitCode {
    let authorizer = if args.command.is_none() && args.function.may_need_own() {
        programs::find(programs::AUTHORIZER).await
    } else {
        // Another function decides, or no gateway starts.
        Ok(PathBuf::new())
    };
    match authorizer {
        Ok(program) => gateway::args::run(args, program).await,
        Err(error) => console::usage_error("latchkey local", &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of a command and of those below it, with -h and with --help.
    fn helps(command: clap::Command, columns: usize) -> Vec<String> {
        let mut command = command.term_width(columns);
        let own = [command.render_help().to_string(), command.render_long_help().to_string()];
        let below = command.get_subcommands().filter(|it| it.get_name() != "help").cloned();
        own.into_iter().chain(below.flat_map(|it| helps(it, columns))).collect()
    }

    /// The words of each command that runs something, without `latchkey`.
    fn commands(command: &clap::Command, words: &[String]) -> Vec<Vec<String>> {
        let below = command.get_subcommands().filter(|it| it.get_name() != "help").collect::<Vec<_>>();
        let own = (below.is_empty() || !command.is_subcommand_required_set()) && !words.is_empty();
        let own = own.then(|| words.to_vec());
        let below =
            below.into_iter().flat_map(|it| commands(it, &[words, &[it.get_name().to_owned()]].concat()));
        own.into_iter().chain(below).collect()
    }

    #[test]
    fn page_of_exit_codes_has_every_command_and_says_what_its_help_says() {
        let page = include_str!("../../docs/commands.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `latchkey ")?.split_once("` | "));
        let rows = rows.collect::<std::collections::BTreeMap<_, _>>();
        let root = Cli::command();
        let all = commands(&root, &[]).into_iter().map(|words| words.join(" ")).collect::<Vec<_>>();
        for name in &all {
            let row = rows.get(name.as_str()).unwrap_or_else(|| panic!("no row for `latchkey {name}`"));
            let command = name.split(' ').fold(&root, |it, word| it.find_subcommand(word).unwrap());
            let mut command = command.clone();
            let help = command.render_long_help().to_string();
            let Some((_, said)) = help.split_once("Exit codes:") else { continue };
            let said = said.replace('\n', " ");
            let codes = |text: &str| {
                let words = text.split([' ', ',', '.', '|']).filter(|word| word.parse::<u8>().is_ok());
                words.map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
            };
            // Every command of long work can be ended by Ctrl-C, which not every help says.
            let undocumented = codes(&said).difference(&codes(row)).cloned().collect::<Vec<_>>();
            assert!(undocumented.is_empty(), "`latchkey {name}`: {undocumented:?}");
        }
        for name in rows.keys() {
            assert!(all.iter().any(|it| it == name), "`latchkey {name}` is no command");
        }
    }

    #[test]
    fn every_shell_completes_every_command_and_every_command_has_a_page() {
        use clap::ValueEnum as _;
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "latchkey", &mut script);
            let script = String::from_utf8(script).unwrap();
            for words in commands(&Cli::command(), &[]) {
                assert!(script.contains(words.last().unwrap()), "{shell}: {words:?}");
            }
            // The streams escape what a terminal does not show.
            assert_eq!(cli::output::escaped(script.replace('\n', "")), script.replace('\n', ""), "{shell}");
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        clap_mangen::generate_to(command, folder.path()).unwrap();
        for words in commands(&Cli::command(), &[]) {
            let page = folder.path().join(format!("latchkey-{}.1", words.join("-")));
            let page = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{}", page.display()));
            assert!(page.contains(".SH SYNOPSIS") && page.len() > 200, "{words:?}");
            assert_eq!(cli::output::escaped(page.replace('\n', "")), page.replace('\n', ""), "{words:?}");
        }
    }

    #[test]
    fn help_fits_the_columns_of_the_terminal() {
        for columns in [60, console::COLUMNS] {
            let mut command = Cli::command();
            command.build();
            for help in helps(command, columns) {
                // clap does not wrap usage, and can't break a single word: an option, a path, a list of values.
                let lines =
                    help.lines().filter(|line| !line.starts_with("Usage:") && line.trim().contains(' '));
                for line in lines {
                    assert!(line.chars().count() <= columns, "{columns}: {line}");
                }
            }
        }
    }
}
