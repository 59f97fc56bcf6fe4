//! The log, on the machine's first serial port (a 16550).

use core::fmt::{self, Write as _};

use app::alert;
use log::{LevelFilter, Log, Metadata, Record};

/// Where QEMU's `virt` has it (`hw/riscv/virt.c`).
const PORT: *mut u8 = 0x1000_0000 as *mut u8;

static SERIAL: Serial = Serial;

/// From now on the log is printed.
pub(crate) fn init() {
    // SAFETY: there is one thread, and it has not logged yet.
    unsafe {
        if log::set_logger_racy(&SERIAL).is_ok() {
            log::set_max_level_racy(LevelFilter::Trace);
        }
    }
}

struct Serial;

impl Log for Serial {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if !alert::is_ours(record) && record.level() <= LevelFilter::Info {
            _ = writeln!(Bytes, "{:<5} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

struct Bytes;

impl fmt::Write for Bytes {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: a byte written there is printed.
            unsafe { PORT.write_volatile(byte) }
        }
        Ok(())
    }
}
