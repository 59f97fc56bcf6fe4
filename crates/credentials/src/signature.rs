//! Signing: the vendors' sign methods, signatures in hex, and the password made of one.

use core::{
    fmt::{self, Write as _},
    str::{self, FromStr},
};

use hmac::{EagerHash, Hmac, KeyInit, Mac, digest::Key};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize as _, Zeroizing};

use crate::secret::Secret;

/// An HMAC by the name that both vendors give it.
///
/// In Alibaba Cloud's scheme it is in the client id (`signmethod=…`, page "Establish MQTT connections over TCP"). In
/// Tencent Cloud's it follows the password (page "MQTT-Based Device Connection over TCP"), and MD5 is not among them:
/// see [`tencent::SignMethod`](crate::tencent::SignMethod).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignMethod {
    /// `hmacmd5`
    HmacMd5,
    /// `hmacsha1`
    HmacSha1,
    /// `hmacsha256`
    HmacSha256,
}

/// A sign method other than `hmacmd5`, `hmacsha1` and `hmacsha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sign method is unknown, use `hmacsha256`, `hmacsha1` or `hmacmd5`")]
pub struct UnknownSignMethod;

impl SignMethod {
    /// Every sign method.
    pub const ALL: [Self; 3] = [Self::HmacMd5, Self::HmacSha1, Self::HmacSha256];

    /// The name as the vendors write it, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacMd5 => "hmacmd5",
            Self::HmacSha1 => "hmacsha1",
            Self::HmacSha256 => "hmacsha256",
        }
    }

    /// The length of a signature, in bytes.
    #[must_use]
    pub const fn signature_len(self) -> usize {
        match self {
            Self::HmacMd5 => 16,
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
        }
    }
}

impl FromStr for SignMethod {
    type Err = UnknownSignMethod;

    /// Accepts the vendors' names only; upper case is unknown.
    fn from_str(name: &str) -> Result<Self, UnknownSignMethod> {
        Self::ALL.into_iter().find(|method| method.as_str() == name).ok_or(UnknownSignMethod)
    }
}

impl fmt::Display for SignMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An HMAC, computed or received. It lets a device connect, so it has no `Debug` and is wiped when dropped.
pub(crate) struct Signature {
    /// The method's number of bytes, then zeros.
    bytes: Zeroizing<[u8; 32]>,
    method: SignMethod,
}

/// Why a text is not a signature in hex of either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// The number of digits is odd.
    #[error("the signature has {0} hex digits, an odd number")]
    OddLength(usize),
    /// The byte at this position is not a hex digit.
    #[error("the signature has something other than a hex digit at byte {0}")]
    Character(usize),
    /// The number of digits is not the one that the sign method makes.
    #[error("the signature has {found} hex digits, `{method}` makes {expected}", expected = method.signature_len() * 2)]
    Length {
        /// The number of hex digits.
        found: usize,
        /// The sign method.
        method: SignMethod,
    },
}

impl Signature {
    /// Signs `content`, whose `Display` must not fail.
    pub(crate) fn new(secret: &Secret, method: SignMethod, content: fmt::Arguments<'_>) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        match method {
            SignMethod::HmacMd5 => sign::<Md5>(secret, content, &mut bytes),
            SignMethod::HmacSha1 => sign::<Sha1>(secret, content, &mut bytes),
            SignMethod::HmacSha256 => sign::<Sha256>(secret, content, &mut bytes),
        }
        Self { bytes, method }
    }

    /// Reads hex digits of either case, also mixed.
    pub(crate) fn parse(hex: &[u8], method: SignMethod) -> Result<Self, HexError> {
        if let Some(at) = hex.iter().position(|byte| !byte.is_ascii_hexdigit()) {
            return Err(HexError::Character(at));
        }
        if !hex.len().is_multiple_of(2) {
            return Err(HexError::OddLength(hex.len()));
        }
        if hex.len() != method.signature_len() * 2 {
            return Err(HexError::Length { found: hex.len(), method });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, digits) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digits.iter().fold(0, |byte, digit| byte << 4 | value(*digit));
        }
        Ok(Self { bytes, method })
    }

    /// The signature as lower-case hex digits.
    pub(crate) fn hex(&self) -> impl Iterator<Item = u8> {
        let bytes = self.bytes.iter().take(self.method.signature_len());
        bytes.flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)])
    }
}

impl ConstantTimeEq for Signature {
    fn ct_eq(&self, other: &Self) -> Choice {
        let same_method = Choice::from(u8::from(self.method == other.method));
        self.bytes.as_slice().ct_eq(other.bytes.as_slice()) & same_method
    }
}

fn sign<D: EagerHash>(secret: &Secret, content: fmt::Arguments<'_>, out: &mut [u8; 32])
where
    Hmac<D>: Mac + KeyInit,
{
    let mut mac = Content(keyed::<D>(secret.as_bytes()));
    // It can't fail: `Content` accepts everything, and only texts and numbers are signed.
    let _written = mac.write_fmt(content);
    let mut tag = mac.0.finalize().into_bytes();
    for (slot, byte) in out.iter_mut().zip(&tag) {
        *slot = *byte;
    }
    tag.as_mut_slice().zeroize();
}

/// The HMAC of a key of any length (RFC 2104 section 2): padded to a block, hashed first if it is longer.
///
/// `new_from_slice` does the same but returns a `Result` for keys of a wrong length, and HMAC has no wrong length.
fn keyed<D: EagerHash>(secret: &[u8]) -> Hmac<D>
where
    Hmac<D>: KeyInit,
{
    let mut key = Key::<Hmac<D>>::default();
    if secret.len() <= key.len() {
        key.iter_mut().zip(secret).for_each(|(slot, byte)| *slot = *byte);
    } else {
        let mut hashed = D::digest(secret);
        key.iter_mut().zip(&hashed).for_each(|(slot, byte)| *slot = *byte);
        hashed.as_mut_slice().zeroize();
    }
    let mac = Hmac::new(&key);
    key.as_mut_slice().zeroize();
    mac
}

/// Signs what is written to it.
struct Content<M>(M);

impl<M: Mac> fmt::Write for Content<M> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// The value of a hex digit of either case.
const fn value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// A password made by signing: hex digits and, for Tencent Cloud, the sign method after them.
///
/// It lets a device connect, so it has no `Debug` and no `Display` and is wiped when dropped.
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
    /// The longest password, in bytes: SHA-256 in hex and `;hmacsha256`.
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

    pub(crate) fn new(signature: &Signature, suffix: &[&str]) -> Self {
        let mut bytes = Zeroizing::new([0; Self::MAX_LEN]);
        let mut len = 0;
        let suffix = suffix.iter().flat_map(|text| text.bytes());
        for (slot, byte) in bytes.iter_mut().zip(signature.hex().chain(suffix)) {
            *slot = byte;
            len += 1;
        }
        Self { bytes, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(secret: &[u8], method: SignMethod, content: &str) -> String {
        let secret = Secret::try_from(secret).unwrap();
        Signature::new(&secret, method, format_args!("{content}")).hex().map(char::from).collect()
    }

    #[test]
    fn signatures_match_rfc_2202_and_rfc_4231() {
        let content = "what do ya want for nothing?";
        assert_eq!(hex(b"Jefe", SignMethod::HmacMd5, content), "750c783e6ab0b503eaa86e310a5db738");
        assert_eq!(hex(b"Jefe", SignMethod::HmacSha1, content), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            hex(b"Jefe", SignMethod::HmacSha256, content),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn keys_of_every_length_sign_like_new_from_slice() {
        fn library<D: EagerHash>(secret: &[u8]) -> Vec<u8>
        where
            Hmac<D>: Mac + KeyInit,
        {
            let mut mac = <Hmac<D> as KeyInit>::new_from_slice(secret).unwrap();
            mac.update(b"content");
            mac.finalize().into_bytes().to_vec()
        }
        for len in [1, 16, 20, 32, 63, 64, 65, 128, 256] {
            let secret: Vec<u8> = (0..=255).cycle().skip(1).take(len).collect();
            let ours = |method| {
                let signature =
                    Signature::new(&Secret::try_from(&*secret).unwrap(), method, format_args!("content"));
                signature.bytes.iter().copied().take(method.signature_len()).collect::<Vec<_>>()
            };
            assert_eq!(ours(SignMethod::HmacMd5), library::<Md5>(&secret), "{len}");
            assert_eq!(ours(SignMethod::HmacSha1), library::<Sha1>(&secret), "{len}");
            assert_eq!(ours(SignMethod::HmacSha256), library::<Sha256>(&secret), "{len}");
        }
    }

    #[test]
    fn hex_of_either_case_is_the_same_signature() {
        let parse = |hex: &str| Signature::parse(hex.as_bytes(), SignMethod::HmacMd5).unwrap();
        let lower = parse("00ffab0123456789abcdef00000000a0");
        assert_eq!(lower.hex().map(char::from).collect::<String>(), "00ffab0123456789abcdef00000000a0");
        for same in ["00FFAB0123456789ABCDEF00000000A0", "00fFAb0123456789aBcDeF00000000A0"] {
            assert!(bool::from(lower.ct_eq(&parse(same))), "{same}");
        }
        for other in ["01ffab0123456789abcdef00000000a0", "00ffab0123456789abcdef00000000a1"] {
            assert!(!bool::from(lower.ct_eq(&parse(other))), "{other}");
        }
    }

    #[test]
    fn signatures_of_different_methods_differ() {
        let zeros = |method: SignMethod| {
            Signature::parse("0".repeat(method.signature_len() * 2).as_bytes(), method).unwrap()
        };
        assert!(!bool::from(zeros(SignMethod::HmacMd5).ct_eq(&zeros(SignMethod::HmacSha1))));
    }

    #[test]
    fn malformed_hex_is_refused_with_its_reason() {
        let method = SignMethod::HmacSha1;
        let cases: [(&[u8], HexError, &str); 7] = [
            (
                b"",
                HexError::Length { found: 0, method },
                "the signature has 0 hex digits, `hmacsha1` makes 40",
            ),
            (b"abc", HexError::OddLength(3), "the signature has 3 hex digits, an odd number"),
            (&[b'0'; 39], HexError::OddLength(39), "the signature has 39 hex digits, an odd number"),
            (
                &[b'0'; 42],
                HexError::Length { found: 42, method },
                "the signature has 42 hex digits, `hmacsha1` makes 40",
            ),
            (b"0g", HexError::Character(1), "the signature has something other than a hex digit at byte 1"),
            (b"0x12", HexError::Character(1), "the signature has something other than a hex digit at byte 1"),
            (
                b"\xff\0",
                HexError::Character(0),
                "the signature has something other than a hex digit at byte 0",
            ),
        ];
        for (hex, error, message) in cases {
            assert_eq!(Signature::parse(hex, method).err(), Some(error), "{hex:?}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn only_the_vendors_names_are_known() {
        for method in SignMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        for name in ["", "hmacSHA1", "HMACMD5", "sha256", "hmacsha512", " hmacmd5", "hmacmd5 ", "md5"] {
            assert_eq!(name.parse::<SignMethod>(), Err(UnknownSignMethod), "{name:?}");
        }
    }

    #[test]
    fn longest_password_fills_the_buffer() {
        let secret = Secret::try_from(&b"k"[..]).unwrap();
        let signature = Signature::new(&secret, SignMethod::HmacSha256, format_args!("x"));
        let password = Password::new(&signature, &[";", "hmacsha256"]);
        assert_eq!(password.as_str().len(), Password::MAX_LEN);
        assert!(password.as_str().ends_with(";hmacsha256"));
    }
}
