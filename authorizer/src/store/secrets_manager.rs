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
        document::StoreDocument,
        error::{RecordsError, StoreFormatError},
        snapshot::Snapshot,
    },
};

use super::{
    Source, Store, StoreAnswer,
    aws::{self, Call},
    single_flight::{Outage, SingleFlight},
};
use crate::{
    config::store::Deadline,
    fault::{FaultKind, StoreFault},
    moment::Moment,
};

/// A secret with all records. The first look-up reads it, and later ones read it again after `known` has passed.
pub struct SecretsManagerStore {
    client: Client,
    settings: SecretsManagerSettings,
    call: Call,
    function: FunctionSettings,
    cached: Mutex<Option<Arc<Contents>>>,
    flights: SingleFlight<(), Result<Arc<Contents>, StoreFault>>,
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
            cached: Mutex::default(),
            flights: SingleFlight::new(),
            outage: Outage::default(),
        }
    }

    async fn contents(&self) -> Result<(Arc<Contents>, Source), StoreFault> {
        if let Some(contents) = self.read_within(self.settings.known) {
            return Ok((contents, Source::Cache));
        }
        let fault = match self.flights.run(&(), || self.read()).await {
            Ok(contents) => return Ok((contents, Source::Store)),
            Err(fault) => fault,
        };
        let contents = self.read_within(self.settings.stale).filter(|_| fault.kind().is_outage());
        let contents = contents.ok_or_else(|| fault.clone())?;
        self.outage.goes_on(&fault);
        Ok((contents, Source::Stale))
    }

    /// What was read less than `time` ago.
    fn read_within(&self, time: Duration) -> Option<Arc<Contents>> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cached.filter(|contents| contents.since.age(Moment::now()) < time)
    }

    /// Reads the secret. The age of the contents counts from the question.
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

impl Contents {
    fn parse(
        secret: &GetSecretValueOutput,
        function: FunctionSettings,
        since: Moment,
    ) -> Result<Self, SecretError> {
        let text = match secret.secret_string() {
            Some(text) if !text.is_empty() => text,
            None if secret.secret_binary().is_some() => return Err(SecretError::Binary),
            _ => return Err(SecretError::Empty),
        };
        let records = StoreDocument::parse(text)?.records(function).map_err(Box::new)?;
        Ok(Self { snapshot: Snapshot::new(records), since })
    }
}
