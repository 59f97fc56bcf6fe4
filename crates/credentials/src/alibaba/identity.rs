//! The identity that a device presents, and the formula that signs it.

use core::fmt;

use crate::{
    secret::Secret,
    signature::{SignMethod, Signature},
};

/// The three parts of an identity that are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity<'a> {
    id: &'a str,
    device_name: &'a str,
    product_key: &'a str,
}

/// Why texts are not an [`Identity`]. Positions are in bytes, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing precedes the client id's first `|`.
    #[error("the id is empty, put one before the client id's `|`")]
    IdEmpty,
    /// The id has this many characters, more than 64.
    #[error("the id has {0} characters, at most {max} are allowed", max = Identity::MAX_ID_CHARACTERS)]
    IdTooLong(usize),
    /// The id has a `|`, where the parameters begin.
    #[error("the id has a `|` at byte {0}")]
    IdBar(usize),
    /// Nothing precedes the user name's `&`.
    #[error("the device name is empty")]
    DeviceNameEmpty,
    /// The device name has this many bytes, more than 32.
    #[error("the device name has {0} bytes, at most {max} are allowed", max = Identity::MAX_DEVICE_NAME_LEN)]
    DeviceNameTooLong(usize),
    /// The device name has something other than letters, digits and `-_@.:`.
    #[error("the device name has something other than letters, digits and `-_@.:` at byte {0}")]
    DeviceNameCharacter(usize),
    /// Nothing follows the user name's `&`.
    #[error("the product key is empty")]
    ProductKeyEmpty,
    /// The product key has something other than letters and digits.
    #[error("the product key has something other than letters and digits at byte {0}")]
    ProductKeyCharacter(usize),
}

impl<'a> Identity<'a> {
    /// The longest `id`, in characters (help document 73742, `clientId`).
    pub const MAX_ID_CHARACTERS: usize = 64;
    /// The longest `DeviceName`, in bytes (API reference, "`ImportDevice`").
    pub const MAX_DEVICE_NAME_LEN: usize = 32;

    /// Checks the shape of the parts:
    ///
    /// - `id`: 1 to 64 characters, none of them `|`. Alibaba Cloud leaves the rest to the device's maker, so
    ///   the receiver must check the whole client id against its own alphabet.
    /// - `device_name`: 1 to 32 of letters, digits and `-_@.:` (API reference, "`ImportDevice`"; the console
    ///   asks for at least 4, but its own examples have shorter names, so 1 is enough here).
    /// - `product_key`: letters and digits, which is what the platform generates.
    ///
    /// # Errors
    ///
    /// The part that is wrong, and what is wrong with it.
    pub fn new(id: &'a str, device_name: &'a str, product_key: &'a str) -> Result<Self, IdentityError> {
        check_id(id)?;
        check_device_name(device_name)?;
        check_product_key(product_key)?;
        Ok(Self { id, device_name, product_key })
    }

    /// The `clientId` of the vendor's formula: the text before the first `|`.
    #[must_use]
    pub const fn id(self) -> &'a str {
        self.id
    }

    /// The `DeviceName`, unique in its product.
    #[must_use]
    pub const fn device_name(self) -> &'a str {
        self.device_name
    }

    /// The `ProductKey`.
    #[must_use]
    pub const fn product_key(self) -> &'a str {
        self.product_key
    }

    /// The vendor's formula, which is written nowhere else. `timestamp` is signed as it is written in the client id.
    pub(super) fn sign(
        self,
        secret: &Secret,
        method: SignMethod,
        timestamp: Option<impl fmt::Display>,
    ) -> Signature {
        let Self { id, device_name, product_key } = self;
        match timestamp {
            None => Signature::new(
                secret,
                method,
                format_args!("clientId{id}deviceName{device_name}productKey{product_key}"),
            ),
            Some(timestamp) => Signature::new(
                secret,
                method,
                format_args!(
                    "clientId{id}deviceName{device_name}productKey{product_key}timestamp{timestamp}"
                ),
            ),
        }
    }
}

/// The user name: `deviceName&productKey`.
impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}&{}", self.device_name, self.product_key)
    }
}

fn check_id(id: &str) -> Result<(), IdentityError> {
    if id.is_empty() {
        return Err(IdentityError::IdEmpty);
    }
    if let Some(at) = id.find('|') {
        return Err(IdentityError::IdBar(at));
    }
    match id.chars().count() {
        count if count > Identity::MAX_ID_CHARACTERS => Err(IdentityError::IdTooLong(count)),
        _ => Ok(()),
    }
}

fn check_device_name(name: &str) -> Result<(), IdentityError> {
    if name.is_empty() {
        return Err(IdentityError::DeviceNameEmpty);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@.:".contains(&byte);
    if let Some(at) = name.bytes().position(|byte| !allowed(byte)) {
        return Err(IdentityError::DeviceNameCharacter(at));
    }
    if name.len() > Identity::MAX_DEVICE_NAME_LEN {
        return Err(IdentityError::DeviceNameTooLong(name.len()));
    }
    Ok(())
}

fn check_product_key(key: &str) -> Result<(), IdentityError> {
    if key.is_empty() {
        return Err(IdentityError::ProductKeyEmpty);
    }
    match key.bytes().position(|byte| !byte.is_ascii_alphanumeric()) {
        Some(at) => Err(IdentityError::ProductKeyCharacter(at)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_at_their_limits_are_accepted() {
        let (id, device_name) = ("ü".repeat(64), "x".repeat(32));
        for (id, name, key) in
            [("1", "d", "k"), (&id, &device_name, "a1BwAGV"), ("pk.dev ice", "A-b_c@d.e:0", "123")]
        {
            let identity = Identity::new(id, name, key).unwrap();
            assert_eq!((identity.id(), identity.device_name(), identity.product_key()), (id, name, key));
            assert_eq!(identity.to_string(), format!("{name}&{key}"));
        }
    }

    #[test]
    fn malformed_parts_are_refused_with_their_reason() {
        let (long_id, long_name) = ("x".repeat(65), "x".repeat(33));
        let cases = [
            ("", "d", "k", IdentityError::IdEmpty, "the id is empty, put one before the client id's `|`"),
            (
                &long_id,
                "d",
                "k",
                IdentityError::IdTooLong(65),
                "the id has 65 characters, at most 64 are allowed",
            ),
            ("a|b", "d", "k", IdentityError::IdBar(1), "the id has a `|` at byte 1"),
            ("1", "", "k", IdentityError::DeviceNameEmpty, "the device name is empty"),
            (
                "1",
                &long_name,
                "k",
                IdentityError::DeviceNameTooLong(33),
                "the device name has 33 bytes, at most 32 are allowed",
            ),
            (
                "1",
                "d*",
                "k",
                IdentityError::DeviceNameCharacter(1),
                "the device name has something other than letters, digits and `-_@.:` at byte 1",
            ),
            ("1", "d", "", IdentityError::ProductKeyEmpty, "the product key is empty"),
            (
                "1",
                "d",
                "k-",
                IdentityError::ProductKeyCharacter(1),
                "the product key has something other than letters and digits at byte 1",
            ),
        ];
        for (id, name, key, error, message) in cases {
            assert_eq!(Identity::new(id, name, key), Err(error));
            assert_eq!(error.to_string(), message);
        }
        for name in ["a/b", "a&b", "a|b", "a,b", "a=b", "a~b", "a b", "+", "#", "$aws", "ä", "\0"] {
            assert!(
                matches!(Identity::new("1", name, "k"), Err(IdentityError::DeviceNameCharacter(_))),
                "{name}"
            );
        }
    }
}
