//! A small pseudo-random sequence for simulated sensors and for jitter.

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the same
/// seed gives the same sequence on every machine.
///
/// **Not for secrets**: one output is enough to compute all that follow. Passwords, keys and nonces come from
/// the operating system or the chip's own generator.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// Starts the sequence that belongs to `seed`. Any seed will do, 0 included.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The upper half of the next 64 bits.
    pub const fn next_u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next_u64().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// The upper quarter of the next 64 bits.
    pub const fn next_u16(&mut self) -> u16 {
        let [a, b, ..] = self.next_u64().to_be_bytes();
        u16::from_be_bytes([a, b])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of the published C implementation (Vigna, `splitmix64.c`) for the seed 1234567.
    const PUBLISHED: [u64; 5] = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!(PUBLISHED.map(|_| random.next_u64()), PUBLISHED);
    }

    #[test]
    fn narrower_numbers_are_the_upper_bits() {
        assert_eq!(u64::from(SplitMix64::new(1_234_567).next_u32()), PUBLISHED[0] >> 32);
        assert_eq!(u64::from(SplitMix64::new(1_234_567).next_u16()), PUBLISHED[0] >> 48);
    }
}
