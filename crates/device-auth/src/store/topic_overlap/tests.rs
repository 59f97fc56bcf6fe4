use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    record::{FunctionSettings, Unsealing},
    store::{document::StoreDocument, error::RecordsError},
    time::Timers,
};

const VERIFIER: &str = "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po";

fn settings() -> FunctionSettings {
    let timers = Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
    FunctionSettings { timers, memory: 128.try_into().unwrap(), unsealing: Unsealing::LeftSealed }
}

/// The error of a store with these grants and devices, if it is about their topics.
fn overlap(grants: &Value, devices: &Value) -> Option<Box<TopicOverlap>> {
    let document = json!({"version": 1, "grants": grants, "devices": devices});
    match serde_json::from_value::<StoreDocument>(document).unwrap().records(settings()) {
        Ok(_) => None,
        Err(RecordsError::TopicOverlap(overlap)) => Some(overlap),
        Err(error) => panic!("{error}"),
    }
}

fn password(grant: &str) -> Value {
    json!({"scheme": "password", "verifiers": [{"verifier": VERIFIER}], "grant": grant})
}

fn token(grant: &str, changes: &Value) -> Value {
    let mut record = json!({"scheme": "jwt", "grant": grant});
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    record
}

/// A record of a vendor's scheme, whose secret stays sealed.
fn vendor(scheme: &str, kind: &str, grant: &str) -> Value {
    let sealed = "$aes256gcm$k1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    json!({"scheme": scheme, "grant": grant, "secrets": [{kind: sealed}]})
}

#[test]
fn devices_of_different_schemes_do_not_share_a_topic_through_their_names() {
    let grants = json!({"line": {"publish": ["{device}/{product}/data"]}});
    let tencent = vendor("tencent", "psk", "line");
    let devices = json!({"AB12CD34EFsht20_01": tencent, "sht20_01": password("own-topics")});
    let error = overlap(&grants, &devices).unwrap();
    assert_eq!(error.topic, "sht20_01/AB12CD34EF/data");
    let text = error.to_string();
    for part in ["AB12CD34EFsht20_01", "`sht20_01`", "`line`", "`own-topics`", "may publish to too"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let apart = json!({"AB12CD34EFsht20_01": tencent, "sht20_02": password("own-topics")});
    assert_eq!(overlap(&grants, &apart), None);
}

#[test]
fn placeholders_of_every_kind_are_compared() {
    let site = |value: &str, grant: &str| token(grant, &json!({"parameters": {"site": value}}));
    let cases = [
        // Two devices with the same parameter publish to one topic.
        (
            json!({"g": {"publish": ["{site}/log"]}}),
            json!({"a": site("x", "g"), "b": site("x", "g")}),
            Some("x/log"),
        ),
        (json!({"g": {"publish": ["{site}/log"]}}), json!({"a": site("x", "g"), "b": site("y", "g")}), None),
        // One publishes what the other reads.
        (
            json!({"g": {"publish": ["{site}/log"]}, "h": {"receive": ["{site}/*"]}}),
            json!({"a": site("x", "g"), "b": site("x", "h")}),
            Some("x/log"),
        ),
        // Both only read.
        (
            json!({"g": {"receive": ["{site}/log"]}, "h": {"subscribe": ["{site}/+"]}}),
            json!({"a": site("x", "g"), "b": site("x", "h")}),
            None,
        ),
        // The values are in different positions.
        (
            json!({"g": {"publish": ["{site}/{client_id}"]}, "h": {"retain": ["{client_id}/{site}"],
                "publish": ["{client_id}/{site}"]}}),
            json!({"a": site("s1", "g"), "b": site("s2", "h")}),
            None,
        ),
        // A parameter of one is what another's pattern ends with.
        (
            json!({"g": {"publish": ["{site}/x"]}, "h": {"subscribe": ["*-hall/x"]}}),
            json!({"a": site("north-hall", "g"), "b": token("h", &json!({}))}),
            Some("north-hall/x"),
        ),
        (
            json!({"g": {"publish": ["{site}/x"]}, "h": {"subscribe": ["*-hall/x"]}}),
            json!({"a": site("north", "g"), "b": token("h", &json!({}))}),
            None,
        ),
        // A shared subscription reads the topics after its group.
        (
            json!({"g": {"publish": ["{site}/x"]}, "h": {"subscribe": ["$share/w/{site}/x"]}}),
            json!({"a": site("s", "g"), "b": site("s", "h")}),
            Some("s/x"),
        ),
        // Client ids of a prefix, in a level that another grant fills with a name.
        (
            json!({"g": {"publish": ["{client_id}/{device}"]}, "h": {"publish": ["{site}/{device}"]}}),
            json!({"a": token("g", &json!({"client_ids": ["a-*"]})), "b": site("q", "h")}),
            None,
        ),
    ];
    for (grants, devices, topic) in cases {
        let error = overlap(&grants, &devices);
        assert_eq!(error.as_ref().map(|error| error.topic.as_str()), topic, "{grants} {devices}: {error:?}");
    }
}

#[test]
fn what_a_grants_text_intends_is_accepted() {
    let dashboard = json!({"dashboard": {"subscribe": ["sensor/#"], "receive": ["sensor/*"]}});
    let devices = json!({"d": password("dashboard"), "e": password("dashboard"), "s": password("sht20")});
    assert_eq!(overlap(&dashboard, &devices), None);
    let broadcast = json!({"g": {"publish": ["all/news"], "receive": ["all/#", "{client_id}/+"]}});
    assert_eq!(overlap(&broadcast, &json!({"a": password("g"), "b": password("g")})), None);
}

#[test]
fn shared_grants_may_share_and_only_with_each_other() {
    let member = |grant: &str| token(grant, &json!({"parameters": {"site": "x"}}));
    let grants = |shared: bool| {
        json!({"g": {"shared": true, "publish": ["{site}/log"]},
            "h": {"shared": shared, "publish": ["{site}/+"]}})
    };
    assert_eq!(overlap(&grants(true), &json!({"a": member("g"), "b": member("g"), "c": member("h")})), None);
    assert!(overlap(&grants(false), &json!({"a": member("g"), "c": member("h")})).is_some());
}

/// The number of devices does not matter to how often two are compared: a fleet with 20,000 devices loads in a moment, and
/// comparing each with each would take minutes.
#[test]
fn large_fleet_is_joined_by_its_values() {
    let grants = json!({"g": {"publish": ["{site}/{device}/up"], "subscribe": ["{site}/{device}/down"]},
        "h": {"publish": ["{device}/{site}/up"]}});
    let device = |n: u32| {
        let grant = if n.is_multiple_of(2) { "g" } else { "h" };
        (format!("d{n}"), token(grant, &json!({"parameters": {"site": format!("s{}", n / 2)}})))
    };
    let mut devices = (0..20_000).map(device).collect::<BTreeMap<_, _>>();
    assert_eq!(overlap(&grants, &json!(devices)), None);
    devices.insert("d20000".to_owned(), token("shout", &json!({"parameters": {"site": "s77"}})));
    let mut grants = grants;
    grants["shout"] = json!({"receive": ["{site}/+/up"]});
    assert_eq!(overlap(&grants, &json!(devices)).unwrap().topic, "s77/d154/up");
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["x", "y", "{client_id}", "{device}", "{site}", "+"])
}

fn template() -> impl Strategy<Value = String> {
    let last = prop::sample::select(vec!["x", "{site}", "*", "#", "v*"]);
    (prop::collection::vec(level(), 1..3), last).prop_map(|(mut levels, last)| {
        levels.push(last);
        levels.join("/")
    })
}

prop_compose! {
    fn grant()(publish in prop::collection::vec(template(), 0..2), receive in prop::collection::vec(template(), 0..2))
        -> Value {
        json!({"publish": publish, "receive": receive})
    }
}

prop_compose! {
    fn device()(grant in 0..2_u8, site in prop::sample::select(vec!["s", "t", "v1"])) -> Value {
        token(&format!("g{grant}"), &json!({"parameters": {"site": site}}))
    }
}

proptest! {
    /// The check finds an overlap exactly when comparing each device with each finds one.
    #[test]
    fn every_pair_of_devices_is_as_good_as_compared(
        grants in prop::array::uniform2(grant()),
        records in prop::collection::vec(device(), 2..5),
    ) {
        let grants = json!({"g0": grants[0], "g1": grants[1]});
        let devices = records.into_iter().enumerate().map(|(n, record)| (format!("d{n}"), record));
        let document = json!({"version": 1, "grants": grants, "devices": devices.collect::<BTreeMap<_, _>>()});
        let document = serde_json::from_value::<StoreDocument>(document).unwrap();
        let (found, records) = match document.clone().records(settings()) {
            Ok(records) => (false, records),
            Err(RecordsError::TopicOverlap(_)) => {
                let mut shared = document;
                for grant in shared.grants.values_mut() {
                    grant.shared = true;
                }
                (true, shared.records(settings()).unwrap())
            }
            // A value that is reserved, for example.
            Err(_) => return Ok(()),
        };
        let all = records.by_name.values().collect::<Vec<_>>();
        let compared = all.iter().enumerate().any(|(position, a)| {
            all.iter().skip(position + 1).any(|b| share_a_topic(a, b) || share_a_topic(b, a))
        });
        prop_assert_eq!(found, compared);
    }
}

/// Whether `a` may publish to a topic that `b` reaches, where their grants' texts do not intend it.
fn share_a_topic(a: &Record, b: &Record) -> bool {
    let (ours, theirs) = (a.grant.definition(), b.grant.definition());
    ours.publish.iter().chain(&ours.retain).any(|one| {
        theirs.templates().any(|other| {
            let intended = Pattern::fresh(one, Side::One).meets(&Pattern::fresh(other, Side::Other));
            intended.is_none() && topic_of_both(one, a, other, b).is_some()
        })
    })
}

#[test]
fn device_without_a_record_shares_no_topic_through_its_name() {
    let grants = json!({
        "line": {"publish": ["{device}/{product}/data"]},
        "unit": {"publish": ["{device}/x"]},
        "halls": {"subscribe": ["*-hall/x"]},
    });
    let devices = json!({"AB12CD34EFsht20_01": vendor("tencent", "psk", "line")});
    let document = json!({"version": 1, "grants": grants, "devices": devices});
    let records = serde_json::from_value::<StoreDocument>(document).unwrap().records(settings()).unwrap();
    let newcomer = |name: &str, grant: &str| {
        records
            .record_from_token(&name.try_into().unwrap(), grant)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(newcomer("sht20_02", "own-topics"), Ok(()));
    let error = newcomer("sht20_01", "own-topics").unwrap_err();
    assert!(error.contains("belongs to device `AB12CD34EFsht20_01`"), "{error}");
    assert_eq!(newcomer("north", "unit"), Ok(()));
    let error = newcomer("north-hall", "unit").unwrap_err();
    assert!(error.contains("grant `halls`"), "{error}");
}

/// The prefix covers `sensor`, which the binding refuses as a client id, because a grant names it literally.
#[test]
fn reserved_client_id_within_a_prefix_shares_no_topic() {
    let mut anything = password("own-topics");
    anything["client_ids"] = json!(["sens*"]);
    let devices = json!({"anything": anything, "chosen": password("sht20")});
    assert_eq!(overlap(&json!({}), &devices), None);
}
