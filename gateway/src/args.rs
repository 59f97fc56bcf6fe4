//! What a person types to run the gateway, and the run itself.

pub mod function;
pub mod init;
pub mod limits;
pub mod ports;

mod greeting;
mod settings;

use std::{
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use cli::{console, exit, signal};

use self::{function::FunctionArgs, greeting::Greeting, limits::LimitArgs, ports::PortArgs};
use crate::{
    clock::Clock,
    custom_auth::authorizer::{AuthorizerName, InvalidAuthorizerName},
    event_log::EventLog,
    gateway::{Gateway, StartError},
    lambda::InvokeError,
    settings::is_server_name,
};

const CONFIG_FILE: &str = "latchkey.toml";
const LOG_FILE: &str = "events.jsonl";
const DEVICES_FILE: &str = "devices.json";
const ALWAYS_NAMED: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// AWS IoT Core on this machine: every front door, the real authorizer, the returned policies enforced
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Where clients connect:\n  \
        user name and password  port 10443 (AWS's 443), ALPN `mqtt`; WebSocket and HTTPS without ALPN\n  \
        client certificate      ports 18883 (AWS's 8883, MQTT) and 18443 (AWS's 8443, HTTPS),\n                          \
        or port 10443 with ALPN `x-amzn-mqtt-ca` or `x-amzn-http-ca`\n\n\
        docs/gateway.md explains every door, domain configurations and certificates."
)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub struct LocalArgs {
    /// What to do instead of running.
    #[command(subcommand)]
    pub command: Option<LocalCommand>,

    /// Which ports of this machine.
    #[command(flatten)]
    pub ports: PortArgs,

    /// The address to listen on; 0.0.0.0 lets devices on your network in [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<IpAddr>,

    /// Another host name or address by which devices reach this machine; may be given more than once
    #[arg(long = "name", value_name = "NAME", value_parser = server_name)]
    pub names: Vec<String>,

    /// Where the CA (ca.pem), the device records and the log are kept [default: .latchkey]
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,

    /// The file of device records [default: `LATCHKEY_STORE`, or else devices.json in the data folder]
    #[arg(long, value_name = "FILE")]
    pub devices: Option<PathBuf>,

    /// Which function decides.
    #[command(flatten)]
    pub function: FunctionArgs,

    /// The authorizer's name: what follows `x-amz-customauthorizer-name=` in a user name [default: latchkey];
    /// with a settings file, the authorizer for those that name none
    #[arg(long, value_name = "NAME", value_parser = authorizer_name)]
    pub authorizer_name: Option<AuthorizerName>,

    /// A settings file, as `local init` writes one [default: latchkey.toml in the working folder, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How much there may be at a time.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// The AWS region to play [default: us-east-1]
    #[arg(long)]
    pub region: Option<String>,

    /// The AWS account to play: 12 digits [default: 123456789012]
    #[arg(long)]
    pub account: Option<String>,

    /// The AWS partition to play [default: aws]
    #[arg(long, value_parser = ["aws", "aws-cn", "aws-us-gov"])]
    pub partition: Option<String>,

    /// Close refused connects without a CONNACK (which of the two AWS does is unverified)
    #[arg(long)]
    pub close_refused: bool,

    /// End an MQTT 5 connection at a denied QoS 1 PUBLISH, besides PUBACK 0x87 (unverified)
    #[arg(long)]
    pub denied_publish_disconnects: bool,

    /// Print one JSON line when ready, and no others, for scripts
    #[arg(long)]
    pub json: bool,

    /// Stop when standard input closes: for a program that starts this one and may itself be killed
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// What to do instead of running.
#[derive(Subcommand, Debug)]
pub enum LocalCommand {
    /// Write a settings file that explains every setting
    Init(init::InitArgs),
}

/// Runs a gateway until it is stopped. `authorizer` is the program to use if none was named.
///
/// The exit code is 64 when the configuration is at fault: the gateway's own, or the authorizer's.
pub async fn run(args: LocalArgs, authorizer: PathBuf) -> ExitCode {
    if let Some(LocalCommand::Init(init)) = &args.command {
        return init::run(init);
    }
    let (stop_with_stdin, json) = (args.stop_with_stdin, args.json);
    match start(args, authorizer).await {
        Ok((gateway, greeting, log)) => {
            // Nobody may be reading; the gateway serves all the same.
            _ = io::stdout().write_all(greeting.as_bytes()).and_then(|()| io::stdout().flush());
            gateway.run(told_to_stop(stop_with_stdin)).await;
            log.flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            console::status(&format!("latchkey local: {}", describe(&error, json)));
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn start(args: LocalArgs, authorizer: PathBuf) -> Result<(Gateway, String, EventLog), StartError> {
    let json = args.json;
    let settings = settings::merge(args, authorizer)?;
    let terminal: Option<Box<dyn Write + Send>> = if json { None } else { Some(Box::new(io::stderr())) };
    let log_file = settings.data.join(LOG_FILE);
    let log = EventLog::open(&log_file, terminal)
        .with_context(|| format!("can't write the log `{}`", log_file.display()))?;
    let gateway =
        Gateway::start(&settings, Clock::system(), log.clone()).await.inspect_err(|_| log.flush())?;
    let greeting = Greeting { settings: &settings, addresses: gateway.addresses(), log: &log_file };
    let greeting = if json { greeting.json() } else { greeting.text() };
    Ok((gateway, greeting, log))
}

fn server_name(text: &str) -> Result<String, String> {
    if is_server_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a name here is a host name or an address, as in `192.168.1.10`".to_owned())
    }
}

fn authorizer_name(text: &str) -> Result<AuthorizerName, InvalidAuthorizerName> {
    text.try_into()
}

/// The authorizer's own words say why it does not start; a person has them on the terminal already.
fn describe(error: &StartError, json: bool) -> String {
    match error {
        StartError::Authorizer(InvokeError::Init { message, .. }) if json && !message.is_empty() => {
            format!("the authorizer does not start: {message}")
        }
        StartError::Authorizer(InvokeError::Init { status, .. }) => {
            format!("the authorizer does not start: it ended with {status}")
        }
        StartError::Authorizer(InvokeError::Start { program, error }) => format!(
            "can't start the authorizer `{program}`: {error}; build it with `cargo build -p authorizer`, or name \
             it with `--authorizer`"
        ),
        StartError::Other(error) => format!("{error:#}"),
        other => other.to_string(),
    }
}

fn exit_code(error: &StartError) -> u8 {
    match error {
        StartError::Authorizer(InvokeError::Init { code: Some(64), .. } | InvokeError::Start { .. })
        | StartError::Store(_)
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
