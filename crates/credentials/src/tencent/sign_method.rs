//! The sign methods of this scheme.

use core::str::FromStr;

use crate::UnknownSignMethod;

/// The two sign methods that Tencent Cloud takes: all of [`crate::SignMethod`] but `hmacmd5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignMethod {
    /// `hmacsha1`
    HmacSha1,
    /// `hmacsha256`
    HmacSha256,
}

impl SignMethod {
    /// Both sign methods.
    pub const ALL: [Self; 2] = [Self::HmacSha1, Self::HmacSha256];

    /// The name as it stands behind the password.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        crate::SignMethod::from(self).as_str()
    }
}

impl From<SignMethod> for crate::SignMethod {
    fn from(method: SignMethod) -> Self {
        match method {
            SignMethod::HmacSha1 => Self::HmacSha1,
            SignMethod::HmacSha256 => Self::HmacSha256,
        }
    }
}

impl FromStr for SignMethod {
    type Err = UnknownSignMethod;

    fn from_str(name: &str) -> Result<Self, UnknownSignMethod> {
        Self::ALL.into_iter().find(|method| method.as_str() == name).ok_or(UnknownSignMethod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_not_among_them() {
        assert_eq!("hmacsha1".parse(), Ok(SignMethod::HmacSha1));
        assert_eq!("hmacsha256".parse(), Ok(SignMethod::HmacSha256));
        for name in ["hmacmd5", "HMACSHA1", "sha1", "", "hmacsha1;"] {
            assert_eq!(name.parse::<SignMethod>(), Err(UnknownSignMethod), "{name}");
        }
    }
}
