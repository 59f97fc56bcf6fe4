//! The keys under which secrets are sealed.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::{
    data_key::{DataKey, KeyId, KeyIdError},
    sealed_secret::{Form, SECRET_BYTES, SealedSecret},
};
use crate::{
    device_name::DeviceName,
    location::{ALLOW_PLAIN_SECRETS, DATA_KEYS},
};

/// AES-256 keys by id. New secrets are sealed under the current one, and the others still open what they sealed.
///
/// It has no `Debug`, and its keys are wiped when it is dropped.
#[derive(Clone)]
pub struct Keyring {
    keys: BTreeMap<KeyId, DataKey>,
    /// The id of one of `keys`; `None` if there are no keys.
    current: Option<KeyId>,
    plain_allowed: bool,
}

impl Keyring {
    /// A keyring without keys. It opens no sealed secret, and seals none.
    #[must_use]
    pub fn empty() -> Self {
        Self { keys: BTreeMap::new(), current: None, plain_allowed: false }
    }

    /// Reads `{"version":1,"current":"2026-11","keys":{"2026-11":"…","2025-01":"…"}}`, in which each key is the
    /// base64 of 32 bytes, with or without padding.
    ///
    /// # Errors
    ///
    /// What is wrong, and where. The message quotes nothing of the text but key ids.
    pub fn parse(json: &str) -> Result<Self, KeyringError> {
        let (current, keys) = parse(json)?;
        Ok(Self { keys, current: Some(current), plain_allowed: false })
    }

    /// The same keyring, which now also opens secrets in plain text.
    #[must_use]
    pub fn allow_plain(self) -> Self {
        Self { plain_allowed: true, ..self }
    }

    /// A keyring with one new key.
    ///
    /// # Errors
    ///
    /// When the operating system gives no random numbers.
    pub fn generate(id: KeyId) -> Result<Self, KeyringError> {
        Self::empty().rotate(id)
    }

    /// The same keyring with one new key, which becomes the current one.
    ///
    /// # Errors
    ///
    /// When a key has that id already, or the operating system gives no random numbers.
    pub fn rotate(&self, id: KeyId) -> Result<Self, KeyringError> {
        if self.keys.contains_key(&id) {
            return Err(KeyringError::Taken(id));
        }
        let mut rotated = self.clone();
        rotated.keys.insert(id.clone(), DataKey::generate().ok_or(KeyringError::Randomness)?);
        rotated.current = Some(id);
        Ok(rotated)
    }

    /// The text that [`Keyring::parse`] reads, on one line. `None` for a keyring without keys.
    #[must_use]
    pub fn to_json(&self) -> Option<Zeroizing<String>> {
        self.current.as_ref().map(|current| to_json(current, &self.keys))
    }

    /// The ids of all keys, in order.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.keys()
    }

    /// The id of the key that new secrets are sealed under.
    #[must_use]
    pub fn current(&self) -> Option<&KeyId> {
        self.current.as_ref()
    }

    /// Seals a secret of 1 to 256 bytes for one device under the current key: the text form of a
    /// [`SealedSecret`].
    ///
    /// The nonce is 96 random bits (NIST SP 800-38D, 8.2.2), which is good for 2^32 secrets under one key.
    ///
    /// # Errors
    ///
    /// When the secret is empty or too long, the keyring has no key, or the operating system gives no random numbers.
    pub fn seal(&self, secret: &[u8], device: &DeviceName) -> Result<String, SealError> {
        if !SECRET_BYTES.contains(&secret.len()) {
            return Err(SealError::Length);
        }
        let current = self.current.as_ref().and_then(|id| self.keys.get_key_value(id));
        let (id, key) = current.ok_or(SealError::NoKey)?;
        let (nonce, sealed) = key.seal(secret, device).ok_or(SealError::Randomness)?;
        Ok(SealedSecret(Form::Aes256Gcm { key: id.clone(), nonce, sealed }).into())
    }

    /// Opens a secret that was sealed for this device. A secret in plain text opens only after [`Keyring::allow_plain`].
    ///
    /// # Errors
    ///
    /// When the keyring does not have the secret's key, the secret was sealed for another device or is damaged, or it is in
    /// plain text and that is not allowed.
    pub fn open(&self, sealed: &SealedSecret, device: &DeviceName) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match &sealed.0 {
            Form::Plain(secret) if self.plain_allowed => Ok(secret.clone()),
            Form::Plain(_) => Err(SealError::PlainNotAllowed),
            Form::Aes256Gcm { key: id, nonce, sealed } => {
                let key = self.keys.get(id).ok_or_else(|| SealError::UnknownKey(id.clone()))?;
                key.open(*nonce, sealed, device).ok_or_else(|| SealError::Refused(id.clone()))
            }
        }
    }
}

/// Why a text is not a [`Keyring`], or a keyring can't be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The text is not JSON.
    #[error("the keyring is not JSON (line {line}, column {column}): put back a copy of its file")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// The text is JSON, but not a keyring.
    #[error(
        "the keyring should read `{{\"version\":1,\"current\":\"ID\",\"keys\":{{\"ID\":\"KEY\"}}}}`, with each \
         member once, and does not at line {line}, column {column}"
    )]
    Shape {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// Another version of the format.
    #[error(
        "the keyring's version is {found}, and this program reads {known}: run a version that reads it, or put back an earlier \
         file"
    )]
    Version {
        /// What the file says.
        found: u32,
        /// What can be read.
        known: u32,
    },
    /// What `current` says can't be an id.
    #[error("the keyring's `current`: {0}")]
    CurrentId(KeyIdError),
    /// One of the ids can't be one.
    #[error("key {position} of the keyring: {error}")]
    Id {
        /// The position of the key, counted from 1.
        position: usize,
        /// What is wrong.
        error: KeyIdError,
    },
    /// A key of another length, or not base64.
    #[error(
        "the keyring's key `{0}` is not the base64 of 32 bytes; `openssl rand -base64 32` makes such a key"
    )]
    Key(KeyId),
    /// Two keys with the same id.
    #[error("the keyring has two keys `{0}`; each key needs an id of its own")]
    Duplicate(KeyId),
    /// No key has the current id.
    #[error("the keyring's current key `{0}` is not one of its keys; set `current` to the id of one")]
    NoCurrent(KeyId),
    /// The id of a new key is already in use.
    #[error("the keyring already has a key `{0}`; give the new key another id")]
    Taken(KeyId),
    /// No key can be made.
    #[error("the operating system gives no random numbers for a new key")]
    Randomness,
}

/// Why a secret can't be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// An empty secret, or one that is too long.
    #[error("a vendor secret should have {} to {} bytes", SECRET_BYTES.start(), SECRET_BYTES.end())]
    Length,
    /// The keyring is empty.
    #[error(
        "the keyring has no key to seal with: make a keyring with `latchkey fleet keys new` and name it in {DATA_KEYS}"
    )]
    NoKey,
    /// No nonce can be made.
    #[error("the operating system gives no random numbers to seal with")]
    Randomness,
    /// No key of the keyring has that id.
    #[error(
        "the secret is sealed under the key `{0}`, which is not in the keyring that {DATA_KEYS} names: put the key \
         back into it, or set the device's secret again"
    )]
    UnknownKey(KeyId),
    /// The key's bytes, the device's name or the text differ from those at the sealing.
    #[error(
        "the secret can't be opened with the key `{0}`: it was sealed for another device or with another key, or \
         is damaged; set the device's secret again"
    )]
    Refused(KeyId),
    /// The secret is in plain text, and that is not allowed.
    #[error(
        "the secret is in plain text (`$plain$`): seal it, or set {ALLOW_PLAIN_SECRETS}=true if only the function can \
         read the records"
    )]
    PlainNotAllowed,
}

const VERSION: u32 = 1;

/// The version, read first, so that a later version is reported as such, whatever else it changes.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: u32,
    current: String,
    keys: Entries,
}

/// All keys in the file's order, duplicates included: serde's own maps would keep only the last.
struct Entries(Vec<(String, Zeroizing<String>)>);

fn parse(json: &str) -> Result<(KeyId, BTreeMap<KeyId, DataKey>), KeyringError> {
    let Versioned { version } = serde_json::from_str(json).map_err(|error| unreadable(&error))?;
    if version != VERSION {
        return Err(KeyringError::Version { found: version, known: VERSION });
    }
    let document = serde_json::from_str::<Document>(json).map_err(|error| unreadable(&error))?;
    let current = KeyId::try_from(document.current).map_err(KeyringError::CurrentId)?;
    let mut keys = BTreeMap::new();
    for (position, (id, key)) in (1..).zip(document.keys.0) {
        let id = KeyId::try_from(id).map_err(|error| KeyringError::Id { position, error })?;
        let key = DataKey::parse(&key).ok_or_else(|| KeyringError::Key(id.clone()))?;
        if keys.insert(id.clone(), key).is_some() {
            return Err(KeyringError::Duplicate(id));
        }
    }
    if !keys.contains_key(&current) {
        return Err(KeyringError::NoCurrent(current));
    }
    Ok((current, keys))
}

/// Writes the JSON by hand into a buffer of its final size, because a buffer that grows leaves copies of keys in memory. Ids
/// and base64 have no character that JSON escapes.
fn to_json(current: &KeyId, keys: &BTreeMap<KeyId, DataKey>) -> Zeroizing<String> {
    const LONGEST_ENTRY: usize = 128;
    let room = LONGEST_ENTRY.saturating_mul(keys.len().saturating_add(1));
    let mut json = Zeroizing::new(String::with_capacity(room));
    let head = format!("{{\"version\":{VERSION},\"current\":\"{current}\",\"keys\":{{");
    json.push_str(&head);
    for (position, (id, key)) in keys.iter().enumerate() {
        let before = if position == 0 { "\"" } else { ",\"" };
        for part in [before, id.as_str(), "\":\"", &key.to_text(), "\""] {
            json.push_str(part);
        }
    }
    json.push_str("}}");
    json
}

/// The place of the error without serde's message, which may quote a key.
fn unreadable(error: &serde_json::Error) -> KeyringError {
    let (line, column) = (error.line(), error.column());
    if error.is_data() { KeyringError::Shape { line, column } } else { KeyringError::Syntax { line, column } }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> de::Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::seal::data_key::encode;

    /// Bytes 0 to 31.
    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    /// The secret `vendor secret` of the device `sht20` under the key above, by Python's `cryptography` 50.0.2:
    ///
    /// ```sh
    /// python3 -c "
    /// import base64
    /// from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    /// b = lambda x: base64.b64encode(x).decode().rstrip('=')
    /// nonce = bytes(range(12))
    /// sealed = AESGCM(bytes(range(32))).encrypt(nonce, b'vendor secret', b'sht20')
    /// print('\$aes256gcm\$2026-11\$' + b(nonce) + '\$' + b(sealed))"
    /// ```
    const FOREIGN: &str = "$aes256gcm$2026-11$AAECAwQFBgcICQoL$MWe4f6qX4mjoIuXuxWcls3JXhXzaNkAlPr+oI98";

    fn keyring() -> Keyring {
        Keyring::parse(&format!(r#"{{"version":1,"current":"2026-11","keys":{{"2026-11":"{KEY}"}}}}"#))
            .unwrap()
    }

    fn id(text: &str) -> KeyId {
        text.try_into().unwrap()
    }

    fn device(name: &str) -> DeviceName {
        name.try_into().unwrap()
    }

    fn sealed(text: impl Into<String>) -> SealedSecret {
        text.into().try_into().unwrap()
    }

    #[test]
    fn secret_sealed_by_another_implementation_opens() {
        let secret = keyring().open(&sealed(FOREIGN), &device("sht20")).unwrap();
        assert_eq!(secret.as_slice(), b"vendor secret");
    }

    proptest! {
        #[test]
        fn sealed_secret_opens(secret in proptest::collection::vec(any::<u8>(), 1..=256)) {
            let text = keyring().seal(&secret, &device("sht20")).unwrap();
            prop_assert!(text.starts_with("$aes256gcm$2026-11$"));
            let opened = keyring().open(&sealed(text), &device("sht20")).unwrap();
            prop_assert_eq!(opened.as_slice(), secret);
        }
    }

    #[test]
    fn sealing_again_gives_another_text() {
        let seal = || keyring().seal(b"secret", &device("a")).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn another_device_or_another_key_opens_nothing() {
        let refused = Err(SealError::Refused(id("2026-11")));
        for name in ["sht2", "sht200", "SHT20", "other"] {
            assert_eq!(keyring().open(&sealed(FOREIGN), &device(name)), refused, "{name}");
        }
        let other = Keyring::generate(id("2026-11")).unwrap();
        assert_eq!(other.open(&sealed(FOREIGN), &device("sht20")), refused);
    }

    #[test]
    fn flipped_bit_is_refused() {
        let Form::Aes256Gcm { key, nonce, sealed } = sealed(FOREIGN).0 else { panic!("it is sealed") };
        let flipped = |bytes: &[u8], bit: usize| {
            let mut bytes = bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        };
        let nonces = (0..nonce.len() * 8).map(|bit| (flipped(&nonce, bit), sealed.clone()));
        let boxes = (0..sealed.len() * 8).map(|bit| (nonce.to_vec(), flipped(&sealed, bit)));
        for (nonce, sealed) in nonces.chain(boxes) {
            let nonce = nonce.try_into().unwrap();
            let secret = SealedSecret(Form::Aes256Gcm { key: key.clone(), nonce, sealed });
            assert_eq!(keyring().open(&secret, &device("sht20")), Err(SealError::Refused(id("2026-11"))));
        }
    }

    #[test]
    fn rotated_keyring_opens_old_secrets_and_seals_with_the_new_key() {
        let rotated = keyring().rotate(id("2026-12")).unwrap();
        assert_eq!((rotated.current(), rotated.ids().count()), (Some(&id("2026-12")), 2));
        assert_eq!(rotated.open(&sealed(FOREIGN), &device("sht20")).unwrap().as_slice(), b"vendor secret");
        let new = rotated.seal(b"vendor secret", &device("sht20")).unwrap();
        assert!(new.starts_with("$aes256gcm$2026-12$"));
        let unknown = Err(SealError::UnknownKey(id("2026-12")));
        assert_eq!(keyring().open(&sealed(new), &device("sht20")), unknown);
        assert_eq!(rotated.rotate(id("2026-11")).err(), Some(KeyringError::Taken(id("2026-11"))));
    }

    #[test]
    fn plain_text_opens_only_if_allowed() {
        let secret = sealed("$plain$c2VjcmV0");
        assert_eq!(keyring().open(&secret, &device("a")), Err(SealError::PlainNotAllowed));
        assert_eq!(Keyring::empty().open(&secret, &device("a")), Err(SealError::PlainNotAllowed));
        let opened = Keyring::empty().allow_plain().open(&secret, &device("a")).unwrap();
        assert_eq!(opened.as_slice(), b"secret");
        let rotated = keyring().allow_plain().rotate(id("next")).unwrap();
        assert!(rotated.open(&secret, &device("a")).is_ok());
    }

    #[test]
    fn secret_of_a_wrong_length_is_not_sealed() {
        let seal = |keyring: Keyring, length| keyring.seal(&vec![7; length], &device("a")).err();
        assert_eq!(seal(keyring(), 0), Some(SealError::Length));
        assert_eq!(seal(keyring(), 257), Some(SealError::Length));
        assert_eq!(seal(keyring(), 256), None);
        assert_eq!(seal(Keyring::empty().allow_plain(), 1), Some(SealError::NoKey));
    }

    #[test]
    fn written_keyring_can_be_read() {
        let keyring = keyring().rotate(id(&"x".repeat(64))).unwrap().rotate(id("2026-12")).unwrap();
        let json = keyring.to_json().unwrap();
        let again = Keyring::parse(&json).unwrap();
        assert_eq!(again.to_json(), Some(json));
        assert_eq!(again.current(), keyring.current());
        let text = keyring.seal(b"secret", &device("a")).unwrap();
        assert_eq!(again.open(&sealed(text), &device("a")).unwrap().as_slice(), b"secret");
        assert_eq!(Keyring::empty().to_json(), None);
    }

    #[test]
    fn padding_in_a_keyring_is_optional() {
        let padded = format!(r#"{{"version":1,"current":"2026-11","keys":{{"2026-11":"{KEY}="}}}}"#);
        assert_eq!(Keyring::parse(&padded).unwrap().to_json(), keyring().to_json());
    }

    #[test]
    fn malformed_keyring_is_refused_and_never_quoted() {
        let one =
            |current: &str, keys: &str| format!(r#"{{"version":1,"current":"{current}","keys":{{{keys}}}}}"#);
        let (short, long) = (encode(&[7; 31]), encode(&[7; 33]));
        let key = |id: &str, key: &str| format!(r#""{id}":"{key}""#);
        let entry = key("a", KEY);
        for (json, part) in [
            (String::new(), "is not JSON (line 1, column 0): put back"),
            (format!("{{\n{KEY}"), "is not JSON (line 2, column 1): put back"),
            ("[]".to_owned(), "should read `{\"version\":1,\"current\":\"ID\",\"keys\":{\"ID\":\"KEY\"}}`"),
            (format!(r#"{{"version":"{KEY}"}}"#), "should read"),
            (format!(r#"{{"version":1,"current":"a","keys":"{KEY}"}}"#), "should read"),
            (format!(r#"{{"version":1,"current":"a","keys":{{{entry}}},"{KEY}":1}}"#), "should read"),
            (format!(r#"{{"version":1,"current":"a","current":"a","keys":{{{entry}}}}}"#), "should read"),
            (format!(r#"{{"version":1,"version":1,"current":"a","keys":{{{entry}}}}}"#), "should read"),
            (format!(r#"{{"version":1,"keys":{{{entry}}}}}"#), "should read"),
            (r#"{"version":2,"ring":[]}"#.to_owned(), "the keyring's version is 2, and this program reads 1"),
            (one("a", ""), "current key `a` is not one of its keys"),
            (one("b", &entry), "current key `b` is not one of its keys"),
            (one("a b", &entry), "the keyring's `current`: a key's id should be 1 to 64"),
            (one("a", &format!("{entry},{}", key("a/b", KEY))), "key 2 of the keyring: a key's id should be"),
            (one("a", &format!("{entry},{entry}")), "the keyring has two keys `a`"),
            (one("a", &format!(r#"{entry},"\u0061":"{KEY}""#)), "the keyring has two keys `a`"),
            (one("a", &key("a", &short)), "key `a` is not the base64 of 32 bytes; `openssl rand"),
            (one("a", &key("a", &long)), "key `a` is not the base64 of 32 bytes"),
            (one("a", &key("a", &format!("{KEY}!"))), "key `a` is not the base64 of 32 bytes"),
            (one("a", &key("a", "")), "key `a` is not the base64 of 32 bytes"),
        ] {
            let error = Keyring::parse(&json).err().unwrap();
            assert!(error.to_string().contains(part), "{json}: {error}");
            let shown = format!("{error} {error:?}");
            assert!(![KEY, &short, &long].iter().any(|secret| shown.contains(*secret)), "{shown}");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        for (error, part) in [
            (SealError::Length, "a vendor secret should have 1 to 256 bytes"),
            (
                SealError::NoKey,
                "make a keyring with `latchkey fleet keys new` and name it in LATCHKEY_DATA_KEYS",
            ),
            (
                SealError::UnknownKey(id("2025-01")),
                "under the key `2025-01`, which is not in the keyring that LATCHKEY_DATA_KEYS names",
            ),
            (SealError::Refused(id("k")), "was sealed for another device or with another key, or is damaged"),
            (SealError::PlainNotAllowed, "set LATCHKEY_ALLOW_PLAIN_SECRETS=true"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
