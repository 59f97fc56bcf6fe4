//! The log, on the USB serial line or the UART, wherever somebody listens.

use app::alert;
use log::{LevelFilter, Log, Metadata, Record};

static SERIAL: Serial = Serial;

/// From now on the log is printed.
#[expect(unsafe_code, reason = "the chip has no atomic exchange, which the safe function needs")]
pub(crate) fn init() {
    // SAFETY: it is called once, before anything is logged and before there is a second thread.
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
            esp_println::println!("{:<5} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
