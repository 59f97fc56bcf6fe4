//! Records in one secret of AWS Secrets Manager: the whole records file, for a small fleet.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{Client, config::Builder, operation::get_secret_value::GetSecretValueOutput};
use device_auth::{
    device_name::DeviceName,
    location::SecretId,
    record::FunctionSettings,
    store::{
        error::{RecordsError, StoreFormatError},
        snapshot::Snapshot,
        text::StoreText,
    },
};

use super::{
    Source, Store, StoreAnswer,
    aws::{self, Call},
    followed::{Current, Followed},
    single_flight::{Outage, SingleFlight},
};
use crate::{
    config::store::Deadline,
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
    moment::Moment,
};

/// A secret with all records. The first look-up reads it, and later ones read it again after `known` has passed.
///
/// It is also read again after the keyring has changed. If the text or the keyring can't be used as a whole, the last usable
/// records stay in force, and each look-up writes an error line.
pub struct SecretsManagerStore {
    client: Client,
    settings: SecretsManagerSettings,
    call: Call,
    function: Followed<FunctionSettings>,
    cached: Mutex<Option<Arc<Contents>>>,
    flights: SingleFlight<u64, Result<Arc<Contents>, StoreFault>>,
    outage: Outage,
}

/// How a secret is read.
#[derive(Clone, Debug)]
pub struct SecretsManagerSettings {
    /// The secret.
    pub secret: SecretId,
    /// How long one read may take.
    pub deadline: Deadline,
    /// How long the records are used before the secret is read again.
    pub known: Duration,
    /// The greatest age of records that are used while Secrets Manager does not answer. With zero none are used.
    pub stale: Duration,
}

/// The records of a secret, and when they were asked for.
struct Contents {
    snapshot: Snapshot,
    since: Moment,
    /// The version of the function's settings with which they were made.
    version: u64,
}

impl SecretsManagerStore {
    /// A store on the secret in the account and region of `aws`. It makes no call yet.
    #[must_use]
    pub fn new(aws: &SdkConfig, settings: SecretsManagerSettings, function: FunctionSettings) -> Self {
        let client = Builder::from(aws)
            .timeout_config(aws::timeouts(settings.deadline))
            .retry_config(aws::retries())
            .build();
        let call = Call {
            service: "Secrets Manager",
            subject: format!("the secret `{}`", settings.secret),
            permission: "`secretsmanager:GetSecretValue` on it, and `kms:Decrypt` if it has a key of your own",
            more_capacity: "set LATCHKEY_CACHE_SECONDS higher",
            deadline: settings.deadline,
        };
        Self {
            client: Client::from_conf(client),
            settings,
            call,
            function: Followed::settings(function),
            cached: Mutex::default(),
            flights: SingleFlight::new(),
            outage: Outage::default(),
        }
    }

    /// The same store, which also follows changes of the keyring. `keyring` is the one that the function's settings have.
    #[must_use]
    pub fn following(self, keyring: KeyringSource) -> Self {
        Self { function: self.function.with_keyring(keyring), ..self }
    }

    async fn contents(&self) -> Result<(Arc<Contents>, Source), StoreFault> {
        let Current { value: function, version, is_stale } = self.function.current().await;
        let fresh = self.last().filter(|last| last.version == version);
        if let Some(contents) = fresh.filter(|fresh| fresh.since.age(Moment::now()) < self.settings.known) {
            return Ok((contents, if is_stale { Source::Stale } else { Source::Cache }));
        }
        let fault = match self.flights.run(&version, || self.read(&function, version)).await {
            Ok(contents) => return Ok((contents, if is_stale { Source::Stale } else { Source::Store })),
            Err(fault) => fault,
        };
        if fault.kind() == FaultKind::BadRecord {
            let contents = self.last().ok_or_else(|| fault.clone())?;
            super::report_stale(&fault);
            return Ok((contents, Source::Stale));
        }
        let last = self.last().filter(|last| last.since.age(Moment::now()) < self.settings.stale);
        let contents = last.filter(|_| fault.kind().is_outage()).ok_or_else(|| fault.clone())?;
        self.outage.goes_on(&fault);
        Ok((contents, Source::Stale))
    }

    /// What was read last.
    fn last(&self) -> Option<Arc<Contents>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the secret. The age of the contents counts from the question.
    async fn read(&self, function: &FunctionSettings, version: u64) -> Result<Arc<Contents>, StoreFault> {
        let since = Moment::now();
        let get = self.client.get_secret_value().secret_id(self.settings.secret.as_str());
        let answer =
            self.call.deadline.hold(Box::pin(get.send())).await.ok_or_else(|| self.call.timeout())?;
        let answer = answer.map_err(|error| self.call.fault(&error))?;
        self.outage.is_over();
        let snapshot = snapshot(&answer, function.clone())
            .map_err(|why| StoreFault::new(FaultKind::BadRecord, format!("{} {why}", self.call.subject)))?;
        let contents = Arc::new(Contents { snapshot, since, version });
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&contents));
        Ok(contents)
    }
}

impl Store for SecretsManagerStore {
    async fn look_up(&self, name: &DeviceName, token_grant: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        let (contents, source) = self.contents().await?;
        Ok(StoreAnswer { lookup: contents.snapshot.look_up(name, token_grant), source })
    }
}

/// Why a secret is not a store.
#[derive(Debug, thiserror::Error)]
enum SecretError {
    #[error("is binary; it should be the text of a records file")]
    Binary,
    #[error("is empty; it should be the text of a records file")]
    Empty,
    /// The message has only the place, because the text may be any secret.
    #[error(
        "is not a records file from line {} column {} on; docs/records.md has its form", .0.line, .0.column
    )]
    Format(#[from] StoreFormatError),
    #[error("holds a records file with a mistake: {0}")]
    Records(#[from] Box<RecordsError>),
}

fn snapshot(secret: &GetSecretValueOutput, function: FunctionSettings) -> Result<Snapshot, SecretError> {
    let text = match secret.secret_string() {
        Some(text) if !text.is_empty() => text,
        None if secret.secret_binary().is_some() => return Err(SecretError::Binary),
        _ => return Err(SecretError::Empty),
    };
    let records = StoreText::parse(text)?.records(function).map_err(Box::new)?;
    super::report_unusable(&records);
    Ok(Snapshot::new(records))
}
