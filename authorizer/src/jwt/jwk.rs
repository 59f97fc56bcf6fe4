//! Keys in JSON (RFC 7517, with RFC 8037 for Ed25519).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    key::Key,
    keys_error::{KeyError, KeysError},
};

/// The keys of a list, each with what is wrong with it where something is. They are borrowed from the text until they
/// are read one by one: secrets are not copied about.
pub(super) fn keys(text: &str) -> Result<impl Iterator<Item = Result<Key, KeyError>>, KeysError> {
    let not_jwks = |line, column| KeysError::NotJwks { line, column };
    if !is_object(text) {
        return Err(not_jwks(1, 1));
    }
    // serde_json's own message might quote a secret that stands in the wrong place.
    let set: JwkSet = serde_json::from_str(text).map_err(|e| not_jwks(e.line(), e.column()))?;
    Ok(set.keys.into_iter().map(|raw| read::<Jwk>(raw.get()).ok_or(KeyError::Members)?.key()))
}

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The members that say something here; others are passed over (RFC 7517, section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<Zeroizing<String>>,
    d: Option<IgnoredAny>,
}

impl Jwk {
    fn key(self) -> Result<Key, KeyError> {
        if self.d.is_some() {
            return Err(KeyError::Private);
        }
        if !self.is_for_signatures() {
            return Err(KeyError::OtherUse);
        }
        let key = self.material()?;
        if self.alg.is_some_and(|alg| Algorithm::named(&alg) != Some(key.algorithm())) {
            return Err(KeyError::OtherAlgorithm);
        }
        Ok(key.with_id(self.kid))
    }

    fn is_for_signatures(&self) -> bool {
        self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"))
    }

    fn material(&self) -> Result<Key, KeyError> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Key::ec_coordinates(&bytes(self.x.as_ref())?, &bytes(self.y.as_ref())?),
            ("OKP", Some("Ed25519")) => Key::ed25519_bytes(&bytes(self.x.as_ref())?),
            ("RSA", _) => Key::rsa_components(&bytes(self.n.as_ref())?, &bytes(self.e.as_ref())?),
            ("oct", _) => {
                let encoded = self.k.as_ref().ok_or(KeyError::Members)?;
                let secret =
                    URL_SAFE_NO_PAD.decode(encoded.as_bytes()).map_err(|_| KeyError::NotBase64Url)?;
                Key::secret(&Zeroizing::new(secret))
            }
            _ => Err(KeyError::UnknownType),
        }
    }
}

fn bytes(member: Option<&String>) -> Result<Vec<u8>, KeyError> {
    let text = member.ok_or(KeyError::Members)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::NotBase64Url)
}

fn read<T: DeserializeOwned>(json: &str) -> Option<T> {
    is_object(json).then(|| serde_json::from_str(json).ok()).flatten()
}

/// serde would take a list of the same values in the right order as well.
fn is_object(json: &str) -> bool {
    json.trim_start().starts_with('{')
}
