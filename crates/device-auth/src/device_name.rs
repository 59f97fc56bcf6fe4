//! The name of a device, which is the key of its record.

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::client_id::{ClientId, ClientIdError};

/// A device's name: the text before the first `?` of its MQTT user name.
///
/// It has the form of a client id: by default a device's client id is its name, and grants may write the name into a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(ClientId);

/// Why a text is not a [`DeviceName`]: the same rule as for a client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a device name: {0}")]
pub struct DeviceNameError(#[source] pub ClientIdError);

impl DeviceName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The client id that is the device's own name.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.0
    }

    /// The `principalId` of the device: SHA-256 of the name, 64 lower-case hex digits.
    ///
    /// AWS accepts `[a-zA-Z0-9]{1,128}`. Without the other characters, `a-b` and `ab` would be equal.
    #[must_use]
    pub fn principal_id(&self) -> String {
        hex::encode(Sha256::digest(self.as_str().as_bytes()))
    }
}

impl TryFrom<&str> for DeviceName {
    type Error = DeviceNameError;

    fn try_from(text: &str) -> Result<Self, DeviceNameError> {
        ClientId::try_from(text).map(Self).map_err(DeviceNameError)
    }
}

impl TryFrom<String> for DeviceName {
    type Error = DeviceNameError;

    fn try_from(text: String) -> Result<Self, DeviceNameError> {
        Self::try_from(text.as_str())
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> Self {
        name.as_str().to_owned()
    }
}

impl Borrow<str> for DeviceName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_of_similar_names_differ_and_fit_aws() {
        let principal = |name| DeviceName::try_from(name).unwrap().principal_id();
        assert_ne!(principal("a-b"), principal("ab"));
        assert_eq!(principal("sht20").len(), 64);
        assert!(principal("sht20").bytes().all(|byte| byte.is_ascii_alphanumeric()));
        // printf sht20 | sha256sum
        assert_eq!(principal("sht20"), "62ea09b9105e93560072d8d9ef7577b122c2925ba21ff9f72d8417e5dea24230");
    }
}
