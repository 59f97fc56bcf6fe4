//! The three bytes of a result: 14 bits of data and two of status, then a checksum (sections 5.4 and 5.7).

use crc::{Algorithm, Crc, NoTable};

use super::Error;
use crate::reading::Quantity;

/// Bytes of a result.
pub(super) const LEN: usize = 3;

/// The raw value in a result, status bits cleared, if the checksum is right and it is of that quantity.
pub(super) fn counts<E>(frame: [u8; LEN], quantity: Quantity) -> Result<u16, Error<E>> {
    let [high, low, received] = frame;
    let expected = crc8(&[high, low]);
    if received != expected {
        return Err(Error::Crc { expected, received });
    }
    let data = u16::from_be_bytes([high, low]);
    if data & KIND != kind(quantity) {
        return Err(Error::WrongQuantity);
    }
    Ok(data & !STATUS)
}

/// The result that a sensor sends for that raw value.
pub(super) fn encode(counts: u16, quantity: Quantity) -> [u8; LEN] {
    let [high, low] = (counts & !STATUS | kind(quantity)).to_be_bytes();
    [high, low, crc8(&[high, low])]
}

fn crc8(bytes: &[u8]) -> u8 {
    const CRC_8: Crc<u8, NoTable> = Crc::<u8, NoTable>::new(&SHT20_CRC);
    CRC_8.checksum(bytes)
}

/// The sensor's CRC-8: the polynomial x⁸ + x⁵ + x⁴ + 1, starting with 0, most significant bit first, not inverted
/// (section 5.7).
const SHT20_CRC: Algorithm<u8> = Algorithm {
    width: 8,
    poly: 0x31,
    init: 0,
    refin: false,
    refout: false,
    xorout: 0,
    check: 0xa2,
    residue: 0,
};
/// The two lowest bits carry no value (section 5.4).
const STATUS: u16 = 0b11;
/// The status bit that is set for humidity and clear for temperature. The other is not assigned.
const KIND: u16 = 0b10;

const fn kind(quantity: Quantity) -> u16 {
    match quantity {
        Quantity::Temperature => 0,
        Quantity::Humidity => KIND,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Quantity::{Humidity, Temperature};

    #[test]
    fn checksums_are_the_published_ones() {
        let cases: [(&[u8], u8); 6] = [
            (&[], 0),
            (&[0x68, 0x3a], 0x7c),
            (&[0x4e, 0x85], 0x6b),
            (&[0xdc], 0x79),
            (&[0x63, 0x52], 0x64),
            (b"123456789", SHT20_CRC.check),
        ];
        for (bytes, crc) in cases {
            assert_eq!(crc8(bytes), crc, "{bytes:02x?}");
        }
    }

    #[test]
    fn frames_are_parsed_or_refused() {
        let cases = [
            ([0x68, 0x3a, 0x7c], Humidity, Ok(0x6838)),
            ([0x4e, 0x85, 0x6b], Temperature, Ok(0x4e84)),
            ([0x63, 0x52, 0x64], Humidity, Ok(0x6350)),
            ([0x68, 0x3a, 0x7c], Temperature, Err(Error::WrongQuantity)),
            ([0x4e, 0x85, 0x6b], Humidity, Err(Error::WrongQuantity)),
            ([0x68, 0x3a, 0x7d], Humidity, Err(Error::Crc { expected: 0x7c, received: 0x7d })),
            // The checksum comes first: with a wrong one the kind means nothing.
            ([0x68, 0x3a, 0x00], Temperature, Err(Error::Crc { expected: 0x7c, received: 0x00 })),
            ([0xff, 0xff, 0xff], Humidity, Err(Error::Crc { expected: 0x2d, received: 0xff })),
        ];
        for (frame, quantity, result) in cases {
            assert_eq!(counts::<()>(frame, quantity), result, "{frame:02x?} {quantity}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(value: u16, humidity: bool) {
            let quantity = if humidity { Humidity } else { Temperature };
            prop_assert_eq!(counts::<()>(encode(value, quantity), quantity), Ok(value & 0xfffc));
        }

        #[test]
        fn up_to_two_flipped_bits_are_noticed(value: u16, a in 0_u32..24, b in 0_u32..24) {
            let [high, low, crc] = encode(value, Temperature);
            let flipped = u32::from_be_bytes([0, high, low, crc]) ^ (1 << a | 1 << b);
            let [_, high, low, crc] = flipped.to_be_bytes();
            let refused = matches!(counts::<()>([high, low, crc], Temperature), Err(Error::Crc { .. }));
            prop_assert!(refused);
        }

        #[test]
        fn the_checksum_is_the_remainder_of_a_long_division(high: u8, low: u8) {
            let mut remainder = u32::from_be_bytes([0, high, low, 0]);
            for bit in (8..24).rev() {
                if remainder & (1 << bit) != 0 {
                    remainder ^= 0x131 << (bit - 8);
                }
            }
            prop_assert_eq!(u32::from(crc8(&[high, low])), remainder);
        }
    }
}
