//! Whatever JSON an event is: the answer is a refusal, never an error and never a panic.

use authorizer::{handler::Handler, store::file::FileStore};
use device_auth::{
    record::{FunctionSettings, Unsealing},
    time::Timers,
    verifier::budget::FunctionMemory,
};
use integration::fixture;
use lambda_runtime::Context;
use proptest::{collection::vec, option, prelude::*, test_runner::Config};
use serde_json::{Map, Value, json, value::RawValue};

/// Names that the authorizer looks at, so that garbage gets past the first check.
const KEYS: [&str; 9] = [
    "protocolData",
    "mqtt",
    "username",
    "password",
    "clientId",
    "connectionMetadata",
    "id",
    "token",
    "signatureVerified",
];
/// Of devices that the store has.
const DEVICES: [&str; 2] = ["sht20", "hall-07"];

fn text() -> impl Strategy<Value = String> {
    let device = proptest::sample::select(&DEVICES[..]);
    prop_oneof![
        any::<String>(),
        "[A-Za-z0-9+/]{0,12}={0,2}",
        "[a-z?&=#+*$/]{0,200}",
        device.clone().prop_map(str::to_owned),
        (device, any::<String>()).prop_map(|(device, query)| format!("{device}?{query}")),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![9 => proptest::sample::select(&KEYS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn garbage() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((key(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// An event of the right shape with garbage in any of its fields.
fn event() -> impl Strategy<Value = Value> {
    let field = || option::weighted(0.9, prop_oneof![4 => text().prop_map(Value::from), 1 => garbage()]);
    (field(), field(), field(), field()).prop_map(|(username, password, client_id, id)| {
        let mut mqtt = Map::new();
        for (key, value) in [("username", username), ("password", password), ("clientId", client_id)] {
            mqtt.extend(value.map(|value| (key.to_owned(), value)));
        }
        json!({"protocols": ["tls", "mqtt"], "protocolData": {"mqtt": mqtt}, "connectionMetadata": {"id": id}})
    })
}

#[test]
fn garbage_is_refused() {
    let timers =
        Timers { refresh_after: 3_600.try_into().unwrap(), disconnect_after: 86_400.try_into().unwrap() };
    let settings =
        FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing: Unsealing::LeftSealed };
    let function = Handler::new(FileStore::open(&fixture::path("golden/devices.json"), settings).unwrap());
    let mut context = Context::default();
    context.invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    proptest!(config, |(payload in prop_oneof![garbage(), event()])| {
        let payload = RawValue::from_string(payload.to_string()).unwrap();
        let answer = runtime.block_on(function.handle(&payload, &context));
        let answer = answer.map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(serde_json::to_value(answer).unwrap(), crate::functions::golden::refusal());
    });
}
