//! The configuration as it lies in flash.
//!
//! ```text
//! "LATCHKEY"   8 bytes
//! length       u32, of the entries in bytes
//! checksum     u32, CRC-32 of the entries (that of Ethernet and zip)
//! entries      each: key u8, length u16, that many bytes, a zero byte
//! ```
//!
//! Numbers are little-endian. What lies behind the entries, flash that was erased for example, is not looked at. The
//! zero byte lets C read a value where it lies.

use core::ffi::CStr;
use core::fmt;

use super::ConfigurationError;

/// How a partition begins.
pub const MAGIC: [u8; 8] = *b"LATCHKEY";
/// Bytes before the entries.
pub const HEADER_LEN: usize = MAGIC.len() + 8;
/// Bytes of the partition on the chip, as `esp32c3/partitions.csv` lays it out.
pub const MAX_LEN: usize = 0x4000;

/// The entries of a partition whose checksum is right.
pub struct Partition<'a> {
    entries: &'a [u8],
}

/// Why bytes are no partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// There is none: flash that was never written, for example.
    #[error("there is no configuration; write one with `latchkey-configure` and flash it")]
    Absent,
    /// It ends too early.
    #[error("the configuration is cut off; flash it again")]
    CutOff,
    /// It was changed on the way.
    #[error("the configuration's checksum is wrong; flash it again")]
    Checksum,
}

/// What an entry is about. The numbers are the format; a number is never given to another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The radio network's name.
    Ssid = 1,
    /// The radio network's password.
    WifiPassword = 2,
    /// The server's name.
    Host = 3,
    /// The server's port.
    Port = 4,
    /// The address to dial.
    Address = 5,
    /// The time server.
    TimeHost = 6,
    /// The time server's port.
    TimePort = 7,
    /// `password`, `alibaba`, `tencent` or `certificate`.
    Scheme = 8,
    /// The client id; for `alibaba` what stands before its `|`.
    ClientId = 9,
    /// The user name.
    UserName = 10,
    /// The password, device secret or psk.
    Secret = 11,
    /// The device's name at its vendor's.
    DeviceName = 12,
    /// Alibaba Cloud's product key.
    ProductKey = 13,
    /// Tencent Cloud's product id.
    ProductId = 14,
    /// How the device signs.
    SignMethod = 15,
    /// The authorizer that is asked for.
    Authorizer = 16,
    /// Where the last will goes.
    WillTopic = 17,
    /// Seconds from one measurement to the next.
    Interval = 18,
    /// Trusted roots, PEM.
    Ca = 19,
    /// The client certificate, PEM.
    Certificate = 20,
    /// Its key, PEM.
    PrivateKey = 21,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 21] = [
        Self::Ssid,
        Self::WifiPassword,
        Self::Host,
        Self::Port,
        Self::Address,
        Self::TimeHost,
        Self::TimePort,
        Self::Scheme,
        Self::ClientId,
        Self::UserName,
        Self::Secret,
        Self::DeviceName,
        Self::ProductKey,
        Self::ProductId,
        Self::SignMethod,
        Self::Authorizer,
        Self::WillTopic,
        Self::Interval,
        Self::Ca,
        Self::Certificate,
        Self::PrivateKey,
    ];

    /// The name, as `cfg.toml` and messages spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssid => "ssid",
            Self::WifiPassword => "wifi_password",
            Self::Host => "host",
            Self::Port => "port",
            Self::Address => "address",
            Self::TimeHost => "time_host",
            Self::TimePort => "time_port",
            Self::Scheme => "scheme",
            Self::ClientId => "client_id",
            Self::UserName => "user_name",
            Self::Secret => "secret",
            Self::DeviceName => "device_name",
            Self::ProductKey => "product_key",
            Self::ProductId => "product_id",
            Self::SignMethod => "sign_method",
            Self::Authorizer => "authorizer",
            Self::WillTopic => "will_topic",
            Self::Interval => "interval_seconds",
            Self::Ca => "ca",
            Self::Certificate => "certificate",
            Self::PrivateKey => "private_key",
        }
    }

    /// The number in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'a> Partition<'a> {
    /// Checks the header and the checksum.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PartitionError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(PartitionError::Absent)?;
        let (length, rest) = rest.split_first_chunk().ok_or(PartitionError::CutOff)?;
        let (checksum, rest) = rest.split_first_chunk().ok_or(PartitionError::CutOff)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| PartitionError::CutOff)?;
        let entries = rest.get(..length).ok_or(PartitionError::CutOff)?;
        if crc32(entries) != u32::from_le_bytes(*checksum) {
            return Err(PartitionError::Checksum);
        }
        Ok(Self { entries })
    }

    /// An entry as text; an empty one counts as none.
    ///
    /// # Errors
    ///
    /// If it is no UTF-8.
    pub fn text(&self, key: Key) -> Result<Option<&'a str>, ConfigurationError> {
        let Some(value) = self.c_str(key)? else { return Ok(None) };
        let text = value.to_str().map_err(|_| ConfigurationError::Unusable(key, "it is no UTF-8"))?;
        Ok(Some(text))
    }

    /// An entry as C wants it; an empty one counts as none.
    ///
    /// # Errors
    ///
    /// If there is a zero byte in it.
    pub fn c_str(&self, key: Key) -> Result<Option<&'a CStr>, ConfigurationError> {
        let found = Entries(self.entries).find(|(number, _)| *number == key.number());
        let Some((_, value)) = found else { return Ok(None) };
        let text = CStr::from_bytes_with_nul(value)
            .map_err(|_| ConfigurationError::Unusable(key, "there is a zero byte in it"))?;
        Ok((!text.is_empty()).then_some(text))
    }
}

/// Keys' numbers and values, each with its zero byte.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (number, rest) = self.0.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)) + 1)?;
        self.0 = rest;
        Some((*number, value))
    }
}

/// CRC-32, reflected, polynomial 0x04c11db7.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            },
        )
    };
    !bytes.iter().fold(!0, step)
}
