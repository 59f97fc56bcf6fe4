//! The authorizer's side: the user name and the password of a Tencent device's CONNECT.

use core::{
    fmt,
    str::{self, FromStr},
};

use subtle::{Choice, ConstantTimeEq as _};

use super::identity::{Identity, IdentityError};
use crate::{
    secret::Secret,
    signature::{self, HexError, Signature, UnknownSignMethod},
};

/// The user name of a CONNECT, parsed. Nothing in it is verified before [`Login::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login<'a> {
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
    /// The user name has this many parts, fewer than four.
    #[error("the user name has {0} of the 4 parts `clientId;sdkappid;connid;expiry`")]
    TooFewParts(usize),
    /// The user name has more than four parts.
    #[error("the user name has more than the 4 parts `clientId;sdkappid;connid;expiry`")]
    TooManyParts,
    /// The first part is not a product id and a device name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The `sdkappid` is empty or has something other than digits.
    #[error("the user name's `sdkappid` is not a number")]
    SdkAppId,
    /// The `connid` is empty or has something other than visible ASCII characters.
    #[error("the user name's `connid` is empty or has characters that are not visible ASCII")]
    ConnId,
    /// The expiry is not a number.
    #[error(transparent)]
    Expiry(#[from] ExpiryError),
}

/// Why a password is wrong whatever the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password has no `;` between signature and sign method.
    #[error("the password names no sign method, its form is `signature;hmacsha256`")]
    NoSignMethod,
    /// The sign method is not `hmacsha1` or `hmacsha256`.
    #[error("the password's sign method is not `hmacsha256` or `hmacsha1`")]
    SignMethod,
    /// The text before the `;` is not the sign method's signature in hex.
    #[error(transparent)]
    Hex(#[from] HexError),
}

/// The CONNECT's client id is not the one in the user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client id is not the one that the user name begins with")]
pub struct ClientIdMismatch;

impl<'a> Login<'a> {
    /// Parses a CONNECT's user name, without the `?…` that AWS SDKs append to it.
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

    /// The identity that the device presents.
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

    /// When the signature expires.
    #[must_use]
    pub const fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// [`Expiry::at_seconds`] of the expiry: seconds since 1970, whichever unit was sent.
    #[must_use]
    pub const fn expires_at_seconds(&self) -> u64 {
        self.expiry.at_seconds()
    }

    /// Checks that the CONNECT's client id is the one in the user name, as the vendor demands. Leave the check out only
    /// for products whose firmware sends another client id: that one is not signed, so the device's record must say
    /// which client ids are allowed.
    ///
    /// # Errors
    ///
    /// When it is another one.
    pub fn check_client_id(&self, client_id: &str) -> Result<(), ClientIdMismatch> {
        if client_id == self.client_id { Ok(()) } else { Err(ClientIdMismatch) }
    }

    /// Checks the password. The time that it takes does not show how much of the password was right. The caller checks
    /// the expiry. Hex in upper case is accepted too, although the vendor's is in lower case.
    ///
    /// # Errors
    ///
    /// A password whose form is wrong for every `psk`. The error depends on nothing secret.
    pub fn verify(&self, psk: &Secret, password: &[u8]) -> Result<Choice, PasswordError> {
        let mut parts = password.splitn(2, |byte| *byte == b';');
        let hex = parts.next().unwrap_or_default();
        let method = parts.next().ok_or(PasswordError::NoSignMethod)?;
        let method: SignMethod = str::from_utf8(method)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(PasswordError::SignMethod)?;
        let received = Signature::parse(hex, method.into())?;
        Ok(sign(psk, method, self.user_name).ct_eq(&received))
    }
}

/// The vendor's formula, which is written nowhere else: the whole user name is signed, as it is sent.
pub(super) fn sign(psk: &Secret, method: SignMethod, user_name: impl fmt::Display) -> Signature {
    Signature::new(psk, method.into(), format_args!("{user_name}"))
}

pub(super) fn check_sdk_app_id(text: &str) -> Result<(), ParseError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { Ok(()) } else { Err(ParseError::SdkAppId) }
}

pub(super) fn check_conn_id(text: &str) -> Result<(), ParseError> {
    let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
    if is_visible { Ok(()) } else { Err(ParseError::ConnId) }
}

/// The user name's `expiry`. By the vendor's page it is in seconds since 1970; devices also send milliseconds,
/// 4294967295 and `LONG_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry(u64);

/// Why a text is not an [`Expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// It is empty.
    #[error("the expiry is empty")]
    Empty,
    /// The byte at this position is not a decimal digit.
    #[error("the expiry has something other than digits at byte {0}")]
    Character(usize),
}

impl Expiry {
    /// The smallest number that is read as milliseconds: 10¹¹ seconds are the year 5138, 10¹¹ milliseconds are 1973.
    ///
    /// So 4294967295 is seconds (2106), every time after 1973 in milliseconds is recognised, and `LONG_MAX` is far
    /// in the future in both units.
    pub const FIRST_MILLISECONDS: u128 = 100_000_000_000;

    /// The first second, since 1970 and rounded down, at which the signature is no longer valid.
    #[must_use]
    pub const fn at_seconds(self) -> u64 {
        self.0
    }

    /// Whether the signature has expired.
    #[must_use]
    pub const fn has_passed(self, now_seconds: u64) -> bool {
        now_seconds >= self.0
    }
}

impl TryFrom<&str> for Expiry {
    type Error = ExpiryError;

    /// Accepts any number of decimal digits; a number that is too large for the type is the type's largest.
    fn try_from(text: &str) -> Result<Self, ExpiryError> {
        if text.is_empty() {
            return Err(ExpiryError::Empty);
        }
        if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_digit()) {
            return Err(ExpiryError::Character(at));
        }
        let sent = text.parse().unwrap_or(u128::MAX);
        let seconds = if sent >= Self::FIRST_MILLISECONDS { sent / 1000 } else { sent };
        Ok(Self(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

/// The two sign methods that Tencent Cloud accepts: those of [`crate::SignMethod`] except `hmacmd5`.
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

    /// The name that follows the signature in the password.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        signature::SignMethod::from(self).as_str()
    }
}

impl From<SignMethod> for signature::SignMethod {
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

    const USER_NAME: &str = "AB12CD34EFsht20_01;12010126;QW3RT;1999999999";

    fn psk() -> Secret {
        Secret::from_base64("AQIDBAUGBwgJCgsMDQ4PEA==").unwrap()
    }

    #[test]
    fn login_has_every_field_that_was_sent() {
        let login = Login::parse(USER_NAME).unwrap();
        let identity = login.identity();
        assert_eq!((identity.product_id(), identity.device_name()), ("AB12CD34EF", "sht20_01"));
        assert_eq!(login.client_id(), "AB12CD34EFsht20_01");
        assert_eq!((login.sdk_app_id(), login.conn_id()), ("12010126", "QW3RT"));
        assert_eq!(login.expires_at_seconds(), 1_999_999_999);
        assert_eq!(login.expiry().at_seconds(), 1_999_999_999);
    }

    #[test]
    fn malformed_user_names_are_refused_with_their_reason() {
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
                "the device name is empty, put it after the product id",
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
            assert_eq!(Login::parse(user_name), Err(error), "{user_name}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn client_id_must_be_the_one_in_the_user_name() {
        let login = Login::parse(USER_NAME).unwrap();
        assert_eq!(login.check_client_id("AB12CD34EFsht20_01"), Ok(()));
        for other in ["", "AB12CD34EFsht20_0", "AB12CD34EFsht20_011", "ab12cd34efsht20_01"] {
            assert_eq!(login.check_client_id(other), Err(ClientIdMismatch), "{other}");
        }
        assert_eq!(
            ClientIdMismatch.to_string(),
            "the client id is not the one that the user name begins with"
        );
    }

    #[test]
    fn password_is_hex_of_either_case() {
        let verified = |password: &str| {
            Login::parse(USER_NAME).unwrap().verify(&psk(), password.as_bytes()).map(bool::from)
        };
        let hex = "11e78b1a32b8043509579bff57ad2ebdf615021e";
        for hex in [hex, &hex.to_uppercase(), &hex.replacen('b', "B", 2)] {
            assert_eq!(verified(&format!("{hex};hmacsha1")), Ok(true), "{hex}");
        }
        assert_eq!(verified(&format!("{};hmacsha1", hex.replace('7', "8"))), Ok(false));
        // The signature of another method is a different one.
        let other = "b9bbbd912672b83eca14f34fdfc64b4276914683cd1b8cba22e6af882b631792";
        assert_eq!(verified(&format!("{other};hmacsha256")), Ok(true));
        assert_eq!(verified(&format!("{};hmacsha256", other.replace('9', "8"))), Ok(false));
    }

    #[test]
    fn malformed_passwords_are_refused_with_their_reason() {
        let method = signature::SignMethod::HmacSha1;
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
            let refused = Login::parse(USER_NAME).unwrap().verify(&psk(), password).map(bool::from);
            assert_eq!(refused, Err(error), "{password:?}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn seconds_and_milliseconds_are_distinguished_by_size() {
        let huge = "9".repeat(100);
        let cases = [
            ("0", 0),
            ("1600000000", 1_600_000_000),
            ("0001600000000", 1_600_000_000),
            ("2147483647", 2_147_483_647),
            ("4294967295", 4_294_967_295),
            ("99999999999", 99_999_999_999),
            ("100000000000", 100_000_000),
            ("1999999999000", 1_999_999_999),
            ("1999999999999", 1_999_999_999),
            ("92233720368547758", 92_233_720_368_547),
            ("9223372036854775807", 9_223_372_036_854_775),
            ("18446744073709551615", 18_446_744_073_709_551),
            ("340282366920938463463374607431768211456", u64::MAX),
            (&huge, u64::MAX),
        ];
        for (text, seconds) in cases {
            assert_eq!(Expiry::try_from(text).map(Expiry::at_seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn malformed_expiries_are_refused_with_their_reason() {
        let cases = [
            ("", ExpiryError::Empty, "the expiry is empty"),
            ("-1", ExpiryError::Character(0), "the expiry has something other than digits at byte 0"),
            ("+1", ExpiryError::Character(0), "the expiry has something other than digits at byte 0"),
            ("1.5", ExpiryError::Character(1), "the expiry has something other than digits at byte 1"),
            ("1 ", ExpiryError::Character(1), "the expiry has something other than digits at byte 1"),
            ("1e9", ExpiryError::Character(1), "the expiry has something other than digits at byte 1"),
            ("١", ExpiryError::Character(0), "the expiry has something other than digits at byte 0"),
        ];
        for (text, error, message) in cases {
            assert_eq!(Expiry::try_from(text), Err(error), "{text}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn expiry_second_is_already_expired() {
        let expiry = Expiry::try_from("1600000000").unwrap();
        assert!(!expiry.has_passed(1_599_999_999));
        assert!(expiry.has_passed(1_600_000_000));
        assert!(!Expiry::try_from("9223372036854775807").unwrap().has_passed(4_102_444_800));
    }

    #[test]
    fn hmacmd5_is_not_a_tencent_sign_method() {
        assert_eq!("hmacsha1".parse(), Ok(SignMethod::HmacSha1));
        assert_eq!("hmacsha256".parse(), Ok(SignMethod::HmacSha256));
        for name in ["hmacmd5", "HMACSHA1", "sha1", "", "hmacsha1;"] {
            assert_eq!(name.parse::<SignMethod>(), Err(UnknownSignMethod), "{name}");
        }
    }
}
