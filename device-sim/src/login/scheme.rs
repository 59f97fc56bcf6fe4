//! What a device presents under each scheme, from its row of the credentials file.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use credentials::{Secret, SecretError, alibaba, tencent};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Authorizer, Login, Password};
use crate::client::Authorization;
use crate::credentials_file::Row;

/// How a device proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scheme {
    /// The user name and the password
    #[default]
    Password,
    /// Alibaba Cloud's signature: the user name is `DEVICE&PRODUCT`, the password the device secret
    Alibaba,
    /// Tencent Cloud's signature: the client id is product id and device name, the password the psk
    Tencent,
    /// A JSON Web Token as the password
    Jwt,
    /// A token that AWS IoT checks: the user name is the token, the password its signature in base64
    Token,
    /// Neither user name nor password: the client certificate alone
    Certificate,
}

/// A scheme with what all devices of a run share.
#[derive(Debug, Clone, Default)]
pub struct SchemeSettings {
    /// The scheme.
    pub scheme: Scheme,
    /// The name of the authorizer's token parameter, for [`Scheme::Token`].
    pub token_key_name: Option<String>,
}

/// Why a row is not one of the scheme. No message repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// The user name of an Alibaba device.
    #[error("the user name `{0}` is not `DEVICE_NAME&PRODUCT_KEY`, as the scheme `alibaba` has it")]
    AlibabaUserName(String),
    /// The names of an Alibaba device.
    #[error("the alibaba device `{0}` can't be used: {1}")]
    Alibaba(String, alibaba::IdentityError),
    /// The client id of a Tencent device.
    #[error(
        "the client id `{0}` is not a product id of 10 characters and a device name, as the scheme `tencent` has it"
    )]
    TencentClientId(String),
    /// The names of a Tencent device.
    #[error("the tencent device `{0}` can't be used: {1}")]
    Tencent(String, tencent::IdentityError),
    /// The secret.
    #[error("the secret of `{0}` can't be used: {1}")]
    Secret(String, SecretError),
    /// The name of the token's parameter is missing.
    #[error("the scheme `token` needs the name of the token's parameter: `--token-key-name NAME`")]
    NoTokenKeyName,
    /// The password of `token` or `jwt` is not text.
    #[error("the password of `{0}` is not text, as the scheme needs it")]
    NotText(String),
    /// Vendors' devices have a client id, and an HTTPS request has none.
    #[error("devices with the scheme `{0}` can't publish over HTTPS, because a request has no client id")]
    NoHttps(&'static str),
}

/// How long a Tencent device's signature is valid. Its reconnects present the same one.
const TENCENT_VALIDITY: Duration = Duration::from_hours(24 * 365);
/// A product id of Tencent Cloud's.
const TENCENT_PRODUCT_ID_LEN: usize = 10;
/// What can be part of a parameter as it is (RFC 3986, "unreserved").
pub(crate) const PARAMETER_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl SchemeSettings {
    /// What the device of a row presents from `now` on. `authorizer` is named in the user name.
    ///
    /// # Errors
    ///
    /// [`SchemeError`].
    pub fn login(
        &self,
        row: &Row,
        authorizer: Option<&Authorizer>,
        now: SystemTime,
    ) -> Result<Login, SchemeError> {
        let login = match self.scheme {
            Scheme::Password | Scheme::Jwt => Login {
                client_id: row.client_id.clone(),
                user_name: row.user_name.clone(),
                password: row.password.clone(),
            },
            Scheme::Certificate => {
                let password = Password::from("");
                return Ok(Login { client_id: row.client_id.clone(), user_name: String::new(), password });
            }
            Scheme::Alibaba => alibaba(row)?,
            Scheme::Tencent => tencent(row, now)?,
            Scheme::Token => {
                let key = self.token_key_name.as_deref().ok_or(SchemeError::NoTokenKeyName)?;
                let signature = std::str::from_utf8(row.password.expose())
                    .map_err(|_| SchemeError::NotText(row.device.clone()))?;
                let encoded = |text| utf8_percent_encode(text, PARAMETER_VALUE);
                let (token, signature) = (encoded(&row.user_name), encoded(signature));
                let user_name = format!("?{key}={token}&{SIGNATURE}={signature}");
                Login { client_id: row.client_id.clone(), user_name, password: Password::from("") }
            }
        };
        let user_name = authorizer.map(|authorizer| authorizer.name_in(&login.user_name));
        Ok(Login { user_name: user_name.unwrap_or_else(|| login.user_name.clone()), ..login })
    }

    /// What an HTTPS request has in its header `Authorization`.
    ///
    /// # Errors
    ///
    /// [`SchemeError::NoHttps`] for the vendors' schemes.
    pub const fn authorization(&self) -> Result<Authorization, SchemeError> {
        match self.scheme {
            Scheme::Password => Ok(Authorization::Basic),
            Scheme::Jwt => Ok(Authorization::Bearer),
            Scheme::Token | Scheme::Certificate => Ok(Authorization::None),
            Scheme::Alibaba => Err(SchemeError::NoHttps("alibaba")),
            Scheme::Tencent => Err(SchemeError::NoHttps("tencent")),
        }
    }
}

/// The parameter of a token's signature (AWS IoT Core developer guide, "Connecting to AWS IoT Core by using custom
/// authentication").
const SIGNATURE: &str = "x-amz-customauthorizer-signature";

fn alibaba(row: &Row) -> Result<Login, SchemeError> {
    let (name, product) =
        row.user_name.split_once('&').ok_or_else(|| SchemeError::AlibabaUserName(row.user_name.clone()))?;
    // The whole client id of the platform may be in the file, or its first part.
    let id = row.client_id.split('|').next().unwrap_or_default();
    let identity = alibaba::Identity::new(id, name, product)
        .map_err(|error| SchemeError::Alibaba(row.device.clone(), error))?;
    let secret = Secret::try_from(row.password.expose())
        .map_err(|error| SchemeError::Secret(row.device.clone(), error))?;
    let device = alibaba::Device::new(identity);
    Ok(Login {
        client_id: device.client_id().to_string(),
        user_name: device.user_name().to_string(),
        password: Password::from(device.sign(&secret).as_bytes().to_vec()),
    })
}

fn tencent(row: &Row, now: SystemTime) -> Result<Login, SchemeError> {
    let (product, name) = row
        .client_id
        .split_at_checked(TENCENT_PRODUCT_ID_LEN)
        .ok_or_else(|| SchemeError::TencentClientId(row.client_id.clone()))?;
    let identity = tencent::Identity::new(product, name)
        .map_err(|error| SchemeError::Tencent(row.device.clone(), error))?;
    let not_text = || SchemeError::NotText(row.device.clone());
    let psk = std::str::from_utf8(row.password.expose()).map_err(|_| not_text())?;
    let psk = Secret::from_base64(psk).map_err(|error| SchemeError::Secret(row.device.clone(), error))?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // It only has to differ from connection to connection.
    let conn_id = format!("{:05x}", since.subsec_nanos() & 0xf_ffff);
    let expiry = since.saturating_add(TENCENT_VALIDITY).as_secs();
    let device = tencent::Device::new(identity, &conn_id, expiry)
        .map_err(|_| SchemeError::TencentClientId(row.client_id.clone()))?;
    Ok(Login {
        client_id: device.client_id().to_string(),
        user_name: device.user_name().to_string(),
        password: Password::from(device.sign(&psk, tencent::SignMethod::HmacSha256).as_bytes().to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(client_id: &str, user_name: &str, password: &str) -> Row {
        Row {
            device: "d".to_owned(),
            client_id: client_id.to_owned(),
            user_name: user_name.to_owned(),
            password: Password::from(password),
        }
    }

    fn login(scheme: Scheme, row: &Row) -> Result<Login, SchemeError> {
        let settings = SchemeSettings { scheme, token_key_name: Some("token".to_owned()) };
        settings.login(row, Some(&"latchkey".parse().unwrap()), UNIX_EPOCH + Duration::from_secs(1_000_000))
    }

    #[test]
    fn each_scheme_presents_its_own_texts() {
        let name = "x-amz-customauthorizer-name=latchkey";
        let cases = [
            (Scheme::Password, row("id", "user", "pass"), "id", format!("user?{name}"), "pass"),
            (Scheme::Jwt, row("id", "user", "a.b.c"), "id", format!("user?{name}"), "a.b.c"),
            (Scheme::Certificate, row("id", "user", "pass"), "id", String::new(), ""),
            (
                Scheme::Token,
                row("id", "my token", "a+/="),
                "id",
                format!("?token=my%20token&x-amz-customauthorizer-signature=a%2B%2F%3D&{name}"),
                "",
            ),
        ];
        for (scheme, row, client_id, user_name, password) in cases {
            let login = login(scheme, &row).ok().unwrap();
            assert_eq!((&*login.client_id, &*login.user_name), (client_id, &*user_name), "{scheme:?}");
            assert_eq!(login.password.expose(), password.as_bytes(), "{scheme:?}");
        }
    }

    #[test]
    fn vendors_devices_sign_what_the_authorizer_verifies() {
        let signed = login(Scheme::Alibaba, &row("12345|x|", "device&pk", "secret")).ok().unwrap();
        let user_name = signed.user_name.split('?').next().unwrap();
        let parsed = alibaba::Login::parse(&signed.client_id, user_name).unwrap();
        let secret = Secret::try_from("secret".as_bytes()).unwrap();
        let valid = parsed.verify(alibaba::Key::DeviceSecret(&secret), signed.password.expose()).unwrap();
        assert!(bool::from(valid));
        let signed =
            login(Scheme::Tencent, &row("AB12CD34EFdev", "any", "AQIDBAUGBwgJCgsMDQ4PEA==")).ok().unwrap();
        let user_name = signed.user_name.split('?').next().unwrap();
        let parsed = tencent::Login::parse(user_name).unwrap();
        assert_eq!(parsed.expires_at_seconds(), 1_000_000 + 24 * 365 * 3_600);
        let psk = Secret::from_base64("AQIDBAUGBwgJCgsMDQ4PEA==").unwrap();
        assert!(bool::from(parsed.verify(&psk, signed.password.expose()).unwrap()));
    }

    #[test]
    fn a_row_of_another_scheme_is_named() {
        let cases = [
            (
                Scheme::Alibaba,
                row("id", "user", "secret"),
                "the user name `user` is not `DEVICE_NAME&PRODUCT_KEY`",
            ),
            (Scheme::Tencent, row("short", "user", "AAAA"), "the client id `short` is not a product id"),
            (Scheme::Tencent, row("AB12CD34EFdev", "user", "no base64!"), "the secret of `d` can't be used"),
        ];
        for (scheme, row, message) in cases {
            let error = login(scheme, &row).err().unwrap().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let without = SchemeSettings { scheme: Scheme::Token, token_key_name: None };
        assert_eq!(
            without.login(&row("a", "b", "c"), None, UNIX_EPOCH).err(),
            Some(SchemeError::NoTokenKeyName)
        );
    }
}
