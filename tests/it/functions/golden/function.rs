//! How a case sets up the function.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use authorizer::{
    handler::Handler,
    jwt::{JwtVerification, KeySource},
    name_digest::NameDigest,
    store::file::FileStore,
};
use device_auth::{
    credential::FreshnessRules,
    jwt::{DEFAULT_DEVICE_CLAIM, Leeway, Rules, keys::Keys},
    record::{FunctionSettings, Unsealing},
    seal::Keyring,
    time::Timers,
    verifier::budget::FunctionMemory,
};
use integration::fixture;
use serde::Deserialize;

/// What differs from the default settings.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FunctionCase {
    require_signature: bool,
    alibaba_freshness_seconds: Option<u64>,
    tencent_expiry: Option<bool>,
    jwt: Option<JwtCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JwtCase {
    /// A file under `golden/`: a public key as PEM, or a JWKS.
    keys: String,
    issuer: Option<String>,
    audience: Option<String>,
    device_claim: Option<String>,
    grant_claim: Option<String>,
    #[serde(default)]
    grants: BTreeSet<String>,
}

impl FunctionCase {
    /// A function over `golden/devices.json`, which takes secrets in plain text.
    pub(crate) fn start(&self) -> Handler<FileStore> {
        let default = FreshnessRules::default();
        Handler {
            require_signature: self.require_signature,
            freshness: FreshnessRules {
                alibaba_window: self.alibaba_freshness_seconds.or(default.alibaba_window),
                tencent_expiry: self.tencent_expiry.unwrap_or(default.tencent_expiry),
            },
            jwt: self.jwt.as_ref().map(JwtCase::read),
            name_digest: NameDigest::random().ok(),
            ..Handler::new(store())
        }
    }
}

impl JwtCase {
    fn read(&self) -> JwtVerification {
        let text = fixture::text(&format!("golden/{}", self.keys));
        let pem = std::path::Path::new(&self.keys).extension().is_some_and(|extension| extension == "pem");
        let keys = if pem { Keys::from_pem(&text) } else { Keys::from_jwks(&text) };
        let rules = Rules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            device_claim: self.device_claim.as_deref().unwrap_or(DEFAULT_DEVICE_CLAIM).to_owned(),
            grant_claim: self.grant_claim.clone(),
            grants: self.grants.clone(),
            ..rules()
        };
        JwtVerification { keys: KeySource::Fixed(Arc::new(keys.unwrap())), rules }
    }
}

/// What is asked of a token by default.
pub(crate) fn rules() -> Rules {
    Rules {
        issuer: None,
        audience: None,
        leeway: Leeway::DEFAULT,
        device_claim: DEFAULT_DEVICE_CLAIM.to_owned(),
        grant_claim: None,
        grants: BTreeSet::new(),
    }
}

/// The records of all cases.
pub(crate) fn store() -> FileStore {
    open(&fixture::path("golden/devices.json"))
}

/// A function over other records, with the default settings.
pub(crate) fn over(path: &Path) -> Handler<FileStore> {
    Handler::new(open(path))
}

fn open(path: &Path) -> FileStore {
    let timers =
        Timers { refresh_after: 3_600.try_into().unwrap(), disconnect_after: 86_400.try_into().unwrap() };
    let unsealing = Unsealing::With(Arc::new(Keyring::empty().allow_plain()));
    let settings = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
    FileStore::open(path, settings).unwrap()
}
