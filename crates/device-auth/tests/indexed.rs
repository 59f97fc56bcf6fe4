//! The indexed form of a store answers as the JSON that it was made of, or not at all.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is the test's failure"
)]

use std::{collections::BTreeMap, io::Cursor};

use device_auth::{
    device_name::DeviceName,
    record::{FunctionSettings, Unsealing},
    store::{
        Lookup,
        document::StoreDocument,
        indexed::{self, BuildError, IndexedError, IndexedRecords},
        snapshot::Snapshot,
    },
    time::Timers,
    verifier::{Verifier, budget::FunctionMemory},
};
use indexed_file::{Digest, HEADER_BYTES, IndexedFileError, Writer};
use proptest::prelude::*;
use serde_json::{Value, json};

fn function() -> FunctionSettings {
    let timers = Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
    FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed }
}

fn document(devices: &Value) -> StoreDocument {
    let grants = json!({
        "line": {"publish": ["line/{site}/{client_id}"], "subscribe": ["line/{site}/cmd"]},
        "reader": {"subscribe": ["own/{client_id}"]},
    });
    StoreDocument::parse(&json!({"version": 1, "grants": grants, "devices": devices}).to_string()).unwrap()
}

fn built(document: &StoreDocument) -> Result<(Vec<u8>, Digest), BuildError> {
    let mut output = Cursor::new(Vec::new());
    let digest = indexed::write(document.clone(), function(), &mut output, |_| {})?;
    Ok((output.into_inner(), digest))
}

fn opened(document: &StoreDocument) -> IndexedRecords<Vec<u8>> {
    let (bytes, digest) = built(document).unwrap();
    IndexedRecords::open(bytes, Some(digest), function()).unwrap()
}

fn verifier(device: &str) -> String {
    String::from(Verifier::of_generated(device.as_bytes(), [7; 16]))
}

fn password(device: &str) -> Value {
    json!({"scheme": "password", "verifiers": [{"verifier": verifier(device)}], "grant": "own-topics"})
}

fn passwords(count: usize) -> StoreDocument {
    let names = (0..count).map(|number| format!("device-{:04}", number * 2));
    document(&names.map(|name| (name.clone(), password(&name))).collect::<serde_json::Map<_, _>>().into())
}

fn name(text: &str) -> DeviceName {
    text.try_into().unwrap()
}

/// What an answer says, without the decoy's verifiers, which differ between the forms.
fn said(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Found(record) => format!("found {record:?}"),
        Lookup::Unusable { error, .. } => format!("unusable {error}"),
        Lookup::UnusableGrant { error, .. } => format!("unusable grant {error}"),
        Lookup::Unknown { .. } => "unknown".to_owned(),
    }
}

fn decoy(lookup: Lookup) -> String {
    let (Lookup::Unknown { decoy } | Lookup::Unusable { decoy, .. } | Lookup::UnusableGrant { decoy, .. }) =
        lookup
    else {
        panic!("it has a record")
    };
    decoy.iter().map(|one| String::from(one.verifier.clone())).collect()
}

/// Records of several schemes whose client ids, products and parameters take names.
fn mixed() -> StoreDocument {
    let secret = json!([{"device_secret": "$plain$c2VjcmV0"}]);
    let psk = json!([{"psk": "$plain$c2VjcmV0"}]);
    let mut more = password("more");
    more["client_ids"] = json!(["hall-*", "x"]);
    document(&json!({
        "a": password("a"),
        "b": {"scheme": "jwt", "grant": "line", "parameters": {"site": "north"}},
        "d&pk": {"scheme": "alibaba", "secrets": secret, "grant": "alibaba"},
        "AB12CD34EFd1": {"scheme": "tencent", "secrets": psk, "grant": "tencent"},
        "more": more,
        "off": {"scheme": "token", "grant": "own-topics", "enabled": false, "client_ids": ["o1", "o2"]},
    }))
}

const NAMES: [&str; 24] = [
    "a",
    "b",
    "c",
    "d",
    "d&pk",
    "pk",
    "pk.d",
    "d&p",
    "AB12CD34EFd1",
    "AB12CD34EF",
    "d1",
    "more",
    "mor",
    "more2",
    "x",
    "hall-",
    "hall-7",
    "hall",
    "north",
    "off",
    "o1",
    "o3",
    "line",
    "own",
];

#[test]
fn every_answer_is_that_of_the_json() {
    let document = mixed();
    let (json, indexed) = (Snapshot::new(document.clone().records(function()).unwrap()), opened(&document));
    let mut kinds = BTreeMap::<String, usize>::new();
    for device in NAMES {
        for grant in [None, Some("own-topics"), Some("line"), Some("reader"), Some("none")] {
            let (wanted, found) =
                (json.look_up(&name(device), grant), indexed.look_up(&name(device), grant).unwrap());
            assert_eq!(said(&found), said(&wanted), "{device} with {grant:?}");
            *kinds.entry(said(&found).split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["found", "unknown", "unusable"]);
    assert_eq!(indexed.records(), 6);
}

#[test]
fn the_same_records_make_the_same_file_and_come_back() {
    let document = mixed();
    let (bytes, digest) = built(&document).unwrap();
    assert_eq!(built(&document).unwrap(), (bytes.clone(), digest));
    let scanned = IndexedRecords::open(bytes, None, function()).unwrap().scan().unwrap();
    assert_eq!(scanned.damaged, Vec::<String>::new());
    assert_eq!(serde_json::to_value(&scanned.document).unwrap(), serde_json::to_value(&document).unwrap());
    assert_eq!(built(&scanned.document).unwrap().1, digest);
}

#[test]
fn what_the_function_would_not_accept_is_not_built() {
    let same_id = |device: &str| {
        let mut record = password(device);
        record["client_ids"] = json!(["shared"]);
        record
    };
    let mut unknown_grant = password("a");
    unknown_grant["grant"] = json!("none");
    for (devices, part) in [
        (json!({"a": same_id("a"), "b": same_id("b")}), "devices `a` and `b` may both use client ids"),
        (json!({"a": unknown_grant}), "device `a`: grant `none` does not exist"),
        (
            json!({"a": {"scheme": "password", "grant": "own-topics"}}),
            "device `a`: `verifiers` has 0 entries",
        ),
    ] {
        let error = built(&document(&devices)).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let newer = StoreDocument { version: 2, ..document(&json!({})) };
    assert!(built(&newer).unwrap_err().to_string().contains("version is 2"));
}

#[test]
fn a_name_without_a_record_always_has_the_same_decoy_of_some_record() {
    let forty = passwords(40);
    let indexed = opened(&forty);
    let known = forty.devices.keys().map(|device| verifier(device.as_str())).collect::<Vec<_>>();
    let decoys = (0..200).map(|number| {
        let unknown = name(&format!("unknown-{number}"));
        let first = decoy(indexed.look_up(&unknown, None).unwrap());
        assert_eq!(first, decoy(indexed.look_up(&unknown, None).unwrap()));
        assert!(known.contains(&first), "{first}");
        first
    });
    assert!(decoys.collect::<std::collections::BTreeSet<_>>().len() > 20, "they are spread over the records");
    let none = opened(&document(&json!({})));
    assert!(decoy(none.look_up(&name("x"), None).unwrap()).starts_with("$sha256$"));
}

#[test]
fn a_new_record_changes_few_decoys() {
    let (before, after) = (passwords(60), {
        let mut more = passwords(60);
        let extra = document(&json!({"extra": password("extra")}));
        more.devices.extend(extra.devices);
        more
    });
    let (before, after) = (opened(&before), opened(&after));
    let changed = (0..1_000).filter(|number| {
        let unknown = name(&format!("unknown-{number}"));
        decoy(before.look_up(&unknown, None).unwrap()) != decoy(after.look_up(&unknown, None).unwrap())
    });
    assert!(changed.count() < 200);
}

#[test]
fn decoys_that_the_function_cannot_check_are_not_used() {
    let salt = "AAAAAAAAAAAAAAAAAAAAAA";
    let digest = "A".repeat(43);
    let costly = format!("$argon2id$v=19$m=65536,t=3,p=1${salt}${digest}");
    let record = json!({"scheme": "password", "verifiers": [{"verifier": costly}], "grant": "own-topics"});
    let (bytes, digest) = built(&document(&json!({"a": record}))).unwrap();
    let small = FunctionSettings { memory: 128.try_into().unwrap(), ..function() };
    let indexed = IndexedRecords::open(bytes.clone(), Some(digest), small).unwrap();
    assert!(said(&indexed.look_up(&name("a"), None).unwrap()).starts_with("unusable device `a`"));
    assert!(decoy(indexed.look_up(&name("x"), None).unwrap()).starts_with("$sha256$"));
    let whole = IndexedRecords::open(bytes, Some(digest), function()).unwrap();
    assert_eq!(decoy(whole.look_up(&name("x"), None).unwrap()), costly);
}

#[test]
fn a_damaged_record_refuses_its_own_device() {
    let document = passwords(300);
    let (mut bytes, digest) = built(&document).unwrap();
    bytes[HEADER_BYTES + 3] ^= 0x20;
    let indexed = IndexedRecords::open(bytes, Some(digest), function()).unwrap();
    for device in document.devices.keys() {
        let lookup = said(&indexed.look_up(device, None).unwrap());
        if device.as_str() == "device-0000" {
            assert!(
                lookup.starts_with("unusable device `device-0000`: the entry is damaged: bytes 512 to "),
                "{lookup}"
            );
        } else {
            assert!(lookup.starts_with("found"), "{device}: {lookup}");
        }
    }
    let scanned = indexed.scan().unwrap();
    assert_eq!((scanned.damaged.len(), scanned.document.devices.len()), (1, 299));
    assert!(
        scanned.damaged[0].starts_with("device `device-0000`: the entry is damaged"),
        "{:?}",
        scanned.damaged
    );
}

#[test]
fn files_of_something_else_are_refused() {
    let opened =
        |bytes: Vec<u8>, pinned| IndexedRecords::open(bytes, pinned, function()).map(|_| ()).unwrap_err();
    for bytes in [Vec::new(), b"{\"version\": 1}".to_vec(), vec![7; 4_096]] {
        assert_eq!(opened(bytes, None).to_string(), "it is not an indexed file");
    }
    let mut output = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut output).unwrap();
    for value in [&b"{}"[..], b"1"] {
        let mut tree = writer.tree().unwrap();
        tree.push(b"grants", value).unwrap();
        tree.finish().unwrap();
    }
    writer.finish().unwrap();
    let error = opened(output.into_inner(), None);
    assert!(matches!(error, IndexedError::File(IndexedFileError::NoTree(indexed::DECOYS))), "{error}");
    let (bytes, _) = built(&passwords(3)).unwrap();
    let (_, other) = built(&passwords(4)).unwrap();
    let error = opened(bytes, Some(other));
    assert!(matches!(error, IndexedError::File(IndexedFileError::OtherDigest { .. })), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever a byte becomes: the same answer, a refusal of that device, or a fault; never another record.
    #[test]
    fn a_changed_byte_gives_no_device_another_answer(
        at in any::<prop::sample::Index>(), change in 1..=255_u8, pin in any::<bool>(),
    ) {
        let document = passwords(120);
        let (mut bytes, digest) = built(&document).unwrap();
        let whole = opened(&document);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let Ok(damaged) = IndexedRecords::open(bytes, pin.then_some(digest), function()) else { return Ok(()) };
        for number in 0..240 {
            let device = name(&format!("device-{number:04}"));
            let wanted = said(&whole.look_up(&device, None).unwrap());
            match damaged.look_up(&device, None) {
                Err(IndexedError::File(IndexedFileError::Damaged(_))) => {}
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
                Ok(Lookup::Unusable { error, .. }) => {
                    let text = error.to_string();
                    prop_assert!(number % 2 == 0 && text.contains(&format!("device `{device}`: the entry is damaged")), "{}", text);
                }
                Ok(lookup) => prop_assert_eq!(said(&lookup), wanted),
            }
        }
        let scanned = damaged.scan().unwrap();
        prop_assert!(!scanned.damaged.is_empty(), "the scan sees every byte");
    }
}
