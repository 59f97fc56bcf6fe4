//! `firmware-host CONFIGURATION`: what the chip runs, with this machine's network and a simulated sensor.

use std::fs;
use std::process::ExitCode;

use anyhow::Context;
use app::{Configuration, Device, Parts, WallClock, Watchdog, alert};
use device_core::SimulatedSht20;
use edge_nal_std::Stack;
use embassy_time::Delay;
use getrandom::SysRng;
use log::{LevelFilter, Log, Metadata, Record};
use mbedtls_rs::Tls;
use rand_core::UnwrapErr;

static CLOCK: WallClock = WallClock::unset();

fn main() -> ExitCode {
    if log::set_logger(&Terminal).is_ok() {
        log::set_max_level(LevelFilter::Trace);
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
    let tls = Tls::new(rng).map_err(|_| anyhow::anyhow!("tls is in use already"))?;
    let stack = Stack::new();
    let parts = Parts {
        i2c: SimulatedSht20::new(u64::from(std::process::id())),
        delay: Delay,
        stack: &stack,
        random: UnwrapErr(SysRng),
        watchdog: Nobody,
        clock: &CLOCK,
        tls: tls.reference(),
    };
    futures_lite::future::block_on(Device::new(parts, &configuration)?.run(std::future::ready(())));
    Ok(())
}

/// Nothing restarts a process.
struct Nobody;

impl Watchdog for Nobody {
    fn feed(&mut self) {}
}

/// The serial log, on standard output.
struct Terminal;

impl Log for Terminal {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    #[expect(clippy::print_stdout, reason = "standard output stands for the serial line")]
    fn log(&self, record: &Record<'_>) {
        if !alert::is_ours(record) && record.level() <= LevelFilter::Info {
            println!("{:<5} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
