//! The password that a device sends.

use core::str;

use zeroize::Zeroizing;

use crate::signature::Signature;

/// A password made by signing: hex digits and, for Tencent Cloud, the sign method behind them.
///
/// It opens the door like a secret: no `Debug`, no `Display`, wiped when dropped.
///
/// ```compile_fail,E0277
/// fn show(password: &credentials::Password) {
///     println!("{password:?}");
/// }
/// ```
pub struct Password {
    bytes: Zeroizing<[u8; Password::MAX_LEN]>,
    len: usize,
}

impl Password {
    /// The most bytes that a password has: SHA-256 in hex and `;hmacsha256`.
    pub const MAX_LEN: usize = 64 + ";hmacsha256".len();

    /// The password for the CONNECT packet.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The same as text; it is ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn new(signature: &Signature, behind: &[&str]) -> Self {
        let mut bytes = Zeroizing::new([0; Self::MAX_LEN]);
        let mut len = 0;
        let behind = behind.iter().flat_map(|text| text.bytes());
        for (slot, byte) in bytes.iter_mut().zip(signature.hex().chain(behind)) {
            *slot = byte;
            len += 1;
        }
        Self { bytes, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secret, SignMethod};

    #[test]
    fn the_longest_password_fills_the_buffer() {
        let secret = Secret::try_from(&b"k"[..]).unwrap();
        let signature = Signature::new(&secret, SignMethod::HmacSha256, format_args!("x"));
        let password = Password::new(&signature, &[";", "hmacsha256"]);
        assert_eq!(password.as_str().len(), Password::MAX_LEN);
        assert!(password.as_str().ends_with(";hmacsha256"));
    }
}
