//! What a record claims for its device in a table, where records can't be compared at load.
//!
//! A table has one item for each claim, so that two records which contradict each other meet in an item, whatever program
//! writes them at the same moment. [`Claims::ids`] have one owner. [`Claims::marks`] say that some device has a value: they
//! have no owner, because many devices may have one product. What another record marks and this one watches only makes the
//! two worth a comparison; [`check_pair`] decides.
//!
//! The rule is that of a file: `id_ranges` and `topic_overlap` on the two records.

use std::collections::{BTreeSet, HashMap};

use super::{
    error::RecordsError,
    id_ranges::{self, Reservation},
    topic_overlap::{self, SlotPairs},
};
use crate::{
    device_name::DeviceName,
    grant::Grants,
    record::{ClientIdRule, Record},
    scheme::Scheme,
};

/// The key of the item with all prefix rules: an attribute for each prefix, with the device as its value.
pub const PREFIXES: &str = "#prefixes";

/// What a record claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Client ids, each the key of an item that says who owns it. The device's own name is one of them; its record is the
    /// item. In Alibaba's scheme an id ends with `|`, because parameters follow it.
    pub ids: BTreeSet<String>,
    /// The texts with which the client ids of its prefix rules begin.
    pub prefixes: BTreeSet<String>,
    /// Keys of items that say that a device has a value which grants write into topics. No device name begins with `#`.
    pub marks: BTreeSet<String>,
    /// Keys of other devices' marks, and client ids of other devices, with which this record could contradict.
    pub watched: BTreeSet<String>,
    /// The values that no other device's prefix rule may cover.
    values: BTreeSet<String>,
}

impl Claims {
    /// The claims of a record in a function with these grants.
    #[must_use]
    pub fn of(device: &DeviceName, record: &Record, grants: &Grants) -> Self {
        Self::with(device, record, &SlotPairs::of(&record.grant, grants))
    }

    fn with(device: &DeviceName, record: &Record, pairs: &SlotPairs<'_>) -> Self {
        let mut claims = Self { ids: BTreeSet::from([device.to_string()]), ..Self::default() };
        for rule in &record.client_ids {
            match rule {
                ClientIdRule::Exact(id) if record.proof.scheme() == Scheme::Alibaba => {
                    claims.ids.insert(format!("{id}|"));
                }
                ClientIdRule::Exact(id) => _ = claims.ids.insert(id.to_string()),
                ClientIdRule::Prefix(prefix) => _ = claims.prefixes.insert(prefix.to_string()),
            }
        }
        let slots = pairs.slots(record);
        let vendors_name = slots.needs_device.then_some(&record.device).filter(|name| *name != device);
        let values = record.parameters.values().chain(&record.product).chain(vendors_name);
        claims.values.extend(values.map(ToString::to_string));
        claims.watched.extend(claims.ids.iter().map(|id| value_key(id)));
        claims.marks.extend(claims.values.iter().map(|value| value_key(value)));
        claims.watched.extend(claims.values.iter().cloned());
        claims.marks.extend(slots.marks);
        claims.watched.extend(slots.watched);
        claims
    }

    /// Claims of client ids alone.
    #[must_use]
    pub fn of_ids(ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: ids.into_iter().collect(), ..Self::default() }
    }

    /// What these claims have and `other` has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            ids: &self.ids - &other.ids,
            prefixes: &self.prefixes - &other.prefixes,
            marks: &self.marks - &other.marks,
            watched: &self.watched - &other.watched,
            values: &self.values - &other.values,
        }
    }

    /// The texts that no prefix rule of another device may be the beginning of.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().chain(&self.values).chain(&self.prefixes).map(String::as_str)
    }

    /// Whether a prefix rule of another device reaches what this record claims.
    #[must_use]
    pub fn is_reached_by(&self, prefix: &str) -> bool {
        self.ids.iter().chain(&self.values).any(|text| text.starts_with(prefix))
            || self.prefixes.iter().any(|own| own.starts_with(prefix) || prefix.starts_with(own.as_str()))
    }
}

/// Makes the claims of many records. What depends on their grants only is computed once for each grant.
pub struct ManyClaims<'g> {
    grants: &'g Grants,
    pairs: HashMap<String, SlotPairs<'g>>,
}

impl<'g> ManyClaims<'g> {
    /// For records in a function with these grants.
    #[must_use]
    pub fn new(grants: &'g Grants) -> Self {
        Self { grants, pairs: HashMap::new() }
    }

    /// As [`Claims::of`].
    pub fn of(&mut self, device: &DeviceName, record: &Record) -> Claims {
        let name = record.grant.name();
        if !self.pairs.contains_key(name)
            && let Some(grant) = self.grants.all().find(|grant| grant.name() == name)
        {
            self.pairs.insert(name.to_owned(), SlotPairs::of(grant, self.grants));
        }
        match self.pairs.get(name) {
            Some(pairs) => Claims::with(device, record, pairs),
            None => Claims::of(device, record, self.grants),
        }
    }
}

/// Checks that two records of different devices don't contradict each other.
///
/// # Errors
///
/// Both devices and what they share: client ids, a value, or a topic with both grants.
pub fn check_pair(one: (&DeviceName, &Record), other: (&DeviceName, &Record)) -> Result<(), RecordsError> {
    let reservations = [one, other].map(|(device, record)| Reservation::of(device, record));
    let ids = id_ranges::check(&reservations)?;
    Ok(topic_overlap::check([one, other].into_iter(), &ids)?)
}

fn value_key(value: &str) -> String {
    format!("#value {value}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        record::{FunctionSettings, Unsealing},
        store::{document::RecordDocument, loader::RecordLoader},
        time::Timers,
        verifier::budget::FunctionMemory,
    };

    const GRANTS: &str = r##"{
        "site": {"publish": ["{site}/data"], "subscribe": ["{site}/cmd"]},
        "panel": {"subscribe": ["{site}/data"], "receive": ["{site}/data"]},
        "line": {"publish": ["{device}/{product}/data"]},
        "two": {"publish": ["x/{site}/{client_id}"], "receive": ["{client_id}/{site}/#"]},
        "wide": {"publish": ["hall*/data"], "subscribe": ["#"]},
        "own": {"publish": ["{client_id}/data"]},
        "shared": {"publish": ["{site}/data"], "shared": true}
    }"##;

    fn grants() -> Grants {
        Grants::new(serde_json::from_str(GRANTS).unwrap()).unwrap()
    }

    fn load(name: &str, record: Value) -> Option<(DeviceName, Record)> {
        let timers =
            Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
        let function =
            FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed };
        let name = DeviceName::try_from(name).unwrap();
        let record = serde_json::from_value::<RecordDocument>(record).unwrap();
        let record = RecordLoader::new(grants(), function).alone().load(&name, record).ok()?;
        Some((name, record))
    }

    /// Whether one of two records finds the other by what the two claim.
    fn meet(one: &Claims, other: &Claims) -> bool {
        let finds = |a: &Claims, b: &Claims| {
            a.watched.iter().any(|key| b.marks.contains(key) || b.ids.contains(key))
                || b.prefixes.iter().any(|prefix| a.is_reached_by(prefix))
        };
        !one.ids.is_disjoint(&other.ids)
            || (finds(one, other) && finds(other, one))
            || !one.prefixes.is_empty()
            || !other.prefixes.is_empty()
    }

    fn record() -> impl Strategy<Value = (&'static str, Value)> {
        let text = || prop::sample::select(vec!["a", "b", "hall1", "AB12CD34EF", "d", "AB12CD34EFd"]);
        let rule =
            prop::sample::select(vec!["a", "b", "hall1", "d", "AB12CD34EF", "h*", "a*", "AB12CD34EF.d"]);
        let scheme =
            prop::sample::select(vec![("jwt", ""), ("tencent", "AB12CD34EF"), ("alibaba", "&AB12CD34EF")]);
        let grant = prop::sample::select(vec![
            "own-topics",
            "alibaba",
            "tencent",
            "site",
            "panel",
            "line",
            "two",
            "wide",
            "own",
            "shared",
        ]);
        (text(), scheme, grant, text(), prop::option::of(prop::collection::vec(rule, 1..3))).prop_map(
            |(name, (scheme, product), grant, site, client_ids)| {
                let name: &'static str = Box::leak(
                    match scheme {
                        "tencent" => format!("{product}{name}"),
                        _ => format!("{name}{product}"),
                    }
                    .into_boxed_str(),
                );
                let secret = match scheme {
                    "alibaba" => json!([{"device_secret": "$plain$c2VjcmV0"}]),
                    "tencent" => json!([{"psk": "$plain$c2VjcmV0"}]),
                    _ => json!([]),
                };
                let mut record = json!({"scheme": scheme, "grant": grant, "secrets": secret,
                    "parameters": {"site": site}});
                if let Some(ids) = client_ids {
                    record["client_ids"] = json!(ids);
                }
                (name, record)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

        /// A table finds whatever a file finds.
        #[test]
        fn records_that_contradict_each_other_meet(one in record(), other in record()) {
            let (Some(one), Some(other)) = (load(one.0, one.1), load(other.0, other.1)) else {
                return Err(TestCaseError::reject("not records"));
            };
            prop_assume!(one.0 != other.0);
            let all = grants();
            let claims = [&one, &other].map(|(name, record)| Claims::of(name, record, &all));
            let mut many = ManyClaims::new(&all);
            for ((name, record), claims) in [&one, &other].into_iter().zip(&claims) {
                prop_assert_eq!(&many.of(name, record), claims);
            }
            if let Err(error) = check_pair((&one.0, &one.1), (&other.0, &other.1)) {
                prop_assert!(meet(&claims[0], &claims[1]), "{error}: {claims:?}");
            }
        }
    }

    #[test]
    fn claims_of_common_records_are_few() {
        let claims = |name: &str, record| {
            let (name, record) = load(name, record).unwrap();
            let built_in = Grants::new(BTreeMap::new()).unwrap();
            let Claims { ids, prefixes, marks, .. } = Claims::of(&name, &record, &built_in);
            [ids, prefixes, marks].map(|set| set.into_iter().collect::<Vec<_>>().join(","))
        };
        let secrets = json!([{"device_secret": "$plain$c2VjcmV0"}]);
        assert_eq!(claims("a", json!({"scheme": "jwt", "grant": "own-topics"})), ["a", "", ""]);
        assert_eq!(claims("a", json!({"scheme": "jwt", "grant": "sht20"})), ["a", "", ""]);
        assert_eq!(
            claims("a", json!({"scheme": "jwt", "grant": "sht20", "client_ids": ["b", "c-*"]})),
            ["a,b", "c-", ""]
        );
        let [ids, prefixes, marks] =
            claims("d&pk", json!({"scheme": "alibaba", "grant": "alibaba", "secrets": secrets}));
        assert_eq!((&*ids, &*prefixes), ("d&pk,pk.d|", ""));
        assert!(marks.contains("#value pk") && !marks.contains("#value d,"), "{marks}");
    }
}
