//! The secrets of a vendor's scheme. An HMAC's key must be known, so a record keeps it sealed and not as a hash.

use std::fmt;

use credentials::{Secret, alibaba};

use crate::{client_id::ClientId, unix_time::UnixTime};

/// A secret with its own expiry: two of them let a device's secret change without an outage.
#[derive(Debug)]
pub struct LiveSecret {
    /// The secret, opened.
    pub secret: VendorSecret,
    /// From this moment on it matches nothing. Seconds since 1970.
    pub expires_at: Option<UnixTime>,
}

/// A vendor's secret. Its `Debug` is its kind alone.
pub enum VendorSecret {
    /// Alibaba's `DeviceSecret`.
    DeviceSecret(Secret),
    /// Alibaba's `DeviceToken` of a device that was not registered before.
    DeviceToken {
        /// The token.
        token: Secret,
        /// The `ClientID` that came with it. A token doesn't cover the id as a signature does, so it is bound here.
        id: ClientId,
    },
    /// Tencent's `psk`.
    Psk(Secret),
}

impl LiveSecret {
    /// Whether it may match anything at this moment.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|expires| now < expires)
    }
}

impl VendorSecret {
    /// The secret as Alibaba's scheme checks with it, for a device that presents this id.
    #[must_use]
    pub fn alibaba_key(&self, presented_id: &str) -> Option<alibaba::Key<'_>> {
        match self {
            Self::DeviceSecret(secret) => Some(alibaba::Key::DeviceSecret(secret)),
            Self::DeviceToken { token, id } if id.as_str() == presented_id => {
                Some(alibaba::Key::DeviceToken(token))
            }
            Self::DeviceToken { .. } | Self::Psk(_) => None,
        }
    }

    /// The secret as Tencent's scheme checks with it.
    #[must_use]
    pub fn psk(&self) -> Option<&Secret> {
        if let Self::Psk(secret) = self { Some(secret) } else { None }
    }
}

impl fmt::Debug for VendorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeviceSecret(_) => "DeviceSecret(…)",
            Self::DeviceToken { .. } => "DeviceToken(…)",
            Self::Psk(_) => "Psk(…)",
        })
    }
}
