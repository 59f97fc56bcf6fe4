//! A device's record after all checks. Only [`crate::store::loader`] makes one.

use std::{collections::BTreeMap, fmt, sync::Arc};

use credentials::{Secret, alibaba};
use serde::{Deserialize, Serialize};

use crate::{
    certificate::Fingerprint,
    client_id::{ClientId, ClientIdError},
    device_name::DeviceName,
    grant::Grant,
    scheme::Scheme,
    seal::Keyring,
    time::{Timers, UnixTime},
    verifier::{LiveVerifier, budget::FunctionMemory},
};

/// The most verifiers, secrets or certificates that a record may have: the one in use and the one that replaces it.
pub const MAX_VERIFIERS: usize = 2;

/// The rules for client ids that a log line shows.
const SHOWN_RULES: usize = 4;

/// One device's record.
#[derive(Debug)]
pub struct Record {
    /// How the device proves its name, with the verifiers or secrets for it.
    pub proof: Proof,
    /// The certificates of which the device must also present one. It is empty if the endpoint asks for none.
    pub certificates: Vec<Fingerprint>,
    /// Whether the device may connect.
    pub enabled: bool,
    /// Which client ids the device may connect with; at least one rule. In Alibaba's scheme a rule is about the text
    /// before the client id's first `|`.
    pub client_ids: Vec<ClientIdRule>,
    /// The value of `{device}`: the device's name, in a vendor's scheme the name that the vendor gave it.
    pub device: DeviceName,
    /// The value of `{product}`, in a vendor's scheme.
    pub product: Option<DeviceName>,
    /// What the device may do once connected.
    pub grant: Arc<Grant>,
    /// Values for the grant's own placeholders, by placeholder name.
    pub parameters: Parameters,
    /// When IoT Core calls the authorizer again, and when it ends the connection.
    pub timers: Timers,
    /// Before this moment the device is refused.
    pub not_before: Option<UnixTime>,
    /// From this moment on the device is refused.
    pub not_after: Option<UnixTime>,
}

/// How a device proves its name.
#[derive(Debug)]
pub enum Proof {
    /// By a password. There are one or two verifiers, each with its own expiry.
    Password(Vec<LiveVerifier>),
    /// By a signature with a secret, or by the secret itself. There are one or two.
    Alibaba(Vec<LiveSecret>),
    /// By a signature with a secret. There are one or two.
    Tencent(Vec<LiveSecret>),
    /// By a JSON Web Token.
    Jwt,
    /// By a token that IoT Core has verified.
    Token,
}

/// Values for a grant's placeholders, each in the form of a client id.
pub type Parameters = BTreeMap<String, DeviceName>;

/// A client id, or every client id that begins with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClientIdRule {
    /// Only this id.
    Exact(ClientId),
    /// Every id with this prefix, written `prefix*`. The policy names the actual id.
    Prefix(ClientId),
}

/// A text that is not a [`ClientIdRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its value is not a client id, nor a prefix of one followed by `*`: {0}")]
pub struct ClientIdRuleError(ClientIdError);

/// The inputs of loading a record besides its document.
#[derive(Clone)]
pub struct FunctionSettings {
    /// Timers for records that don't set their own.
    pub timers: Timers,
    /// The function's memory, which decides whether it can check a verifier in time.
    pub memory: FunctionMemory,
    /// Whether sealed secrets are opened.
    pub unsealing: Unsealing,
}

/// Whether sealed secrets are opened when a record is loaded.
#[derive(Clone)]
pub enum Unsealing {
    /// They are opened, and one that can't be opened is an error.
    With(Arc<Keyring>),
    /// They stay sealed. This is for programs that only check records. Such a record has no secrets.
    LeftSealed,
}

impl Record {
    /// The value of a placeholder other than `{client_id}`, which is the connection's.
    #[must_use]
    pub fn value(&self, placeholder: &str) -> Option<&str> {
        match placeholder {
            "device" => Some(self.device.as_str()),
            "product" => self.product.as_ref().map(DeviceName::as_str),
            other => self.parameters.get(other).map(DeviceName::as_str),
        }
    }

    /// Whether one of the rules allows `client_id`. In Alibaba's scheme a rule is about the text before the first `|`:
    /// the parameters after it may differ at each connect.
    #[must_use]
    pub fn allows(&self, client_id: &ClientId) -> bool {
        allows(&self.client_ids, self.proof.scheme(), client_id)
    }

    /// The client ids that the record allows, for the log: `` `a`, `b*` ``. The first few rules are shown.
    #[must_use]
    pub fn allowed_ids(&self) -> String {
        let rules = self.client_ids.iter().take(SHOWN_RULES);
        let shown = rules.map(|rule| format!("`{}`", String::from(rule.clone()))).collect::<Vec<_>>();
        match self.client_ids.len().saturating_sub(SHOWN_RULES) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

/// Whether one of the rules of a record with this scheme allows `client_id`.
pub(crate) fn allows(rules: &[ClientIdRule], scheme: Scheme, client_id: &ClientId) -> bool {
    let whole = client_id.as_str();
    let id = match scheme {
        Scheme::Alibaba => whole.split_once('|').map_or(whole, |(id, _)| id),
        _ => whole,
    };
    rules.iter().any(|rule| rule.allows(id))
}

impl Proof {
    /// The scheme of the proof.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Password(_) => Scheme::Password,
            Self::Alibaba(_) => Scheme::Alibaba,
            Self::Tencent(_) => Scheme::Tencent,
            Self::Jwt => Scheme::Jwt,
            Self::Token => Scheme::Token,
        }
    }

    /// The verifiers of a password.
    #[must_use]
    pub fn verifiers(&self) -> &[LiveVerifier] {
        if let Self::Password(verifiers) = self { verifiers } else { &[] }
    }
}

impl ClientIdRule {
    /// Whether the rule allows `client_id`.
    #[must_use]
    pub fn allows(&self, client_id: &str) -> bool {
        match self {
            Self::Exact(id) => id.as_str() == client_id,
            Self::Prefix(prefix) => client_id.starts_with(prefix.as_str()),
        }
    }
}

impl TryFrom<String> for ClientIdRule {
    type Error = ClientIdRuleError;

    fn try_from(text: String) -> Result<Self, ClientIdRuleError> {
        let (id, rule): (_, fn(ClientId) -> Self) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, Self::Prefix),
            None => (text.as_str(), Self::Exact),
        };
        ClientId::try_from(id).map(rule).map_err(ClientIdRuleError)
    }
}

impl From<ClientIdRule> for String {
    fn from(rule: ClientIdRule) -> Self {
        match rule {
            ClientIdRule::Exact(id) => id.as_str().to_owned(),
            ClientIdRule::Prefix(prefix) => format!("{prefix}*"),
        }
    }
}

/// A secret with its own expiry. With two of them a device's secret can change without an outage.
#[derive(Debug)]
pub struct LiveSecret {
    /// The secret, opened.
    pub secret: VendorSecret,
    /// When it stops matching. Seconds since 1970.
    pub expires_at: Option<UnixTime>,
}

/// A vendor's secret. Its `Debug` shows only its kind.
pub enum VendorSecret {
    /// Alibaba's `DeviceSecret`.
    DeviceSecret(Secret),
    /// Alibaba's `DeviceToken` of a device that was not registered before.
    DeviceToken {
        /// The token.
        token: Secret,
        /// The `ClientID` that came with it. A token does not cover the id as a signature does, so the record names it.
        id: ClientId,
    },
    /// Tencent's `psk`.
    Psk(Secret),
}

impl LiveSecret {
    /// Whether it has not expired.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.expires_at.is_none_or(|expires| now < expires)
    }
}

impl VendorSecret {
    /// The secret as Alibaba's scheme checks with it, for a device that presents this id.
    #[must_use]
    pub fn alibaba_key(&self, presented_id: &str) -> Option<alibaba::Key<'_>> {
        match self {
            Self::DeviceSecret(secret) => Some(alibaba::Key::DeviceSecret(secret)),
            Self::DeviceToken { token, id } if id.as_str() == presented_id => {
                Some(alibaba::Key::DeviceToken(token))
            }
            Self::DeviceToken { .. } | Self::Psk(_) => None,
        }
    }

    /// The secret as Tencent's scheme checks with it.
    #[must_use]
    pub fn psk(&self) -> Option<&Secret> {
        if let Self::Psk(secret) = self { Some(secret) } else { None }
    }
}

impl fmt::Debug for VendorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeviceSecret(_) => "DeviceSecret(…)",
            Self::DeviceToken { .. } => "DeviceToken(…)",
            Self::Psk(_) => "Psk(…)",
        })
    }
}
