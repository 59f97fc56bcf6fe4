//! Random numbers for tests: always the same one.

use core::convert::Infallible;

pub(crate) struct KnownNumber(pub(crate) u64);

impl rand_core::TryRng for KnownNumber {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.0).unwrap())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0.to_le_bytes()[0]);
        Ok(())
    }
}
