//! The authorizer's side: what a CONNECT presents.

use core::str;

use subtle::{Choice, ConstantTimeEq as _};

use super::{Expiry, ExpiryError, Identity, IdentityError, SignMethod, signature};
use crate::{HexError, Secret, signature::Signature};

/// A user name of the right shape. Nothing in it is verified before [`Presented::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    user_name: &'a str,
    client_id: &'a str,
    identity: Identity<'a>,
    sdk_app_id: &'a str,
    conn_id: &'a str,
    expiry: Expiry,
}

/// Why a user name is not of this scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Fewer than four parts: so many.
    #[error("the user name has {0} of the 4 parts `clientId;sdkappid;connid;expiry`")]
    TooFewParts(usize),
    /// More than four parts.
    #[error("the user name has more than the 4 parts `clientId;sdkappid;connid;expiry`")]
    TooManyParts,
    /// The first part is not a product id and a device name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// An `sdkappid` that is empty or not of digits.
    #[error("the user name's `sdkappid` is not a number")]
    SdkAppId,
    /// A `connid` that is empty or has something other than visible ASCII characters.
    #[error("the user name's `connid` is empty or has characters that are not visible ASCII")]
    ConnId,
    /// An expiry that is not a number.
    #[error(transparent)]
    Expiry(#[from] ExpiryError),
}

/// Why a password can't be right whatever the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No `;` between signature and sign method.
    #[error("the password names no sign method, its form is `signature;hmacsha256`")]
    NoSignMethod,
    /// A sign method other than `hmacsha1` and `hmacsha256`.
    #[error("the password's sign method is not `hmacsha256` or `hmacsha1`")]
    SignMethod,
    /// What stands before the `;` is not the sign method's signature in hex.
    #[error(transparent)]
    Hex(#[from] HexError),
}

/// The CONNECT's client id is not the user name's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client id is not the one that the user name begins with")]
pub struct ClientIdError;

impl<'a> Presented<'a> {
    /// Parses a CONNECT's user name. It must come without the `?…` that AWS SDKs append to it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn parse(user_name: &'a str) -> Result<Self, ParseError> {
        let mut parts = user_name.split(';');
        let client_id = parts.next().unwrap_or_default();
        let sdk_app_id = parts.next().ok_or(ParseError::TooFewParts(1))?;
        let conn_id = parts.next().ok_or(ParseError::TooFewParts(2))?;
        let expiry = parts.next().ok_or(ParseError::TooFewParts(3))?;
        if parts.next().is_some() {
            return Err(ParseError::TooManyParts);
        }
        let identity = Identity::try_from(client_id)?;
        check_sdk_app_id(sdk_app_id)?;
        check_conn_id(conn_id)?;
        let expiry = Expiry::try_from(expiry)?;
        Ok(Self { user_name, client_id, identity, sdk_app_id, conn_id, expiry })
    }

    /// Who the device says it is.
    #[must_use]
    pub const fn identity(&self) -> Identity<'a> {
        self.identity
    }

    /// The client id that the user name begins with, which is the one that is signed.
    #[must_use]
    pub const fn client_id(&self) -> &'a str {
        self.client_id
    }

    /// `sdkappid`: it differs from SDK to SDK and means nothing.
    #[must_use]
    pub const fn sdk_app_id(&self) -> &'a str {
        self.sdk_app_id
    }

    /// `connid`: a random text.
    #[must_use]
    pub const fn conn_id(&self) -> &'a str {
        self.conn_id
    }

    /// Until when the signature is valid.
    #[must_use]
    pub const fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// [`Expiry::at_seconds`] of the expiry: seconds since 1970, whatever was sent.
    #[must_use]
    pub const fn expires_at_seconds(&self) -> u64 {
        self.expiry.at_seconds()
    }

    /// Whether the CONNECT's client id is the user name's, as the vendor asks. To be left out only for
    /// products whose firmware sends another: that one is not signed, so the record must say which it may be.
    ///
    /// # Errors
    ///
    /// It is another one.
    pub fn check_client_id(&self, client_id: &str) -> Result<(), ClientIdError> {
        if client_id == self.client_id { Ok(()) } else { Err(ClientIdError) }
    }

    /// Checks the password in a time that doesn't tell how much of it was right. The expiry is the caller's to
    /// check. Hex of upper case is taken too, although the vendor's is of lower case.
    ///
    /// # Errors
    ///
    /// What is wrong with the form of a password that no `psk` would make right. It depends on nothing secret.
    pub fn verify(&self, psk: &Secret, password: &[u8]) -> Result<Choice, PasswordError> {
        let mut parts = password.splitn(2, |byte| *byte == b';');
        let hex = parts.next().unwrap_or_default();
        let method = parts.next().ok_or(PasswordError::NoSignMethod)?;
        let method: SignMethod = str::from_utf8(method)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(PasswordError::SignMethod)?;
        let presented = Signature::parse(hex, method.into())?;
        Ok(signature(psk, method, self.user_name).ct_eq(&presented))
    }
}

pub(super) fn check_sdk_app_id(text: &str) -> Result<(), ParseError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(()) } else { Err(ParseError::SdkAppId) }
}

pub(super) fn check_conn_id(text: &str) -> Result<(), ParseError> {
    let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    if is_visible { Ok(()) } else { Err(ParseError::ConnId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER_NAME: &str = "AB12CD34EFsht20_01;12010126;QW3RT;1999999999";

    fn psk() -> Secret {
        Secret::from_base64("AQIDBAUGBwgJCgsMDQ4PEA==").unwrap()
    }

    #[test]
    fn all_that_was_sent_is_there() {
        let presented = Presented::parse(USER_NAME).unwrap();
        let identity = presented.identity();
        assert_eq!((identity.product_id(), identity.device_name()), ("AB12CD34EF", "sht20_01"));
        assert_eq!(presented.client_id(), "AB12CD34EFsht20_01");
        assert_eq!((presented.sdk_app_id(), presented.conn_id()), ("12010126", "QW3RT"));
        assert_eq!(presented.expires_at_seconds(), 1_999_999_999);
        assert_eq!(presented.expiry().at_seconds(), 1_999_999_999);
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let refused: [(&str, ParseError, &str); 14] = [
            (
                "",
                ParseError::TooFewParts(1),
                "the user name has 1 of the 4 parts `clientId;sdkappid;connid;expiry`",
            ),
            (
                "AB12CD34EFd",
                ParseError::TooFewParts(1),
                "the user name has 1 of the 4 parts `clientId;sdkappid;connid;expiry`",
            ),
            (
                "AB12CD34EFd;1",
                ParseError::TooFewParts(2),
                "the user name has 2 of the 4 parts `clientId;sdkappid;connid;expiry`",
            ),
            (
                "AB12CD34EFd;1;c",
                ParseError::TooFewParts(3),
                "the user name has 3 of the 4 parts `clientId;sdkappid;connid;expiry`",
            ),
            (
                "AB12CD34EFd;1;c;1;",
                ParseError::TooManyParts,
                "the user name has more than the 4 parts `clientId;sdkappid;connid;expiry`",
            ),
            (
                "AB12;1;c;1",
                IdentityError::ProductIdLength(4).into(),
                "the product id has 4 bytes, it must have 10",
            ),
            (
                "AB12CD34EF;1;c;1",
                IdentityError::DeviceNameEmpty.into(),
                "the device name is empty, put it behind the product id",
            ),
            ("AB12CD34EFd;;c;1", ParseError::SdkAppId, "the user name's `sdkappid` is not a number"),
            ("AB12CD34EFd;x;c;1", ParseError::SdkAppId, "the user name's `sdkappid` is not a number"),
            (
                "AB12CD34EFd;1;;1",
                ParseError::ConnId,
                "the user name's `connid` is empty or has characters that are not visible ASCII",
            ),
            (
                "AB12CD34EFd;1;c\n;1",
                ParseError::ConnId,
                "the user name's `connid` is empty or has characters that are not visible ASCII",
            ),
            ("AB12CD34EFd;1;c;", ExpiryError::Empty.into(), "the expiry is empty"),
            (
                "AB12CD34EFd;1;c;-1",
                ExpiryError::Character(0).into(),
                "the expiry has something other than digits at byte 0",
            ),
            (
                "AB12CD34EFd;1;c;1?SDK=x",
                ExpiryError::Character(1).into(),
                "the expiry has something other than digits at byte 1",
            ),
        ];
        for (user_name, error, message) in refused {
            assert_eq!(Presented::parse(user_name), Err(error), "{user_name}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn the_client_id_must_be_the_user_names() {
        let presented = Presented::parse(USER_NAME).unwrap();
        assert_eq!(presented.check_client_id("AB12CD34EFsht20_01"), Ok(()));
        for other in ["", "AB12CD34EFsht20_0", "AB12CD34EFsht20_011", "ab12cd34efsht20_01"] {
            assert_eq!(presented.check_client_id(other), Err(ClientIdError), "{other}");
        }
        assert_eq!(ClientIdError.to_string(), "the client id is not the one that the user name begins with");
    }

    #[test]
    fn a_password_is_hex_of_either_case() {
        let verified = |password: &str| {
            Presented::parse(USER_NAME).unwrap().verify(&psk(), password.as_bytes()).map(bool::from)
        };
        let hex = "11e78b1a32b8043509579bff57ad2ebdf615021e";
        for hex in [hex, &hex.to_uppercase(), &hex.replacen('b', "B", 2)] {
            assert_eq!(verified(&format!("{hex};hmacsha1")), Ok(true), "{hex}");
        }
        assert_eq!(verified(&format!("{};hmacsha1", hex.replace('7', "8"))), Ok(false));
        // Another method's signature is another.
        let other = "b9bbbd912672b83eca14f34fdfc64b4276914683cd1b8cba22e6af882b631792";
        assert_eq!(verified(&format!("{other};hmacsha256")), Ok(true));
        assert_eq!(verified(&format!("{};hmacsha256", other.replace('9', "8"))), Ok(false));
    }

    #[test]
    fn what_no_secret_makes_right_has_its_reason() {
        let method = crate::SignMethod::HmacSha1;
        let cases: [(&[u8], PasswordError, &str); 8] = [
            (
                b"",
                PasswordError::NoSignMethod,
                "the password names no sign method, its form is `signature;hmacsha256`",
            ),
            (
                b"11e78b1a32b8043509579bff57ad2ebdf615021e",
                PasswordError::NoSignMethod,
                "the password names no sign method, its form is `signature;hmacsha256`",
            ),
            (
                b"00;",
                PasswordError::SignMethod,
                "the password's sign method is not `hmacsha256` or `hmacsha1`",
            ),
            (
                b"00;hmacmd5",
                PasswordError::SignMethod,
                "the password's sign method is not `hmacsha256` or `hmacsha1`",
            ),
            (
                b"00;hmacsha1;",
                PasswordError::SignMethod,
                "the password's sign method is not `hmacsha256` or `hmacsha1`",
            ),
            (
                b"00;\xff",
                PasswordError::SignMethod,
                "the password's sign method is not `hmacsha256` or `hmacsha1`",
            ),
            (b"000;hmacsha1", HexError::OddLength(3).into(), "the signature has 3 hex digits, an odd number"),
            (
                b";hmacsha1",
                HexError::Length { found: 0, method }.into(),
                "the signature has 0 hex digits, `hmacsha1` makes 40",
            ),
        ];
        for (password, error, message) in cases {
            let refused = Presented::parse(USER_NAME).unwrap().verify(&psk(), password).map(bool::from);
            assert_eq!(refused, Err(error), "{password:?}");
            assert_eq!(error.to_string(), message);
        }
    }
}
