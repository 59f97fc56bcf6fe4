//! The authorizer's side: the client id, user name and password of an Alibaba device's CONNECT.

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::{
    identity::{Identity, IdentityError},
    parameters::{Parameters, ParametersError},
};
use crate::{
    secret::Secret,
    signature::{HexError, SignMethod, Signature},
};

/// The timestamp that most SDKs sign at each connect: the year 2050, in milliseconds.
const SDK_TIMESTAMP: &str = "2524608000000";

/// The client id and the user name of a CONNECT, parsed. Nothing in them is verified before [`Login::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login<'a> {
    identity: Identity<'a>,
    authentication: Authentication,
    sign_method: SignMethod,
    timestamp: Option<&'a str>,
    parameters: Parameters<'a>,
}

/// How the device proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// The password is signed with the `DeviceSecret`: no `authType`, `securemode` 2 (TLS), 3 (TCP) or none.
    DeviceSecret,
    /// The password is the `DeviceToken`: `securemode=-2,authType=connwl`.
    DeviceToken,
}

/// The key in the device's record, which the password is verified with.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// For [`Authentication::DeviceSecret`].
    DeviceSecret(&'a Secret),
    /// For [`Authentication::DeviceToken`].
    DeviceToken(&'a Secret),
}

/// Why a client id and a user name are not of this scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The client id has no `|`.
    #[error("the client id has no `|`, its form is `id|key=value,…|`")]
    NoParameters,
    /// The client id has only one `|`.
    #[error("the client id's parameters do not end with `|`")]
    Unclosed,
    /// Something follows the second `|`.
    #[error("something follows the client id's second `|`")]
    AfterParameters,
    /// The parameters are not `key=value,…`.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The `signmethod` is unknown.
    #[error("the parameter `signmethod` is not `hmacsha256`, `hmacsha1` or `hmacmd5`")]
    SignMethod,
    /// The `timestamp` is empty or has something other than digits. With digits only, the signed text is unambiguous.
    #[error("the parameter `timestamp` is not a number of milliseconds")]
    Timestamp,
    /// The `securemode` is not 2, 3 or -2.
    #[error("the parameter `securemode` is not `2`, `3` or `-2`")]
    SecureMode,
    /// The `authType` is unknown.
    #[error("the parameter `authType` is not `connwl`")]
    AuthType,
    /// `authType` is `register` or `regnwl`: the device asks for its secret.
    #[error("the device asks to be registered, which is not supported, give it its secret first")]
    Registration,
    /// One of `securemode=-2` and `authType=connwl` without the other.
    #[error("`securemode=-2` and `authType=connwl` go together")]
    Authentication,
    /// The user name has no `&`.
    #[error("the user name has no `&`, its form is `deviceName&productKey`")]
    NoProductKey,
    /// The user name has more than one `&`.
    #[error("the user name has more than one `&`")]
    SecondAmpersand,
    /// A part of the identity is malformed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Why a password is wrong whatever the secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The password is not the sign method's signature in hex.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// The device token is empty.
    #[error("the device token is empty")]
    EmptyToken,
}

impl<'a> Login<'a> {
    /// Parses a CONNECT's client id and user name, the latter without the `?…` that AWS SDKs append to it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, the client id before the user name.
    pub fn parse(client_id: &'a str, user_name: &'a str) -> Result<Self, ParseError> {
        let (id, rest) = client_id.split_once('|').ok_or(ParseError::NoParameters)?;
        let (parameters, rest) = rest.split_once('|').ok_or(ParseError::Unclosed)?;
        if !rest.is_empty() {
            return Err(ParseError::AfterParameters);
        }
        let parameters = Parameters::parse(parameters)?;
        let sign_method = sign_method(parameters)?;
        let timestamp = timestamp(parameters)?;
        let authentication = authentication(parameters)?;
        let (device_name, product_key) = user_name.split_once('&').ok_or(ParseError::NoProductKey)?;
        if product_key.contains('&') {
            return Err(ParseError::SecondAmpersand);
        }
        let identity = Identity::new(id, device_name, product_key)?;
        Ok(Self { identity, authentication, sign_method, timestamp, parameters })
    }

    /// The identity that the device presents.
    #[must_use]
    pub const fn identity(&self) -> Identity<'a> {
        self.identity
    }

    /// How the device proves it.
    #[must_use]
    pub const fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// `signmethod`, or its default `hmacmd5`. It means nothing where the password is a token.
    #[must_use]
    pub const fn sign_method(&self) -> SignMethod {
        self.sign_method
    }

    /// `timestamp` as it was sent, because it is signed as text: decimal digits.
    #[must_use]
    pub const fn timestamp(&self) -> Option<&'a str> {
        self.timestamp
    }

    /// `securemode` as it was sent: `2`, `3` or `-2`. It is not signed.
    #[must_use]
    pub fn secure_mode(&self) -> Option<&'a str> {
        self.parameters.get("securemode")
    }

    /// All parameters, known and unknown.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        self.parameters
    }

    /// Whether the client id is one of a few hundred that the device's `id` allows: its parameters are those that mean
    /// something, and the timestamp is the SDKs' constant. Whoever holds the device's secret can append any number of
    /// others, since only `id` and `timestamp` are signed, and the secret signs every timestamp.
    #[must_use]
    pub fn keeps_client_id(&self) -> bool {
        const NAMES: [&str; 4] = ["authType", "securemode", "signmethod", "timestamp"];
        self.timestamp.is_none_or(|timestamp| timestamp == SDK_TIMESTAMP)
            && self.parameters.iter().all(|(name, _)| NAMES.contains(&name))
    }

    /// How old the signature is. Most SDKs hard-code the timestamp 2524608000000, the year 2050, so a fleet that uses
    /// them can't be held to a window. Only a signed timestamp means anything, so ask this only for
    /// [`Authentication::DeviceSecret`].
    pub fn freshness(&self, now_seconds: u64, window_seconds: u64) -> Freshness {
        freshness(self.timestamp, now_seconds, window_seconds)
    }

    /// Checks the password. The time that it takes shows neither how much of the password was right nor whether the
    /// key was for the other [`Authentication`], which is a wrong password too.
    ///
    /// With a token, the caller must also check that the identity's `id` is the one that came with the token: a
    /// signature covers the id, a token does not.
    ///
    /// # Errors
    ///
    /// A password whose form is wrong for every key. The error depends on nothing secret.
    pub fn verify(&self, key: Key<'_>, password: &[u8]) -> Result<Choice, PasswordError> {
        let (Key::DeviceSecret(secret) | Key::DeviceToken(secret)) = key;
        let same = Choice::from(u8::from(self.authentication == key.authentication()));
        match self.authentication {
            Authentication::DeviceSecret => {
                let received = Signature::parse(password, self.sign_method)?;
                let expected = self.identity.sign(secret, self.sign_method, self.timestamp);
                Ok(expected.ct_eq(&received) & same)
            }
            Authentication::DeviceToken if password.is_empty() => Err(PasswordError::EmptyToken),
            // Hashed, because a comparison of slices with different lengths returns at once.
            Authentication::DeviceToken => {
                let (received, expected) = (Sha256::digest(password), Sha256::digest(secret.as_bytes()));
                Ok(expected.as_slice().ct_eq(received.as_slice()) & same)
            }
        }
    }
}

impl Key<'_> {
    const fn authentication(self) -> Authentication {
        match self {
            Self::DeviceSecret(_) => Authentication::DeviceSecret,
            Self::DeviceToken(_) => Authentication::DeviceToken,
        }
    }
}

fn sign_method(parameters: Parameters<'_>) -> Result<SignMethod, ParseError> {
    match parameters.get("signmethod") {
        None => Ok(SignMethod::HmacMd5),
        Some(name) => name.parse().map_err(|_unknown| ParseError::SignMethod),
    }
}

fn timestamp(parameters: Parameters<'_>) -> Result<Option<&str>, ParseError> {
    let timestamp = parameters.get("timestamp");
    match timestamp {
        Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(ParseError::Timestamp)
        }
        _ => Ok(timestamp),
    }
}

fn authentication(parameters: Parameters<'_>) -> Result<Authentication, ParseError> {
    let token_mode = match parameters.get("securemode") {
        None | Some("2" | "3") => false,
        Some("-2") => true,
        Some(_) => return Err(ParseError::SecureMode),
    };
    let token_type = match parameters.get("authType") {
        None => false,
        Some("connwl") => true,
        Some("register" | "regnwl") => return Err(ParseError::Registration),
        Some(_) => return Err(ParseError::AuthType),
    };
    match (token_mode, token_type) {
        (false, false) => Ok(Authentication::DeviceSecret),
        (true, true) => Ok(Authentication::DeviceToken),
        _ => Err(ParseError::Authentication),
    }
}

/// Where a login's timestamp lies in a window around now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Freshness {
    /// Within the window.
    Fresh,
    /// Older than the window.
    Stale,
    /// Newer than the window. Most SDKs hard-code 2524608000000, the year 2050, which is always here.
    Future,
    /// No timestamp was sent, which the scheme allows.
    Absent,
}

/// `timestamp` is in milliseconds since 1970, in any number of decimal digits.
fn freshness(timestamp: Option<&str>, now_seconds: u64, window_seconds: u64) -> Freshness {
    let Some(timestamp) = timestamp else { return Freshness::Absent };
    // More digits than the type holds are a time later than any window.
    let sent = timestamp.parse().unwrap_or(u128::MAX);
    let (now, window) = (u128::from(now_seconds) * 1000, u128::from(window_seconds) * 1000);
    if sent < now.saturating_sub(window) {
        Freshness::Stale
    } else if sent > now + window {
        Freshness::Future
    } else {
        Freshness::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::try_from(text.as_bytes()).unwrap()
    }

    fn verified(
        client_id: &str,
        user_name: &str,
        key: Key<'_>,
        password: impl AsRef<[u8]>,
    ) -> Result<bool, PasswordError> {
        Login::parse(client_id, user_name).unwrap().verify(key, password.as_ref()).map(bool::from)
    }

    #[test]
    fn a_client_id_is_kept_if_nothing_in_it_is_free() {
        let keeps = |parameters: &str| {
            let client_id = format!("12345|{parameters}|");
            Login::parse(&client_id, "device&pk").unwrap().keeps_client_id()
        };
        for parameters in [
            "",
            "securemode=2,signmethod=hmacsha256",
            "securemode=3,signmethod=hmacsha1,timestamp=2524608000000,",
            "timestamp=2524608000000",
            "securemode=-2,authType=connwl",
        ] {
            assert!(keeps(parameters), "{parameters}");
        }
        for parameters in [
            "_conn=a",
            "x=",
            "securemode=2,_v=sdk-c-4.1.0",
            "timestamp=1764000000000",
            "timestamp=02524608000000",
            "timestamp=0",
        ] {
            assert!(!keeps(parameters), "{parameters}");
        }
    }

    #[test]
    fn login_has_every_field_that_was_sent() {
        let client_id = "pk.dev|_conn=tls,timestamp=0789,securemode=3,signmethod=hmacsha1,lan=C,|";
        let login = Login::parse(client_id, "dev@1.a:b_c-d&pk").unwrap();
        let identity = login.identity();
        assert_eq!(
            (identity.id(), identity.device_name(), identity.product_key()),
            ("pk.dev", "dev@1.a:b_c-d", "pk")
        );
        assert_eq!(login.authentication(), Authentication::DeviceSecret);
        assert_eq!(login.sign_method(), SignMethod::HmacSha1);
        assert_eq!(login.timestamp(), Some("0789"));
        assert_eq!(login.secure_mode(), Some("3"));
        assert_eq!(login.parameters().get("_conn"), Some("tls"));
        assert_eq!(login.freshness(1_000, 10), Freshness::Stale);
    }

    #[test]
    fn absent_parameters_have_their_defaults() {
        for client_id in ["1||", "1|lan=C|", "1|SignMethod=hmacsha1|"] {
            let login = Login::parse(client_id, "d&k").unwrap();
            assert_eq!(login.sign_method(), SignMethod::HmacMd5);
            assert_eq!(login.authentication(), Authentication::DeviceSecret);
            assert_eq!((login.timestamp(), login.secure_mode()), (None, None));
            assert_eq!(login.freshness(1_000, 10), Freshness::Absent);
        }
    }

    #[test]
    fn malformed_logins_are_refused_with_their_reason() {
        let refused = [
            ("", "d&k", ParseError::NoParameters),
            ("1", "d&k", ParseError::NoParameters),
            ("1|", "d&k", ParseError::Unclosed),
            ("1|securemode=2", "d&k", ParseError::Unclosed),
            ("1||x", "d&k", ParseError::AfterParameters),
            ("1|||", "d&k", ParseError::AfterParameters),
            ("1|a|", "d&k", ParseError::Parameters(ParametersError::NoValue(1))),
            (
                "1|signmethod=hmacmd5,signmethod=hmacmd5|",
                "d&k",
                ParseError::Parameters(ParametersError::Repeated(2)),
            ),
            ("1|timestamp=1,a=,timestamp=2|", "d&k", ParseError::Parameters(ParametersError::Repeated(3))),
            ("1|signmethod=|", "d&k", ParseError::SignMethod),
            ("1|signmethod=HMACSHA1|", "d&k", ParseError::SignMethod),
            ("1|signmethod=sha256|", "d&k", ParseError::SignMethod),
            ("1|timestamp=|", "d&k", ParseError::Timestamp),
            ("1|timestamp=-1|", "d&k", ParseError::Timestamp),
            ("1|timestamp=+1|", "d&k", ParseError::Timestamp),
            ("1|timestamp=١|", "d&k", ParseError::Timestamp),
            ("1|securemode=|", "d&k", ParseError::SecureMode),
            ("1|securemode=4|", "d&k", ParseError::SecureMode),
            ("1|authType=connwl|", "d&k", ParseError::Authentication),
            ("1|securemode=2,authType=connwl|", "d&k", ParseError::Authentication),
            ("1|securemode=-2|", "d&k", ParseError::Authentication),
            ("1|securemode=2,authType=register|", "d&k", ParseError::Registration),
            ("1|securemode=-2,authType=regnwl|", "d&k", ParseError::Registration),
            ("1|authType=id2|", "d&k", ParseError::AuthType),
            ("1||", "", ParseError::NoProductKey),
            ("1||", "dk", ParseError::NoProductKey),
            ("1||", "d&k&", ParseError::SecondAmpersand),
            ("1||", "d&&k", ParseError::SecondAmpersand),
            ("||", "d&k", ParseError::Identity(IdentityError::IdEmpty)),
            ("1||", "&k", ParseError::Identity(IdentityError::DeviceNameEmpty)),
            ("1||", "d&", ParseError::Identity(IdentityError::ProductKeyEmpty)),
            ("1||", "d/&k", ParseError::Identity(IdentityError::DeviceNameCharacter(1))),
            ("1||", "d&k?SDK=x", ParseError::Identity(IdentityError::ProductKeyCharacter(1))),
        ];
        for (client_id, user_name, error) in refused {
            assert_eq!(Login::parse(client_id, user_name), Err(error), "{client_id} {user_name}");
        }
    }

    #[test]
    fn parse_errors_say_what_to_do() {
        let messages: [(ParseError, &str); 13] = [
            (ParseError::NoParameters, "the client id has no `|`, its form is `id|key=value,…|`"),
            (ParseError::Unclosed, "the client id's parameters do not end with `|`"),
            (ParseError::AfterParameters, "something follows the client id's second `|`"),
            (ParametersError::NoValue(1).into(), "parameter 1 of the client id has no `=`"),
            (
                ParseError::SignMethod,
                "the parameter `signmethod` is not `hmacsha256`, `hmacsha1` or `hmacmd5`",
            ),
            (ParseError::Timestamp, "the parameter `timestamp` is not a number of milliseconds"),
            (ParseError::SecureMode, "the parameter `securemode` is not `2`, `3` or `-2`"),
            (ParseError::AuthType, "the parameter `authType` is not `connwl`"),
            (
                ParseError::Registration,
                "the device asks to be registered, which is not supported, give it its secret first",
            ),
            (ParseError::Authentication, "`securemode=-2` and `authType=connwl` go together"),
            (ParseError::NoProductKey, "the user name has no `&`, its form is `deviceName&productKey`"),
            (ParseError::SecondAmpersand, "the user name has more than one `&`"),
            (IdentityError::DeviceNameEmpty.into(), "the device name is empty"),
        ];
        for (error, message) in messages {
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(PasswordError::EmptyToken.to_string(), "the device token is empty");
        let hex = PasswordError::from(HexError::OddLength(3));
        assert_eq!(hex.to_string(), "the signature has 3 hex digits, an odd number");
    }

    #[test]
    fn password_is_hex_of_either_case() {
        let (client_id, user_name, secret) = ("zero|signmethod=hmacsha1|", "zero&pk", secret("k158"));
        let key = Key::DeviceSecret(&secret);
        let lower = "007002a897592d1f16952ff54dfa6f8a2446920e";
        let mixed = lower.replacen('a', "A", 1);
        for password in [lower, &lower.to_uppercase(), &mixed] {
            assert_eq!(verified(client_id, user_name, key, password), Ok(true), "{password}");
        }
        // Leading zeros count.
        let hex = |error| Err(PasswordError::Hex(error));
        let method = SignMethod::HmacSha1;
        assert_eq!(
            verified(client_id, user_name, key, lower.replacen('0', "", 1)),
            hex(HexError::OddLength(39))
        );
        assert_eq!(
            verified(client_id, user_name, key, lower.replacen("00", "", 1)),
            hex(HexError::Length { found: 38, method })
        );
        assert_eq!(verified(client_id, user_name, key, ""), hex(HexError::Length { found: 0, method }));
        assert_eq!(verified(client_id, user_name, key, b"\xff\xfe"), hex(HexError::Character(0)));
        assert_eq!(verified(client_id, user_name, key, lower.replace('0', " ")), hex(HexError::Character(0)));
        assert_eq!(verified(client_id, user_name, key, lower.replace('7', "8")), Ok(false));
    }

    #[test]
    fn timestamp_is_signed_as_it_is_written() {
        let secret = secret("secret");
        let password = "FAFD82A3D602B37FB0FA8B7892F24A477F851A14";
        let key = Key::DeviceSecret(&secret);
        assert_eq!(
            verified("12345|signmethod=hmacsha1,timestamp=789|", "device&pk", key, password),
            Ok(true)
        );
        for timestamp in ["0789", "7890", "788"] {
            let client_id = format!("12345|signmethod=hmacsha1,timestamp={timestamp}|");
            assert_eq!(verified(&client_id, "device&pk", key, password), Ok(false), "{timestamp}");
        }
        assert_eq!(verified("12345|signmethod=hmacsha1|", "device&pk", key, password), Ok(false));
    }

    #[test]
    fn device_token_is_compared_as_it_is() {
        let token = secret("^1^Token");
        let key = Key::DeviceToken(&token);
        let client_id = "1|securemode=-2,authType=connwl,_ss=1|";
        let login = Login::parse(client_id, "d&k").unwrap();
        assert_eq!(login.authentication(), Authentication::DeviceToken);
        assert_eq!(verified(client_id, "d&k", key, "^1^Token"), Ok(true));
        for password in ["^1^token", "^1^Toke", "^1^Token ", "^1^Token\0", "x"] {
            assert_eq!(verified(client_id, "d&k", key, password), Ok(false), "{password:?}");
        }
        assert_eq!(verified(client_id, "d&k", key, ""), Err(PasswordError::EmptyToken));
    }

    #[test]
    fn key_matches_only_its_own_authentication() {
        let secret = secret("secret");
        let signed = "12345|signmethod=hmacsha1,timestamp=789|";
        let password = "FAFD82A3D602B37FB0FA8B7892F24A477F851A14";
        assert_eq!(verified(signed, "device&pk", Key::DeviceSecret(&secret), password), Ok(true));
        assert_eq!(verified(signed, "device&pk", Key::DeviceToken(&secret), password), Ok(false));
        let token = "12345|securemode=-2,authType=connwl|";
        assert_eq!(verified(token, "device&pk", Key::DeviceToken(&secret), "secret"), Ok(true));
        assert_eq!(verified(token, "device&pk", Key::DeviceSecret(&secret), "secret"), Ok(false));
    }

    #[test]
    fn freshness_window_includes_both_ends() {
        let now = 1_700_000_000;
        let huge = "9".repeat(100);
        let cases = [
            (None, Freshness::Absent),
            (Some("1700000000000"), Freshness::Fresh),
            (Some("1699999700000"), Freshness::Fresh),
            (Some("1699999699999"), Freshness::Stale),
            (Some("1700000300000"), Freshness::Fresh),
            (Some("1700000300001"), Freshness::Future),
            (Some("789"), Freshness::Stale),
            // Seconds, as some firmware sends them, are read as the milliseconds that the vendor asks for.
            (Some("1700000000"), Freshness::Stale),
            (Some("2524608000000"), Freshness::Future),
            (Some(huge.as_str()), Freshness::Future),
        ];
        for (timestamp, expected) in cases {
            assert_eq!(freshness(timestamp, now, 300), expected, "{timestamp:?}");
        }
    }

    #[test]
    fn freshness_does_not_overflow() {
        assert_eq!(freshness(Some("0"), 0, 300), Freshness::Fresh);
        assert_eq!(freshness(Some("0"), 0, u64::MAX), Freshness::Fresh);
        assert_eq!(freshness(Some("0"), u64::MAX, 0), Freshness::Stale);
        assert_eq!(freshness(Some("18446744073709551615000"), u64::MAX, u64::MAX), Freshness::Fresh);
    }
}
