//! A bounded cache in front of a store.
//!
//! Devices and unknown names have a map each: a flood of made-up names evicts no device, and the map of names has a fixed
//! size.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use device_auth::{device_name::DeviceName, record::Record, store::Lookup, verifier::LiveVerifier};
use quick_cache::sync::Cache;

use super::{
    Edition, Source, Store, StoreAnswer,
    single_flight::{Outage, SingleFlight},
};
use crate::{fault::StoreFault, moment::Moment};

/// The most unknown names that are cached.
const UNKNOWN_ENTRIES: usize = 1_000;

/// A store whose answers are cached. Concurrent look-ups of one device make one call.
pub struct Cached<S> {
    store: S,
    settings: CacheSettings,
    known: Cache<DeviceName, CachedValue<Arc<Record>>>,
    unknown: Cache<DeviceName, CachedValue<Arc<[LiveVerifier]>>>,
    flights: SingleFlight<(DeviceName, u64), Result<Lookup, StoreFault>>,
    outage: Outage,
}

#[derive(Clone)]
struct CachedValue<T> {
    value: T,
    since: Moment,
    /// The version of the store's edition before the question.
    version: u64,
}

impl<T> CachedValue<T> {
    /// Whether it was asked for less than `time` ago, in the edition of this version.
    fn is_usable(&self, version: u64, time: Duration) -> bool {
        self.version == version && self.since.age(Moment::now()) < time
    }
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

    fn cached(&self, name: &DeviceName, version: u64) -> Option<Lookup> {
        let known = self.known.get(name).filter(|it| it.is_usable(version, self.settings.known));
        if let Some(cached) = known {
            return Some(Lookup::Found(cached.value));
        }
        let unknown = self.unknown.get(name).filter(|it| it.is_usable(version, self.settings.unknown));
        unknown.map(|cached| Lookup::Unknown { decoy: cached.value })
    }

    /// Asks the store. The age of an answer counts from the question.
    async fn ask(&self, name: &DeviceName, version: u64) -> Result<Lookup, StoreFault> {
        let since = Moment::now();
        let answer = self.store.look_up(name, None).await.map(|answer| answer.lookup);
        match &answer {
            Ok(Lookup::Found(record)) => {
                let value = CachedValue { value: Arc::clone(record), since, version };
                self.known.insert(name.clone(), value);
            }
            Ok(Lookup::Unknown { decoy }) => {
                self.known.remove(name);
                let value = CachedValue { value: Arc::clone(decoy), since, version };
                self.unknown.insert(name.clone(), value);
            }
            Ok(Lookup::Unusable { .. } | Lookup::UnusableGrant { .. }) => _ = self.known.remove(name),
            Err(fault) if fault.kind().is_outage() => return answer,
            Err(_) => {}
        }
        self.outage.is_over();
        answer
    }

    /// A cached record that replaces the store's answer in an outage. A name without a record may have one by now, so it
    /// is never answered from the cache here.
    fn stale(&self, name: &DeviceName, version: u64, fault: &StoreFault) -> Option<StoreAnswer> {
        let cached = self.known.get(name).filter(|it| it.is_usable(version, self.settings.stale));
        let cached = cached.filter(|_| fault.kind().is_outage())?;
        self.outage.goes_on(fault);
        Some(StoreAnswer { lookup: Lookup::Found(cached.value), source: Source::Stale })
    }
}

impl<S: Store> Store for Cached<S> {
    /// The store's answer, its fault, or after an outage a cached record. A cached answer depends on the name alone, so no
    /// token stands in for a missing record.
    async fn look_up(&self, name: &DeviceName, _: Option<&str>) -> Result<StoreAnswer, StoreFault> {
        let Edition { version, is_stale } = self.store.refresh().await;
        let answer = if let Some(lookup) = self.cached(name, version) {
            StoreAnswer { lookup, source: Source::Cache }
        } else {
            match self.flights.run(&(name.clone(), version), || self.ask(name, version)).await {
                Ok(lookup) => StoreAnswer::from_store(lookup),
                Err(fault) => self.stale(name, version, &fault).ok_or(fault)?,
            }
        };
        Ok(if is_stale { StoreAnswer { source: Source::Stale, ..answer } } else { answer })
    }
}

/// The size of a cache, and for how long its entries are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// The most devices that are cached.
    pub entries: NonZeroUsize,
    /// How long a device's record is used before the store is asked again. With zero, concurrent look-ups still share
    /// one call.
    pub known: Duration,
    /// How long a name counts as unknown before the store is asked again.
    pub unknown: Duration,
    /// The greatest age of a record that is used while the store does not answer. With zero none is used.
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

    /// A store that counts its look-ups and follows the test's script.
    #[derive(Default)]
    struct ScriptedStore {
        records: RefCell<HashMap<String, Arc<Record>>>,
        fault: Cell<Option<FaultKind>>,
        calls: Cell<usize>,
        hangs: Cell<bool>,
        edition: Cell<Edition>,
    }

    impl Store for ScriptedStore {
        async fn look_up(&self, name: &DeviceName, _: Option<&str>) -> Result<StoreAnswer, StoreFault> {
            self.calls.set(self.calls.get() + 1);
            tokio::task::yield_now().await;
            if self.hangs.get() {
                std::future::pending::<()>().await;
            }
            if let Some(kind) = self.fault.get() {
                return Err(StoreFault::new(kind, "scripted"));
            }
            Ok(StoreAnswer::from_store(match self.records.borrow().get(name.as_str()) {
                Some(record) => Lookup::Found(Arc::clone(record)),
                None => Lookup::Unknown { decoy: Arc::from([]) },
            }))
        }

        async fn refresh(&self) -> Edition {
            self.edition.get()
        }
    }

    impl ScriptedStore {
        fn with(names: &[&str]) -> Self {
            let store = Self::default();
            store.records.borrow_mut().extend(names.iter().map(|name| ((*name).to_owned(), record())));
            store
        }

        /// The number of look-ups since the last call of this.
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
        let answer = cached.look_up(&name(device), None).await.map_err(|fault| fault.kind())?;
        Ok(answer.source.as_str())
    }

    async fn is_known(cached: &Cached<&ScriptedStore>, device: &str) -> bool {
        matches!(cached.look_up(&name(device), None).await.unwrap().lookup, Lookup::Found(_))
    }

    #[tokio::test(start_paused = true)]
    async fn record_is_cached_for_its_time_and_no_longer() {
        let store = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&store, settings());
        assert_eq!(source(&cached, "a").await, Ok("miss"));
        advance(seconds(59)).await;
        assert_eq!(source(&cached, "a").await, Ok("hit"));
        advance(seconds(1)).await;
        assert_eq!(source(&cached, "a").await, Ok("miss"), "a use does not prolong it");
        assert_eq!(store.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_name_is_cached_for_a_shorter_time() {
        let store = ScriptedStore::default();
        let cached = Cached::new(&store, settings());
        assert!(!is_known(&cached, "a").await);
        store.records.borrow_mut().insert("a".to_owned(), record());
        advance(seconds(9)).await;
        assert!(!is_known(&cached, "a").await);
        advance(seconds(1)).await;
        assert!(is_known(&cached, "a").await);
        assert_eq!(store.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn record_of_another_edition_is_not_used_any_more() {
        let store = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&store, CacheSettings { stale: seconds(600), ..settings() });
        assert_eq!(source(&cached, "a").await, Ok("miss"));
        assert!(!is_known(&cached, "b").await);
        store.edition.set(Edition { version: 1, is_stale: false });
        assert_eq!([source(&cached, "a").await, source(&cached, "b").await], [Ok("miss"); 2]);
        assert_eq!(source(&cached, "a").await, Ok("hit"));
        store.edition.set(Edition { version: 2, is_stale: false });
        store.fault.set(Some(FaultKind::Unavailable));
        assert_eq!(source(&cached, "a").await, Err(FaultKind::Unavailable), "nor in an outage");
    }

    #[tokio::test(start_paused = true)]
    async fn answers_of_grants_that_can_not_be_used_any_more_are_counted_as_stale() {
        let store = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&store, settings());
        store.edition.set(Edition { version: 0, is_stale: true });
        assert_eq!([source(&cached, "a").await, source(&cached, "a").await], [Ok("stale"); 2]);
        assert_eq!(store.calls(), 1, "they come from the cache all the same");
    }

    #[tokio::test(start_paused = true)]
    async fn removed_device_leaves_the_cache() {
        let store = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&store, CacheSettings { stale: seconds(600), ..settings() });
        assert!(is_known(&cached, "a").await);
        store.records.borrow_mut().clear();
        advance(seconds(60)).await;
        assert!(!is_known(&cached, "a").await);
        advance(seconds(10)).await;
        store.fault.set(Some(FaultKind::Unavailable));
        assert_eq!(source(&cached, "a").await, Err(FaultKind::Unavailable), "no old record is used");
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_look_ups_make_one_call() {
        let store = ScriptedStore::with(&["a", "b"]);
        let cached = Cached::new(&store, CacheSettings { known: seconds(0), ..settings() });
        let ask = |device| source(&cached, device);
        let (one, other, third, b) = tokio::join!(ask("a"), ask("a"), ask("a"), ask("b"));
        assert_eq!([one, other, third, b], [Ok("miss"); 4]);
        assert_eq!(store.calls(), 2);
        store.fault.set(Some(FaultKind::Throttled));
        let (one, other) = tokio::join!(ask("a"), ask("a"));
        assert_eq!([one, other], [Err(FaultKind::Throttled); 2], "a fault is shared");
        assert_eq!(store.calls(), 1);
        assert_eq!(ask("a").await, Err(FaultKind::Throttled));
        assert_eq!(store.calls(), 1, "a fault is not cached");
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_look_up_does_not_block_the_others() {
        let store = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&store, settings());
        store.hangs.set(true);
        let mut leader = Box::pin(source(&cached, "a"));
        let follower = source(&cached, "a");
        tokio::select! {
            biased;
            _ = &mut leader => panic!("it hangs"),
            () = tokio::time::sleep(seconds(1)) => store.hangs.set(false),
        }
        let after = async { drop(leader) };
        let (answer, ()) = tokio::join!(follower, after);
        assert_eq!(answer, Ok("miss"));
        assert_eq!(store.calls(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_names_evict_no_device_and_stay_bounded() {
        let devices = (0..50).map(|n| format!("device-{n}")).collect::<Vec<_>>();
        let store = ScriptedStore::with(&devices.iter().map(String::as_str).collect::<Vec<_>>());
        let cached = Cached::new(&store, settings());
        for device in &devices {
            assert!(is_known(&cached, device).await);
        }
        for n in 0..20_000 {
            assert!(!is_known(&cached, &format!("made-up-{n}")).await);
        }
        store.calls();
        for device in &devices {
            assert_eq!(source(&cached, device).await, Ok("hit"));
        }
        assert_eq!(store.calls(), 0);
        assert!(cached.unknown.len() <= UNKNOWN_ENTRIES + 50, "{}", cached.unknown.len());
        assert!(cached.known.len() == 50);
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_cached_devices_is_bounded() {
        let devices = (0..2_000).map(|n| format!("device-{n}")).collect::<Vec<_>>();
        let store = ScriptedStore::with(&devices.iter().map(String::as_str).collect::<Vec<_>>());
        let cached = Cached::new(&store, settings());
        for device in &devices {
            assert!(is_known(&cached, device).await);
        }
        assert!((1..=100).contains(&cached.known.len()), "{}", cached.known.len());
    }

    #[tokio::test(start_paused = true)]
    async fn old_record_is_used_in_an_outage_for_the_time_that_is_set() {
        for kind in [FaultKind::Throttled, FaultKind::Timeout, FaultKind::Unavailable] {
            let store = ScriptedStore::with(&["a"]);
            let cached = Cached::new(&store, CacheSettings { stale: seconds(300), ..settings() });
            assert_eq!(source(&cached, "a").await, Ok("miss"));
            store.fault.set(Some(kind));
            advance(seconds(59)).await;
            assert_eq!(source(&cached, "a").await, Ok("hit"));
            advance(seconds(240)).await;
            assert_eq!(source(&cached, "a").await, Ok("stale"));
            assert_eq!(source(&cached, "b").await, Err(kind), "other devices have none");
            advance(seconds(1)).await;
            assert_eq!(source(&cached, "a").await, Err(kind));
            store.fault.set(None);
            assert_eq!(source(&cached, "a").await, Ok("miss"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_record_is_not_used_after_a_fault_that_may_be_intended() {
        for kind in [FaultKind::AccessDenied, FaultKind::NotFound, FaultKind::Refused, FaultKind::BadRecord] {
            let store = ScriptedStore::with(&["a"]);
            let cached = Cached::new(&store, CacheSettings { stale: seconds(300), ..settings() });
            assert_eq!(source(&cached, "a").await, Ok("miss"));
            store.fault.set(Some(kind));
            advance(seconds(60)).await;
            assert_eq!(source(&cached, "a").await, Err(kind));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_record_is_not_used_by_default() {
        let store = ScriptedStore::with(&["a"]);
        let cached = Cached::new(&store, settings());
        assert_eq!(source(&cached, "a").await, Ok("miss"));
        store.fault.set(Some(FaultKind::Unavailable));
        advance(seconds(60)).await;
        assert_eq!(source(&cached, "a").await, Err(FaultKind::Unavailable));
    }
}
