//! The chip's serial port, flash and watchdog, as the application uses them.

use app::configuration::partition::{FLASH_OFFSET, MAGIC, MAX_LEN};
use app::{SerialLog, Watchdog, watchdog};
use esp_hal::peripherals::{FLASH, TIMG1};
use esp_hal::timer::timg::{MwdtStage, TimerGroup, Wdt};
use esp_storage::FlashStorage;
use static_cell::ConstStaticCell;

/// Prints the log on the USB serial port or the UART, whichever is connected.
#[expect(unsafe_code, reason = "the chip has no atomic exchange, which the safe function needs")]
pub(crate) fn init_log() {
    static LOG: SerialLog = SerialLog::new(|line| esp_println::println!("{line}"));
    // SAFETY: it is called once, before anything is logged and before there is a second thread.
    unsafe {
        if log::set_logger_racy(&LOG).is_ok() {
            log::set_max_level_racy(SerialLog::MAX_LEVEL);
        }
    }
}

/// The file that `LATCHKEY_CONFIGURATION` named at build time, or empty.
static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/configuration.bin"));

/// The bytes of the configuration's partition, or the built-in ones if the partition was never written.
pub(crate) fn read_configuration(flash: FLASH<'static>) -> &'static [u8] {
    static BYTES: ConstStaticCell<[u8; MAX_LEN]> = ConstStaticCell::new([0; MAX_LEN]);
    let bytes = BYTES.take();
    match FlashStorage::new(flash).read(FLASH_OFFSET, bytes) {
        Ok(()) if bytes.starts_with(&MAGIC) => bytes,
        Ok(()) => BUILT_IN,
        Err(error) => {
            log::error!("the flash can't be read: {error:?}");
            BUILT_IN
        }
    }
}

/// The watchdog of the second timer group, which resets the chip.
pub(crate) struct TimerGroupWatchdog(Wdt<TIMG1<'static>>);

impl TimerGroupWatchdog {
    /// Starts the watchdog.
    pub(crate) fn start(group: TIMG1<'static>) -> Self {
        let mut timer = TimerGroup::new(group).wdt;
        let timeout = esp_hal::time::Duration::from_millis(watchdog::TIMEOUT.as_millis());
        timer.set_timeout(MwdtStage::Stage0, timeout);
        timer.enable();
        Self(timer)
    }
}

impl Watchdog for TimerGroupWatchdog {
    fn feed(&mut self) {
        self.0.feed();
    }
}
