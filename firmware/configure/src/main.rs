//! `latchkey-configure`: writes one device's configuration partition, ready to be flashed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use cli::console;
use cli::output::escaped;
use configure::Entries;

/// Write the configuration partition of one device
#[derive(Parser)]
#[command(name = "latchkey-configure", version)]
struct Args {
    /// The settings of the device; firmware/cfg.example.toml explains them
    #[arg(long, value_name = "FILE", default_value = "cfg.toml")]
    settings: PathBuf,
    /// The file that `latchkey fleet add --credentials` wrote
    #[arg(long, value_name = "FILE", requires = "device")]
    credentials: Option<PathBuf>,
    /// The device whose credentials to use
    #[arg(long, value_name = "NAME", requires = "credentials")]
    device: Option<String>,
    /// Where to write the partition, readable by its owner only: it contains the
    /// secret in clear
    #[arg(long, value_name = "FILE", default_value = "configuration.bin")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let args = match console::parse::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(line) => {
            _ = writeln!(cli::output::stdout(), "{}", escaped(line));
            ExitCode::SUCCESS
        }
        Err(error) => console::usage_error("latchkey-configure", &error),
    }
}

fn run(args: &Args) -> anyhow::Result<String> {
    let mut entries = Entries::read_settings(&args.settings)?;
    if let Some((file, device)) = args.credentials.as_ref().zip(args.device.as_ref()) {
        entries.read_credentials(file, device)?;
    }
    let bytes = entries.to_partition()?;
    let shown = args.out.display();
    create_private(&args.out)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("can't write `{shown}`"))?;
    Ok(format!("wrote `{shown}` ({} bytes); it contains the device's secret", bytes.len()))
}

fn create_private(path: &PathBuf) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // The mode above applies only to a new file.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}
