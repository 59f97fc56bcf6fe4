//! The chip's own watchdog timer.

use app::Watchdog;
use app::watchdog::LIMIT;
use esp_hal::peripherals::TIMG1;
use esp_hal::timer::timg::{MwdtStage, TimerGroup, Wdt};

/// The watchdog of the second timer group, which resets the chip.
pub(crate) struct Timer(Wdt<TIMG1<'static>>);

impl Timer {
    /// Starts it.
    pub(crate) fn start(group: TIMG1<'static>) -> Self {
        let mut timer = TimerGroup::new(group).wdt;
        timer.set_timeout(MwdtStage::Stage0, esp_hal::time::Duration::from_millis(LIMIT.as_millis()));
        timer.enable();
        Self(timer)
    }
}

impl Watchdog for Timer {
    fn feed(&mut self) {
        self.0.feed();
    }
}
