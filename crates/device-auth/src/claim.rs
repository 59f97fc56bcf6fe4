//! What a device claims to be, and the evidence for it. Only a JSON Web Token is verified here already.

use credentials::{alibaba, tencent};
use zeroize::Zeroizing;

use crate::{
    certificate::Certificate,
    client_id::ClientId,
    deny_reason::DenyReason,
    device_name::DeviceName,
    jwt::{self, VerifiedToken},
    scheme::Scheme,
};

/// A connect attempt with the name that the device claims.
pub struct IdentifiedRequest<'e> {
    /// The claimed name, and the evidence for it.
    pub claim: Claim<'e>,
    /// The client id that the device asks for. An HTTPS publish has none.
    pub client_id: Option<ClientId>,
    /// The client's certificate, where the endpoint asks for one.
    pub certificate: Option<Certificate<'e>>,
}

/// A device's name, and the evidence for it.
pub struct Claim<'e> {
    /// The claimed name, which is the key of the device's record.
    pub device: DeviceName,
    /// The evidence.
    pub evidence: Evidence<'e>,
}

impl Claim<'_> {
    /// Whether the device presents the same client id, or one of few, at each connect. An Alibaba device can append
    /// anything to it, which no signature covers.
    #[must_use]
    pub fn keeps_client_id(&self) -> bool {
        if let Evidence::Alibaba(login, _) = &self.evidence { login.keeps_client_id() } else { true }
    }

    /// The grant that the device's JSON Web Token names, if the token can stand in for a missing record with it.
    #[must_use]
    pub fn token_grant(&self) -> Option<&str> {
        if let Evidence::Jwt(token) = &self.evidence { token.grant_without_record() } else { None }
    }
}

/// The evidence for a device's name. The record must have the same scheme.
pub enum Evidence<'e> {
    /// A password.
    Password(Password),
    /// Client id and user name, parsed, with the signature or the device token. The device is
    /// `deviceName&productKey`.
    Alibaba(alibaba::Login<'e>, Password),
    /// The user name, parsed, with the signature and its sign method. The device is the client id in it.
    Tencent(tencent::Login<'e>, Password),
    /// A JSON Web Token. It is already verified, because the device's name is in it.
    Jwt(VerifiedToken),
    /// A token whose signature IoT Core has verified. The token is the device's name.
    Token,
}

/// A password. It has no `Debug`, and it is wiped when dropped.
pub struct Password(Zeroizing<Vec<u8>>);

impl Evidence<'_> {
    /// The scheme of the evidence.
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

    /// The password as a JSON Web Token, if it has the form of one.
    #[must_use]
    pub fn as_jwt(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|text| jwt::has_token_shape(text))
    }
}

impl TryFrom<Vec<u8>> for Password {
    type Error = DenyReason;

    fn try_from(bytes: Vec<u8>) -> Result<Self, DenyReason> {
        let password = Self(Zeroizing::new(bytes));
        if password.0.is_empty() { Err(DenyReason::NoPassword) } else { Ok(password) }
    }
}
