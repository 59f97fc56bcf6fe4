//! From settings to a function that is ready. All IO of the start is here and in what this calls.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context as _;
use device_auth::{
    grant::Grants,
    record::{FunctionSettings, Unsealing},
    store::document::{StoreDocument, VERSION},
};

use crate::{
    config::{Config, GRANTS},
    handler::Handler,
    jwt::JwtVerification,
    keyring_source::KeyringSource,
    metrics::Metrics,
    name_digest::NameDigest,
    store::any::AnyStore,
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
    let grants = grants(config.grants.as_deref())?;
    Ok(Handler {
        store: AnyStore::open(&config.store, config.store_settings, grants, settings, keyring).await?,
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

/// The built-in grants and those in the file.
fn grants(path: Option<&Path>) -> anyhow::Result<Grants> {
    let Some(path) = path else { return Ok(Grants::new(BTreeMap::new())?) };
    let location = || format!("{GRANTS}: `{}`", path.display());
    let text = fs::read_to_string(path).with_context(location)?;
    let document = StoreDocument::parse(&text).with_context(location)?;
    let version = document.version;
    anyhow::ensure!(version == VERSION, "{}: the format's version is {version}, not {VERSION}", location());
    anyhow::ensure!(document.devices.is_empty(), "{}: it has devices, which belong in the table", location());
    Grants::new(document.grants).with_context(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants_of(text: &str) -> Result<Grants, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grants.json");
        fs::write(&file, text).unwrap();
        grants(Some(&file)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn file_of_grants_has_no_devices() {
        let loaded =
            grants_of(r#"{"version":1,"grants":{"line":{"publish":["line/{client_id}"]}}}"#).unwrap();
        assert!(loaded.get("line").is_ok() && loaded.get("sht20").is_ok());
        let cases = [
            (r#"{"version":1,"device":{}}"#, "unknown field `device`"),
            (r#"{"grants":{}}"#, "missing field `version`"),
            (r#"{"version":2,"grants":{}}"#, "version is 2"),
            (r#"{"version":1,"devices":{"a":{"scheme":"jwt","grant":"sht20"}}}"#, "belong in the table"),
            (r#"{"version":1,"grants":{"sht20":{}}}"#, "grant `sht20` is built in"),
        ];
        for (text, part) in cases {
            let error = grants_of(text).unwrap_err();
            assert!(error.contains(part) && error.contains("LATCHKEY_GRANTS"), "{text}: {error}");
        }
    }
}
