//! From settings to a function that is ready. All IO of the start is here and in what this calls.

use std::sync::{Arc, atomic::AtomicBool};

use anyhow::Context as _;
use device_auth::record::{FunctionSettings, Unsealing};

use crate::{
    config::Config, handler::Handler, jwt::JwtVerification, keyring_source::KeyringSource, metrics::Metrics,
    name_digest::NameDigest, store::any::AnyStore,
};

/// Sets the function up.
///
/// # Errors
///
/// What can't be read or reached, with its setting.
pub async fn function(config: Config) -> anyhow::Result<Handler<AnyStore>> {
    let keyring =
        KeyringSource { location: config.keyring, root: config.root, plain_secrets: config.plain_secrets };
    let settings = FunctionSettings {
        timers: config.timers,
        memory: config.memory,
        unsealing: Unsealing::With(Arc::new(keyring.load().await?)),
    };
    Ok(Handler {
        store: AnyStore::open(&config.store, config.store_settings, config.grants, settings, keyring).await?,
        require_signature: config.require_signature,
        freshness: config.freshness,
        alibaba_sessions: config.alibaba_sessions,
        jwt: config.jwt.map(JwtVerification::new).transpose()?,
        name_digest: Some(match config.digest_key {
            Some(digest) => digest,
            None => NameDigest::random().context("this system has no random numbers")?,
        }),
        metrics: config.metrics.map(|namespace| Metrics::new(namespace, cli::output::stdout())),
        warm: AtomicBool::new(false),
    })
}
