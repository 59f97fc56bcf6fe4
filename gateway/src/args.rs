//! The command line of the gateway, and its run.

pub mod env;
pub mod function;
pub mod init;
pub mod reset;

mod greeting;
mod network;
mod settings;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use cli::{
    console::{self, ErrorList},
    exit, output, signal,
};

use self::{function::FunctionArgs, greeting::Greeting};
use crate::{
    clock::Clock,
    config::Overrides,
    event_log::{EventLog, terminal::TerminalOutput},
    gateway::{Gateway, StartError},
    lambda::InvokeError,
};

const CONFIG_FILE: &str = "latchkey.toml";
const LOG_FILE: &str = "events.jsonl";
const DEVICES_FILE: &str = "devices.json";

/// Run AWS IoT Core on this machine, with the real authorizer
///
/// Devices connect as they do to AWS: over TLS, on each port and protocol of AWS IoT Core. The authorizer decides, and
/// the policies that it returns are enforced.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "`latchkey local --help` explains every option.",
    after_long_help = "Where devices connect:
  user name and password  port 10443 (AWS's 443)
                          MQTT: ALPN `mqtt`; WebSocket and HTTPS: no ALPN
  client certificate      port 18883 (AWS's 8883): MQTT
                          port 18443 (AWS's 8443): HTTPS publish
                          port 10443 (AWS's 443): ALPN `x-amzn-mqtt-ca`
                          or `x-amzn-http-ca`

docs/gateway.md explains ports, domain configurations and certificates."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct LocalArgs {
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<LocalCommand>,

    /// The settings file [default: latchkey.toml, if it is there]
    ///
    /// `latchkey local init` writes one that explains every setting. A flag wins over the file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print one JSON line when ready and nothing else, for scripts
    #[arg(long)]
    pub json: bool,

    /// What the settings file can set too.
    #[command(flatten)]
    pub overrides: Overrides,

    /// Listen on AWS's own ports, 443, 8883 and 8443
    ///
    /// Most systems ask for privileges for ports below 1024.
    #[arg(long, help_heading = "Ports")]
    pub aws_ports: bool,

    /// Which function authorizes clients.
    #[command(flatten)]
    pub function: FunctionArgs,

    /// Serve an API with which tests inject faults and move the clock, on the status port
    ///
    /// docs/testing.md describes it. Programs of this machine can use it without a credential.
    #[arg(long, hide_short_help = true)]
    pub test_api: bool,

    /// Stop when standard input closes: for a program that starts this one and may itself be killed
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// What to do instead of running.
#[derive(Subcommand)]
pub enum LocalCommand {
    /// Write a settings file that explains every setting
    Init(init::InitArgs),
    /// Print the variables with which the AWS CLI and the SDKs use this gateway
    Env(env::EnvArgs),
    /// Delete what clients and API calls have stored, while no gateway runs
    Reset(reset::ResetArgs),
}

/// Runs a gateway until it is stopped. `authorizer` is the authorizer's program unless the arguments name another.
///
/// The exit code is 64 when the configuration of the gateway or of the authorizer can't be used.
pub async fn run(mut args: LocalArgs, authorizer: PathBuf) -> ExitCode {
    match args.command.take() {
        Some(LocalCommand::Init(init)) => return init::run(&init),
        Some(LocalCommand::Env(env)) => return env::run(env),
        Some(LocalCommand::Reset(reset)) => return reset::run(reset),
        None => {}
    }
    let (stop_with_stdin, json) = (args.stop_with_stdin, args.json);
    match start(args, authorizer).await {
        Ok((gateway, greeting, log)) => {
            // The gateway serves even if nobody reads this.
            _ = greeting::print(&greeting);
            gateway.run(told_to_stop(stop_with_stdin)).await;
            log.flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            let exit = exit_code(&error);
            console::print_error("latchkey local", &describe(error, json));
            ExitCode::from(exit)
        }
    }
}

async fn start(args: LocalArgs, authorizer: PathBuf) -> Result<(Gateway, String, EventLog), StartError> {
    let json = args.json;
    let mut settings = settings::merge(args, authorizer)?;
    if settings.listen.is_unspecified() {
        // The certificate is for them too, so that devices can dial them.
        let others = network::addresses().into_iter().filter(|address| !settings.names.contains(address));
        let others = others.collect::<Vec<_>>();
        settings.names.extend(others);
    }
    let columns =
        if output::stderr().is_terminal() { console::terminal_columns } else { || console::COLUMNS };
    let terminal = (!json).then(|| TerminalOutput { to: Box::new(output::stderr()), columns });
    let log_file = settings.data.join(LOG_FILE);
    let log = EventLog::open(&log_file, terminal).map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::IsADirectory => "remove the folder of this name",
            _ => "name a data folder that you may write with `--data`",
        };
        anyhow!("can't write the log `{}`: {error}; {cure}", log_file.display())
    })?;
    let clock = if settings.test_api { Clock::movable() } else { Clock::system() };
    let gateway = Gateway::start(&settings, clock, log.clone()).await.inspect_err(|_| log.flush())?;
    let (addresses, console) = (gateway.addresses(), gateway.console_link());
    let greeting = Greeting { settings: &settings, addresses, log: &log_file, console };
    let greeting = if json { greeting.json() } else { greeting.text() };
    Ok((gateway, greeting, log))
}

/// The authorizer's own message says why it does not start; without `--json` it is on the terminal already.
fn describe(error: StartError, json: bool) -> anyhow::Error {
    match error {
        StartError::Authorizer(InvokeError::Init { message, hint, .. }) if json && !message.is_empty() => {
            let mut lines = message.lines().map(str::to_owned).collect::<Vec<_>>();
            ErrorList::new(format!("the authorizer does not start: {}", lines.remove(0) + hint), lines).into()
        }
        StartError::Authorizer(InvokeError::Init { status, message, hint, .. }) => {
            let written =
                if message.is_empty() { " and wrote nothing" } else { "; its own lines above say why" };
            anyhow!("the authorizer does not start: it ended with {status}{written}{hint}")
        }
        StartError::Authorizer(InvokeError::Start { program, error }) => {
            let cure = if program.contains("://") {
                "it is a URL, not a program: name it with `--invoke-url`"
            } else if Path::new(&program).exists() {
                "name a program that you may execute, or the interpreter of a script, with `--authorizer`"
            } else {
                "build it with `cargo build -p authorizer`, or name it with `--authorizer`"
            };
            anyhow!("can't start the authorizer `{program}`: {error}; {cure}")
        }
        StartError::Other(error) => error,
        other => other.into(),
    }
}

fn exit_code(error: &StartError) -> u8 {
    match error {
        StartError::Authorizer(InvokeError::Init { code: Some(64), .. } | InvokeError::Start { .. })
        | StartError::Store(_)
        | StartError::Registry(_)
        | StartError::Other(_)
        | StartError::Listen { .. } => exit::USAGE,
        StartError::Authorizer(_) => 1,
    }
}

async fn told_to_stop(with_stdin: bool) {
    tokio::select! {
        () = signal::interrupted() => {}
        () = signal::stdin_closed(), if with_stdin => {}
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;
    use crate::settings::{Account, Limits, Ports};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        local: LocalArgs,
    }

    fn help(columns: usize) -> [String; 2] {
        let mut command = Cli::command().term_width(columns);
        [command.render_help().to_string(), command.render_long_help().to_string()]
    }

    #[test]
    fn help_fits_the_terminal_and_breaks_between_words() {
        for columns in [80, 60] {
            for help in help(columns) {
                for line in help.lines() {
                    // A word that is longer than the column stays whole.
                    let words = line.split_whitespace().count();
                    assert!(line.chars().count() <= columns.max(70) || words == 1, "{columns}: {line}");
                }
            }
        }
    }

    #[test]
    fn removed_flags_are_not_in_the_help() {
        for help in help(80) {
            assert!(!help.contains("--close-refused") && !help.contains("--denied-publish"), "{help}");
        }
    }

    #[test]
    fn help_names_the_defaults() {
        let [_, help] = help(400);
        let (ports, limits, account) = (Ports::default(), Limits::default(), Account::default());
        let numbers = ports.doors.values().chain(&ports.status).chain(&ports.api).map(ToString::to_string);
        let wills = limits.delayed_wills;
        let limits =
            [limits.connections, limits.handshakes, wills.number, wills.bytes].map(|n| n.to_string());
        let account = [account.partition, account.region, account.id];
        for default in numbers.chain(limits).chain(account).chain(["10".to_owned(), "3600".to_owned()]) {
            assert!(help.contains(&format!("[default: {default}]")), "{default}: {help}");
        }
    }
}
