//! What is known of one device, checked. Only a store makes one.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use iot_policy::limits::{
    MAX_DISCONNECT_SECONDS, MAX_REFRESH_SECONDS, MIN_DISCONNECT_SECONDS, MIN_REFRESH_SECONDS,
};
use serde::{Deserialize, Serialize};

use crate::{
    client_id::ClientId,
    credential::{budget::FunctionMemory, vendor_secret::LiveSecret, verifier::LiveVerifier},
    device_name::DeviceName,
    grant::Grant,
    request::certificate::Fingerprint,
    scheme::Scheme,
    seal::Keyring,
    unix_time::UnixTime,
};

/// The most verifiers, secrets or certificates that a record may have: the one in use and the one that replaces it.
pub const MAX_VERIFIERS: usize = 2;

/// One device's record.
#[derive(Debug)]
pub struct Record {
    /// How the device proves itself, and what that is checked with.
    pub proof: Proof,
    /// The certificates that the device may have beside it; empty where no door asks for one.
    pub certificates: Vec<Fingerprint>,
    /// A record that is switched off refuses.
    pub enabled: bool,
    /// Which client ids the device may connect with; at least one rule. In Alibaba's scheme they are about what
    /// stands before the client id's first `|`.
    pub client_ids: Vec<ClientIdRule>,
    /// What `{device}` stands for: the device's name, and in a vendor's scheme the device's name there.
    pub device: DeviceName,
    /// What `{product}` stands for, in a vendor's scheme.
    pub product: Option<DeviceName>,
    /// What the device may do once connected.
    pub grant: Arc<Grant>,
    /// Values for the grant's own placeholders, by placeholder name.
    pub parameters: Parameters,
    /// How long the answer lives.
    pub timers: Timers,
    /// Before this moment the device is refused.
    pub not_before: Option<UnixTime>,
    /// From this moment on the device is refused.
    pub not_after: Option<UnixTime>,
}

/// How a device proves itself.
#[derive(Debug)]
pub enum Proof {
    /// By a password that one of these matches: one or two, each with its own expiry.
    Password(Vec<LiveVerifier>),
    /// By a signature with one of these secrets, or by one of them as it is: one or two.
    Alibaba(Vec<LiveSecret>),
    /// By a signature with one of these secrets: one or two.
    Tencent(Vec<LiveSecret>),
    /// By a JSON Web Token.
    Jwt,
    /// By a token that IoT Core has verified.
    Token,
}

/// Values for a grant's placeholders, each of a client id's shape.
pub type Parameters = BTreeMap<String, DeviceName>;

/// A client id, or every client id that begins with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClientIdRule {
    /// This id alone.
    Exact(ClientId),
    /// Every id that begins so, written `prefix*`. The policy still names the actual id.
    Prefix(ClientId),
}

/// When IoT Core asks again and when it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// After how long IoT Core calls the authorizer again.
    pub refresh_after: TimerSeconds,
    /// After how long IoT Core ends the connection, counted from the connect.
    pub disconnect_after: TimerSeconds,
}

/// What the function that loads a record brings along.
#[derive(Clone)]
pub struct FunctionSettings {
    /// Timers for records that don't set their own.
    pub timers: Timers,
    /// What the function has to check verifiers with.
    pub memory: FunctionMemory,
    /// What happens to sealed secrets.
    pub unsealing: Unsealing,
}

/// Whether sealed secrets are opened when a record is loaded.
#[derive(Clone)]
pub enum Unsealing {
    /// They are, and one that can't be opened is an error.
    With(Arc<Keyring>),
    /// They are not: for programs that check records and let nobody in. Such a record has no secrets.
    LeftSealed,
}

/// AWS's range is the same for both timers, so one type serves them.
const RANGE: std::ops::RangeInclusive<u32> = {
    assert!(MIN_REFRESH_SECONDS == MIN_DISCONNECT_SECONDS && MAX_REFRESH_SECONDS == MAX_DISCONNECT_SECONDS);
    MIN_REFRESH_SECONDS..=MAX_REFRESH_SECONDS
};

/// 300 to 86,400 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct TimerSeconds(NonZeroU32);

impl Record {
    /// Whether one of its rules allows `client_id`. In Alibaba's scheme a rule is about the id proper: the parameters
    /// behind its `|` may differ at each connect.
    #[must_use]
    pub fn allows(&self, client_id: &ClientId) -> bool {
        let whole = client_id.as_str();
        let id = match self.proof {
            Proof::Alibaba(_) => whole.split_once('|').map_or(whole, |(id, _)| id),
            _ => whole,
        };
        self.client_ids.iter().any(|rule| rule.allows(id))
    }
}

impl Proof {
    /// The scheme that it belongs to.
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

    /// The verifiers, if it is by password.
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
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (id, rule): (_, fn(ClientId) -> Self) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, Self::Prefix),
            None => (text.as_str(), Self::Exact),
        };
        ClientId::try_from(id).map(rule).map_err(|error| {
            format!("its value is not a client id, nor a prefix of one followed by `*`: {error}")
        })
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

impl Timers {
    /// The same timers, but with a refresh no later than `expires`, as far as AWS's minimum lets that be.
    #[must_use]
    pub fn refreshed_until(self, expires: Option<UnixTime>, now: UnixTime) -> Self {
        Self { refresh_after: self.refresh_after.at_most(expires, now), ..self }
    }

    /// The same timers, but with an end no later than `expires`, as far as AWS's minimum lets that be.
    #[must_use]
    pub fn ended_by(self, expires: Option<UnixTime>, now: UnixTime) -> Self {
        Self { disconnect_after: self.disconnect_after.at_most(expires, now), ..self }
    }
}

impl TimerSeconds {
    /// The seconds.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn at_most(self, expires: Option<UnixTime>, now: UnixTime) -> Self {
        let left = expires.map(|expires| expires.0.saturating_sub(now.0).max(MIN_REFRESH_SECONDS.into()));
        let left = left.and_then(|left| Self::try_from(u32::try_from(left).ok()?).ok());
        left.filter(|left| left.get() < self.get()).unwrap_or(self)
    }
}

impl TryFrom<u32> for TimerSeconds {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        NonZeroU32::new(seconds).filter(|_| RANGE.contains(&seconds)).map(Self).ok_or_else(|| {
            format!("{seconds} seconds: AWS takes {} to {} for a timer", RANGE.start(), RANGE.end())
        })
    }
}

impl From<TimerSeconds> for u32 {
    fn from(seconds: TimerSeconds) -> Self {
        seconds.get()
    }
}
