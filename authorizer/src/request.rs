//! What a device presents, checked for shape: the step from the wire to the domain.

pub mod certificate;
mod http;
mod mqtt;
mod vendor;

use credentials::{alibaba, tencent};
use zeroize::Zeroizing;

use self::certificate::Certificate;
use crate::{
    client_id::ClientId, decision::DenyReason, device_name::DeviceName, event::Event, jwt::VerifiedToken,
    scheme::Scheme,
};

/// A connect attempt whose parts all have the right shape. Nothing in it is verified yet.
pub struct ConnectRequest<'e> {
    /// How the device says who it is.
    pub presented: Presented<'e>,
    /// The client id that the device asks for. An HTTPS publish has none.
    pub client_id: Option<ClientId>,
    /// The client's certificate, behind a door that asks for one.
    pub certificate: Option<Certificate<'e>>,
}

/// What a device presents. The shape alone decides about the variant.
pub enum Presented<'e> {
    /// A name, and what is to prove it.
    Claim(Claim<'e>),
    /// A JSON Web Token, as password or as token. The name is in it, and worth nothing before it is verified.
    Jwt {
        /// The token.
        token: Zeroizing<String>,
        /// The user name beside it, which must be the token's device then.
        user_name: Option<DeviceName>,
    },
}

/// A device's name, with what is to prove it.
pub struct Claim<'e> {
    /// The name that the device says it has, and the name of its record.
    pub device: DeviceName,
    /// What is to prove it.
    pub evidence: Evidence<'e>,
}

/// What is to prove a device's name. A record must name the same scheme.
pub enum Evidence<'e> {
    /// A password.
    Password(Password),
    /// Client id and user name, taken apart, with the signature or the device token. The device is
    /// `deviceName&productKey`.
    Alibaba(alibaba::Presented<'e>, Password),
    /// The user name, taken apart, with the signature and its sign method. The device is the client id in it.
    Tencent(tencent::Presented<'e>, Password),
    /// A JSON Web Token, verified already: its name is not known before.
    Jwt(VerifiedToken),
    /// A token that IoT Core has verified: it is the device's name.
    Token,
}

/// A request of which the device's name is known. Whether it is true is not.
pub struct Claimed<'e> {
    /// The name, and what is to prove it.
    pub claim: Claim<'e>,
    /// As in [`ConnectRequest`].
    pub client_id: Option<ClientId>,
    /// As in [`ConnectRequest`].
    pub certificate: Option<Certificate<'e>>,
}

/// The bytes of a password. No `Debug`, wiped when dropped.
pub struct Password(Zeroizing<Vec<u8>>);

/// What the function demands of every event, whatever it presents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Refuse whatever IoT Core has not checked the token's signature of.
    pub signature: bool,
    /// Take what has the shape of a JSON Web Token as one.
    pub jwt: bool,
}

impl<'e> ConnectRequest<'e> {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// The first thing that is missing or has not its shape.
    pub fn read(event: &'e Event, demands: Demands) -> Result<Self, DenyReason> {
        if demands.signature && event.signature_verified != Some(true) {
            return Err(DenyReason::SignatureNotVerified);
        }
        let data = event.protocol_data.as_ref().ok_or(DenyReason::NoProtocolData)?;
        let certificate = Certificate::read(data.tls.as_ref())?;
        let token = Token { event, jwt: demands.jwt };
        let (presented, client_id) = match (&data.mqtt, &data.http) {
            (Some(mqtt), _) => mqtt::read(mqtt, &token)?,
            (None, Some(http)) => (http::read(http, &token)?, None),
            (None, None) => return Err(DenyReason::NoProtocolData),
        };
        Ok(Self { presented, client_id, certificate })
    }
}

impl<'e> Presented<'e> {
    fn claim(device: DeviceName, evidence: Evidence<'e>) -> Self {
        Self::Claim(Claim { device, evidence })
    }
}

impl Evidence<'_> {
    /// The scheme that it has the shape of.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Password(_) => Scheme::Password,
            Self::Alibaba(..) => Scheme::Alibaba,
            Self::Tencent(..) => Scheme::Tencent,
            Self::Jwt(_) => Scheme::Jwt,
            Self::Token => Scheme::Token,
        }
    }
}

impl Password {
    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The password as a JSON Web Token, if it has the shape of one: `eyJ` is `{"` in base64.
    fn as_jwt(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|text| is_jwt(text))
    }
}

impl TryFrom<Vec<u8>> for Password {
    type Error = DenyReason;

    fn try_from(bytes: Vec<u8>) -> Result<Self, DenyReason> {
        let password = Self(Zeroizing::new(bytes));
        if password.0.is_empty() { Err(DenyReason::NoPassword) } else { Ok(password) }
    }
}

/// The way in by a token, for requests that have no password.
struct Token<'e> {
    event: &'e Event,
    /// Whether JSON Web Tokens are taken.
    jwt: bool,
}

impl<'e> Token<'e> {
    /// What the event's own token presents, if there is one.
    fn presented(&self, user_name: Option<&str>) -> Option<Result<Presented<'e>, DenyReason>> {
        let token = self.event.token.as_ref().filter(|token| !token.is_empty())?;
        Some(user_name.map(mqtt::device).transpose().and_then(|user_name| {
            if self.jwt && is_jwt(token) {
                Ok(Presented::Jwt { token: token.clone(), user_name })
            } else {
                self.signed(token, user_name.as_ref())
            }
        }))
    }

    /// A token that is no JSON Web Token is a device's name, if somebody vouches for it.
    fn signed(&self, token: &str, user_name: Option<&DeviceName>) -> Result<Presented<'e>, DenyReason> {
        if self.event.signature_verified != Some(true) {
            return Err(DenyReason::TokenNotVerified);
        }
        let device = DeviceName::try_from(token).map_err(|_| DenyReason::TokenInvalid)?;
        match user_name {
            Some(other) if *other != device => Err(DenyReason::TokenOtherDevice),
            _ => Ok(Presented::claim(device, Evidence::Token)),
        }
    }
}

fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.contains('.')
}
