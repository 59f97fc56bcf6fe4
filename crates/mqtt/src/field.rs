//! The data types of the wire (section 1.5), read and written.

use std::num::NonZeroU16;

use bytes::{BufMut, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::topic::TopicName;

/// The largest value of a variable byte integer (section 1.5.5).
pub(crate) const MAX_VAR_INT: u32 = 268_435_455;

/// The largest packet that MQTT can write: the longest remaining length, and the header before it (section 2.1.4).
pub(crate) const MAX_PACKET_SIZE: u32 = MAX_VAR_INT + 5;

/// A cursor over the bytes of one packet. A read that needs more bytes than are left fails with
/// [`DecodeError::Truncated`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that was not read yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes after the last field.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
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

    /// A variable byte integer in its shortest form (section 1.5.5).
    pub(crate) fn var_int(&mut self) -> Result<u32, DecodeError> {
        let (value, count) = var_int(self.rest)?.ok_or(DecodeError::Truncated)?;
        self.take(count)?;
        if is_minimal(value, count) { Ok(value) } else { Err(DecodeError::LengthNotMinimal) }
    }

    /// Binary data: two bytes of length, then the data (section 1.5.6).
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A string: as binary data, in UTF-8 and without U+0000 (section 1.5.4).
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.binary()?;
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?;
        // In UTF-8 only U+0000 has a zero byte.
        if bytes.contains(&0) { Err(DecodeError::NullCharacter) } else { Ok(text) }
    }

    pub(crate) fn topic_name(&mut self) -> Result<TopicName, DecodeError> {
        topic_name(self.text()?)
    }

    /// A packet id, which is never 0 (section 2.2.1).
    pub(crate) fn packet_id(&mut self) -> Result<NonZeroU16, DecodeError> {
        NonZeroU16::new(self.u16()?).ok_or(DecodeError::PacketIdZero)
    }

    /// A block that begins with its length as a variable byte integer (section 2.2.2.1).
    pub(crate) fn block(&mut self) -> Result<Self, DecodeError> {
        let length = usize::try_from(self.var_int()?).map_err(|_| DecodeError::Truncated)?;
        Ok(Self { rest: self.take(length)? })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// The topic name that a string of the peer's is.
pub(crate) fn topic_name(text: &str) -> Result<TopicName, DecodeError> {
    TopicName::try_from(text).map_err(|_| DecodeError::TopicName)
}

/// The variable byte integer at the start of `bytes` and its size in bytes, or nothing if more bytes are needed.
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

/// Whether `count` bytes are the fewest that can hold `value`.
pub(crate) fn is_minimal(value: u32, count: usize) -> bool {
    count == 1 || value >> (7 * (count - 1)) != 0
}

/// Writes binary data (section 1.5.6).
pub(crate) fn put_binary(bytes: &mut BytesMut, data: &[u8]) -> Result<(), EncodeError> {
    bytes.put_u16(u16::try_from(data.len()).map_err(|_| EncodeError::FieldTooLong)?);
    bytes.extend_from_slice(data);
    Ok(())
}

/// Writes a string (section 1.5.4).
pub(crate) fn put_text(bytes: &mut BytesMut, text: &str) -> Result<(), EncodeError> {
    if text.as_bytes().contains(&0) {
        return Err(EncodeError::Invalid("[MQTT-1.5.4-2] a string holds the null character"));
    }
    put_binary(bytes, text.as_bytes())
}

/// Writes a variable byte integer of up to [`MAX_VAR_INT`] (section 1.5.5).
pub(crate) fn put_var_int(bytes: &mut BytesMut, mut value: u32) {
    loop {
        let digit = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            return bytes.put_u8(digit);
        }
        bytes.put_u8(digit | 0x80);
    }
}

/// Puts `length` as a variable byte integer in front of what was written from `start` on.
///
/// Most lengths take one byte, so the bytes after it are moved rarely, and the length need not be counted before.
pub(crate) fn insert_var_int(bytes: &mut BytesMut, start: usize, length: u32) {
    let end = bytes.len();
    put_var_int(bytes, length);
    let size = bytes.len() - end;
    if let Some(tail) = bytes.get_mut(start..) {
        tail.rotate_right(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_byte_integers_are_read_and_written() {
        type Case = (&'static [u8], Result<Option<(u32, usize)>, DecodeError>);
        let cases: &[Case] = &[
            (b"", Ok(None)),
            (b"\x00", Ok(Some((0, 1)))),
            (b"\x7f\x01", Ok(Some((127, 1)))),
            (b"\x80", Ok(None)),
            (b"\x80\x01", Ok(Some((128, 2)))),
            (b"\xff\xff\xff\x7f", Ok(Some((MAX_VAR_INT, 4)))),
            (b"\xff\xff\xff", Ok(None)),
            (b"\xff\xff\xff\xff", Err(DecodeError::LengthTooLong)),
            (b"\x80\x80\x80\x80\x01", Err(DecodeError::LengthTooLong)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(var_int(bytes), *expected, "{bytes:02x?}");
        }
        assert_eq!(Reader::new(b"\x80\x00").var_int(), Err(DecodeError::LengthNotMinimal));
        assert_eq!(Reader::new(b"\xff\x00").var_int(), Err(DecodeError::LengthNotMinimal));
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, MAX_VAR_INT] {
            let mut bytes = BytesMut::from("ab");
            insert_var_int(&mut bytes, 1, value);
            let mut reader = Reader::new(bytes.get(1..).unwrap());
            assert_eq!(reader.var_int(), Ok(value));
            assert_eq!(reader.rest(), b"b");
        }
    }
}
