//! A cursor over one packet's bytes (section 1.5).

use crate::error::DecodeError;

/// What is left to read. Every read that finds too little is [`DecodeError::Truncated`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, position: 0 }
    }

    /// Bytes from the start of the packet's body.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        *self = Self { rest, position: self.position + count };
        Ok(taken)
    }

    /// The next `count` bytes as a reader that keeps the position.
    pub(crate) fn part(&mut self, count: u32) -> Result<Self, DecodeError> {
        let position = self.position;
        let count = usize::try_from(count).map_err(|_| DecodeError::Truncated)?;
        Ok(Self { rest: self.take(count)?, position })
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Binary data or a string: two bytes of length, then the bytes (sections 1.5.4 and 1.5.6).
    pub(crate) fn field(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A packet id, which is never 0 (section 2.2.1).
    pub(crate) fn packet_id(&mut self) -> Result<(), DecodeError> {
        if self.u16()? == 0 { Err(DecodeError::PacketIdZero) } else { Ok(()) }
    }

    /// A variable byte integer in its shortest form (section 1.5.5).
    pub(crate) fn var_int(&mut self) -> Result<u32, DecodeError> {
        let (value, count) = var_int(self.rest)?.ok_or(DecodeError::Truncated)?;
        self.take(count)?;
        if is_minimal(value, count) { Ok(value) } else { Err(DecodeError::LengthNotMinimal) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        *self = Self { rest, position: self.position + N };
        Ok(*taken)
    }
}

/// The variable byte integer at the start of `bytes` and the bytes it takes, or nothing if more are needed.
pub(crate) fn var_int(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(DecodeError::LengthTooLong) }
}

pub(crate) fn is_minimal(value: u32, count: usize) -> bool {
    count == 1 || value >> (7 * (count - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers() {
        type Case = (&'static [u8], Result<Option<(u32, usize)>, DecodeError>);
        let cases: &[Case] = &[
            (b"", Ok(None)),
            (b"\x00", Ok(Some((0, 1)))),
            (b"\x7f\x01", Ok(Some((127, 1)))),
            (b"\x80", Ok(None)),
            (b"\x80\x01", Ok(Some((128, 2)))),
            (b"\xff\xff\xff\x7f", Ok(Some((268_435_455, 4)))),
            (b"\xff\xff\xff", Ok(None)),
            (b"\xff\xff\xff\xff", Err(DecodeError::LengthTooLong)),
            (b"\x80\x80\x80\x80\x01", Err(DecodeError::LengthTooLong)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(var_int(bytes), *expected, "{bytes:02x?}");
        }
        assert_eq!(Reader::new(b"\x80\x00").var_int(), Err(DecodeError::LengthNotMinimal));
        assert_eq!(Reader::new(b"\xff\x00").var_int(), Err(DecodeError::LengthNotMinimal));
    }
}
