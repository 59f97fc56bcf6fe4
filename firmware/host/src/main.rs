//! `firmware-host CONFIGURATION`: the application on a PC, with its network and a simulated sensor.

use std::fs;
use std::process::ExitCode;

use anyhow::Context;
use app::{Configuration, Device, NoWatchdog, Platform, SerialLog, WallClock};
use device_core::SimulatedSht20;
use edge_nal_std::Stack;
use embassy_time::Delay;
use getrandom::SysRng;
use mbedtls_rs::Tls;
use rand_core::UnwrapErr;

static CLOCK: WallClock = WallClock::unset();
static LOG: SerialLog = SerialLog::new(print);

fn main() -> ExitCode {
    if log::set_logger(&LOG).is_ok() {
        log::set_max_level(SerialLog::MAX_LEVEL);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::from(64)
        }
    }
}

fn run() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).context("usage: firmware-host CONFIGURATION")?;
    let bytes = fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    let configuration = Configuration::parse(&bytes)?;
    CLOCK.install();
    let rng = Box::leak(Box::new(UnwrapErr(SysRng)));
    let tls = Tls::new(rng).map_err(|_| anyhow::anyhow!("tls is already in use"))?;
    let stack = Stack::new();
    let platform = Platform {
        i2c: SimulatedSht20::new(u64::from(std::process::id())),
        delay: Delay,
        stack: &stack,
        random: UnwrapErr(SysRng),
        watchdog: NoWatchdog,
        clock: &CLOCK,
        tls: tls.reference(),
    };
    futures_lite::future::block_on(Device::new(platform, &configuration)?.run(std::future::ready(())));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "standard output is the serial line of this platform")]
fn print(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
