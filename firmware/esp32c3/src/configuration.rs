//! The configuration: from its flash partition, or the one that was built in.

use app::configuration::partition::{MAGIC, MAX_LEN};
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;
use static_cell::ConstStaticCell;

/// Where `partitions.csv` puts it.
const OFFSET: u32 = 0x3f_0000;

/// What `LATCHKEY_CONFIGURATION` named at build time; empty, if nothing.
static BUILT_IN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/configuration.bin"));

/// The partition's bytes if it was ever written, otherwise the built-in ones.
pub(crate) fn read(flash: FLASH<'static>) -> &'static [u8] {
    static BYTES: ConstStaticCell<[u8; MAX_LEN]> = ConstStaticCell::new([0; MAX_LEN]);
    let bytes = BYTES.take();
    match FlashStorage::new(flash).read(OFFSET, bytes) {
        Ok(()) if bytes.starts_with(&MAGIC) => bytes,
        Ok(()) => BUILT_IN,
        Err(error) => {
            log::error!("the flash can't be read: {error:?}");
            BUILT_IN
        }
    }
}
