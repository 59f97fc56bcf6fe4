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
    record::{FunctionSettings, Record},
    store::{
        Lookup,
        decoys::Decoys,
        document::StoreDocument,
        error::{RecordsError, StoreFormatError},
        loader::Records,
    },
};

use super::{
    Found, Source, Store,
    aws::{self, Call},
    single_flight::{Outage, SingleFlight},
};
use crate::{
    config::store::Deadline,
    fault::{FaultKind, StoreFault},
    moment::Moment,
};

/// A secret with all records. It is read with the first look-up, and again when what was read has become old.
pub struct SecretsManagerStore {
    client: Client,
    settings: SecretsManagerSettings,
    call: Call,
    function: FunctionSettings,
    kept: Mutex<Option<Arc<Contents>>>,
    reading: SingleFlight<(), Result<Arc<Contents>, StoreFault>>,
    outage: Outage,
}

/// How a secret is read.
#[derive(Clone, Debug)]
pub struct SecretsManagerSettings {
    /// The secret.
    pub secret: SecretId,
    /// How long one read may take.
    pub deadline: Deadline,
    /// How long what was read is used.
    pub known: Duration,
    /// How old records may get that stand in while Secrets Manager does not answer. Zero lets none.
    pub stale: Duration,
}

struct Contents {
    records: Records,
    /// Verifiers for names that don't exist.
    decoys: Decoys,
    since: Moment,
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
            function,
            kept: Mutex::default(),
            reading: SingleFlight::new(),
            outage: Outage::default(),
        }
    }

    async fn contents(&self) -> Result<(Arc<Contents>, Source), StoreFault> {
        if let Some(contents) = self.kept_for(self.settings.known) {
            return Ok((contents, Source::Cache));
        }
        let fault = match self.reading.run(&(), || self.read()).await {
            Ok(contents) => return Ok((contents, Source::Store)),
            Err(fault) => fault,
        };
        let contents = self.kept_for(self.settings.stale).filter(|_| fault.kind().is_outage());
        let contents = contents.ok_or_else(|| fault.clone())?;
        self.outage.goes_on(&fault);
        Ok((contents, Source::Stale))
    }

    /// What was read less than `time` ago.
    fn kept_for(&self, time: Duration) -> Option<Arc<Contents>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|contents| contents.since.age(Moment::now()) < time)
    }

    /// Contents are as old as the question.
    async fn read(&self) -> Result<Arc<Contents>, StoreFault> {
        let since = Moment::now();
        let get = self.client.get_secret_value().secret_id(self.settings.secret.as_str());
        let answer =
            self.call.deadline.hold(Box::pin(get.send())).await.ok_or_else(|| self.call.timeout())?;
        let answer = answer.map_err(|error| self.call.fault(&error))?;
        self.outage.is_over();
        let contents = Contents::parse(&answer, self.function.clone(), since)
            .map_err(|why| StoreFault::new(FaultKind::BadRecord, format!("{} {why}", self.call.subject)))?;
        let contents = Arc::new(contents);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&contents));
        Ok(contents)
    }
}

impl Store for SecretsManagerStore {
    /// A fault, unless records that were read before may be used.
    async fn look_up(&self, name: &DeviceName) -> Result<Found, StoreFault> {
        let (contents, source) = self.contents().await?;
        Ok(Found { lookup: contents.get(name), source })
    }

    /// With the grants that were read last: the caller has just looked the name up.
    fn record_from_token(&self, name: &DeviceName, grant: &str) -> Option<Arc<Record>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept?.records.record_from_token(name, grant).ok().map(Arc::new)
    }
}

/// Why a secret is not a store.
#[derive(Debug, thiserror::Error)]
enum SecretError {
    #[error("is binary; it should be the text of a records file")]
    Binary,
    #[error("is empty; it should be the text of a records file")]
    Empty,
    /// Only the line: what is not a records file may be any secret.
    #[error("is not a records file{}; docs/records.md has its form", from_line(.0))]
    Format(#[from] StoreFormatError),
    #[error("holds a records file with a mistake: {0}")]
    Records(#[from] Box<RecordsError>),
}

impl Contents {
    fn parse(
        secret: &GetSecretValueOutput,
        function: FunctionSettings,
        since: Moment,
    ) -> Result<Self, SecretError> {
        let text = match secret.secret_string() {
            Some(text) if !text.is_empty() => text,
            None if secret.secret_binary().is_some() => {
                return Err(SecretError::Binary);
            }
            _ => return Err(SecretError::Empty),
        };
        let records = StoreDocument::parse(text)?.records(function).map_err(Box::new)?;
        let decoys = Decoys::new(records.by_name.values());
        Ok(Self { records, decoys, since })
    }

    fn get(&self, name: &DeviceName) -> Lookup {
        match self.records.by_name.get(name) {
            Some(record) => Lookup::Found(Arc::clone(record)),
            None => Lookup::Unknown { decoy: self.decoys.of(name) },
        }
    }
}

fn from_line(error: &StoreFormatError) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map(|(_, place)| format!(" from line {place} on")).unwrap_or_default()
}
