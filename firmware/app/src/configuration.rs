//! The configuration of one device: the endpoint, the credentials, and the trusted roots.
//!
//! It borrows from the bytes of a flash partition ([`device_core::partition`]). Every mistake in it is found here, before anything is
//! switched on.

use core::ffi::CStr;
use core::net::IpAddr;
use core::str::FromStr;

use credentials::{Secret, SecretError, SignMethod, alibaba, tencent};
use device_core::{ClientId, ClientIdError};
use embassy_time::Duration;
use heapless::String;

pub use device_core::partition;

use partition::{Key, Partition, PartitionError, UnusableValue};

/// The most bytes of a client id that the MQTT client accepts. AWS IoT Core accepts 128.
pub const MAX_CLIENT_ID: usize = 64;
/// The most bytes of a user name, the authorizer's parameter included.
pub const MAX_USER_NAME: usize = 384;
/// The most bytes of a password: a CONNECT with every field at its longest fits the send buffer.
pub const MAX_SECRET: usize = 1_024;
/// The most bytes of the last will's topic that the MQTT client accepts.
pub const MAX_WILL_TOPIC: usize = 128;

/// The configuration of one device. No `Debug`: it contains the secret.
pub struct Configuration<'a> {
    /// The Wi-Fi network, which only the chip needs.
    pub wifi: Option<Wifi<'a>>,
    /// The server.
    pub endpoint: Endpoint<'a>,
    /// The time server.
    pub time: TimeServer<'a>,
    /// The credentials.
    pub identity: Identity<'a>,
    /// The topic of the last will, if there is one.
    pub will_topic: Option<&'a str>,
    /// The time between two measurements.
    pub interval: Duration,
    /// The trusted roots, PEM.
    pub ca: &'a CStr,
}

/// A Wi-Fi network.
pub struct Wifi<'a> {
    /// The network's name.
    pub ssid: &'a str,
    /// The network's password; empty for an open network.
    pub password: &'a str,
}

/// The server that the device connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The name that SNI sends, and that the certificate must contain.
    pub host: &'a CStr,
    /// The same as text.
    pub name: &'a str,
    /// The port.
    pub port: u16,
    /// The address to connect to instead of what DNS returns.
    pub address: Option<IpAddr>,
    /// Whether the protocol is negotiated by ALPN. AWS needs it for a password; a bridge does not.
    pub alpn: bool,
}

/// An SNTP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeServer<'a> {
    /// Its name or its address.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
}

/// The credentials of a device.
pub enum Identity<'a> {
    /// A password that is sent as it is.
    Password {
        /// The client id.
        client_id: ClientId<'a>,
        /// The user name, with the authorizer's parameter.
        user_name: String<MAX_USER_NAME>,
        /// The password.
        password: &'a str,
    },
    /// A signature as on Alibaba Cloud.
    Alibaba {
        /// The names that are signed.
        device: alibaba::Device<'a>,
        /// The device's secret.
        secret: Secret,
    },
    /// A signature as on Tencent Cloud.
    Tencent {
        /// The names that are signed.
        identity: tencent::Identity<'a>,
        /// The HMAC.
        method: tencent::SignMethod,
        /// The decoded key.
        psk: Secret,
    },
    /// A client certificate, and no password.
    Certificate {
        /// The client id.
        client_id: ClientId<'a>,
        /// The certificate, PEM.
        certificate: &'a CStr,
        /// Its private key, PEM.
        key: &'a CStr,
    },
}

/// Why a configuration can't be used. Each message names the entry to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// The partition is missing or damaged.
    #[error(transparent)]
    Partition(#[from] PartitionError),
    /// A required entry is missing.
    #[error("the configuration has no `{0}`")]
    Missing(Key),
    /// An entry has a value that it can't have.
    #[error(transparent)]
    Unusable(#[from] UnusableValue),
    /// The client id has a character that is not allowed in a topic.
    #[error("`client_id` in the configuration can't be used: {0}")]
    ClientId(ClientIdError),
    /// The client id is longer than the MQTT client accepts.
    #[error(
        "the client id has {0} bytes, the firmware can send {MAX_CLIENT_ID}; give the device a shorter one"
    )]
    ClientIdTooLong(usize),
    /// The names of an Alibaba device are not valid.
    #[error("the alibaba device can't be used: {0}")]
    Alibaba(alibaba::IdentityError),
    /// The names of a Tencent device are not valid.
    #[error("the tencent device can't be used: {0}")]
    Tencent(tencent::IdentityError),
    /// The secret is not valid.
    #[error("`secret` in the configuration can't be used: {0}")]
    Secret(SecretError),
}

impl<'a> Configuration<'a> {
    /// Reads a partition.
    ///
    /// # Errors
    ///
    /// The first mistake in it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ConfigurationError> {
        let entries = Partition::parse(bytes)?;
        Ok(Self {
            wifi: wifi(&entries)?,
            endpoint: endpoint(&entries)?,
            time: TimeServer {
                host: entries.text(Key::TimeHost)?.unwrap_or("pool.ntp.org"),
                port: number(&entries, Key::TimePort, 123)?,
            },
            identity: identity(&entries)?,
            will_topic: will_topic(&entries)?,
            interval: interval(&entries)?,
            ca: entries.c_str(Key::Ca)?.ok_or(ConfigurationError::Missing(Key::Ca))?,
        })
    }
}

fn wifi<'a>(entries: &Partition<'a>) -> Result<Option<Wifi<'a>>, ConfigurationError> {
    let password = entries.text(Key::WifiPassword)?.unwrap_or_default();
    let Some(ssid) = entries.text(Key::Ssid)? else { return Ok(None) };
    if !(1..=32).contains(&ssid.len()) {
        return Err(unusable(Key::Ssid, "use 1 to 32 bytes"));
    }
    if !matches!(password.len(), 0 | 8..=63) {
        return Err(unusable(Key::WifiPassword, "use 8 to 63 characters, or none for an open network"));
    }
    Ok(Some(Wifi { ssid, password }))
}

fn endpoint<'a>(entries: &Partition<'a>) -> Result<Endpoint<'a>, ConfigurationError> {
    let name = required(entries, Key::Host)?;
    let host = entries.c_str(Key::Host)?.ok_or(ConfigurationError::Missing(Key::Host))?;
    let address = match entries.text(Key::Address)? {
        Some(text) => {
            Some(text.parse().map_err(|_| unusable(Key::Address, "use an IP address, or leave it out"))?)
        }
        None => None,
    };
    let alpn = match entries.text(Key::Alpn)?.unwrap_or("on") {
        "on" => true,
        "off" => false,
        _ => return Err(unusable(Key::Alpn, "use `on`, or `off` for a bridge")),
    };
    Ok(Endpoint { host, name, port: number(entries, Key::Port, 443)?, address, alpn })
}

fn will_topic<'a>(entries: &Partition<'a>) -> Result<Option<&'a str>, ConfigurationError> {
    let Some(topic) = entries.text(Key::WillTopic)? else { return Ok(None) };
    if topic.len() > MAX_WILL_TOPIC {
        return Err(unusable(Key::WillTopic, "use at most 128 bytes"));
    }
    if topic.starts_with('$') || topic.contains(['+', '#']) {
        return Err(unusable(Key::WillTopic, "use a topic without `+` and `#` that does not start with `$`"));
    }
    Ok(Some(topic))
}

fn interval(entries: &Partition<'_>) -> Result<Duration, ConfigurationError> {
    let seconds: u16 = number(entries, Key::Interval, 60)?;
    if !(1..=900).contains(&seconds) {
        return Err(unusable(Key::Interval, "use 1 to 900 seconds"));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn identity<'a>(entries: &Partition<'a>) -> Result<Identity<'a>, ConfigurationError> {
    match entries.text(Key::Scheme)?.unwrap_or("password") {
        "password" => password(entries),
        "alibaba" => alibaba(entries),
        "tencent" => tencent(entries),
        "certificate" => certificate(entries),
        _ => Err(unusable(Key::Scheme, "use `password`, `alibaba`, `tencent` or `certificate`")),
    }
}

fn password<'a>(entries: &Partition<'a>) -> Result<Identity<'a>, ConfigurationError> {
    let mut user_name = String::new();
    let too_long = |_| unusable(Key::UserName, "it is too long together with `authorizer`");
    user_name.push_str(required(entries, Key::UserName)?).map_err(too_long)?;
    if let Some(authorizer) = entries.text(Key::Authorizer)? {
        let parameter = if user_name.contains('?') { "&" } else { "?" };
        for part in [parameter, "x-amz-customauthorizer-name=", authorizer] {
            user_name.push_str(part).map_err(too_long)?;
        }
    }
    let password = required(entries, Key::Secret)?;
    if password.len() > MAX_SECRET {
        return Err(unusable(Key::Secret, "use at most 1,024 bytes"));
    }
    Ok(Identity::Password { client_id: client_id(entries)?, user_name, password })
}

/// A vendor's user name is signed, so the authorizer's parameter can't be appended to it.
fn refuse_authorizer(entries: &Partition<'_>) -> Result<(), ConfigurationError> {
    if entries.text(Key::Authorizer)?.is_some() {
        return Err(unusable(
            Key::Authorizer,
            "leave it out: this scheme works only with the default authorizer",
        ));
    }
    Ok(())
}

fn alibaba<'a>(entries: &Partition<'a>) -> Result<Identity<'a>, ConfigurationError> {
    refuse_authorizer(entries)?;
    let (id, name) = (required(entries, Key::ClientId)?, required(entries, Key::DeviceName)?);
    let identity = alibaba::Identity::new(id, name, required(entries, Key::ProductKey)?)
        .map_err(ConfigurationError::Alibaba)?;
    let device = alibaba::Device::new(identity).with_sign_method(sign_method(entries)?);
    let mut whole: String<{ ClientId::MAX_LEN }> = String::new();
    if core::fmt::write(&mut whole, format_args!("{}", device.client_id())).is_err() {
        return Err(ConfigurationError::ClientIdTooLong(id.len()));
    }
    check_client_id(&whole)?;
    let secret = Secret::try_from(required(entries, Key::Secret)?.as_bytes());
    Ok(Identity::Alibaba { device, secret: secret.map_err(ConfigurationError::Secret)? })
}

fn tencent<'a>(entries: &Partition<'a>) -> Result<Identity<'a>, ConfigurationError> {
    refuse_authorizer(entries)?;
    let (product, name) = (required(entries, Key::ProductId)?, required(entries, Key::DeviceName)?);
    let identity = tencent::Identity::new(product, name).map_err(ConfigurationError::Tencent)?;
    let method = match sign_method(entries)? {
        SignMethod::HmacSha256 => tencent::SignMethod::HmacSha256,
        SignMethod::HmacSha1 => tencent::SignMethod::HmacSha1,
        SignMethod::HmacMd5 => {
            return Err(unusable(Key::SignMethod, "use `hmacsha256` or `hmacsha1`"));
        }
    };
    let psk = Secret::from_base64(required(entries, Key::Secret)?).map_err(ConfigurationError::Secret)?;
    Ok(Identity::Tencent { identity, method, psk })
}

fn certificate<'a>(entries: &Partition<'a>) -> Result<Identity<'a>, ConfigurationError> {
    let pem = |key| entries.c_str(key)?.ok_or(ConfigurationError::Missing(key));
    Ok(Identity::Certificate {
        client_id: client_id(entries)?,
        certificate: pem(Key::Certificate)?,
        key: pem(Key::PrivateKey)?,
    })
}

fn client_id<'a>(entries: &Partition<'a>) -> Result<ClientId<'a>, ConfigurationError> {
    check_client_id(required(entries, Key::ClientId)?)
}

/// Checks that the MQTT client can send the client id, and that the topics of the readings may contain it.
fn check_client_id(client_id: &str) -> Result<ClientId<'_>, ConfigurationError> {
    if client_id.len() > MAX_CLIENT_ID {
        return Err(ConfigurationError::ClientIdTooLong(client_id.len()));
    }
    ClientId::try_from(client_id).map_err(ConfigurationError::ClientId)
}

fn sign_method(entries: &Partition<'_>) -> Result<SignMethod, ConfigurationError> {
    let text = entries.text(Key::SignMethod)?.unwrap_or(SignMethod::HmacSha256.as_str());
    text.parse().map_err(|_| unusable(Key::SignMethod, "use `hmacsha256`, `hmacsha1` or `hmacmd5`"))
}

const fn unusable(key: Key, reason: &'static str) -> ConfigurationError {
    ConfigurationError::Unusable(UnusableValue { key, reason })
}

fn required<'a>(entries: &Partition<'a>, key: Key) -> Result<&'a str, ConfigurationError> {
    entries.text(key)?.ok_or(ConfigurationError::Missing(key))
}

fn number<T: FromStr>(entries: &Partition<'_>, key: Key, default: T) -> Result<T, ConfigurationError> {
    match entries.text(key)? {
        Some(text) => text.parse().map_err(|_| unusable(key, "use a whole number")),
        None => Ok(default),
    }
}

#[cfg(test)]
mod tests;
