use mqtt::{PublishProperties, QoS, TopicName};

use super::*;

const LIMITS: SpoolLimits = SpoolLimits { device_bytes: 1_000_000, total_bytes: 2_000_000 };

/// What a log wrote.
#[derive(Clone, Default)]
struct Written(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    /// The lines of a log that was flushed.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn log() -> (Log, Metrics, Written) {
    let (metrics, written) = (Metrics::new(), Written::default());
    let log = Log::start(true, metrics.clone(), Box::new(written.clone()));
    (log, metrics, written)
}

fn message(text: &str) -> Publish {
    let mut message = Publish::new(TopicName::try_from("a/b").unwrap(), text.as_bytes().to_vec());
    (message.qos, message.packet_id) = (QoS::AtLeastOnce, std::num::NonZeroU16::new(7));
    message
}

fn device(name: &str) -> SpoolDevice {
    SpoolDevice::new(name, Some(name))
}

struct Events(mpsc::UnboundedSender<SpoolEvent>, mpsc::UnboundedReceiver<SpoolEvent>);

impl Events {
    fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self(sender, receiver)
    }

    async fn store(&mut self, spool: &Spool, of: &str, text: &str) -> bool {
        spool.store(device(of), message(text), &self.0).await;
        match self.1.recv().await.unwrap() {
            SpoolEvent::Stored(stored) => stored,
            SpoolEvent::Fetched(_) => panic!("nothing was asked for"),
        }
    }

    async fn fetch(&mut self, spool: &Spool, of: &str, after: u64, limit: usize) -> Vec<(u64, String)> {
        spool.fetch(device(of), after, limit, &self.0).await;
        match self.1.recv().await.unwrap() {
            SpoolEvent::Fetched(messages) => {
                let text = |message: Publish| String::from_utf8(message.payload.to_vec()).unwrap();
                messages.into_iter().map(|(number, message)| (number, text(message))).collect()
            }
            SpoolEvent::Stored(_) => panic!("nothing was to be stored"),
        }
    }
}

fn open(folder: &Path, limits: SpoolLimits) -> Spool {
    let (log, metrics, _) = log();
    Spool::open(folder, limits, log, metrics).unwrap()
}

async fn count(spool: &Spool, name: &str) -> u64 {
    spool.count(device(name), &name.into()).await
}

fn texts(messages: Vec<(u64, String)>) -> Vec<String> {
    messages.into_iter().map(|(_, text)| text).collect()
}

#[tokio::test]
async fn messages_stay_in_their_order_by_device_and_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, mut events) = (open(folder.path(), LIMITS), Events::new());
    for text in ["1", "2", "3"] {
        assert!(events.store(&spool, "a", text).await);
        assert!(events.store(&spool, "b", &format!("b{text}")).await);
    }
    let first = events.fetch(&spool, "a", 0, 2).await;
    assert_eq!(texts(first.clone()), ["1", "2"]);
    spool.delete(device("a"), first[0].0).await;
    spool.delete(device("b"), first[1].0).await;
    assert_eq!((count(&spool, "a").await, count(&spool, "b").await), (2, 3), "it is not b's");
    spool.close().await;
    let spool = open(folder.path(), LIMITS);
    assert_eq!((count(&spool, "a").await, count(&spool, "b").await), (2, 3));
    assert_eq!(texts(events.fetch(&spool, "a", 0, 10).await), ["2", "3"]);
    assert_eq!(texts(events.fetch(&spool, "a", first[1].0, 10).await), ["3"]);
    assert_eq!(spool.count(SpoolDevice::new("a", Some("another user")), &"a".into()).await, 0);
    let same = SpoolDevice::new("a", Some("a?x-amz-customauthorizer-name=latchkey"));
    assert_eq!(spool.count(same, &"a".into()).await, 2);
}

#[tokio::test]
async fn the_oldest_messages_of_a_device_are_dropped_first_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (log, metrics, lines) = log();
    let size = u64::try_from(message("0").to_bytes().unwrap().len()).unwrap() + OVERHEAD_BYTES;
    let limits = SpoolLimits { device_bytes: 3 * size, total_bytes: 4 * size };
    let spool = Spool::open(folder.path(), limits, log.clone(), metrics.clone()).unwrap();
    let mut events = Events::new();
    for text in ["1", "2", "3", "4", "5"] {
        assert!(events.store(&spool, "a", text).await);
    }
    assert_eq!(texts(events.fetch(&spool, "a", 0, 10).await), ["3", "4", "5"]);
    assert!(events.store(&spool, "b", "6").await);
    assert!(events.store(&spool, "b", "7").await);
    assert_eq!(texts(events.fetch(&spool, "b", 0, 10).await), ["7"], "b gives up its own, not a's");
    assert!(events.store(&spool, "c", "8").await);
    assert_eq!(texts(events.fetch(&spool, "a", 0, 10).await), ["4", "5"], "the oldest of all");
    let large = "x".repeat(usize::try_from(4 * size).unwrap());
    assert!(!events.store(&spool, "c", &large).await);
    let text = metrics.text(false).unwrap();
    assert!(text.contains("latchkey_bridge_spool_dropped_total 4\n"), "{text}");
    assert!(text.contains("latchkey_bridge_spool_messages 4\n"), "{text}");
    log.flush();
    let lines = lines.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("SPOOL_FULL")).count(), 2, "{lines:?}");
}

#[tokio::test]
async fn damaged_rows_and_expired_messages_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, mut events) = (open(folder.path(), LIMITS), Events::new());
    for text in ["1", "2", "3"] {
        assert!(events.store(&spool, "a", text).await);
    }
    let mut expiring = message("4");
    let properties = PublishProperties { message_expiry_interval: Some(50), ..PublishProperties::default() };
    expiring.properties = Some(properties.into());
    for _ in 0..2 {
        spool.store(device("a"), expiring.clone(), &events.0).await;
        assert!(matches!(events.1.recv().await, Some(SpoolEvent::Stored(true))));
    }
    spool.close().await;
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.execute("UPDATE message SET packet = zeroblob(9) WHERE number = 1", []).unwrap();
    file.execute("UPDATE message SET checksum = 0 WHERE number = 3", []).unwrap();
    file.execute("UPDATE message SET stored_at = stored_at - 20 WHERE number = 4", []).unwrap();
    file.execute("UPDATE message SET stored_at = stored_at - 51 WHERE number = 5", []).unwrap();
    drop(file);
    let (log, metrics, lines) = log();
    let spool = Spool::open(folder.path(), LIMITS, log.clone(), metrics).unwrap();
    assert_eq!(count(&spool, "a").await, 5);
    spool.fetch(device("a"), 0, 10, &events.0).await;
    let Some(SpoolEvent::Fetched(messages)) = events.1.recv().await else { panic!("no answer") };
    let numbers = messages.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!(numbers, [2, 4]);
    let left = messages[1].1.properties.as_ref().unwrap().message_expiry_interval.unwrap();
    assert!((28..=30).contains(&left), "{left}");
    log.flush();
    let lines = lines.lines();
    let damaged = lines.iter().filter(|line| line.contains("SPOOL_DAMAGED")).collect::<Vec<_>>();
    assert!(damaged.len() == 1 && damaged[0].contains("2 stored messages of `a` can't be read"), "{lines:?}");
    assert_eq!(count(&spool, "a").await, 2);
}

#[tokio::test]
async fn a_damaged_file_is_moved_away_and_another_programs_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, vec![7; 8_192]).unwrap();
    let (log, metrics, lines) = log();
    let spool = Spool::open(folder.path(), LIMITS, log.clone(), metrics).unwrap();
    assert!(Events::new().store(&spool, "a", "1").await);
    spool.close().await;
    log.flush();
    assert!(lines.lines().iter().any(|line| line.contains("SPOOL_DAMAGED")));
    let names = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_str().unwrap().starts_with("spool.sqlite.damaged-")));

    let (folder, second) = (tempfile::tempdir().unwrap(), self::log());
    Connection::open(folder.path().join(FILE)).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let error = Spool::open(folder.path(), LIMITS, second.0, second.1).err().unwrap();
    assert!(matches!(error, FileError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_second_bridge_does_not_share_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), LIMITS);
    let (log, metrics, _) = log();
    let error = Spool::open(folder.path(), LIMITS, log, metrics).err().unwrap();
    assert!(matches!(error, FileError::Busy { .. }), "{error}");
    spool.close().await;
}
