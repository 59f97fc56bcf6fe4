//! The authorizer on a DynamoDB table, by the real client: against dynoxide, and against a service that fails.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use authorizer::{
    config::store::{Deadline, StoreSettings},
    fault::{FaultKind, FunctionFault, StoreFault},
    handler::Handler,
    keyring_source::KeyringSource,
    store::{
        Source, Store,
        any::AnyStore,
        cached::{CacheSettings, Cached},
        dynamodb::{DynamoDbSettings, DynamoDbStore, LoaderFiles},
    },
};
use aws_config::SdkConfig;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use device_auth::{
    device_name::DeviceName,
    location::{KeyringLocation, StoreLocation},
    record::{FunctionSettings, Unsealing},
    seal::Keyring,
    store::{Lookup, decoys::DefaultVerifier},
    time::Timers,
    verifier::{LiveVerifier, Verifier, budget::FunctionMemory},
};
use fleet::keyring_file;
use integration::{
    canary::{Canary, Writings},
    captured_log,
    dynamodb::{DynamoDb, TABLE},
    eventually::within,
    fake_aws::{Act, FakeAws},
};
use lambda_runtime::Context;
use serde_json::{Value, json, value::RawValue};

const DEADLINE_MILLIS: u64 = 600;
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn record_has_every_attribute_of_its_item() {
    let dynamodb = DynamoDb::start().await;
    let item = json!({
        "enabled": {"BOOL": false}, "client_ids": {"SS": ["hall-1", "hall-1-*"]},
        "parameters": {"M": {"site": {"S": "pk"}}}, "refresh_after_seconds": {"N": "600"},
        "not_before": {"N": "1"}, "not_after": {"N": "4102444800"}, "ttl": {"N": "4102444800"},
    });
    dynamodb.put(&with(item_of("hall-1"), item)).await;
    let Lookup::Found(record) = find(&store(&dynamodb.aws), "hall-1").await.unwrap() else {
        panic!("it is unknown")
    };
    assert!(!record.enabled);
    assert_eq!(record.proof.verifiers(), [live("hall-1")]);
    assert_eq!(record.client_ids.len(), 2);
    assert_eq!(record.grant.name(), "own-topics");
    assert_eq!(record.parameters["site"].as_str(), "pk");
    assert_eq!((record.timers.refresh_after.get(), record.timers.disconnect_after.get()), (600, 86_400));
    assert_eq!(record.not_before.map(|time| time.0), Some(1));
    assert_eq!(record.not_after.map(|time| time.0), Some(4_102_444_800));
}

#[tokio::test]
async fn item_of_the_documentation_is_a_record() {
    let text = include_str!("../../../docs/stores.md");
    let (_, item) = text.split_once("--item '").unwrap();
    let (item, _) = item.split_once('\'').unwrap();
    let dynamodb = DynamoDb::start().await;
    dynamodb.put(&serde_json::from_str(item).unwrap()).await;
    let Lookup::Found(record) = find(&store(&dynamodb.aws), "sht20-0001").await.unwrap() else {
        panic!("it is unknown")
    };
    assert_eq!(record.grant.name(), "sht20");
}

#[tokio::test]
async fn name_without_a_record_gets_the_default_verifier() {
    let dynamodb = DynamoDb::start().await;
    dynamodb.put(&item_of("hall-1")).await;
    // This item only says that the client id is the other device's.
    dynamodb.put(&json!({"device": {"S": "hall-3"}, "owner": {"S": "hall-1"}})).await;
    for device in ["hall-2", "hall-3"] {
        let Lookup::Unknown { decoy } = find(&store(&dynamodb.aws), device).await.unwrap() else {
            panic!("{device} is known")
        };
        assert_eq!(*decoy, *default_verifier().decoy());
    }
}

/// The grants and the keyring of a table are files of the function.
#[tokio::test]
async fn changed_grants_and_keyring_are_in_force_at_the_next_look_up() {
    let (dynamodb, folder) = (DynamoDb::start().await, tempfile::tempdir().unwrap());
    let (grants, keys) = (folder.path().join("grants.json"), folder.path().join("keyring.json"));
    let write = |definition: Value| {
        let text = json!({"version": 1, "grants": {"line": definition}}).to_string();
        std::fs::write(&grants, text).unwrap();
    };
    let made = folder.path().join("made.json");
    let keyring = keyring_file::make(&made, "k1".try_into().unwrap()).unwrap();
    let sealed = keyring.seal(b"secret", &name("d&pk")).unwrap();
    dynamodb.put(&with(item_of("hall-1"), json!({"grant": {"S": "line"}}))).await;
    let vendor = json!({"device": {"S": "d&pk"}, "schema_version": {"N": "1"}, "scheme": {"S": "alibaba"},
        "grant": {"S": "alibaba"}, "secrets": {"L": [{"M": {"device_secret": {"S": *sealed}}}]}});
    dynamodb.put(&vendor).await;
    write(json!({"publish": ["line/{client_id}"]}));
    let source =
        KeyringSource { location: KeyringLocation::File(keys.clone()), root: None, plain_secrets: false };
    let unsealing = Unsealing::With(Arc::new(Keyring::empty()));
    let loader = LoaderFiles::open(Some(grants.clone()), FunctionSettings { unsealing, ..function() });
    let table = DynamoDbStore::new(&dynamodb.aws, settings(), loader.unwrap().following(source));
    let store = Cached::new(table, cache(HOUR, HOUR));
    let log = captured_log::of_this_thread();
    let answer = async || connect(&store, "hall-1", "hall-1").await.unwrap();
    assert!(answer().await.to_string().contains("line/hall-1"));
    write(json!({"publish": ["other/{client_id}"]}));
    assert!(answer().await.to_string().contains("other/hall-1"), "although the record is cached");
    _ = log.take_lines();

    std::fs::write(&grants, "{").unwrap();
    for _ in 0..2 {
        assert!(answer().await.to_string().contains("other/hall-1"), "the last grants stay in force");
        let lines = log.take_lines();
        assert_eq!((&lines[0]["event"], &lines[1]["cache"]), (&json!("records_not_usable"), &json!("stale")));
        assert!(lines[0]["error"].as_str().unwrap().starts_with("LATCHKEY_GRANTS: `"), "{lines:?}");
    }
    std::fs::write(&grants, r#"{"version":1}"#).unwrap();
    assert_eq!(answer().await["isAuthenticated"], false);
    assert!(log.take_lines().iter().any(|line| line["reason"] == "record_unusable"));
    write(json!({"publish": ["line/{client_id}"]}));
    assert!(answer().await.to_string().contains("line/hall-1"));

    assert!(matches!(find(&store, "d&pk").await.unwrap(), Lookup::Unusable { .. }));
    std::fs::rename(&made, &keys).unwrap();
    assert!(matches!(find(&store, "d&pk").await.unwrap(), Lookup::Found(_)));
    std::fs::write(&keys, "{").unwrap();
    let found = store.look_up(&name("d&pk"), None).await.unwrap();
    assert!(matches!(found.lookup, Lookup::Found(_)) && found.source == Source::Stale);
}

#[tokio::test]
async fn malformed_item_refuses_its_own_device_only() {
    let dynamodb = DynamoDb::start().await;
    dynamodb.put(&item_of("hall-1")).await;
    let canary = Canary::new("a password in the wrong place");
    let store = store(&dynamodb.aws);
    let log = captured_log::of_this_thread();
    let mut writings = Writings::default();
    let text = json!({"S": canary.secret()});
    for (change, part) in [
        (json!({"schema_version": {"N": "2"}}), "attribute `schema_version` is not the number 1"),
        (json!({"schema_version": text}), "attribute `schema_version` is not the number 1"),
        (
            json!({"verifiers": {"L": [{"M": {"verifier": text}}]}}),
            "attribute `verifiers[0].verifier`: unknown",
        ),
        (json!({"verifiers": {"L": []}}), "`verifiers` has 0 entries"),
        (json!({"password": text}), "unknown field `password`"),
        (json!({"enabled": text}), "attribute `enabled`"),
        (json!({"grant": {"S": "none"}}), "grant `none` does not exist"),
        (
            json!({"client_ids": {"L": [{"S": format!("{} *", canary.secret())}]}}),
            "attribute `client_ids[0]`",
        ),
        (json!({"refresh_after_seconds": {"N": "299"}}), "attribute `refresh_after_seconds`"),
        (json!({"ttl": text}), "attribute `ttl` is not a number"),
    ] {
        dynamodb.put(&with(item_of("hall-2"), change)).await;
        let Lookup::Unusable { error, decoy } = find(&store, "hall-2").await.unwrap() else {
            panic!("{part}: it is usable")
        };
        assert_eq!(*decoy, *default_verifier().decoy());
        let lines = log.take_lines();
        assert_eq!(
            (&lines[0]["event"], &lines[0]["device"]),
            (&json!("record_not_usable"), &json!("hall-2"))
        );
        let message = lines[0]["error"].as_str().unwrap();
        assert!(message.contains("`latchkey-devices`") && message.contains("device `hall-2`"), "{message}");
        assert!(message.contains(part), "{message}");
        writings.add("the log", format!("{lines:?} {error:?}"));
        assert!(matches!(find(&store, "hall-1").await, Ok(Lookup::Found(_))));
    }
    writings.assert_free_of(&[&canary]);
}

#[tokio::test]
async fn look_up_is_one_get_item_with_the_consistency_that_is_set() {
    for consistent_read in [false, true] {
        let fake = FakeAws::start([Act::Answer(200, "{}".to_owned())]).await;
        let settings = DynamoDbSettings { consistent_read, ..settings() };
        let store = DynamoDbStore::new(&fake.aws, settings, loader());
        assert!(matches!(find(&store, "hall-1").await, Ok(Lookup::Unknown { .. })));
        let call = json!({"TableName": TABLE, "Key": {"device": {"S": "hall-1"}}, "ConsistentRead": consistent_read});
        assert_eq!(fake.calls(), [call]);
    }
}

#[tokio::test]
async fn missing_table_is_a_fault_with_a_cure() {
    let dynamodb = DynamoDb::start().await;
    let settings = DynamoDbSettings { table: "others".try_into().unwrap(), ..settings() };
    let fault = find(&DynamoDbStore::new(&dynamodb.aws, settings, loader()), "hall-1").await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::NotFound);
    assert_eq!(
        fault.to_string(),
        "the table `others` is not in this account and region (ResourceNotFoundException); check \
         LATCHKEY_STORE"
    );
}

#[tokio::test]
async fn failing_table_is_a_fault_within_the_deadline_and_never_a_refusal() {
    let canary = Canary::new("what the service sent");
    let garbage = format!("{{\"Item\": {{\"verifiers\": {{\"S\": \"{}\" ", canary.secret());
    let cases = [
        (Act::error(400, "ThrottlingException"), FaultKind::Throttled, "on demand"),
        (Act::error(400, "ProvisionedThroughputExceededException"), FaultKind::Throttled, "throttles reads"),
        (Act::error(400, "RequestLimitExceeded"), FaultKind::Throttled, "throttles reads"),
        (Act::error(400, "AccessDeniedException"), FaultKind::AccessDenied, "`dynamodb:GetItem` on it"),
        (Act::error(400, "ExpiredTokenException"), FaultKind::AccessDenied, "the function's credentials"),
        (
            Act::error(400, "UnrecognizedClientException"),
            FaultKind::AccessDenied,
            "the function's credentials",
        ),
        (Act::error(400, "ValidationException"), FaultKind::Refused, "(ValidationException)"),
        (Act::error(500, "InternalServerError"), FaultKind::Unavailable, "(InternalServerError)"),
        (Act::Answer(503, String::new()), FaultKind::Unavailable, "failed to read"),
        (Act::Answer(200, garbage), FaultKind::Unavailable, "its answer can't be read"),
        (Act::HangUp, FaultKind::Unavailable, "can't be asked"),
        (Act::Silence, FaultKind::Timeout, "no answer about the table `latchkey-devices` within 600 ms"),
    ];
    let mut writings = Writings::default();
    for (act, kind, part) in cases {
        let fake = FakeAws::start([act.clone()]).await;
        let log = captured_log::of_this_thread();
        let store = store(&fake.aws);
        let answer = within("an answer", connect(&store, "hall-1", "hall-1")).await;
        let Err(FunctionFault::Store(fault)) = answer else { panic!("{act:?}: it decides") };
        assert_eq!(fault.kind(), kind, "{act:?}: {fault}");
        assert!(fault.to_string().contains(part), "{act:?}: {fault}");
        assert!(fault.to_string().contains("`latchkey-devices`"), "{act:?}: {fault}");
        let lines = log.take_lines();
        assert_eq!(lines.last().unwrap()["error_type"], "store_fault");
        assert!((1..=2).contains(&fake.calls().len()), "{act:?}: {} calls", fake.calls().len());
        writings.add("the fault", format!("{fault} {fault:?}"));
        writings.add("the log", format!("{lines:?}"));
    }
    writings.assert_says("ThrottlingException");
    writings.assert_free_of(&[&canary]);
}

#[tokio::test]
async fn refused_connection_is_a_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let aws = integration::aws::configuration(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let fault = within("an answer", find(&store(&aws), "hall-1")).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unavailable, "{fault}");
}

#[tokio::test]
async fn failed_attempt_is_retried_once() {
    for bad in [
        Act::error(400, "ThrottlingException"),
        Act::error(500, "InternalServerError"),
        Act::HangUp,
        Act::Silence,
    ] {
        let fake = FakeAws::start([bad.clone(), Act::Answer(200, "{}".to_owned())]).await;
        let found = within("an answer", find(&store(&fake.aws), "hall-1")).await;
        assert!(matches!(found, Ok(Lookup::Unknown { .. })), "{bad:?}: {found:?}");
        assert_eq!(fake.calls().len(), 2);
    }
}

#[tokio::test]
async fn devices_are_accepted_and_refused_by_their_items() {
    let dynamodb = DynamoDb::start().await;
    dynamodb.put(&item_of("hall-1")).await;
    dynamodb.put(&with(item_of("hall-2"), json!({"enabled": {"BOOL": false}}))).await;
    let store = store(&dynamodb.aws);
    let log = captured_log::of_this_thread();
    for (device, password, reason) in [
        ("hall-1", "hall-1", None),
        ("hall-1", "hall-2", Some("wrong_password")),
        ("hall-2", "hall-2", Some("device_disabled")),
        ("hall-3", "hall-3", Some("unknown_device")),
    ] {
        let answer = connect(&store, device, password).await.unwrap();
        assert_eq!(answer["isAuthenticated"], reason.is_none(), "{device} {password}");
        let lines = log.take_lines();
        assert_eq!(lines[0].get("reason"), reason.map(Value::from).as_ref(), "{lines:?}");
    }
}

#[tokio::test]
async fn cached_answer_names_its_source() {
    let item = json!({"Item": item_of("hall-1")}).to_string();
    let fake = FakeAws::start([Act::Answer(200, item), Act::error(500, "InternalServerError")]).await;
    let store = AnyStore::DynamoDb(Box::new(Cached::new(store(&fake.aws), cache(HOUR, Duration::ZERO))));
    for source in [Source::Store, Source::Cache, Source::Cache] {
        let found = store.look_up(&name("hall-1"), None).await.unwrap();
        assert_eq!(found.source, source);
        assert!(matches!(found.lookup, Lookup::Found(_)));
    }
    let fault = store.look_up(&name("hall-2"), None).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unavailable, "no cached record can be used");
}

#[tokio::test]
async fn outage_and_its_end_are_each_logged_once() {
    let found = Act::Answer(200, json!({"Item": item_of("hall-1")}).to_string());
    let (away, denied) = (|| Act::HangUp, Act::error(400, "AccessDeniedException"));
    // A look-up that goes wrong makes two attempts.
    let fake = FakeAws::start([found.clone(), away(), away(), away(), away(), found, denied]).await;
    let log = captured_log::of_this_thread();
    let cached = Cached::new(store(&fake.aws), cache(Duration::ZERO, HOUR));
    let mut sources = Vec::new();
    for _ in 0..4 {
        sources.push(cached.look_up(&name("hall-1"), None).await.unwrap().source);
    }
    assert_eq!(sources, [Source::Store, Source::Stale, Source::Stale, Source::Store]);
    let events = log.take_lines().into_iter().map(|line| line["event"].clone()).collect::<Vec<_>>();
    assert_eq!(events, ["store_outage", "store_back"]);
    let fault = cached.look_up(&name("hall-1"), None).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::AccessDenied, "a fault that may be intended is not an outage");
}

#[tokio::test]
async fn file_store_needs_no_aws() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devices.json");
    let location = format!("file:{}", path.display()).parse::<StoreLocation>().unwrap();
    let open = || {
        AnyStore::open(
            &location,
            store_settings(&location),
            None,
            function(),
            KeyringSource { location: KeyringLocation::None, root: None, plain_secrets: false },
        )
    };
    let missing = open().await.map(|_| ()).unwrap_err();
    assert_eq!(missing.kind(), FaultKind::Unavailable);
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(open().await.map(|_| ()).unwrap_err().kind(), FaultKind::BadRecord);
    std::fs::write(&path, r#"{"version":1,"devices":{}}"#).unwrap();
    let found = open().await.unwrap().look_up(&name("a"), None).await.unwrap();
    assert!(matches!(found.lookup, Lookup::Unknown { .. }));
}

async fn find(store: &impl Store, device: &str) -> Result<Lookup, StoreFault> {
    store.look_up(&name(device), None).await.map(|found| found.lookup)
}

async fn connect(store: impl Store, device: &str, password: &str) -> Result<Value, FunctionFault> {
    let mqtt = json!({"username": device, "password": STANDARD.encode(password), "clientId": device});
    let event = json!({"protocols": ["mqtt"], "protocolData": {"mqtt": mqtt}}).to_string();
    let mut context = Context::default();
    "arn:aws:lambda:us-east-1:123456789012:function:latchkey-authorizer"
        .clone_into(&mut context.invoked_function_arn);
    let answer = Handler::new(store).handle(&RawValue::from_string(event).unwrap(), &context).await?;
    Ok(serde_json::to_value(answer).unwrap())
}

fn store(aws: &SdkConfig) -> DynamoDbStore {
    DynamoDbStore::new(aws, settings(), loader())
}

fn cache(known: Duration, stale: Duration) -> CacheSettings {
    CacheSettings { entries: NonZeroUsize::new(10).unwrap(), known, unknown: Duration::ZERO, stale }
}

fn settings() -> DynamoDbSettings {
    DynamoDbSettings {
        table: TABLE.try_into().unwrap(),
        consistent_read: false,
        deadline: Deadline::try_from(DEADLINE_MILLIS).unwrap(),
        default_verifier: default_verifier(),
    }
}

fn default_verifier() -> DefaultVerifier {
    DefaultVerifier::parse("sha256", FunctionMemory::WHOLE_CPU).unwrap()
}

fn store_settings(location: &StoreLocation) -> StoreSettings {
    let memory = FunctionMemory::WHOLE_CPU;
    StoreSettings::defaults(location, memory).unwrap()
}

fn loader() -> LoaderFiles {
    LoaderFiles::open(None, function()).unwrap()
}

fn function() -> FunctionSettings {
    let timers =
        Timers { refresh_after: 3_600.try_into().unwrap(), disconnect_after: 86_400.try_into().unwrap() };
    FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed }
}

/// The item of a device whose password is its name.
fn item_of(device: &str) -> Value {
    let verifier = String::from(live(device).verifier);
    json!({
        "device": {"S": device}, "schema_version": {"N": "1"}, "scheme": {"S": "password"},
        "verifiers": {"L": [{"M": {"verifier": {"S": verifier}}}]}, "grant": {"S": "own-topics"},
    })
}

fn live(device: &str) -> LiveVerifier {
    LiveVerifier { verifier: Verifier::of_generated(device.as_bytes(), [7; 16]), expires_at: None }
}

fn with(mut item: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes have names") };
    item.as_object_mut().unwrap().extend(changes);
    item
}

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}
