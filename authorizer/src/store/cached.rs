//! A bounded cache in front of a store.
//!
//! Devices that exist and names that don't are kept apart: a flood of made-up names can push out neither a device
//! nor, beyond a fixed number, anything else.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use device_auth::{device_name::DeviceName, record::Record, store::Lookup, verifier::LiveVerifier};
use quick_cache::sync::Cache;

use super::{
    Found, Source, Store,
    single_flight::{Outage, SingleFlight},
};
use crate::{fault::StoreFault, moment::Moment};

/// How many names that don't exist are remembered, whatever comes.
const UNKNOWN_ENTRIES: usize = 1_000;

/// A store whose answers are kept for a while. Many who ask for the same device at the same time cost one look-up.
pub struct Cached<S> {
    store: S,
    settings: CacheSettings,
    known: Cache<DeviceName, CachedValue<Arc<Record>>>,
    unknown: Cache<DeviceName, CachedValue<Arc<[LiveVerifier]>>>,
    flights: SingleFlight<DeviceName, Result<Lookup, StoreFault>>,
    outage: Outage,
}

#[derive(Clone)]
struct CachedValue<T> {
    value: T,
    since: Moment,
}

impl<S: Store> Cached<S> {
    /// Puts an empty cache in front of `store`.
    pub fn new(store: S, settings: CacheSettings) -> Self {
        Self {
            store,
            settings,
            known: Cache::new(settings.entries.get()),
            unknown: Cache::new(UNKNOWN_ENTRIES),
            flights: SingleFlight::new(),
            outage: Outage::default(),
        }
    }

    fn kept(&self, name: &DeviceName) -> Option<Lookup> {
        let now = Moment::now();
        let known = self.known.get(name).filter(|kept| kept.since.age(now) < self.settings.known);
        if let Some(kept) = known {
            return Some(Lookup::Found(kept.value));
        }
        let unknown = self.unknown.get(name).filter(|kept| kept.since.age(now) < self.settings.unknown);
        unknown.map(|kept| Lookup::Unknown { decoy: kept.value })
    }

    /// An answer is as old as the question.
    async fn ask(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        let since = Moment::now();
        let answer = self.store.look_up(name).await.map(|found| found.lookup);
        match &answer {
            Ok(Lookup::Found(record)) => {
                self.known.insert(name.clone(), CachedValue { value: Arc::clone(record), since });
            }
            Ok(Lookup::Unknown { decoy }) => {
                self.known.remove(name);
                self.unknown.insert(name.clone(), CachedValue { value: Arc::clone(decoy), since });
            }
            Err(fault) if fault.kind().is_outage() => return answer,
            Err(_) => {}
        }
        self.outage.is_over();
        answer
    }

    /// A record that may stand in. A name that was unknown then may have a record by now, so only records do.
    fn stale(&self, name: &DeviceName, fault: &StoreFault) -> Option<Found> {
        let now = Moment::now();
        let kept = self.known.get(name).filter(|kept| kept.since.age(now) < self.settings.stale);
        let kept = kept.filter(|_| fault.kind().is_outage())?;
        self.outage.goes_on(fault);
        Some(Found { lookup: Lookup::Found(kept.value), source: Source::Stale })
    }
}

impl<S: Store> Store for Cached<S> {
    /// The store's own fault, unless a record that was read before may stand in.
    async fn look_up(&self, name: &DeviceName) -> Result<Found, StoreFault> {
        if let Some(lookup) = self.kept(name) {
            return Ok(Found { lookup, source: Source::Cache });
        }
        match self.flights.run(name, || self.ask(name)).await {
            Ok(lookup) => Ok(Found::in_store(lookup)),
            Err(fault) => self.stale(name, &fault).ok_or(fault),
        }
    }

    fn record_from_token(&self, name: &DeviceName, grant: &str) -> Option<Arc<Record>> {
        self.store.record_from_token(name, grant)
    }
}

/// How much a cache keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// How many devices are kept.
    pub entries: NonZeroUsize,
    /// How long a device's record is used before the store is asked again. With zero, those who ask at the same
    /// time still share one look-up.
    pub known: Duration,
    /// How long a name is taken to be unknown before the store is asked again.
    pub unknown: Duration,
    /// How old a record may get that stands in while the store does not answer. Zero lets none.
    pub stale: Duration,
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::{BTreeMap, HashMap},
    };

    use device_auth::{
        record::FunctionSettings,
        store::document::{RecordDocument, StoreDocument},
        time::Timers,
        verifier::{Verifier, budget::FunctionMemory},
    };
    use tokio::time::advance;

    use super::*;
    use crate::fault::FaultKind;

    /// A store that counts its look-ups and does as it is told.
    #[derive(Default)]
    struct ScriptedStore {
        records: RefCell<HashMap<String, Arc<Record>>>,
        fault: Cell<Option<FaultKind>>,
        calls: Cell<usize>,
        hangs: Cell<bool>,
    }

    impl Store for ScriptedStore {
        async fn look_up(&self, name: &DeviceName) -> Result<Found, StoreFault> {
            self.calls.set(self.calls.get() + 1);
            tokio::task::yield_now().await;
            if self.hangs.get() {
                std::future::pending::<()>().await;
            }
            if let Some(kind) = self.fault.get() {
                return Err(StoreFault::new(kind, "told so"));
            }
            Ok(Found::in_store(match self.records.borrow().get(name.as_str()) {
                Some(record) => Lookup::Found(Arc::clone(record)),
                None => Lookup::Unknown { decoy: Arc::from([]) },
            }))
        }

        fn record_from_token(&self, _: &DeviceName, _: &str) -> Option<Arc<Record>> {
            None
        }
    }

    impl ScriptedStore {
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
        let timers =
            Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
        let unsealing = device_auth::record::Unsealing::LeftSealed;
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

    async fn source(cached: &Cached<&ScriptedStore>, device: &str) -> Result<&'static str, FaultKind> {
        let found = cached.look_up(&name(device)).await.map_err(|fault| fault.kind())?;
        Ok(found.source.as_str())
    }

    async fn is_known(cached: &Cached<&ScriptedStore>, device: &str) -> bool {
        matches!(cached.look_up(&name(device)).await.unwrap().lookup, Lookup::Found(_))
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_is_kept_for_its_time_and_no_longer() {
        let told = ScriptedStore::with(&["a"]);
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
        let told = ScriptedStore::default();
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
        let told = ScriptedStore::with(&["a"]);
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
        let told = ScriptedStore::with(&["a", "b"]);
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
        let told = ScriptedStore::with(&["a"]);
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
        let told = ScriptedStore::with(&devices.iter().map(String::as_str).collect::<Vec<_>>());
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
        let told = ScriptedStore::with(&devices.iter().map(String::as_str).collect::<Vec<_>>());
        let cached = Cached::new(&told, settings());
        for device in &devices {
            assert!(is_known(&cached, device).await);
        }
        assert!((1..=100).contains(&cached.known.len()), "{}", cached.known.len());
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_record_stands_in_for_a_store_that_is_away_as_long_as_is_allowed() {
        for kind in [FaultKind::Throttled, FaultKind::Timeout, FaultKind::Unavailable] {
            let told = ScriptedStore::with(&["a"]);
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
            let told = ScriptedStore::with(&["a"]);
            let cached = Cached::new(&told, CacheSettings { stale: seconds(300), ..settings() });
            assert_eq!(source(&cached, "a").await, Ok("miss"));
            told.fault.set(Some(kind));
            advance(seconds(60)).await;
            assert_eq!(source(&cached, "a").await, Err(kind));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_the_setting_nothing_old_stands_in() {
        let told = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&told, settings());
        assert_eq!(source(&cached, "a").await, Ok("miss"));
        told.fault.set(Some(FaultKind::Unavailable));
        advance(seconds(60)).await;
        assert_eq!(source(&cached, "a").await, Err(FaultKind::Unavailable));
    }
}
