//! What a person types to run the gateway, and the run itself.

pub mod function;

use std::{
    io::{self, IsTerminal, Write},
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use self::function::FunctionArgs;
use crate::{
    clock::Clock,
    config::Config,
    custom_auth::name::{AuthorizerName, NameError},
    event_log::EventLog,
    gateway::{Gateway, StartError},
    lambda::{InvokeError, program::Program},
    session::Rules,
    settings::{Account, AuthorizerSettings, Settings},
};

/// `EX_USAGE` of `sysexits.h`: the configuration is at fault.
const BAD_CONFIGURATION: u8 = 64;
const CONFIG_FILE: &str = "latchkey.toml";
const LOG_FILE: &str = "events.jsonl";
const DEVICES_FILE: &str = "devices.json";
const KEYRING_FILE: &str = "keyring.json";
const ALWAYS_NAMED: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// AWS IoT Core on this machine: devices connect over TLS with ALPN `mqtt`, the authorizer decides
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches of a command line")]
pub struct LocalArgs {
    /// The port; AWS's own is 443
    #[arg(long, default_value_t = 10_443)]
    pub port: u16,

    /// The address to listen on; 0.0.0.0 lets devices on your network in
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub listen: IpAddr,

    /// Another host name or address by which devices reach this machine; may be given more than once
    #[arg(long = "name", value_name = "NAME", value_parser = server_name)]
    pub names: Vec<String>,

    /// Where the CA (ca.pem), the device records and the log are kept
    #[arg(long, default_value = ".latchkey", value_name = "FOLDER")]
    pub data: PathBuf,

    /// The file of device records [default: devices.json in the data folder]
    #[arg(long, env = "LATCHKEY_DEVICES", value_name = "FILE")]
    pub devices: Option<PathBuf>,

    /// Which function decides.
    #[command(flatten)]
    pub function: FunctionArgs,

    /// The authorizer's name: what follows `x-amz-customauthorizer-name=` in a user name [default: latchkey];
    /// with a settings file, the authorizer for those that name none
    #[arg(long, value_name = "NAME", value_parser = authorizer_name)]
    pub authorizer_name: Option<AuthorizerName>,

    /// A settings file with several authorizers [default: latchkey.toml in the working folder, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How many connections there may be at a time
    #[arg(long, default_value = "15000", value_name = "N")]
    pub max_connections: NonZeroUsize,

    /// The AWS region to play
    #[arg(long, default_value = "us-east-1")]
    pub region: String,

    /// The AWS account to play: 12 digits
    #[arg(long, default_value = "123456789012")]
    pub account: String,

    /// The AWS partition to play
    #[arg(long, default_value = "aws", value_parser = ["aws", "aws-cn", "aws-us-gov"])]
    pub partition: String,

    /// Close refused connects without a CONNACK (which of the two AWS does is unverified)
    #[arg(long)]
    pub close_refused: bool,

    /// End an MQTT 5 connection at a denied QoS 1 PUBLISH, beside PUBACK 0x87 (unverified)
    #[arg(long)]
    pub denied_publish_disconnects: bool,

    /// Print one JSON line when ready, and no others, for scripts
    #[arg(long)]
    pub json: bool,

    /// Stop when standard input closes: for a program that starts this one and may itself be killed
    #[arg(long, hide = true)]
    pub stop_with_stdin: bool,
}

/// Runs a gateway until it is told to stop. `authorizer` is the program to use if none was named.
///
/// The exit code is 64 when the configuration is at fault: the gateway's own, or the authorizer's.
pub async fn run(args: LocalArgs, authorizer: PathBuf) -> ExitCode {
    let (stop_with_stdin, json) = (args.stop_with_stdin, args.json);
    match start(args, authorizer).await {
        Ok((gateway, greeting)) => {
            // Nobody may be reading; the gateway serves all the same.
            _ = io::stdout().write_all(greeting.as_bytes()).and_then(|()| io::stdout().flush());
            gateway.run(told_to_stop(stop_with_stdin)).await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            _ = writeln!(io::stderr(), "latchkey local: {}", describe(&error, json));
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn start(args: LocalArgs, authorizer: PathBuf) -> Result<(Gateway, String), StartError> {
    let json = args.json;
    let settings = settings(args, authorizer)?;
    let terminal: Option<Box<dyn Write + Send>> = if json { None } else { Some(Box::new(io::stderr())) };
    let log_file = settings.data.join(LOG_FILE);
    let log = EventLog::open(&log_file, terminal)
        .with_context(|| format!("can't write the log `{}`", log_file.display()))?;
    let gateway = Gateway::start(&settings, Clock::system(), log).await?;
    let greeting = greeting(&settings, gateway.address(), &log_file, json);
    Ok((gateway, greeting))
}

fn settings(args: LocalArgs, authorizer: PathBuf) -> anyhow::Result<Settings> {
    make_private_folder(&args.data)
        .with_context(|| format!("can't make the data folder `{}`", args.data.display()))?;
    let devices = args.devices.clone().unwrap_or_else(|| args.data.join(DEVICES_FILE));
    let devices = std::path::absolute(&devices).context("the devices file has no path")?;
    let data = std::path::absolute(&args.data).context("the data folder has no path")?;
    make_empty_store(&devices)?;
    let config = config(&args, authorizer, &devices, &data)?;
    let mut names = ALWAYS_NAMED.map(str::to_owned).to_vec();
    names.extend(args.names);
    if !args.listen.is_unspecified() {
        names.push(args.listen.to_string());
    }
    names.sort();
    names.dedup();
    Ok(Settings {
        listen: SocketAddr::new(args.listen, args.port),
        names,
        data: args.data,
        account: Account { partition: args.partition, region: args.region, id: args.account },
        authorizers: config.authorizers,
        default_authorizer: config.default_authorizer,
        max_connections: args.max_connections.get(),
        answer_refused_connects: !args.close_refused,
        rules: Rules { denied_publish_disconnects: args.denied_publish_disconnects },
    })
}

/// The authorizers: those of the settings file, or the one that is there without. What was typed wins over the file.
fn config(args: &LocalArgs, program: PathBuf, devices: &Path, data: &Path) -> anyhow::Result<Config> {
    let variables = variables(devices, data);
    let own = Program::new(program, variables);
    let in_place = Path::new(CONFIG_FILE);
    let file = args.config.as_deref().or_else(|| in_place.exists().then_some(in_place));
    let mut config = match file {
        Some(file) => Config::read(file, &own)?,
        None => Config::without_file(args.authorizer_name.clone(), own.clone())?,
    };
    for AuthorizerSettings { function, .. } in &mut config.authorizers {
        args.function.apply(function, &own);
    }
    config.default_authorizer = args.authorizer_name.clone().or(config.default_authorizer);
    Ok(config)
}

/// What the authorizer is told beside what the gateway itself was; a later variable wins. Nothing on this machine makes
/// metrics of its lines, and a keyring that `latchkey fleet` made beside the records is the one that opens them.
fn variables(devices: &Path, data: &Path) -> Vec<(String, String)> {
    let unset = |name: &str| std::env::var_os(name).is_none();
    let keyring = data.join(KEYRING_FILE);
    let defaults = [
        Some(("LATCHKEY_STORE", format!("file:{}", devices.display()))),
        Some(("LATCHKEY_METRICS", "off".to_owned())).filter(|(name, _)| unset(name)),
        Some(("LATCHKEY_DATA_KEYS", format!("file:{}", keyring.display())))
            .filter(|(name, _)| unset(name) && keyring.is_file()),
    ];
    defaults.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The log and the CA's key are in it, so it is its owner's alone where the system can say that.
fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn server_name(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:_".contains(&b);
    let valid = !text.is_empty() && text.bytes().all(plain);
    valid
        .then(|| text.to_owned())
        .ok_or_else(|| "a name here is a host name or an address, as in `192.168.1.10`".to_owned())
}

fn authorizer_name(text: &str) -> Result<AuthorizerName, NameError> {
    text.try_into()
}

/// A gateway without devices is a fine start: `latchkey fleet add` is the next step.
fn make_empty_store(devices: &Path) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(devices) {
        Ok(mut file) => {
            file.write_all(b"{\"version\":1,\"devices\":{}}\n").context("can't write the devices file")
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("can't make `{}`", devices.display())),
    }
}

fn greeting(settings: &Settings, address: SocketAddr, log: &Path, json: bool) -> String {
    let ca = settings.data.join("ca.pem");
    if json {
        let line = json!({"ready": true, "address": address, "ca": ca, "log": log});
        return format!("{line}\n");
    }
    let reachable = settings.names.len() > ALWAYS_NAMED.len() || !settings.listen.ip().is_unspecified();
    let hint = if reachable {
        ""
    } else {
        "  note    devices elsewhere need `--name ADDRESS`: this machine's, as they dial it\n"
    };
    let devices = if settings.data == Path::new(".latchkey") {
        String::new()
    } else {
        format!(" --store {}", settings.data.join(DEVICES_FILE).display())
    };
    let colour = io::stdout().is_terminal();
    let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!(
        "{bold}latchkey local{plain} listens on {address}\n  \
         CA      {}\n  log     {}\n{hint}  next    latchkey fleet add my-device{devices}\n  stop    Ctrl-C\n",
        ca.display(),
        log.display()
    )
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
        | StartError::Other(_)
        | StartError::Listen { .. } => BAD_CONFIGURATION,
        StartError::Authorizer(_) => 1,
    }
}

async fn told_to_stop(with_stdin: bool) {
    tokio::select! {
        () = interrupted() => {}
        () = stdin_closed(), if with_stdin => {}
    }
}

/// On a thread of its own: a read of standard input can't be called off, and must not keep the process alive.
async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // The gateway may have stopped for another reason.
        _ = closed.send(());
    });
    _ = wait.await;
}

/// Waits for Ctrl-C, or for the signal with which a service manager ends a program.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // A program that can't be told to stop ends when its process does.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
