//! The keyed hashes with which the vendors' devices sign.

use core::{fmt, str::FromStr};

/// An HMAC by the name that both vendors give it.
///
/// Alibaba Cloud names it in the client id (`signmethod=…`, page "Establish MQTT connections over TCP"),
/// Tencent Cloud behind the password (page "MQTT-Based Device Connection over TCP") and without MD5, see
/// [`tencent::SignMethod`](crate::tencent::SignMethod).
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

    /// Bytes of a signature.
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

    /// Takes exactly the vendors' names; upper case is unknown.
    fn from_str(name: &str) -> Result<Self, UnknownSignMethod> {
        Self::ALL.into_iter().find(|method| method.as_str() == name).ok_or(UnknownSignMethod)
    }
}

impl fmt::Display for SignMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_vendors_names_are_known() {
        for method in SignMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        for name in ["", "hmacSHA1", "HMACMD5", "sha256", "hmacsha512", " hmacmd5", "hmacmd5 ", "md5"] {
            assert_eq!(name.parse::<SignMethod>(), Err(UnknownSignMethod), "{name:?}");
        }
    }
}
