//! The JSON form of a store: the text of a records file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::StoreFormatError;
use crate::{
    certificate::Fingerprint,
    device_name::DeviceName,
    grant::GrantDefinition,
    record::{ClientIdRule, Parameters},
    scheme::Scheme,
    seal::SealedSecret,
    time::{TimerSeconds, UnixTime},
    unique_keys::unique_keys,
    verifier::LiveVerifier,
};

/// The version of the format that this code reads and writes.
pub const VERSION: u32 = 1;

/// A whole store as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `version`, `grants` and `devices`")]
pub struct StoreDocument {
    /// The format's version, 1.
    pub version: u32,
    /// Grants besides the built-in ones, by name.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, GrantDefinition>,
    /// Records by device name. A file of grants for a table has none.
    #[serde(default, deserialize_with = "unique_keys")]
    pub devices: BTreeMap<DeviceName, RecordDocument>,
}

/// One device's record as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object, as docs/records.md shows a record")]
pub struct RecordDocument {
    /// How the device proves its name.
    pub scheme: Scheme,
    /// One or two verifiers, for the scheme `password`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifiers: Vec<LiveVerifier>,
    /// One or two secrets, for a vendor's scheme.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretDocument>,
    /// Up to two certificates, for an endpoint that asks for one besides the credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Fingerprint>,
    /// Whether the device may connect.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Client ids or `prefix*` rules; the device's own name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ids: Option<Vec<ClientIdRule>>,
    /// The grant's name.
    pub grant: String,
    /// Values for the grant's own placeholders.
    #[serde(default, deserialize_with = "unique_keys", skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Parameters,
    /// Seconds, 300 to 86,400; the function's setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_after_seconds: Option<TimerSeconds>,
    /// Seconds, 300 to 86,400; the function's setting if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnect_after_seconds: Option<TimerSeconds>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixTime>,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<UnixTime>,
}

/// One secret of a vendor's scheme as JSON: exactly one of the three kinds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `device_secret`, `device_token` or `psk`")]
pub struct SecretDocument {
    /// Alibaba's `DeviceSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_secret: Option<SealedSecret>,
    /// Alibaba's `DeviceToken`, with the `id` that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token: Option<SealedSecret>,
    /// The `ClientID` of a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeviceName>,
    /// Tencent's `psk`, base64 as the vendor gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub psk: Option<SealedSecret>,
    /// When it stops matching. Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixTime>,
}

impl RecordDocument {
    /// A record of this scheme and grant, and defaults for everything else.
    #[must_use]
    pub fn new(scheme: Scheme, grant: String) -> Self {
        Self {
            scheme,
            verifiers: Vec::new(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            enabled: true,
            client_ids: None,
            grant,
            parameters: Parameters::new(),
            refresh_after_seconds: None,
            disconnect_after_seconds: None,
            not_before: None,
            not_after: None,
        }
    }

    /// The secrets, of every kind.
    pub fn sealed_secrets(&self) -> impl Iterator<Item = &SealedSecret> {
        self.secrets.iter().flat_map(|it| [&it.device_secret, &it.device_token, &it.psk]).flatten()
    }

    /// The same, for changes.
    pub fn sealed_secrets_mut(&mut self) -> impl Iterator<Item = &mut SealedSecret> {
        let secrets = self.secrets.iter_mut();
        secrets.flat_map(|it| [&mut it.device_secret, &mut it.device_token, &mut it.psk]).flatten()
    }
}

impl StoreDocument {
    /// A store without devices.
    #[must_use]
    pub fn empty() -> Self {
        Self { version: VERSION, grants: BTreeMap::new(), devices: BTreeMap::new() }
    }

    /// Reads a store's text.
    ///
    /// # Errors
    ///
    /// What is wrong, and its line. The message does not quote the value, which may be a password in the wrong place.
    pub fn parse(text: &str) -> Result<Self, StoreFormatError> {
        serde_json::from_str::<Self>(text).map_err(|error| format_error(&error))
    }
}

/// What serde says, without the value.
pub(super) fn format_error(error: &serde_json::Error) -> StoreFormatError {
    StoreFormatError { message: unquoted(&error.to_string()), line: error.line(), column: error.column() }
}

/// Rust's and serde's names of types in JSON's words.
const TYPES: [(&str, &str); 7] = [
    ("u8", "a whole number"),
    ("u16", "a whole number"),
    ("u32", "a whole number"),
    ("u64", "a whole number"),
    ("a boolean", "`true` or `false`"),
    ("a sequence", "a list"),
    ("a map", "an object"),
];

/// What serde expected, without Rust's names.
pub(super) fn in_words(expected: &str) -> &str {
    TYPES.iter().find(|(name, _)| *name == expected).map_or(expected, |(_, words)| words)
}

/// Removes the value from serde's `invalid type: string "…", expected …` and similar messages, but not its type.
fn unquoted(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    if !["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|start| found.starts_with(start))
    {
        return message.to_owned();
    }
    let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
    // The place follows.
    let (wanted, place) = expected.split_at(expected.find(" at line ").unwrap_or(expected.len()));
    format!("{kind}, expected {}{place}", in_words(wanted))
}

fn yes() -> bool {
    true
}
