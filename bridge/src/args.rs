//! The command line of the bridge, and its run.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use cli::{
    console, exit,
    output::{self, escaped},
    signal,
};
use serde_json::json;

use crate::bridge::Bridge;
use crate::config::{CONFIG_FILE, Configuration, Flags};
use crate::log::Log;
use crate::metrics::Metrics;

/// The settings file that `init` writes.
const TEMPLATE: &str = include_str!("config/template.toml");

/// Let devices that can do neither TLS nor ALPN into AWS IoT Core, each as itself
///
/// Runs at a site. Devices connect to it without TLS, or with TLS and your own certificate, and it opens one connection to AWS
/// for each: TLS on port 443 with ALPN and SNI, and the device's own user name, password and client id.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "`latchkey bridge --help` explains every option.",
    after_long_help = "Examples:
  latchkey bridge --endpoint abc-ats.iot.eu-west-1.amazonaws.com:443 \\
      --authorizer latchkey-prod --listen 192.168.1.10
  latchkey bridge --endpoint localhost:10443 --ca .latchkey/ca.pem \\
      --authorizer latchkey --spool 64MB
  mosquitto_pub -h 192.168.1.10 -i hall-1 -u hall-1 -P PASSWORD \\
      -t hall-1/temperature -m 21.5

A device that can do TLS with ALPN needs no bridge, and one that can do TLS
without ALPN may reach a custom domain. docs/bridge.md says when to use which."
)]
pub struct BridgeArgs {
    /// What to do instead of running.
    #[command(subcommand)]
    command: Option<BridgeCommand>,

    /// The settings file [default: latchkey-bridge.toml, if it is there]
    ///
    /// `latchkey bridge init` writes one that explains every setting. A flag wins over the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the log as JSON lines on standard output; the first one has the addresses
    #[arg(long)]
    json: bool,

    /// Only check the settings, and say what is wrong
    #[arg(long)]
    check: bool,

    /// What the settings file can set too.
    #[command(flatten)]
    flags: Flags,

    /// Stop when standard input closes: for a program that starts this one and may itself be killed
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

#[derive(Subcommand)]
enum BridgeCommand {
    /// Write a settings file that explains every setting
    Init(InitArgs),
    /// Print the client ids that devices have at AWS
    ///
    /// Prints for each client id the one that the bridge connects with: another one, if AWS or the authorizer would refuse it.
    /// Put that one into the device's record.
    ClientIds(ClientIdsArgs),
}

#[derive(Args)]
struct InitArgs {
    /// The file to write
    #[arg(default_value = CONFIG_FILE)]
    file: PathBuf,

    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct ClientIdsArgs {
    /// The client ids that devices present
    #[arg(required = true, value_name = "CLIENT_ID")]
    client_ids: Vec<String>,

    /// The settings file [default: latchkey-bridge.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a bridge until it is stopped, or another command.
///
/// The exit code is 64 when the settings can't be used.
pub async fn run(args: BridgeArgs) -> ExitCode {
    match args.command {
        Some(BridgeCommand::Init(args)) => init(&args),
        Some(BridgeCommand::ClientIds(args)) => client_ids(&args),
        None => serve(args).await,
    }
}

async fn serve(args: BridgeArgs) -> ExitCode {
    let BridgeArgs { config, json, check, flags, stop_with_stdin, .. } = args;
    let source = settings_file(config);
    let mut configuration = match Configuration::read(source.as_deref(), &flags) {
        Ok(configuration) => configuration,
        Err(error) => return console::usage_error("latchkey bridge", &error.into()),
    };
    if check {
        return match crate::bridge::check(&configuration) {
            Ok(warnings) => {
                for warning in warnings {
                    console::status(&warning);
                }
                _ = writeln!(output::stdout(), "the settings can be used");
                ExitCode::SUCCESS
            }
            Err(error) => console::usage_error("latchkey bridge", &error.into()),
        };
    }
    #[cfg(unix)]
    if let Ok(files) = rlimit::increase_nofile_limit(u64::MAX) {
        configuration.fit_open_files(files);
    }
    let metrics = Metrics::new();
    let log = Log::to_standard_streams(json, metrics.clone());
    let bridge = match Bridge::start(configuration, log.clone(), metrics).await {
        Ok(bridge) => bridge,
        Err(error) => {
            log.flush();
            console::print_error("latchkey bridge", &error.into());
            return ExitCode::from(exit::USAGE);
        }
    };
    // The bridge serves even if nobody reads this.
    _ = greet(&bridge, json);
    bridge.run((source, flags), told_to_stop(stop_with_stdin)).await;
    ExitCode::SUCCESS
}

async fn told_to_stop(with_stdin: bool) {
    tokio::select! {
        () = signal::interrupted() => {}
        () = signal::stdin_closed(), if with_stdin => {}
    }
}

fn greet(bridge: &Bridge, json: bool) -> io::Result<()> {
    let addresses = bridge.addresses();
    let mut out = output::stdout();
    if json {
        return writeln!(out, "{}", json!({ "ready": true, "addresses": addresses }));
    }
    for (name, address) in addresses {
        let what = match name {
            "mqtt" => "MQTT without TLS",
            "mqtts" => "MQTT over TLS",
            "websocket" => "MQTT over WebSocket, without TLS",
            _ => "",
        };
        if name == "status" {
            writeln!(out, "  status  http://{address}/metrics")?;
        } else {
            writeln!(out, "{what} on {address}")?;
        }
    }
    writeln!(out, "  stop    Ctrl-C")
}

fn settings_file(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Path::new(CONFIG_FILE).exists().then(|| CONFIG_FILE.into()))
}

fn init(args: &InitArgs) -> ExitCode {
    match write_template(&args.file, args.force) {
        Ok(()) => {
            let file = args.file.display().to_string();
            let file = escaped(&file);
            let config =
                if args.file == Path::new(CONFIG_FILE) { String::new() } else { format!(" --config {file}") };
            _ = writeln!(
                output::stdout(),
                "wrote {file}, which has every setting with its default after a `#`\n  next    set `endpoints`, and run \
                 latchkey bridge{config}"
            );
            ExitCode::SUCCESS
        }
        Err(error) => console::usage_error("latchkey bridge init", &error),
    }
}

fn write_template(file: &Path, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    // A proxy's password may be written into it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let unwritable = || format!("can't write `{}`", file.display());
    let mut opened = match options.open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{}` already exists; `--force` overwrites it", file.display())
        }
        opened => opened.with_context(unwritable)?,
    };
    opened.write_all(TEMPLATE.as_bytes()).with_context(unwritable)
}

fn client_ids(args: &ClientIdsArgs) -> ExitCode {
    let file = settings_file(args.config.clone());
    let rules = match Configuration::rules(file.as_deref()) {
        Ok(rules) => rules,
        Err(error) => return console::usage_error("latchkey bridge client-ids", &error.into()),
    };
    let mut out = output::stdout();
    let pairs = args.client_ids.iter().map(|id| (id, rules.client_ids.upstream(id)));
    let written = if args.json {
        let object = pairs.map(|(id, upstream)| (id.clone(), upstream.into_owned().into()));
        writeln!(out, "{}", serde_json::Value::Object(object.collect()))
    } else {
        pairs
            .into_iter()
            .try_for_each(|(id, upstream)| writeln!(out, "{}  {}", escaped(id), escaped(upstream)))
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template's settings without the `# ` before them; prose begins with `##`.
    fn settings() -> String {
        let lines = TEMPLATE.lines().filter(|line| !line.starts_with("##"));
        lines.map(|line| line.strip_prefix("# ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    fn read(text: &str) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONFIG_FILE);
        std::fs::write(&path, text).unwrap();
        Configuration::read(Some(&path), &Flags::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_template_sets_nothing_and_every_line_of_it_is_a_setting() {
        let table: toml::Table = toml::from_str(TEMPLATE).unwrap();
        assert!(table.is_empty(), "{table:?}");
        if let Err(error) = read(&settings()) {
            panic!("{error}");
        }
    }

    #[test]
    fn the_template_has_every_key() {
        let settings = settings();
        for table in ["", "[ports]\n", "[tls]\n", "[limits]\n", "[spool]\n", "[rules]\n", "[[map]]\n"] {
            // Serde's error names every key when it meets one that does not exist.
            let error = read(&format!("{table}no_such_key = 1\n")).err().unwrap();
            let (_, expected) = error.split_once("expected ").unwrap();
            let keys = expected.trim_start_matches("one of ").split(['`', ',']).map(str::trim);
            for key in keys.filter(|key| !matches!(*key, "" | "or") && !key.contains(' ')) {
                let there = settings.lines().any(|line| {
                    let name = line.split(['=', ' ']).next().unwrap_or_default();
                    name.trim_matches(['[', ']']) == key
                });
                assert!(there, "`{key}` of `{}`", table.trim());
            }
        }
    }
}
