//! The registry's file, in SQLite: what API calls have made, and what the settings file defines.
//!
//! One thread writes; it commits the changes of many calls in one transaction, and a call is answered after that. Readers have
//! a connection of their own, and never wait for a write. The sessions' file, which is opened first, keeps other gateways away.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use iot_policy::PolicyDocument;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, TransactionBehavior, types::Type};
use serde::{Serialize, de::DeserializeOwned};
use server::database_file::{Durability, FileError, Format, Locking};
use tokio::sync::{mpsc, oneshot};

use super::{
    Certificate, CertificateId, FixedRegistry, Kind, Registry, RegistryError, Thing, certificates, policies,
    seed, things,
};
use crate::{
    clock::Clock,
    settings::{Account, Settings},
};

/// The file's name in the data folder.
pub const FILE: &str = "registry.sqlite3";
/// What the file is. `LtKr` is its mark.
const FORMAT: Format = Format {
    program: "gateway",
    application_id: 0x4c74_4b72,
    versions: &[include_str!("store/version-1.sql"), include_str!("store/version-2.sql")],
    content: "Things, certificates and policies",
    locking: Locking::Shared,
    durability: Durability::Process,
};
/// Calls whose changes are committed in one transaction.
const MAX_GROUP: usize = 256;
/// Calls that wait for the writer; further ones wait to get there.
const MAX_WAITING: usize = 1_024;
/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 128;

/// The registry's file. Dropping it completes the calls that wait, and closes the file.
pub struct RegistryStore {
    context: Context,
    fixed: FixedRegistry,
    reader: Mutex<Connection>,
    calls: Option<mpsc::Sender<Call>>,
    writer: Option<JoinHandle<()>>,
}

/// A registry that can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The settings file contradicts what is in the file.
    #[error(transparent)]
    Entry(#[from] RegistryError),
}

/// The tables, during one call.
pub struct Tables<'a> {
    /// The connection; in a call that writes, its changes are undone if the call fails.
    pub connection: &'a Connection,
    /// The account of ARNs.
    pub account: &'a Account,
    /// The settings file, if the registry has entries of one.
    pub settings_file: &'a Path,
    /// The time, in milliseconds since 1970.
    pub now: i64,
}

#[derive(Clone)]
struct Context {
    account: Arc<Account>,
    settings_file: Arc<Path>,
    clock: Clock,
}

/// Makes a call's changes, and returns what answers it once it is known whether they are in the file.
type Call = Box<dyn FnOnce(&Tables<'_>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(&rusqlite::Result<()>) + Send>;

impl RegistryStore {
    /// Opens the file in the data folder or creates it, and puts what the settings file defines into it.
    ///
    /// # Errors
    ///
    /// When the file can't be used, or the settings file defines what an API call has made.
    pub fn open(settings: &Settings, clock: &Clock) -> Result<Self, OpenError> {
        let path = settings.data.join(FILE);
        let mut connection = FORMAT.open(&path)?;
        let reader = Connection::open(&path).map_err(|error| FORMAT.read_error(&path, error))?;
        for connection in [&connection, &reader] {
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
        }
        let context = Context {
            account: Arc::new(settings.account.clone()),
            settings_file: settings.config.as_deref().unwrap_or(Path::new("latchkey.toml")).into(),
            clock: clock.clone(),
        };
        let fault = |error| FORMAT.read_error(&path, error);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
        seed::write(&context.tables(&transaction), &settings.registry)?;
        transaction.commit().map_err(fault)?;
        let (calls, waiting) = mpsc::channel(MAX_WAITING);
        let theirs = context.clone();
        let writer = thread::spawn(move || write(connection, waiting, &theirs));
        let fixed = settings.registry.clone();
        Ok(Self { context, fixed, reader: Mutex::new(reader), calls: Some(calls), writer: Some(writer) })
    }

    /// The settings file, or the name that it would have.
    #[must_use]
    pub fn settings_file(&self) -> &Path {
        &self.context.settings_file
    }

    /// Does what `read` does with the tables. It must not write, and look at no more than a page of rows.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Tables<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        read(&self.context.tables(&reader))
    }

    /// Does what `write` does with the tables, all of it or nothing, and returns after it is in the file.
    ///
    /// # Errors
    ///
    /// Those of `write`, or that the file can't be written.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Tables<'_>) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let (sender, receiver) = oneshot::channel();
        let call: Call = Box::new(move |tables| {
            let outcome = undone_if_it_fails(tables, write);
            Box::new(move |committed| {
                let outcome = match committed {
                    Ok(()) => outcome,
                    Err(error) => outcome.and_then(|_| Err(RegistryError::File(error.to_string()))),
                };
                // A caller that has gone does not need it.
                _ = sender.send(outcome);
            })
        });
        let calls = self.calls.as_ref().ok_or(RegistryError::Stopped)?;
        calls.send(call).await.map_err(|_| RegistryError::Stopped)?;
        receiver.await.map_err(|_| RegistryError::Stopped)?
    }
}

impl Drop for RegistryStore {
    fn drop(&mut self) {
        self.calls = None;
        // A panic of the writer's was reported when it happened.
        _ = self.writer.take().map(JoinHandle::join);
    }
}

impl Registry for RegistryStore {
    fn certificate(&self, id: &CertificateId) -> Option<Arc<Certificate>> {
        // Those of the settings file, whose policies are parsed already.
        if let Some(fixed) = self.fixed.certificate(id) {
            return Some(fixed);
        }
        let found = self.read(|tables| certificates::usable(tables, id.as_str()));
        found.inspect_err(|error| tracing::error!(%error, "can't look up a certificate")).ok()?.map(Arc::new)
    }

    fn thing(&self, name: &str) -> Option<Arc<Thing>> {
        let thing = self.read(|tables| things::find(tables, name));
        let thing = thing.inspect_err(|error| tracing::error!(%error, "can't look up a Thing")).ok()??;
        Some(Arc::new(thing.into()))
    }

    fn group_policies(&self, thing: &str) -> Vec<PolicyDocument> {
        let found = self.read(|tables| policies::effective(tables, None, Some(thing)));
        let found = found.inspect_err(|error| tracing::error!(%error, "can't look up policies"));
        // Every document was parsed when it was created.
        let documents = found.unwrap_or_default().into_iter();
        documents.filter_map(|(_, document)| PolicyDocument::parse(&document).ok()).collect()
    }
}

impl Tables<'_> {
    /// The ARN of an entry.
    #[must_use]
    pub fn arn(&self, kind: Kind, name: &str) -> String {
        self.account.iot_arn(kind.resource(), name)
    }

    /// Refuses to change an entry of the settings file.
    ///
    /// # Errors
    ///
    /// When it is one.
    pub fn not_of_file(&self, kind: Kind, name: &str, from_file: bool) -> Result<(), RegistryError> {
        if from_file {
            let path = self.settings_file.to_owned();
            return Err(RegistryError::OfSettingsFile { kind, name: name.to_owned(), path });
        }
        Ok(())
    }

    /// The error of an entry that an API call has made and the settings file defines.
    pub(super) fn twice(&self, kind: Kind, name: &str) -> RegistryError {
        RegistryError::Twice { kind, name: name.to_owned(), path: self.settings_file.to_owned() }
    }

    /// The row that a statement selects, if there is one.
    pub(super) fn row<T>(
        &self,
        select: &str,
        parameters: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, RegistryError> {
        Ok(self.connection.prepare_cached(select)?.query_row(parameters, read).optional()?)
    }

    /// The rows that a statement selects.
    pub(super) fn rows<T>(
        &self,
        select: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, RegistryError> {
        let mut statement = self.connection.prepare_cached(select)?;
        Ok(statement.query_map(parameters, read)?.collect::<Result<_, _>>()?)
    }
}

impl Context {
    fn tables<'a>(&'a self, connection: &'a Connection) -> Tables<'a> {
        Tables {
            connection,
            account: &self.account,
            settings_file: &self.settings_file,
            now: self.clock.epoch().unix_millis(self.clock.now()),
        }
    }
}

/// The writer: commits groups of calls until the store is dropped and none waits.
fn write(mut connection: Connection, mut waiting: mpsc::Receiver<Call>, context: &Context) {
    while let Some(first) = waiting.blocking_recv() {
        let mut replies = Vec::new();
        let committed =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
                let tables = context.tables(&transaction);
                replies.push(first(&tables));
                while replies.len() < MAX_GROUP
                    && let Ok(call) = waiting.try_recv()
                {
                    replies.push(call(&tables));
                }
                transaction.commit()
            });
        if let Err(error) = &committed {
            tracing::error!(%error, "can't write the registry's file");
        }
        for reply in replies {
            reply(&committed);
        }
    }
}

/// A value that a column holds as JSON.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// The JSON of a column.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, RegistryError> {
    serde_json::to_string(value).map_err(|error| RegistryError::File(error.to_string()))
}

fn undone_if_it_fails<T>(
    tables: &Tables<'_>,
    write: impl FnOnce(&Tables<'_>) -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    let step = |statement| tables.connection.prepare_cached(statement)?.execute([]);
    step("SAVEPOINT call")?;
    let outcome = write(tables);
    if outcome.is_err() {
        step("ROLLBACK TO call")?;
    }
    step("RELEASE call")?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, lambda::program::Program};

    #[test]
    fn a_file_of_the_first_version_keeps_its_things_and_gets_the_new_tables() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = Format { versions: FORMAT.versions.get(..1).unwrap(), ..FORMAT };
        let connection = earlier.open(&folder.path().join(FILE)).unwrap();
        let thing = "INSERT INTO thing VALUES ('a', 'id', NULL, '{}', 1, 0)";
        connection.execute(thing, []).unwrap();
        drop(connection);
        let settings = Settings::new(folder.path().to_owned(), Program::new("p".into(), Vec::new()));
        for _ in 0..2 {
            let store = RegistryStore::open(&settings, &Clock::Manual(ManualClock::new())).unwrap();
            let thing = store.read(|tables| things::get(tables, "a")).unwrap();
            assert_eq!((&*thing.id, thing.billing_group), ("id", None));
            store.read(|tables| super::super::billing_groups::list(tables, "", "", 1)).unwrap();
        }
    }
}
