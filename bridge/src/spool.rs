//! Messages on disk, for the time without a connection to AWS: bounded for each device and together, in the order in which they
//! came.
//!
//! One thread has the file, an SQLite database. It carries out what came meanwhile in one transaction, and answers when that is
//! synced. A power cut loses nothing that was answered.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mqtt::Publish;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use server::database_file::{Durability, FileError, Format, Locking};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::log::{Level, Line, Log};
use crate::metrics::Metrics;
use crate::session::StoredMessage;

/// The file in the data folder.
pub const FILE: &str = "spool.sqlite";
/// Requests that may wait for the thread.
const QUEUE: usize = 1_024;
/// How many requests one transaction carries out.
const BATCH: usize = 256;
/// What a message takes besides its packet, in bytes: number, device, time and index.
const OVERHEAD_BYTES: u64 = 96;

/// What the file is. `LkBr` is its mark.
const FORMAT: Format = Format {
    program: "bridge",
    application_id: 0x4c6b_4272,
    versions: &["
        CREATE TABLE message (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            device BLOB NOT NULL,
            stored_at INTEGER NOT NULL,
            checksum INTEGER NOT NULL,
            packet BLOB NOT NULL
        ) STRICT;
        CREATE INDEX message_of_device ON message (device, number);
    "],
    content: "messages",
    locking: Locking::Exclusive,
    durability: Durability::Disk,
};

/// How much may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// The bytes of one device's messages.
    pub device_bytes: u64,
    /// The bytes of all messages.
    pub total_bytes: u64,
}

/// A device in the spool: a digest of its client id and user name, so that a client id alone leads to no other device's
/// messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpoolDevice([u8; 16]);

impl SpoolDevice {
    /// The device that connects with this client id and user name. Of the user name, the part before `?` counts.
    #[must_use]
    pub fn new(client_id: &str, user_name: Option<&str>) -> Self {
        let user_name = user_name.unwrap_or_default().split('?').next().unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update((client_id.len() as u64).to_be_bytes());
        digest.update(client_id);
        digest.update(user_name);
        let mut device = [0; 16];
        for (to, from) in device.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        Self(device)
    }
}

/// What the spool answers, in the order of the requests.
#[derive(Debug)]
pub enum SpoolEvent {
    /// A message is on disk, or could not be stored.
    Stored(bool),
    /// The messages that were asked for.
    Fetched(Vec<StoredMessage>),
}

/// The spool. Clones use the same file.
#[derive(Clone)]
pub struct Spool {
    requests: mpsc::Sender<Request>,
}

enum Request {
    Store { device: SpoolDevice, message: Publish, events: mpsc::UnboundedSender<SpoolEvent> },
    Fetch { device: SpoolDevice, after: u64, limit: usize, events: mpsc::UnboundedSender<SpoolEvent> },
    Delete { device: SpoolDevice, number: u64 },
    Count { device: SpoolDevice, client_id: Arc<str>, answer: oneshot::Sender<u64> },
    Close { done: oneshot::Sender<()> },
}

impl Spool {
    /// Opens the file in the data folder or creates it, readable by its owner alone. A damaged one is moved away.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub fn open(folder: &Path, limits: SpoolLimits, log: Log, metrics: Metrics) -> Result<Self, FileError> {
        let path = folder.join(FILE);
        let store = match Store::open(&path, limits) {
            Ok(store) => store,
            Err(FileError::Damaged { details, .. }) => {
                let away = move_away(&path)
                    .map_err(|error| FileError::Open { path: path.clone(), error: error.into() })?;
                log.bridge(&Line {
                    level: Level::Error,
                    reason: "SPOOL_DAMAGED",
                    details: Some(details),
                    explanation: Some(format!(
                        "the damaged spool is now `{}`, and an empty one is in use; its messages are lost unless \
                         `sqlite3` can recover them",
                        away.display()
                    )),
                    ..Line::default()
                });
                Store::open(&path, limits)?
            }
            Err(error) => return Err(error),
        };
        let (requests, receiver) = mpsc::channel(QUEUE);
        std::thread::spawn(move || {
            let worker = Worker { store, log, metrics, full: HashSet::new(), names: HashMap::new() };
            worker.run(receiver);
        });
        Ok(Self { requests })
    }

    /// Stores a message and answers with [`SpoolEvent::Stored`].
    pub async fn store(
        &self,
        device: SpoolDevice,
        message: Publish,
        events: &mpsc::UnboundedSender<SpoolEvent>,
    ) {
        self.request(Request::Store { device, message, events: events.clone() }).await;
    }

    /// Reads up to `limit` messages after a number and answers with [`SpoolEvent::Fetched`].
    pub async fn fetch(
        &self,
        device: SpoolDevice,
        after: u64,
        limit: usize,
        events: &mpsc::UnboundedSender<SpoolEvent>,
    ) {
        self.request(Request::Fetch { device, after, limit, events: events.clone() }).await;
    }

    /// Deletes a message.
    pub async fn delete(&self, device: SpoolDevice, number: u64) {
        self.request(Request::Delete { device, number }).await;
    }

    /// How many messages a device has. The log calls it by its client id from now on.
    pub async fn count(&self, device: SpoolDevice, client_id: &Arc<str>) -> u64 {
        let (answer, count) = oneshot::channel();
        self.request(Request::Count { device, client_id: Arc::clone(client_id), answer }).await;
        count.await.unwrap_or_default()
    }

    /// Waits until everything that was asked for is done, and closes the file.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        self.request(Request::Close { done }).await;
        wait.await.unwrap_or_default();
    }

    /// The thread ends only with [`Self::close`]; what comes after that is not stored, and not answered.
    async fn request(&self, request: Request) {
        self.requests.send(request).await.unwrap_or_default();
    }
}

struct Worker {
    store: Store,
    log: Log,
    metrics: Metrics,
    /// The devices about which the log says that messages were dropped.
    full: HashSet<SpoolDevice>,
    /// The client ids of the devices that have connected.
    names: HashMap<SpoolDevice, Arc<str>>,
}

/// What is answered after the transaction.
enum Answer {
    Event(mpsc::UnboundedSender<SpoolEvent>, SpoolEvent),
    Count(oneshot::Sender<u64>, u64),
}

impl Worker {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        self.report(0);
        while let Some(first) = requests.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(request) = requests.try_recv()
            {
                batch.push(request);
            }
            let close = batch.iter().position(|request| matches!(request, Request::Close { .. }));
            let closing = close.map(|position| batch.split_off(position));
            self.carry_out(batch);
            if let Some(Request::Close { done }) = closing.and_then(|rest| rest.into_iter().next()) {
                drop(self.store);
                return done.send(()).unwrap_or_default();
            }
        }
    }

    fn carry_out(&mut self, batch: Vec<Request>) {
        let before = self.store.usage.clone();
        let mut answers = Vec::with_capacity(batch.len());
        let mut failed = None;
        let done = self.store.connection.transaction().map_err(Box::from).and_then(|transaction| {
            let mut step = Step { transaction, usage: &mut self.store.usage, limits: self.store.limits };
            for request in batch {
                if let Request::Count { device, client_id, .. } = &request {
                    self.names.insert(*device, Arc::clone(client_id));
                }
                match step.carry_out(request) {
                    Ok(answer) => answers.extend(answer),
                    Err((answer, error)) => {
                        answers.extend(answer);
                        failed = Some(error);
                    }
                }
            }
            step.transaction.commit().map_err(Box::from)
        });
        if let Err(error) = done {
            self.store.usage = before;
            failed = Some(error);
            for answer in &mut answers {
                match answer {
                    Answer::Event(_, SpoolEvent::Stored(stored)) => *stored = false,
                    Answer::Event(_, SpoolEvent::Fetched(_)) | Answer::Count(..) => {}
                }
            }
        }
        if let Some(error) = failed {
            self.log.bridge(&Line {
                level: Level::Error,
                reason: "SPOOL_FAILED",
                details: Some(error.to_string()),
                explanation: Some(
                    "devices whose messages can't be stored are disconnected, and send them again; is the disk full?"
                        .to_owned(),
                ),
                ..Line::default()
            });
        }
        let dropped = std::mem::take(&mut self.store.usage.dropped);
        let full = std::mem::take(&mut self.store.usage.dropped_of);
        for device in full.into_iter().filter(|device| self.full.insert(*device)).collect::<Vec<_>>() {
            self.log.bridge(&Line {
                level: Level::Error,
                reason: "SPOOL_FULL",
                details: Some(format!("the oldest messages of {} are dropped", self.name(device))),
                explanation: Some(
                    "its share of the spool or the whole spool is used up: raise `--spool` or `total`; \
                     latchkey_bridge_spool_dropped_total counts what is dropped"
                        .to_owned(),
                ),
                ..Line::default()
            });
        }
        for (device, messages) in std::mem::take(&mut self.store.usage.damaged) {
            self.log.bridge(&Line {
                level: Level::Error,
                reason: "SPOOL_DAMAGED",
                details: Some(format!("{messages} stored messages of {} can't be read", self.name(device))),
                explanation: Some(
                    "they are lost, and its other messages go up; is the disk failing?".to_owned(),
                ),
                ..Line::default()
            });
        }
        self.full.retain(|device| self.store.usage.devices.contains_key(device));
        self.report(dropped);
        for answer in answers {
            match answer {
                // The device may be gone.
                Answer::Event(events, event) => _ = events.send(event),
                Answer::Count(answer, count) => _ = answer.send(count),
            }
        }
    }

    fn name(&self, device: SpoolDevice) -> String {
        match self.names.get(&device) {
            Some(client_id) => format!("`{client_id}`"),
            None => format!("a device that has not connected since the start ({})", hex::encode(device.0)),
        }
    }

    fn report(&self, dropped: u64) {
        let usage = &self.store.usage;
        self.metrics.spool(usage.messages, usage.bytes, dropped);
    }
}

struct Store {
    connection: Connection,
    limits: SpoolLimits,
    usage: Usage,
}

/// What the file holds, so that a limit need not be counted.
#[derive(Debug, Default, Clone)]
struct Usage {
    devices: HashMap<SpoolDevice, (u64, u64)>,
    messages: u64,
    bytes: u64,
    /// Messages that were dropped in this transaction.
    dropped: u64,
    /// The devices that they were of.
    dropped_of: HashSet<SpoolDevice>,
    /// How many messages of a device could not be read in this transaction.
    damaged: HashMap<SpoolDevice, u64>,
}

impl Store {
    fn open(path: &Path, limits: SpoolLimits) -> Result<Self, FileError> {
        let connection = FORMAT.open(path)?;
        let usage = Usage::read(&connection).map_err(|error| FORMAT.read_error(path, error))?;
        Ok(Self { connection, limits, usage })
    }
}

impl Usage {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut usage = Self::default();
        let statement = "SELECT device, count(*), sum(length(packet)) FROM message GROUP BY device";
        let mut statement = connection.prepare(statement)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (device, messages, bytes) = (row.get(0)?, row.get::<_, u64>(1)?, row.get::<_, u64>(2)?);
            let bytes = bytes + messages * OVERHEAD_BYTES;
            usage.devices.insert(SpoolDevice(device), (messages, bytes));
            usage.messages += messages;
            usage.bytes += bytes;
        }
        Ok(usage)
    }

    fn of(&self, device: SpoolDevice) -> (u64, u64) {
        self.devices.get(&device).copied().unwrap_or_default()
    }

    fn add(&mut self, device: SpoolDevice, bytes: u64) {
        let (messages, of_device) = self.devices.entry(device).or_default();
        *messages += 1;
        *of_device += bytes;
        self.messages += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, device: SpoolDevice, bytes: u64) {
        if let Some((messages, of_device)) = self.devices.get_mut(&device) {
            *messages = messages.saturating_sub(1);
            *of_device = of_device.saturating_sub(bytes);
            if *messages == 0 {
                self.devices.remove(&device);
            }
        }
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// One transaction.
struct Step<'a> {
    transaction: Transaction<'a>,
    usage: &'a mut Usage,
    limits: SpoolLimits,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Step<'_> {
    fn carry_out(&mut self, request: Request) -> Result<Option<Answer>, (Option<Answer>, BoxError)> {
        match request {
            Request::Store { device, message, events } => match self.store(device, &message) {
                Ok(()) => Ok(Some(Answer::Event(events, SpoolEvent::Stored(true)))),
                Err(error) => Err((Some(Answer::Event(events, SpoolEvent::Stored(false))), error)),
            },
            Request::Fetch { device, after, limit, events } => match self.fetch(device, after, limit) {
                Ok(messages) => Ok(Some(Answer::Event(events, SpoolEvent::Fetched(messages)))),
                // The device asks again after its next acknowledgement or connection.
                Err(error) => {
                    Err((Some(Answer::Event(events, SpoolEvent::Fetched(Vec::new()))), error.into()))
                }
            },
            Request::Delete { device, number } => match self.delete(device, number) {
                Ok(()) => Ok(None),
                Err(error) => Err((None, error.into())),
            },
            Request::Count { device, answer, .. } => Ok(Some(Answer::Count(answer, self.usage.of(device).0))),
            Request::Close { .. } => Ok(None),
        }
    }

    fn store(&mut self, device: SpoolDevice, message: &Publish) -> Result<(), BoxError> {
        let packet = message.to_bytes()?;
        let bytes = packet.len() as u64 + OVERHEAD_BYTES;
        let limits = self.limits;
        if bytes > limits.device_bytes.min(limits.total_bytes) {
            return Err("a message is larger than the spool".into());
        }
        while self.usage.of(device).1 + bytes > limits.device_bytes
            || self.usage.bytes + bytes > limits.total_bytes
        {
            let own = self.usage.of(device).0 > 0;
            if !self.drop_oldest(own.then_some(device))? {
                break;
            }
        }
        let checksum = crc32fast::hash(&packet);
        self.transaction
            .prepare_cached("INSERT INTO message (device, stored_at, checksum, packet) VALUES (?, ?, ?, ?)")?
            .execute(params![device.0, unix_seconds(), checksum, &packet[..]])?;
        self.usage.add(device, bytes);
        Ok(())
    }

    /// Drops the oldest message, of a device or of all. It is false if there is none.
    fn drop_oldest(&mut self, device: Option<SpoolDevice>) -> rusqlite::Result<bool> {
        let found = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u64>(0)?, row.get(1)?));
        let oldest = match device {
            Some(device) => self
                .transaction
                .prepare_cached(
                    "SELECT number, device FROM message WHERE device = ? ORDER BY number LIMIT 1",
                )?
                .query_row([device.0], found),
            None => self
                .transaction
                .prepare_cached("SELECT number, device FROM message ORDER BY number LIMIT 1")?
                .query_row([], found),
        };
        let Some((number, device)) = oldest.optional()? else { return Ok(false) };
        let device = SpoolDevice(device);
        self.delete(device, number)?;
        self.usage.dropped += 1;
        self.usage.dropped_of.insert(device);
        Ok(true)
    }

    fn delete(&mut self, device: SpoolDevice, number: u64) -> rusqlite::Result<()> {
        let bytes = self
            .transaction
            .prepare_cached("DELETE FROM message WHERE number = ? AND device = ? RETURNING length(packet)")?
            .query_row(params![number, device.0], |row| row.get::<_, u64>(0))
            .optional()?;
        if let Some(bytes) = bytes {
            self.usage.remove(device, bytes + OVERHEAD_BYTES);
        }
        Ok(())
    }

    /// Messages that can't be read or have expired are deleted, and others read in their place.
    fn fetch(
        &mut self,
        device: SpoolDevice,
        mut after: u64,
        limit: usize,
    ) -> rusqlite::Result<Vec<StoredMessage>> {
        let now = unix_seconds();
        let mut messages = Vec::new();
        loop {
            let mut useless = Vec::new();
            let mut statement = self.transaction.prepare_cached(
                "SELECT number, stored_at, checksum, packet FROM message WHERE device = ? AND number > ? \
                 ORDER BY number LIMIT ?",
            )?;
            let mut rows = statement.query(params![device.0, after, limit])?;
            let mut read = 0;
            while let Some(row) = rows.next()? {
                read += 1;
                after = row.get(0)?;
                let (stored_at, checksum) = (row.get::<_, i64>(1)?, row.get::<_, u32>(2)?);
                match message(row.get(3)?, checksum, now.saturating_sub(stored_at)) {
                    Ok(message) => messages.push((after, message)),
                    Err(useless_because) => {
                        useless.push(after);
                        if useless_because == Useless::Damaged {
                            *self.usage.damaged.entry(device).or_default() += 1;
                        }
                    }
                }
            }
            drop(rows);
            drop(statement);
            for number in useless {
                self.delete(device, number)?;
                self.usage.dropped += 1;
            }
            if read == 0 || !messages.is_empty() {
                return Ok(messages);
            }
        }
    }
}

/// Why a stored message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Useless {
    /// It is not what was stored.
    Damaged,
    /// Its own expiry interval is over.
    Expired,
}

/// The message of a row.
fn message(packet: Vec<u8>, checksum: u32, age: i64) -> Result<Publish, Useless> {
    if crc32fast::hash(&packet) != checksum {
        return Err(Useless::Damaged);
    }
    let mut message = Publish::from_bytes(&Bytes::from(packet)).map_err(|_| Useless::Damaged)?;
    if let Some(properties) = &mut message.properties
        && let Some(expiry) = properties.message_expiry_interval
    {
        let rest = expiry.saturating_sub(u32::try_from(age.max(0)).unwrap_or(u32::MAX));
        if rest == 0 {
            return Err(Useless::Expired);
        }
        Arc::make_mut(properties).message_expiry_interval = Some(rest);
    }
    Ok(message)
}

fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Renames a file and the write-ahead log next to it.
fn move_away(path: &Path) -> std::io::Result<PathBuf> {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let away = format!(".damaged-{}", unix_seconds());
    std::fs::rename(path, named(&away))?;
    for suffix in ["-wal", "-shm"] {
        // It may not exist.
        std::fs::rename(named(suffix), named(&format!("{away}{suffix}"))).unwrap_or_default();
    }
    Ok(named(&away))
}

#[cfg(test)]
mod tests;
