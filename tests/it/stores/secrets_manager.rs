//! The authorizer on one secret of Secrets Manager, by the real client: against moto or LocalStack, and against a service that
//! fails.

use std::{sync::Arc, time::Duration};

use authorizer::{
    config::store::Deadline,
    fault::{FaultKind, StoreFault},
    keyring_source::KeyringSource,
    store::{
        Source, Store,
        secrets_manager::{SecretsManagerSettings, SecretsManagerStore},
    },
};
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{Client, primitives::Blob};
use device_auth::{
    device_name::DeviceName,
    location::KeyringLocation,
    record::{FunctionSettings, Unsealing},
    seal::Keyring,
    store::Lookup,
    time::Timers,
    verifier::{Verifier, budget::FunctionMemory},
};
use fleet::keyring_file;
use integration::{
    aws,
    canary::{Canary, Writings},
    captured_log,
    emulator::Emulator,
    eventually::within,
    fake_aws::{Act, FakeAws},
};
use serde_json::json;

const SECRET: &str = "latchkey/devices";
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn secret_has_all_records_and_is_read_again_after_its_time() {
    let emulator = Emulator::start().await;
    let aws = aws::configuration(emulator.endpoint());
    let client = Client::new(&aws);
    client.create_secret().name(SECRET).secret_string(devices(&["a", "b"])).send().await.unwrap();
    let (following, keeping) =
        (store(&aws, Duration::ZERO, Duration::ZERO), store(&aws, HOUR, Duration::ZERO));
    for store in [&following, &keeping] {
        assert!(is_known(store, "a").await && is_known(store, "b").await && !is_known(store, "c").await);
    }
    let put = client.put_secret_value().secret_id(SECRET);
    put.secret_string(devices(&["b", "c"])).send().await.unwrap();
    assert!(
        !is_known(&following, "a").await
            && is_known(&following, "b").await
            && is_known(&following, "c").await
    );
    assert!(is_known(&keeping, "a").await && !is_known(&keeping, "c").await);
}

#[tokio::test]
async fn unknown_name_gets_the_verifiers_of_another_record() {
    let fake = FakeAws::start([answer(&devices(&["a"]))]).await;
    let Lookup::Unknown { decoy } = find(&store(&fake.aws, HOUR, HOUR), "c").await.unwrap() else {
        panic!("it is known")
    };
    assert_eq!(decoy[0].verifier, verifier("a"));
}

#[tokio::test]
async fn missing_or_binary_secret_is_a_fault_with_a_cure() {
    let emulator = Emulator::start().await;
    let aws = aws::configuration(emulator.endpoint());
    let store = store(&aws, HOUR, HOUR);
    let fault = find(&store, "a").await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::NotFound);
    assert_eq!(
        fault.to_string(),
        "the secret `latchkey/devices` is not in this account and region (ResourceNotFoundException); \
         check LATCHKEY_STORE"
    );
    let binary = Blob::new(devices(&["a"]));
    Client::new(&aws).create_secret().name(SECRET).secret_binary(binary).send().await.unwrap();
    let fault = find(&store, "a").await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::BadRecord);
    assert_eq!(
        fault.to_string(),
        "the secret `latchkey/devices` is binary; it should be the text of a records file"
    );
}

#[tokio::test]
async fn malformed_secret_is_never_quoted() {
    let canary = Canary::new("another secret");
    let secret = canary.secret();
    let mut writings = Writings::default();
    let record = |verifier: &str| {
        json!({"version": 1, "devices": {"a": {"scheme": "password", "grant": "own-topics",
            "verifiers": [{"verifier": verifier}]}}})
    };
    for (text, part) in [
        (String::new(), "is empty"),
        (format!("x{secret}"), "is not a records file from line 1 column 1 on; docs/records.md"),
        (json!({"username": "admin", "password": secret}).to_string(), "is not a records file from line 1"),
        (json!({secret: 1}).to_string(), "is not a records file from line 1"),
        (json!({"version": 1, "devices": {secret.repeat(9): {}}}).to_string(), "is not a records file"),
        (json!({"version": 2, "devices": {}}).to_string(), "the format's version is 2"),
    ] {
        let fake = FakeAws::start([answer(&text)]).await;
        let fault = find(&store(&fake.aws, HOUR, HOUR), "a").await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::BadRecord, "{fault}");
        assert!(fault.to_string().contains(part), "{part}: {fault}");
        writings.add("the fault", format!("{fault} {fault:?}"));
    }
    let fake = FakeAws::start([answer(&record(secret).to_string())]).await;
    let log = captured_log::of_this_thread();
    assert!(matches!(find(&store(&fake.aws, HOUR, HOUR), "a").await, Ok(Lookup::Unusable { .. })));
    let lines = log.take_lines();
    assert_eq!((&lines[0]["event"], &lines[0]["device"]), (&json!("record_not_usable"), &json!("a")));
    writings.add("the log", format!("{lines:?}"));
    writings.assert_says("latchkey/devices");
    writings.assert_free_of(&[&canary]);
}

#[tokio::test]
async fn changed_keyring_makes_a_sealed_record_usable_before_the_secret_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keyring.json");
    let made = folder.path().join("made.json");
    let keyring = keyring_file::make(&made, "k1".try_into().unwrap()).unwrap();
    let sealed = keyring.seal(b"secret", &name("d&pk")).unwrap();
    let record = json!({"scheme": "alibaba", "grant": "alibaba", "secrets": [{"device_secret": *sealed}]});
    let text = json!({"version": 1, "devices": {"d&pk": record}}).to_string();
    let fake = FakeAws::start([answer(&text)]).await;
    let location = KeyringLocation::File(keys.clone());
    let source = KeyringSource { location, root: None, plain_secrets: false };
    let store =
        store_with(&fake.aws, HOUR, HOUR, Unsealing::With(Arc::new(Keyring::empty()))).following(source);
    assert!(matches!(find(&store, "d&pk").await, Ok(Lookup::Unusable { .. })));
    std::fs::rename(&made, &keys).unwrap();
    assert!(matches!(find(&store, "d&pk").await, Ok(Lookup::Found(_))));
    assert_eq!(fake.calls().len(), 2);
    let log = captured_log::of_this_thread();
    std::fs::write(&keys, "{").unwrap();
    _ = log.take_lines();
    for _ in 0..2 {
        let found = store.look_up(&name("d&pk"), None).await.unwrap();
        assert!(matches!(found.lookup, Lookup::Found(_)) && found.source == Source::Stale);
        assert_eq!(log.take_lines()[0]["event"], "records_not_usable");
    }
    assert_eq!(fake.calls().len(), 2, "the secret itself is not due");
}

#[tokio::test]
async fn concurrent_look_ups_make_one_read() {
    let fake = FakeAws::start([answer(&devices(&["a"]))]).await;
    let store = store(&fake.aws, Duration::ZERO, Duration::ZERO);
    let (a, c, again) = tokio::join!(find(&store, "a"), find(&store, "c"), find(&store, "a"));
    assert!(matches!(a, Ok(Lookup::Found(_))) && matches!(c, Ok(Lookup::Unknown { .. })) && again.is_ok());
    assert_eq!(fake.calls(), [json!({"SecretId": SECRET})]);
}

#[tokio::test]
async fn old_records_are_used_in_an_outage_only_if_set() {
    for stale in [Duration::ZERO, HOUR] {
        let away = || Act::error(500, "InternalServiceError");
        let acts = [answer(&devices(&["a"])), away(), away(), Act::HangUp, Act::HangUp, answer("{}")];
        let (fake, log) = (FakeAws::start(acts).await, captured_log::of_this_thread());
        let store = store(&fake.aws, Duration::ZERO, stale);
        assert_eq!(source(&store).await, Ok(Source::Store));
        let expected = if stale.is_zero() { Err(FaultKind::Unavailable) } else { Ok(Source::Stale) };
        assert_eq!(source(&store).await, expected);
        assert_eq!(source(&store).await, expected);
        assert_eq!(
            source(&store).await,
            Ok(Source::Stale),
            "a malformed secret leaves the last records in force"
        );
        let events = log.take_lines().into_iter().map(|line| line["event"].clone()).collect::<Vec<_>>();
        let logged: &[&str] = if stale.is_zero() {
            &["records_not_usable"]
        } else {
            &["store_outage", "store_back", "records_not_usable"]
        };
        assert_eq!(events, logged);
    }
}

#[tokio::test]
async fn failing_service_is_a_fault_within_the_deadline() {
    for (act, kind, part) in [
        (Act::error(400, "ThrottlingException"), FaultKind::Throttled, "LATCHKEY_CACHE_SECONDS"),
        (
            Act::error(400, "AccessDeniedException"),
            FaultKind::AccessDenied,
            "`secretsmanager:GetSecretValue`",
        ),
        (Act::error(400, "DecryptionFailure"), FaultKind::Refused, "(DecryptionFailure)"),
        (Act::error(500, "InternalServiceError"), FaultKind::Unavailable, "(InternalServiceError)"),
        (Act::HangUp, FaultKind::Unavailable, "can't be asked"),
        (Act::Silence, FaultKind::Timeout, "no answer about the secret"),
    ] {
        let fake = FakeAws::start([act.clone()]).await;
        let store = store(&fake.aws, HOUR, HOUR);
        let fault = within("an answer", Box::pin(find(&store, "a"))).await.unwrap_err();
        assert_eq!(fault.kind(), kind, "{act:?}: {fault}");
        assert!(fault.to_string().contains(part), "{act:?}: {fault}");
    }
}

async fn find(store: &SecretsManagerStore, device: &str) -> Result<Lookup, StoreFault> {
    store.look_up(&name(device), None).await.map(|found| found.lookup)
}

async fn is_known(store: &SecretsManagerStore, device: &str) -> bool {
    matches!(find(store, device).await.unwrap(), Lookup::Found(_))
}

async fn source(store: &SecretsManagerStore) -> Result<Source, FaultKind> {
    let found = store.look_up(&name("a"), None).await;
    found.map(|found| found.source).map_err(|fault| fault.kind())
}

fn store(aws: &SdkConfig, known: Duration, stale: Duration) -> SecretsManagerStore {
    store_with(aws, known, stale, Unsealing::LeftSealed)
}

fn store_with(
    aws: &SdkConfig,
    known: Duration,
    stale: Duration,
    unsealing: Unsealing,
) -> SecretsManagerStore {
    let settings = SecretsManagerSettings {
        secret: SECRET.try_into().unwrap(),
        deadline: Deadline::try_from(2_000).unwrap(),
        known,
        stale,
    };
    let timers = Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
    let function = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
    SecretsManagerStore::new(aws, settings, function)
}

fn answer(secret: &str) -> Act {
    Act::Answer(200, json!({"Name": SECRET, "SecretString": secret}).to_string())
}

/// A records file with these devices.
fn devices(names: &[&str]) -> String {
    let record = |name: &str| {
        let verifier = String::from(verifier(name));
        json!({"scheme": "password", "grant": "own-topics", "verifiers": [{"verifier": verifier}]})
    };
    let devices = names.iter().map(|name| ((*name).to_owned(), record(name)));
    json!({"version": 1, "devices": devices.collect::<serde_json::Map<_, _>>()}).to_string()
}

fn verifier(name: &str) -> Verifier {
    Verifier::of_generated(name.as_bytes(), [7; 16])
}

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}
