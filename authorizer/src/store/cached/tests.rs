use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    time::Duration,
};

use tokio::time::advance;

use super::*;
use crate::{
    credential::{budget::FunctionMemory, verifier::Verifier},
    record::{FunctionSettings, Timers},
    store::{
        FaultKind,
        document::{RecordDocument, StoreDocument},
    },
};

/// A store that counts its look-ups and does as it is told.
#[derive(Default)]
struct Told {
    records: RefCell<HashMap<String, Arc<Record>>>,
    fault: Cell<Option<FaultKind>>,
    calls: Cell<usize>,
    hangs: Cell<bool>,
}

impl Store for Told {
    async fn find(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        self.calls.set(self.calls.get() + 1);
        tokio::task::yield_now().await;
        if self.hangs.get() {
            std::future::pending::<()>().await;
        }
        if let Some(kind) = self.fault.get() {
            return Err(StoreFault::new(kind, "told so"));
        }
        Ok(match self.records.borrow().get(name.as_str()) {
            Some(record) => Lookup::Found(Arc::clone(record)),
            None => Lookup::Unknown { decoy: Arc::from([]) },
        })
    }

    fn vouched(&self, _: &DeviceName, _: &str) -> Result<Arc<Record>, String> {
        Err("nobody vouches here".to_owned())
    }
}

impl Told {
    fn with(names: &[&str]) -> Self {
        let told = Self::default();
        told.records.borrow_mut().extend(names.iter().map(|name| ((*name).to_owned(), record())));
        told
    }

    /// How many look-ups there were since it was last asked.
    fn calls(&self) -> usize {
        self.calls.take()
    }
}

fn record() -> Arc<Record> {
    let verifier = String::from(Verifier::of_generated(b"secret", [7; 16]));
    let record = serde_json::json!(
        {"scheme": "password", "verifiers": [{"verifier": verifier}], "grant": "own-topics"}
    );
    let record = serde_json::from_value::<RecordDocument>(record).unwrap();
    let timers = Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
    let unsealing = crate::record::Unsealing::LeftSealed;
    let function = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
    let devices = BTreeMap::from([(name("a"), record)]);
    let document = StoreDocument { devices, ..StoreDocument::empty() };
    document.records(function).unwrap().by_name.remove("a").unwrap()
}

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings() -> CacheSettings {
    let entries = NonZeroUsize::new(100).unwrap();
    CacheSettings { entries, known: seconds(60), unknown: seconds(10), stale: seconds(0) }
}

async fn source(cached: &Cached<&Told>, device: &str) -> Result<&'static str, FaultKind> {
    let found = cached.find_with_source(&name(device)).await.map_err(|fault| fault.kind())?;
    Ok(found.from.as_str())
}

async fn is_known(cached: &Cached<&Told>, device: &str) -> bool {
    matches!(cached.find(&name(device)).await.unwrap(), Lookup::Found(_))
}

#[tokio::test(start_paused = true)]
async fn a_record_is_kept_for_its_time_and_no_longer() {
    let told = Told::with(&["a"]);
    let cached = Cached::new(&told, settings());
    assert_eq!(source(&cached, "a").await, Ok("miss"));
    advance(seconds(59)).await;
    assert_eq!(source(&cached, "a").await, Ok("hit"));
    advance(seconds(1)).await;
    assert_eq!(source(&cached, "a").await, Ok("miss"), "being used does not keep it");
    assert_eq!(told.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_is_kept_for_a_shorter_time() {
    let told = Told::default();
    let cached = Cached::new(&told, settings());
    assert!(!is_known(&cached, "a").await);
    told.records.borrow_mut().insert("a".to_owned(), record());
    advance(seconds(9)).await;
    assert!(!is_known(&cached, "a").await);
    advance(seconds(1)).await;
    assert!(is_known(&cached, "a").await);
    assert_eq!(told.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_removed_is_forgotten() {
    let told = Told::with(&["a"]);
    let cached = Cached::new(&told, CacheSettings { stale: seconds(600), ..settings() });
    assert!(is_known(&cached, "a").await);
    told.records.borrow_mut().clear();
    advance(seconds(60)).await;
    assert!(!is_known(&cached, "a").await);
    advance(seconds(10)).await;
    told.fault.set(Some(FaultKind::Unavailable));
    assert_eq!(source(&cached, "a").await, Err(FaultKind::Unavailable), "no old record stands in");
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_at_the_same_time_cost_one_look_up() {
    let told = Told::with(&["a", "b"]);
    let cached = Cached::new(&told, CacheSettings { known: seconds(0), ..settings() });
    let ask = |device| source(&cached, device);
    let (one, other, third, b) = tokio::join!(ask("a"), ask("a"), ask("a"), ask("b"));
    assert_eq!([one, other, third, b], [Ok("miss"); 4]);
    assert_eq!(told.calls(), 2);
    told.fault.set(Some(FaultKind::Throttled));
    let (one, other) = tokio::join!(ask("a"), ask("a"));
    assert_eq!([one, other], [Err(FaultKind::Throttled); 2], "a fault is everybody's");
    assert_eq!(told.calls(), 1);
    assert_eq!(ask("a").await, Err(FaultKind::Throttled));
    assert_eq!(told.calls(), 1, "but it is not kept");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_does_not_keep_the_others() {
    let told = Told::with(&["a"]);
    let cached = Cached::new(&told, settings());
    told.hangs.set(true);
    let mut leader = Box::pin(source(&cached, "a"));
    let follower = source(&cached, "a");
    tokio::select! {
        biased;
        _ = &mut leader => panic!("it hangs"),
        () = tokio::time::sleep(seconds(1)) => told.hangs.set(false),
    }
    let after = async { drop(leader) };
    let (answer, ()) = tokio::join!(follower, after);
    assert_eq!(answer, Ok("miss"));
    assert_eq!(told.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn made_up_names_push_out_no_device_and_do_not_pile_up() {
    let devices = (0..50).map(|n| format!("device-{n}")).collect::<Vec<_>>();
    let told = Told::with(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    let cached = Cached::new(&told, settings());
    for device in &devices {
        assert!(is_known(&cached, device).await);
    }
    for n in 0..20_000 {
        assert!(!is_known(&cached, &format!("made-up-{n}")).await);
    }
    told.calls();
    for device in &devices {
        assert_eq!(source(&cached, device).await, Ok("hit"));
    }
    assert_eq!(told.calls(), 0);
    assert!(cached.unknown.len() <= UNKNOWN_ENTRIES + 50, "{}", cached.unknown.len());
    assert!(cached.known.len() == 50);
}

#[tokio::test(start_paused = true)]
async fn no_more_devices_are_kept_than_there_is_room_for() {
    let devices = (0..2_000).map(|n| format!("device-{n}")).collect::<Vec<_>>();
    let told = Told::with(&devices.iter().map(String::as_str).collect::<Vec<_>>());
    let cached = Cached::new(&told, settings());
    for device in &devices {
        assert!(is_known(&cached, device).await);
    }
    assert!((1..=100).contains(&cached.known.len()), "{}", cached.known.len());
}

#[tokio::test(start_paused = true)]
async fn an_old_record_stands_in_for_a_store_that_is_away_as_long_as_is_allowed() {
    for kind in [FaultKind::Throttled, FaultKind::Timeout, FaultKind::Unavailable] {
        let told = Told::with(&["a"]);
        let cached = Cached::new(&told, CacheSettings { stale: seconds(300), ..settings() });
        assert_eq!(source(&cached, "a").await, Ok("miss"));
        told.fault.set(Some(kind));
        advance(seconds(59)).await;
        assert_eq!(source(&cached, "a").await, Ok("hit"));
        advance(seconds(240)).await;
        assert_eq!(source(&cached, "a").await, Ok("stale"));
        assert_eq!(source(&cached, "b").await, Err(kind), "there is none for others");
        advance(seconds(1)).await;
        assert_eq!(source(&cached, "a").await, Err(kind));
        told.fault.set(None);
        assert_eq!(source(&cached, "a").await, Ok("miss"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_record_stands_in_for_nothing_that_was_meant() {
    for kind in [FaultKind::AccessDenied, FaultKind::NotFound, FaultKind::Refused, FaultKind::BadRecord] {
        let told = Told::with(&["a"]);
        let cached = Cached::new(&told, CacheSettings { stale: seconds(300), ..settings() });
        assert_eq!(source(&cached, "a").await, Ok("miss"));
        told.fault.set(Some(kind));
        advance(seconds(60)).await;
        assert_eq!(source(&cached, "a").await, Err(kind));
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_nothing_old_stands_in() {
    let told = Told::with(&["a"]);
    let cached = Cached::new(&told, settings());
    assert_eq!(source(&cached, "a").await, Ok("miss"));
    told.fault.set(Some(FaultKind::Unavailable));
    advance(seconds(60)).await;
    assert_eq!(source(&cached, "a").await, Err(FaultKind::Unavailable));
}
