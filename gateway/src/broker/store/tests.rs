use std::{fs, time::Duration};

use mqtt::{Publish, QoS, SubscribeFilter, TopicName, Version};

use super::*;
use crate::{
    broker::{
        Broker,
        outbox::{DeliveryLimits, Transmission},
        registration::SessionRequest,
    },
    clock::{Clock, ManualClock},
    quotas::Quotas,
};

struct Folder {
    folder: tempfile::TempDir,
    clock: Clock,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Clock::Manual(ManualClock::new()) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    fn open(&self) -> Result<Arc<Broker>, StoreError> {
        Broker::open(self.folder.path(), &Quotas::AWS.at_any_rate(), &self.clock).map(Arc::new)
    }

    /// A file with a session in which messages wait, and with retained messages.
    async fn with_messages() -> Self {
        let folder = Self::new();
        let (broker, now) = (folder.open().unwrap(), folder.clock.now());
        let registration = broker.register(&"away".into(), request(), now).await.unwrap();
        let filter = SubscribeFilter::new("t/#".parse().unwrap(), QoS::AtLeastOnce);
        registration.subscribe(filter, now).await.unwrap();
        registration.leave(now + Duration::from_hours(1), now).await;
        for n in 0..20 {
            let topic = format!("t/{n}").parse::<TopicName>().unwrap();
            broker.publish("".into(), topic.clone(), message(&topic, n), now).await.unwrap();
        }
        folder
    }

    /// What the file holds: the session's messages, and the number of retained ones.
    async fn content(&self) -> Result<(Vec<String>, usize), StoreError> {
        let (broker, now) = (self.open()?, self.clock.now());
        let registration = broker.register(&"away".into(), request(), now).await.unwrap();
        let mut outbox = registration.outbox().unwrap();
        let mut waiting = Vec::new();
        while let Some(Transmission::Send { publish, .. }) = outbox.next_transmission(now) {
            waiting.push(String::from_utf8(publish.payload.to_vec()).unwrap());
        }
        let retained = broker.operations.retained();
        Ok((waiting, retained))
    }
}

fn request() -> SessionRequest {
    SessionRequest {
        principal_id: "p".into(),
        version: Version::V5,
        clean: false,
        expiry: Duration::from_hours(1),
        limits: DeliveryLimits::of_tests(),
    }
}

fn message(topic: &TopicName, n: usize) -> Publish {
    let payload = format!("{n}-{}", "x".repeat(600));
    Publish { qos: QoS::AtLeastOnce, retain: true, ..Publish::new(topic.clone(), payload) }
}

fn error(folder: &Folder) -> String {
    folder.open().err().map(|error| error.to_string()).unwrap_or_default()
}

#[tokio::test]
async fn what_was_written_is_there_in_its_order_after_a_new_start() {
    let (waiting, retained) = Folder::with_messages().await.content().await.unwrap();
    let expected = (0..20).map(|n| format!("{n}-{}", "x".repeat(600))).collect::<Vec<_>>();
    assert_eq!((waiting, retained), (expected, 20));
}

/// Every damage is either seen, or is in what holds nothing.
#[tokio::test]
async fn a_damaged_file_is_refused_or_holds_what_it_held_but_is_never_half_read() {
    let folder = Folder::with_messages().await;
    let (waiting, retained) = folder.content().await.unwrap();
    let whole = fs::read(folder.file()).unwrap();
    let mut refused = 0;
    for at in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(folder.file(), &damaged).unwrap();
        match folder.content().await {
            Ok(content) => assert_eq!(content, (waiting.clone(), retained), "byte {at}"),
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(text.contains(FILE), "{text}");
            }
        }
    }
    assert!(refused > 10, "{refused} of {} damages were seen", whole.len() / 61);
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_something_else_is_refused_with_the_way_out() {
    let folder = Folder::with_messages().await;
    let whole = fs::read(folder.file()).unwrap();
    for length in [whole.len() / 2, 5_000, 100] {
        fs::write(folder.file(), &whole[..length]).unwrap();
        let text = error(&folder);
        assert!(text.contains("is damaged (") && text.contains("move it away"), "{length}: {text}");
        assert!(text.contains(&folder.file().display().to_string()), "{text}");
    }
    for suffix in ["-wal", ""] {
        let path = folder.folder.path().join(format!("{FILE}{suffix}"));
        fs::write(path, if suffix.is_empty() { b"".as_slice() } else { b"what was written last" }).unwrap();
    }
    assert!(error(&folder).contains("it is empty, and its write-ahead log is not"), "{}", error(&folder));
    fs::remove_file(folder.folder.path().join(format!("{FILE}-wal"))).unwrap();
    fs::write(folder.file(), "no database, and long enough to have a header of a hundred bytes".repeat(9))
        .unwrap();
    assert!(error(&folder).contains("is damaged (file is not a database)"), "{}", error(&folder));
}

#[tokio::test]
async fn another_programs_file_is_left_alone() {
    let folder = Folder::new();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let theirs = fs::read(folder.file()).unwrap();
    assert!(error(&folder).contains("is not a file of this gateway"), "{}", error(&folder));
    assert_eq!(fs::read(folder.file()).unwrap(), theirs, "nothing of it changes");
    let later = Folder::with_messages().await;
    let connection = Connection::open(later.file()).unwrap();
    connection.pragma_update(None, "user_version", FORMAT.versions.len() + 1).unwrap();
    drop(connection);
    assert!(error(&later).contains("or is a later version's"), "{}", error(&later));
}

/// A file as the first version of the tables had it: a session with a subscription and two messages, and a retained message.
const VERSION_1: &str = "
    CREATE TABLE session (
        client_id TEXT PRIMARY KEY, principal_id TEXT NOT NULL, expiry INTEGER NOT NULL, ends_at INTEGER,
        crc INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE subscription (
        client_id TEXT NOT NULL REFERENCES session ON DELETE CASCADE, filter TEXT NOT NULL,
        qos INTEGER NOT NULL CHECK (qos IN (0, 1)), no_local INTEGER NOT NULL CHECK (no_local IN (0, 1)),
        retain_as_published INTEGER NOT NULL CHECK (retain_as_published IN (0, 1)), crc INTEGER NOT NULL,
        PRIMARY KEY (client_id, filter)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE queued (
        id INTEGER PRIMARY KEY, client_id TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
        packet_id INTEGER CHECK (packet_id BETWEEN 1 AND 65535), publish BLOB NOT NULL, expires_at INTEGER,
        crc INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX queued_of_client ON queued (client_id, id);
    CREATE TABLE retained (
        topic TEXT PRIMARY KEY, publish BLOB NOT NULL, expires_at INTEGER, crc INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO session VALUES ('away', 'p', 3600000, NULL, 2834177105);
    INSERT INTO subscription VALUES ('away', 't/#', 1, 0, 0, 3753256769);
    INSERT INTO queued VALUES (7, 'away', NULL, x'320d0003742f310001006669727374', NULL, 3249253896);
    INSERT INTO queued VALUES (9, 'away', NULL, x'320e0003742f320001007365636f6e64', NULL, 517250413);
    INSERT INTO retained VALUES ('t/2', x'310a0003742f32006b657074', NULL, 3383406152);
    PRAGMA application_id = 0x4c744b79;
    PRAGMA user_version = 1;
";

#[tokio::test]
async fn a_file_of_the_first_version_keeps_everything_and_its_sessions_get_a_version_when_they_resume() {
    let [first, other] = [Version::V311, Version::V5];
    for [version, other] in [[first, other], [other, first]] {
        let folder = Folder::new();
        Connection::open(folder.file()).unwrap().execute_batch(VERSION_1).unwrap();
        let now = folder.clock.now();
        for (version, is_resumed) in [(version, true), (version, true), (other, false)] {
            let broker = folder.open().unwrap();
            let request = SessionRequest { version, ..request() };
            let registration = broker.register(&"away".into(), request, now).await.unwrap();
            assert_eq!(registration.resumed.as_ref().map(Vec::len), is_resumed.then_some(1), "{version:?}");
            let mut outbox = registration.outbox().unwrap();
            for payload in ["first", "second"].into_iter().filter(|_| is_resumed) {
                let sent = outbox.next_transmission(now);
                assert!(
                    matches!(&sent, Some(Transmission::Send { publish, .. }) if publish.payload == payload),
                    "{sent:?}"
                );
            }
            assert!(outbox.next_transmission(now).is_none());
            assert_eq!(broker.operations.retained(), 1);
        }
    }
}

#[test]
fn a_file_is_one_gateways_and_its_owners_alone() {
    let folder = Folder::new();
    let first = folder.open().unwrap();
    assert!(error(&folder).contains("another gateway uses"), "{}", error(&folder));
    #[cfg(unix)]
    for file in fs::read_dir(folder.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{:?}", file.path());
    }
    drop(first);
    assert!(folder.open().is_ok(), "its end frees it");
}

/// A full disk, in the middle of what belongs together.
#[tokio::test]
async fn what_can_not_be_written_did_not_happen() {
    let folder = Folder::with_messages().await;
    let (waiting, retained) = folder.content().await.unwrap();
    let (broker, now) = (folder.open().unwrap(), folder.clock.now());
    let limit_pages = |pages: u32| broker.operations.limit_pages(pages);
    let filter = SubscribeFilter::new("t/new".parse().unwrap(), QoS::AtLeastOnce);
    let here = SessionRequest { expiry: Duration::ZERO, ..request() };
    let here = broker.register(&"here".into(), here, now).await.unwrap();
    here.subscribe(filter, now).await.unwrap();
    let keeper = broker.register(&"keeper".into(), request(), now).await.unwrap();
    limit_pages(1);
    let topic = "t/new".parse::<TopicName>().unwrap();
    let large = Publish { payload: vec![b'x'; 100_000].into(), ..message(&topic, 1) };
    let failed = broker.publish("".into(), topic, large, now).await.unwrap_err().to_string();
    assert!(failed.contains("can't write") && failed.contains(FILE), "{failed}");
    assert!(here.outbox().unwrap().next_delivered().is_none(), "nobody gets it");
    let (long, mut subscribed) = (SubscribeFilter::new("t/#".parse().unwrap(), QoS::AtLeastOnce), 0);
    for n in 0..200 {
        let filter = format!("{n}/{}", "f".repeat(200)).parse().unwrap();
        subscribed +=
            usize::from(keeper.subscribe(SubscribeFilter { filter, ..long.clone() }, now).await.is_ok());
    }
    assert!(subscribed < 200);
    limit_pages(1_000_000);
    assert_eq!(broker.operations.retained(), retained, "the new one is not retained");
    keeper.leave(now + Duration::from_hours(1), now).await;
    drop((here, broker));
    assert_eq!(folder.content().await.unwrap(), (waiting, retained));
    let broker = folder.open().unwrap();
    let keeper = broker.register(&"keeper".into(), request(), now).await.unwrap();
    assert_eq!(keeper.resumed.as_ref().unwrap().len(), subscribed, "the file has what the memory had");
}
