//! A bounded cache in front of a store.
//!
//! Devices that exist and names that don't are kept apart: a flood of made-up names can push out neither a device
//! nor, beyond a fixed number, anything else.

mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use quick_cache::sync::Cache;

pub use self::settings::CacheSettings;
use super::{Found, Lookup, Source, Store, StoreFault, outage::Outage, single_flight::SingleFlight};
use crate::{credential::verifier::LiveVerifier, device_name::DeviceName, moment::Moment, record::Record};

/// How many names that don't exist are remembered, whatever comes.
const UNKNOWN_ENTRIES: usize = 1_000;

/// A store whose answers are kept for a while. Many who ask for the same device at the same time cost one look-up.
pub struct Cached<S> {
    store: S,
    settings: CacheSettings,
    known: Cache<DeviceName, Kept<Arc<Record>>>,
    unknown: Cache<DeviceName, Kept<Arc<[LiveVerifier]>>>,
    flights: SingleFlight<DeviceName, Result<Lookup, StoreFault>>,
    outage: Outage,
}

#[derive(Clone)]
struct Kept<T> {
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
        let answer = self.store.find(name).await;
        match &answer {
            Ok(Lookup::Found(record)) => {
                self.known.insert(name.clone(), Kept { value: Arc::clone(record), since });
            }
            Ok(Lookup::Unknown { decoy }) => {
                self.known.remove(name);
                self.unknown.insert(name.clone(), Kept { value: Arc::clone(decoy), since });
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
        Some(Found { lookup: Lookup::Found(kept.value), from: Source::Stale })
    }
}

impl<S: Store> Store for Cached<S> {
    async fn find(&self, name: &DeviceName) -> Result<Lookup, StoreFault> {
        self.find_with_source(name).await.map(|found| found.lookup)
    }

    /// The store's own fault, unless a record that was read before may stand in.
    async fn find_with_source(&self, name: &DeviceName) -> Result<Found, StoreFault> {
        if let Some(lookup) = self.kept(name) {
            return Ok(Found { lookup, from: Source::Cache });
        }
        match self.flights.run(name, || self.ask(name)).await {
            Ok(lookup) => Ok(Found { lookup, from: Source::Store }),
            Err(fault) => self.stale(name, &fault).ok_or(fault),
        }
    }

    fn vouched(&self, name: &DeviceName, grant: &str) -> Result<Arc<Record>, String> {
        self.store.vouched(name, grant)
    }
}
