//! `latchkey-configure`: one device's configuration partition, ready to be flashed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

/// Writes the configuration partition of one device.
#[derive(Parser)]
#[command(name = "latchkey-configure", version)]
struct Args {
    /// The settings; firmware/cfg.example.toml explains them
    #[arg(long, value_name = "FILE", default_value = "cfg.toml")]
    settings: PathBuf,
    /// The credentials that `latchkey fleet add --credentials` wrote
    #[arg(long, value_name = "FILE", requires = "device")]
    credentials: Option<PathBuf>,
    /// Whose credentials to take
    #[arg(long, value_name = "NAME", requires = "credentials")]
    device: Option<String>,
    /// Where to write the partition; it holds the secret in clear, for its owner's eyes only
    #[arg(long, value_name = "FILE", default_value = "configuration.bin")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(line) => {
            _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            _ = writeln!(std::io::stderr(), "latchkey-configure: {error:#}");
            ExitCode::from(64)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<String> {
    let mut entries = configure::settings::read(&args.settings)?;
    if let Some((file, device)) = args.credentials.as_ref().zip(args.device.as_ref()) {
        configure::credentials::take(file, device, &mut entries)?;
    }
    let bytes = configure::partition(&entries)?;
    let shown = args.out.display();
    private(&args.out)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("can't write `{shown}`"))?;
    Ok(format!("{} bytes in `{shown}`; it holds the device's secret", bytes.len()))
}

fn private(path: &PathBuf) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // The mode above is for a new file only.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}
