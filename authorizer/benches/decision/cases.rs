//! The cases of the benchmark: a function with a store in a file, and one event for each way to be accepted or refused.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use authorizer::{
    handler::Handler,
    jwt::{JwtVerification, KeySource},
    log,
    metrics::Metrics,
    name_digest::NameDigest,
    store::file::FileStore,
};
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use credentials::{Secret, alibaba, tencent};
use device_auth::{
    binding::AlibabaSessions,
    credential::FreshnessRules,
    jwt::{DEFAULT_DEVICE_CLAIM, Leeway, Rules, keys::Keys},
    record::{FunctionSettings, Unsealing},
    seal::Keyring,
    time::Timers,
    verifier::{Verifier, budget::FunctionMemory},
};
use lambda_runtime::Context;
use serde_json::{Map, Value, json, value::RawValue};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing::Level;

/// The last second of the year 9999.
const FAR_AHEAD: u64 = 253_402_300_799;
/// A password like those of `latchkey fleet add`: 32 bytes in base64url.
const PASSWORD: &str = "Jm0yQ5o8pVn1uT3wXr7kEaLzB4cDfGhI6sKqMxYtRZA";
const WRONG_PASSWORD: &str = "Jm0yQ5o8pVn1uT3wXr7kEaLzB4cDfGhI6sKqMxYtRZB";
/// Names with the same length, so that refusals differ only in their reason.
const KNOWN: &str = "sht20-1";
const DISABLED: &str = "sht20-2";
const UNKNOWN: &str = "sht20-3";
const VENDOR_SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
const HS256_SECRET: [u8; 32] = [7; 32];

/// An event, and whether it is allowed.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) event: Vec<u8>,
    allowed: bool,
}

/// A function as in production, with a log and metrics that are discarded.
pub(crate) struct Decider {
    function: Handler<FileStore>,
    context: Context,
    runtime: Runtime,
    _folder: TempDir,
}

/// Discards the log of this process, at the level of production.
pub(crate) fn discard_log() -> anyhow::Result<()> {
    Ok(tracing::subscriber::set_global_default(log::subscriber(Level::INFO, std::io::sink))?)
}

/// A function with a store of the cases' devices, `more` other devices and a tenth as many grants; and the cases.
pub(crate) fn decider(more: usize) -> anyhow::Result<(Decider, Vec<Case>)> {
    let issuer = Issuer::new()?;
    let cases = cases(&issuer)?;
    let decider = Decider::new(&store(more), issuer.keys()?)?;
    for case in &cases {
        let answer = String::from_utf8(decider.answer(&case.event)?)?;
        let expected = format!(r#"{{"isAuthenticated":{}"#, case.allowed);
        ensure!(answer.starts_with(&expected), "`{}` is answered with {answer}", case.name);
    }
    Ok((decider, cases))
}

impl Decider {
    fn new(store: &Value, keys: Keys) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("devices.json");
        fs::write(&path, store.to_string())?;
        // A file that has just been written is read again at each look-up.
        File::options().write(true).open(&path)?.set_modified(SystemTime::now() - Duration::from_hours(1))?;
        let timer = |seconds: u32| seconds.try_into().map_err(anyhow::Error::msg);
        let timers = Timers { refresh_after: timer(3_600)?, disconnect_after: timer(86_400)? };
        let unsealing = Unsealing::With(Arc::new(Keyring::empty().allow_plain()));
        let settings = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
        let rules = Rules {
            issuer: Some("https://issuer.example".to_owned()),
            audience: Some("latchkey".to_owned()),
            leeway: Leeway::DEFAULT,
            device_claim: DEFAULT_DEVICE_CLAIM.to_owned(),
            grant_claim: None,
            grants: BTreeSet::new(),
        };
        let function = Handler {
            store: FileStore::open(&path, settings)?,
            require_signature: false,
            freshness: FreshnessRules::default(),
            alibaba_sessions: AlibabaSessions::KeptClientIds,
            jwt: Some(JwtVerification { keys: KeySource::Fixed(Arc::new(keys)), rules }),
            name_digest: Some(NameDigest::random()?),
            metrics: Some(Metrics::new("Latchkey".to_owned(), std::io::sink())),
            warm: AtomicBool::new(true),
        };
        let mut context = Context::default();
        "8476a536-e9f4-11e8-9739-2dfe598c3fcd".clone_into(&mut context.request_id);
        "arn:aws:lambda:us-east-1:123456789012:function:latchkey-authorizer"
            .clone_into(&mut context.invoked_function_arn);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { function, context, runtime, _folder: folder })
    }

    /// The bytes of the answer to the bytes of an event.
    pub(crate) fn answer(&self, event: &[u8]) -> anyhow::Result<Vec<u8>> {
        let event = serde_json::from_slice::<Box<RawValue>>(event)?;
        let answer = self.runtime.block_on(self.function.handle(&event, &self.context))?;
        Ok(serde_json::to_vec(&answer)?)
    }
}

fn store(more: usize) -> Value {
    let grants = more / 10;
    let grant = |at| {
        let topic = format!("fleet-{at:05}/{{client_id}}/state");
        (format!("grant-{at:05}"), json!({"publish": [topic], "subscribe": [topic], "receive": [topic]}))
    };
    let grants = (0..grants).map(grant).collect::<Map<_, _>>();
    let mut devices = devices();
    devices.extend((0..more).map(|at| other(at, grants.keys().nth(at / 10))));
    json!({"version": 1, "grants": grants, "devices": devices})
}

/// One of the other devices. Its verifier is its own, and so is its decoy.
fn other(at: usize, grant: Option<&String>) -> (String, Value) {
    let salt = u128::try_from(at).unwrap_or_default().to_be_bytes();
    let verifier = String::from(Verifier::of_generated(PASSWORD.as_bytes(), salt));
    let grant = grant.map_or("sht20", String::as_str);
    let record = json!({"scheme": "password", "verifiers": [{"verifier": verifier}], "grant": grant});
    (format!("other-{at:05}"), record)
}

fn devices() -> Map<String, Value> {
    let verifier = |salt| String::from(Verifier::of_generated(PASSWORD.as_bytes(), [salt; 16]));
    let password = |salt, enabled: bool| {
        let verifiers = json!([{"verifier": verifier(salt)}]);
        json!({"scheme": "password", "verifiers": verifiers, "grant": "sht20", "enabled": enabled})
    };
    let plain = |secret: &[u8]| format!("$plain${}", STANDARD_NO_PAD.encode(secret));
    let psk = STANDARD.encode(VENDOR_SECRET);
    Map::from_iter([
        (KNOWN.to_owned(), password(1, true)),
        (DISABLED.to_owned(), password(2, false)),
        (
            "probe-07&a1ExampleKey".to_owned(),
            json!({"scheme": "alibaba", "secrets": [{"device_secret": plain(VENDOR_SECRET)}], "grant": "alibaba"}),
        ),
        (
            "AB12CD34EFsht20_01".to_owned(),
            json!({"scheme": "tencent", "secrets": [{"psk": plain(psk.as_bytes())}], "grant": "tencent"}),
        ),
        ("gate-1".to_owned(), json!({"scheme": "token", "grant": "own-topics"})),
        ("jwt-1".to_owned(), json!({"scheme": "jwt", "grant": "own-topics"})),
    ])
}

fn cases(issuer: &Issuer) -> anyhow::Result<Vec<Case>> {
    let own = |name, password| connect(name, name, password);
    let es256 = issuer.es256()?;
    let all = [
        ("password", true, own(KNOWN, PASSWORD)),
        ("alibaba", true, alibaba_connect()?),
        ("tencent", true, tencent_connect()?),
        ("token", true, token_connect("gate-1")),
        ("jwt-es256", true, own("jwt-1", &es256)),
        ("jwt-hs256", true, own("jwt-1", &Issuer::hs256())),
        ("unknown", false, own(UNKNOWN, PASSWORD)),
        ("wrong", false, own(KNOWN, WRONG_PASSWORD)),
        ("disabled", false, own(DISABLED, PASSWORD)),
    ];
    let case =
        |(name, allowed, event): (_, _, Value)| Case { name, event: event.to_string().into(), allowed };
    Ok(all.into_iter().map(case).collect())
}

/// The event of a CONNECT.
fn connect(client_id: &str, user_name: &str, password: &str) -> Value {
    let user_name = format!("{user_name}?x-amz-customauthorizer-name=latchkey");
    let mqtt = json!({"username": user_name, "password": STANDARD.encode(password), "clientId": client_id});
    event(&Value::Null, false, &mqtt)
}

fn token_connect(device: &str) -> Value {
    event(&device.into(), true, &json!({"clientId": device}))
}

fn event(token: &Value, signature_verified: bool, mqtt: &Value) -> Value {
    let server = "a1b2c3d4e5f6g7-ats.iot.us-east-1.amazonaws.com";
    json!({
        "token": token,
        "signatureVerified": signature_verified,
        "protocols": ["tls", "mqtt"],
        "protocolData": {"tls": {"serverName": server}, "mqtt": mqtt},
        "connectionMetadata": {"id": "e56f08c3-c559-490f-aa9f-7e8427d0f57b"},
    })
}

fn alibaba_connect() -> anyhow::Result<Value> {
    let identity = alibaba::Identity::new("a1ExampleKey.probe-07", "probe-07", "a1ExampleKey")?;
    let device = alibaba::Device::new(identity).with_timestamp(1_764_000_000_000);
    let password = device.sign(&Secret::try_from(VENDOR_SECRET.as_slice())?);
    Ok(connect(&device.client_id().to_string(), &device.user_name().to_string(), password.as_str()))
}

fn tencent_connect() -> anyhow::Result<Value> {
    let identity = tencent::Identity::new("AB12CD34EF", "sht20_01")?;
    let device = tencent::Device::new(identity, "QW3RT", u64::from(u32::MAX))?;
    let psk = Secret::try_from(VENDOR_SECRET.as_slice())?;
    let password = device.sign(&psk, tencent::SignMethod::HmacSha256);
    Ok(connect(&device.client_id().to_string(), &device.user_name().to_string(), password.as_str()))
}

/// The issuer of the tokens.
struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?))
    }

    fn keys(&self) -> anyhow::Result<Keys> {
        let point = self.0.public_key().as_ref().strip_prefix(&[4]).context("the point is compressed")?;
        let (x, y) = point.split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ES256", "x": text(x), "y": text(y)},
            {"kty": "oct", "alg": "HS256", "kid": "HS256", "k": text(&HS256_SECRET)},
        ]});
        Ok(Keys::from_jwks(&keys.to_string())?)
    }

    fn es256(&self) -> anyhow::Result<String> {
        let signed = claims("ES256");
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn hs256() -> String {
        let signed = claims("HS256");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &HS256_SECRET), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A header with the algorithm, and the claims.
fn claims(algorithm: &str) -> String {
    let header = json!({"alg": algorithm, "kid": algorithm, "typ": "JWT"});
    let claims = json!({
        "iss": "https://issuer.example", "aud": "latchkey", "sub": "jwt-1",
        "iat": 1_764_000_000, "nbf": 1_764_000_000, "exp": FAR_AHEAD,
    });
    [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}
