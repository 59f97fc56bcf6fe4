//! The identity that a device presents.

use core::fmt;

/// A product and a device in it. Together, without anything between, they are the client id: `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity<'a> {
    product_id: &'a str,
    device_name: &'a str,
}

/// Why texts are not an [`Identity`]. Positions are in bytes, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The product id does not have 10 bytes, or the client id has fewer: this many.
    #[error("the product id has {0} bytes, it must have {len}", len = Identity::PRODUCT_ID_LEN)]
    ProductIdLength(usize),
    /// The product id has something other than letters and digits.
    #[error("the product id has something other than letters and digits at byte {0}")]
    ProductIdCharacter(usize),
    /// Nothing follows the product id.
    #[error("the device name is empty, put it after the product id")]
    DeviceNameEmpty,
    /// The device name has this many bytes, more than 48.
    #[error("the device name has {0} bytes, at most {max} are allowed", max = Identity::MAX_DEVICE_NAME_LEN)]
    DeviceNameTooLong(usize),
    /// The device name has something other than letters, digits and `:_-`.
    #[error("the device name has something other than letters, digits and `:_-` at byte {0}")]
    DeviceNameCharacter(usize),
}

impl<'a> Identity<'a> {
    /// The length of a product id, in bytes.
    pub const PRODUCT_ID_LEN: usize = 10;
    /// The longest device name, in bytes (API reference, "`CreateDevice`").
    pub const MAX_DEVICE_NAME_LEN: usize = 48;

    /// Checks the shape of the parts: 10 letters and digits; 1 to 48 of letters, digits and `:_-` (API
    /// reference, "`CreateDevice`").
    ///
    /// # Errors
    ///
    /// The part that is wrong, and what is wrong with it.
    pub fn new(product_id: &'a str, device_name: &'a str) -> Result<Self, IdentityError> {
        if product_id.len() != Self::PRODUCT_ID_LEN {
            return Err(IdentityError::ProductIdLength(product_id.len()));
        }
        if let Some(at) = product_id.bytes().position(|byte| !byte.is_ascii_alphanumeric()) {
            return Err(IdentityError::ProductIdCharacter(at));
        }
        if device_name.is_empty() {
            return Err(IdentityError::DeviceNameEmpty);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
        if let Some(at) = device_name.bytes().position(|byte| !allowed(byte)) {
            return Err(IdentityError::DeviceNameCharacter(at));
        }
        if device_name.len() > Self::MAX_DEVICE_NAME_LEN {
            return Err(IdentityError::DeviceNameTooLong(device_name.len()));
        }
        Ok(Self { product_id, device_name })
    }

    /// The product id.
    #[must_use]
    pub const fn product_id(self) -> &'a str {
        self.product_id
    }

    /// The device name, unique in its product.
    #[must_use]
    pub const fn device_name(self) -> &'a str {
        self.device_name
    }
}

/// Splits a client id.
impl<'a> TryFrom<&'a str> for Identity<'a> {
    type Error = IdentityError;

    fn try_from(client_id: &'a str) -> Result<Self, IdentityError> {
        if client_id.len() < Self::PRODUCT_ID_LEN {
            return Err(IdentityError::ProductIdLength(client_id.len()));
        }
        // A character across the boundary has its first byte in the product id.
        let boundary = (0..Self::PRODUCT_ID_LEN).rev().find(|at| client_id.is_char_boundary(*at));
        let parts = client_id.split_at_checked(Self::PRODUCT_ID_LEN);
        let (product_id, device_name) =
            parts.ok_or(IdentityError::ProductIdCharacter(boundary.unwrap_or_default()))?;
        Self::new(product_id, device_name)
    }
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.product_id, self.device_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_id_is_product_id_and_device_name() {
        let longest = "x".repeat(48);
        for name in ["d", "sht20_01", "a:B-0", &longest] {
            let client_id = format!("AB12CD34ef{name}");
            let identity = Identity::try_from(client_id.as_str()).unwrap();
            assert_eq!((identity.product_id(), identity.device_name()), ("AB12CD34ef", name));
            assert_eq!(identity.to_string(), client_id);
            assert_eq!(Identity::new("AB12CD34ef", name), Ok(identity));
        }
    }

    #[test]
    fn malformed_client_ids_are_refused_with_their_reason() {
        let long = format!("AB12CD34EF{}", "x".repeat(49));
        let cases = [
            ("", IdentityError::ProductIdLength(0), "the product id has 0 bytes, it must have 10"),
            ("AB12CD34E", IdentityError::ProductIdLength(9), "the product id has 9 bytes, it must have 10"),
            (
                "AB12CD34-Ed",
                IdentityError::ProductIdCharacter(8),
                "the product id has something other than letters and digits at byte 8",
            ),
            (
                "AB12CD34Eéd",
                IdentityError::ProductIdCharacter(9),
                "the product id has something other than letters and digits at byte 9",
            ),
            (
                "AB12CD34EF",
                IdentityError::DeviceNameEmpty,
                "the device name is empty, put it after the product id",
            ),
            (
                &long,
                IdentityError::DeviceNameTooLong(49),
                "the device name has 49 bytes, at most 48 are allowed",
            ),
            (
                "AB12CD34EFa.b",
                IdentityError::DeviceNameCharacter(1),
                "the device name has something other than letters, digits and `:_-` at byte 1",
            ),
        ];
        for (client_id, error, message) in cases {
            assert_eq!(Identity::try_from(client_id), Err(error), "{client_id}");
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(Identity::new("AB12CD34EFG", "d"), Err(IdentityError::ProductIdLength(11)));
        for name in ["a/b", "a@b", "a;b", "a*", "+", "#", "$aws", "ä", "\0", " "] {
            assert!(
                matches!(Identity::new("AB12CD34EF", name), Err(IdentityError::DeviceNameCharacter(_))),
                "{name}"
            );
        }
    }
}
