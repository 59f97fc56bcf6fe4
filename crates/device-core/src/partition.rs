//! The configuration of a device as it is stored in flash.
//!
//! ```text
//! "LATCHKEY"   8 bytes
//! length       u32, of the entries in bytes
//! checksum     u32, CRC-32 of the entries (that of Ethernet and zip)
//! entries      each: key u8, length u16, that many bytes, a zero byte
//! ```
//!
//! Numbers are little-endian. Bytes after the entries, erased flash for example, are ignored. The zero byte lets C read
//! a value in place.
//!
//! The device reads the partition once and never writes it. Values are borrowed from that one buffer, and a partition
//! that is damaged anywhere is refused as a whole.

use core::ffi::CStr;
use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// The first bytes of a partition.
pub const MAGIC: [u8; 8] = *b"LATCHKEY";
/// Bytes before the entries.
pub const HEADER_LEN: usize = MAGIC.len() + 8;
/// The partition's offset in the chip's flash, as in `esp32c3/partitions.csv`.
pub const FLASH_OFFSET: u32 = 0x3f_0000;
/// Bytes of the partition on the chip, as in `esp32c3/partitions.csv`.
pub const MAX_LEN: usize = 0x4000;

/// The checksum. Without a table: its 1 KiB of flash would speed up only one check at power-up.
pub const CHECKSUM: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The entries of a partition whose checksum is right.
pub struct Partition<'a> {
    entries: &'a [u8],
}

/// Why bytes are not a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// Something else, flash that was never written for example.
    #[error("there is no configuration; write one with `latchkey-configure` and flash it")]
    Absent,
    /// The end is missing.
    #[error("the configuration is incomplete; flash it again")]
    Incomplete,
    /// A byte was changed.
    #[error("the configuration's checksum is wrong; flash it again")]
    Checksum,
}

/// An entry has a value that it can't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` in the configuration can't be used: {reason}")]
pub struct UnusableValue {
    /// The entry.
    pub key: Key,
    /// What is wrong, or what to use instead.
    pub reason: &'static str,
}

/// Why entries do not fit a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The length of a value has 16 bits.
    #[error("`{0}` has more than 65,535 bytes")]
    ValueTooLong(Key),
    /// All entries together, with their header, have this many bytes.
    #[error("the configuration has {0} bytes, and the partition {MAX_LEN}; trust fewer roots")]
    TooLarge(usize),
}

/// The keys of the entries: their numbers in the format, and their names in `cfg.toml` and in messages.
macro_rules! keys {
    ($($(#[$doc:meta])+ $key:ident = $number:literal, $name:literal;)+) => {
        /// The key of an entry. The numbers are the format: a number is never given to another key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Key {
            $($(#[$doc])+ $key = $number,)+
        }

        impl Key {
            /// Every key.
            pub const ALL: &[Self] = &[$(Self::$key,)+];

            /// The name, as in `cfg.toml` and in messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$key => $name,)+
                }
            }
        }
    };
}

keys! {
    /// The name of the Wi-Fi network.
    Ssid = 1, "ssid";
    /// The password of the Wi-Fi network.
    WifiPassword = 2, "wifi_password";
    /// The endpoint's name.
    Host = 3, "host";
    /// The endpoint's port.
    Port = 4, "port";
    /// The address to connect to instead of what DNS returns.
    Address = 5, "address";
    /// The time server's name or address.
    TimeHost = 6, "time_host";
    /// The time server's port.
    TimePort = 7, "time_port";
    /// `password`, `alibaba`, `tencent` or `certificate`.
    Scheme = 8, "scheme";
    /// The client id; for `alibaba` the part before its `|`.
    ClientId = 9, "client_id";
    /// The user name.
    UserName = 10, "user_name";
    /// The password, device secret or psk.
    Secret = 11, "secret";
    /// The vendor's device name.
    DeviceName = 12, "device_name";
    /// Alibaba Cloud's product key.
    ProductKey = 13, "product_key";
    /// Tencent Cloud's product id.
    ProductId = 14, "product_id";
    /// The HMAC that the device signs with.
    SignMethod = 15, "sign_method";
    /// The authorizer's name.
    Authorizer = 16, "authorizer";
    /// The topic of the last will.
    WillTopic = 17, "will_topic";
    /// Seconds between two measurements.
    Interval = 18, "interval_seconds";
    /// Trusted roots, PEM.
    Ca = 19, "ca";
    /// The client certificate, PEM.
    Certificate = 20, "certificate";
    /// Its private key, PEM.
    PrivateKey = 21, "private_key";
    /// `on`, or `off` for a server that needs no ALPN.
    Alpn = 22, "alpn";
}

impl Key {
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
    /// [`PartitionError`] if the bytes are not a whole, unchanged partition.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PartitionError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(PartitionError::Absent)?;
        let (length, rest) = rest.split_first_chunk().ok_or(PartitionError::Incomplete)?;
        let (checksum, rest) = rest.split_first_chunk().ok_or(PartitionError::Incomplete)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| PartitionError::Incomplete)?;
        let entries = rest.get(..length).ok_or(PartitionError::Incomplete)?;
        if CHECKSUM.checksum(entries) != u32::from_le_bytes(*checksum) {
            return Err(PartitionError::Checksum);
        }
        Ok(Self { entries })
    }

    /// The value of a key as text, if it has one that is not empty.
    ///
    /// # Errors
    ///
    /// If the value is not UTF-8, or contains a zero byte.
    pub fn text(&self, key: Key) -> Result<Option<&'a str>, UnusableValue> {
        let Some(value) = self.c_str(key)? else { return Ok(None) };
        let text = value.to_str().map_err(|_| UnusableValue { key, reason: "it is not UTF-8" })?;
        Ok(Some(text))
    }

    /// The value of a key as a C string, if it has one that is not empty.
    ///
    /// # Errors
    ///
    /// If the value contains a zero byte.
    pub fn c_str(&self, key: Key) -> Result<Option<&'a CStr>, UnusableValue> {
        let found = Entries(self.entries).find(|(number, _)| *number == key.number());
        let Some((_, value)) = found else { return Ok(None) };
        let text = CStr::from_bytes_with_nul(value)
            .map_err(|_| UnusableValue { key, reason: "it contains a zero byte" })?;
        Ok((!text.is_empty()).then_some(text))
    }
}

/// Writes a partition with these entries to the end of `out`.
///
/// # Errors
///
/// [`EncodeError`] if they do not fit.
pub fn encode<'v>(
    entries: impl Iterator<Item = (Key, &'v str)> + Clone,
    out: &mut impl Extend<u8>,
) -> Result<(), EncodeError> {
    let (mut length, mut checksum) = (0, CHECKSUM.digest());
    for (key, value) in entries.clone() {
        let header = entry_header(key, value)?;
        for part in [&header, value.as_bytes(), &[0]] {
            checksum.update(part);
            length += part.len();
        }
    }
    let too_large = EncodeError::TooLarge(length + HEADER_LEN);
    let length = u32::try_from(length).map_err(|_| too_large)?;
    if length as usize > MAX_LEN - HEADER_LEN {
        return Err(too_large);
    }
    out.extend(MAGIC);
    out.extend(length.to_le_bytes());
    out.extend(checksum.finalize().to_le_bytes());
    for (key, value) in entries {
        out.extend(entry_header(key, value)?);
        out.extend(value.bytes());
        out.extend([0]);
    }
    Ok(())
}

fn entry_header(key: Key, value: &str) -> Result<[u8; 3], EncodeError> {
    let length = u16::try_from(value.len()).map_err(|_| EncodeError::ValueTooLong(key))?;
    let [low, high] = length.to_le_bytes();
    Ok([key.number(), low, high])
}

/// Numbers of keys, and their values with the zero byte.
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
