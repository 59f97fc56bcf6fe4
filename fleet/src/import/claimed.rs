//! What the records of a file claim, in few bytes for each: whether two of a million records contradict each other is found
//! without the records.
//!
//! A text is known by 16 bytes of its hash, which is keyed at random, so that no file can be made to have two texts with one
//! hash. Records that have the same text are compared themselves.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
};

use device_auth::store::claims::Claims;

/// The hash of a text.
type Key = [u8; 16];

/// What records claim. A record is known by its number.
#[derive(Default)]
pub(crate) struct Claimed {
    seeds: [RandomState; 2],
    /// Names and client ids, each with its owner.
    ids: HashMap<Key, u32>,
    prefixes: HashMap<Key, u32>,
    /// The lengths of the prefixes, in ascending order.
    lengths: Vec<usize>,
    /// Values that grants write into topics, each with two of the records that have it.
    marks: HashMap<Key, [u32; 2]>,
    pairs: Vec<[u32; 2]>,
}

impl Claimed {
    /// Claims a name. If it is another record's, returns that one.
    pub(crate) fn name(&mut self, name: &str, owner: u32) -> Option<u32> {
        match self.ids.entry(self.key(name)) {
            Entry::Vacant(entry) => {
                entry.insert(owner);
                None
            }
            Entry::Occupied(entry) => Some(*entry.get()).filter(|known| *known != owner),
        }
    }

    /// The record to which a name or a client id belongs.
    pub(crate) fn owner(&self, name: &str) -> Option<u32> {
        self.ids.get(&self.key(name)).copied()
    }

    /// Claims what a record claims. Its name is its own already.
    pub(crate) fn add(&mut self, claims: &Claims, owner: u32) {
        for id in &claims.ids {
            if let Some(other) = self.name(id, owner) {
                self.pairs.push([other, owner]);
            }
        }
        for prefix in &claims.prefixes {
            let key = self.key(prefix);
            let known = *self.prefixes.entry(key).or_insert(owner);
            if known != owner {
                self.pairs.push([known, owner]);
            }
            if let Err(at) = self.lengths.binary_search(&prefix.len()) {
                self.lengths.insert(at, prefix.len());
            }
        }
        for mark in &claims.marks {
            let key = self.key(mark);
            let [first, second] = self.marks.entry(key).or_insert([owner; 2]);
            if first == second {
                *second = owner;
            }
        }
    }

    /// Whether records can contradict each other in more than an id that both have: then each is compared with all others by
    /// [`Claimed::meet`].
    pub(crate) fn is_more_than_ids(&self) -> bool {
        !self.prefixes.is_empty() || !self.marks.is_empty()
    }

    /// Finds what others claim and what this record could contradict.
    pub(crate) fn meet(&mut self, claims: &Claims, owner: u32) {
        let mut met = Vec::<u32>::new();
        for text in claims.texts() {
            let beginnings = self.lengths.iter().map_while(|length| text.get(..*length));
            met.extend(beginnings.filter_map(|beginning| self.prefixes.get(&self.key(beginning)).copied()));
        }
        for text in &claims.watched {
            let key = self.key(text);
            met.extend(self.marks.get(&key).into_iter().flatten().copied());
            met.extend(self.ids.get(&key).copied());
        }
        met.retain(|other| *other != owner);
        met.sort_unstable();
        met.dedup();
        self.pairs.extend(met.into_iter().map(|other| [other.min(owner), other.max(owner)]));
    }

    /// The records to compare, two and two, each pair once: the first is the one with the lower number.
    pub(crate) fn take_pairs(&mut self) -> Vec<[u32; 2]> {
        let mut pairs = std::mem::take(&mut self.pairs);
        pairs.sort_unstable_by_key(|[one, other]| [*other, *one]);
        pairs.dedup();
        pairs
    }

    fn key(&self, text: &str) -> Key {
        let mut key = Key::default();
        let hashes = self.seeds.iter().flat_map(|seed| seed.hash_one(text).to_ne_bytes());
        key.iter_mut().zip(hashes).for_each(|(to, from)| *to = from);
        key
    }
}

#[cfg(test)]
mod tests {
    use device_auth::{
        device_name::DeviceName,
        grant::Grants,
        record::Record,
        scheme::Scheme,
        store::{
            claims::{ManyClaims, check_pair},
            document::RecordDocument,
            loader::RecordLoader,
        },
    };
    use proptest::prelude::*;

    use super::*;
    use crate::store_file::any_function;

    /// The numbers of the records that contradict each other, as this finds them and as comparing all with all does.
    fn found(devices: &[(DeviceName, Record)], grants: &Grants) -> [Vec<[u32; 2]>; 2] {
        let (mut claimed, mut claims) = (Claimed::default(), ManyClaims::new(grants));
        let all =
            devices.iter().zip(0_u32..).map(|((name, record), number)| (claims.of(name, record), number));
        let all = all.collect::<Vec<_>>();
        for (claims, number) in &all {
            claimed.add(claims, *number);
        }
        if claimed.is_more_than_ids() {
            for (claims, number) in &all {
                claimed.meet(claims, *number);
            }
        }
        let conflict = |[one, other]: &[u32; 2]| {
            let [one, other] = [one, other].map(|number| &devices[usize::try_from(*number).unwrap()]);
            check_pair((&one.0, &one.1), (&other.0, &other.1)).is_err()
        };
        let mut pairs = claimed.take_pairs();
        pairs.retain(conflict);
        let count = u32::try_from(devices.len()).unwrap();
        let every = (0..count).flat_map(|other| (0..other).map(move |one| [one, other]));
        [pairs, every.filter(conflict).collect()]
    }

    proptest! {
        #[test]
        fn records_without_a_contradiction_are_told_from_others(
            rows in prop::collection::vec(
                (
                    prop::sample::select(vec!["a", "ab", "abc", "b", "site", "s1", "s2"]),
                    prop::option::of(prop::collection::vec(prop::sample::select(vec!["a", "ab", "abc", "x*", "a*", "ab*", "s1"]), 1..3)),
                    prop::sample::select(vec!["own-topics", "site", "panel"]),
                    prop::option::of(prop::sample::select(vec!["s1", "s2"])),
                ),
                1..7,
            ),
        ) {
            let grants = r#"{"site": {"publish": ["{site}/data"]}, "panel": {"subscribe": ["{site}/data"], "receive": ["{site}/data"]}}"#;
            let grants = Grants::new(serde_json::from_str(grants).unwrap()).unwrap();
            let loader = RecordLoader::new(grants, any_function().unwrap());
            let mut devices = Vec::<(DeviceName, Record)>::new();
            for (name, ids, grant, site) in rows {
                let name = DeviceName::try_from(name).unwrap();
                let mut document = RecordDocument::new(Scheme::Jwt, grant.to_owned());
                document.client_ids = ids.map(|ids| ids.into_iter().map(|id| id.to_owned().try_into().unwrap()).collect());
                if let Some(site) = site {
                    document.parameters = serde_json::from_value(serde_json::json!({"site": site})).unwrap();
                }
                if let Ok(record) = loader.load(&name, document) && !devices.iter().any(|(known, _)| *known == name) {
                    devices.push((name, record));
                }
            }
            let [mine, all] = found(&devices, loader.grants());
            prop_assert!(mine.iter().all(|pair| all.contains(pair)));
            prop_assert_eq!(mine.is_empty(), all.is_empty(), "{:?} {:?}", mine, all);
        }
    }

    #[test]
    fn a_name_has_one_owner() {
        let mut claimed = Claimed::default();
        assert_eq!([claimed.name("a", 1), claimed.name("a", 1), claimed.name("a", 2)], [None, None, Some(1)]);
        assert_eq!((claimed.owner("a"), claimed.owner("b")), (Some(1), None));
    }
}
