//! Credential schemes.

use serde::{Deserialize, Serialize};

/// A credential scheme. The form of what a device presents decides on the scheme, and its record must name the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// A password, sent as it is inside TLS.
    Password,
    /// Alibaba Cloud IoT Platform: a signed client id, or a device token.
    Alibaba,
    /// Tencent Cloud IoT Hub: a signed user name.
    Tencent,
    /// A JSON Web Token that an issuer signed.
    Jwt,
    /// The device's name as a token whose signature IoT Core has checked.
    Token,
}

impl Scheme {
    /// The name in records, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Alibaba => "alibaba",
            Self::Tencent => "tencent",
            Self::Jwt => "jwt",
            Self::Token => "token",
        }
    }
}
