//! Records in an indexed file: made by `latchkey fleet build`, read by the real function.

use std::{fs, path::Path};

use gateway::{gateway::StartError, lambda::InvokeError};
use integration::{
    mqtt_client::{MqttClient, connect},
    programs::program,
    refusal,
    running::{Finished, Running},
    test_gateway::{Start, TestGateway},
};
use mqtt::{ConnectReasonCode, Version};
use serde_json::Value;
use tokio::process::Command;

/// Where the values begin: after the header.
const FIRST_RECORD: usize = 512;

async fn fleet(folder: &Path, words: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.arg("fleet").args(words).current_dir(folder).env_remove("LATCHKEY_STORE");
    Running::start(command).finish().await
}

/// Makes the indexed file of the folder's records, and returns its digest.
async fn build(folder: &Path) -> String {
    let built = fleet(folder, &["build", "devices.json", "--out", "devices.indexed", "--json"]).await;
    let built = serde_json::from_slice::<Value>(&built.out).unwrap_or_else(|_| panic!("{}", built.err()));
    built["digest"].as_str().unwrap().to_owned()
}

/// The start of a gateway whose function reads the indexed file.
fn indexed(start: Start, digest: Option<&str>) -> Start {
    let store = format!("indexed:{}", start.folder().join("devices.indexed").display());
    start.with_program(|program| {
        program.variables = vec![("LATCHKEY_STORE".to_owned(), store)];
        program
            .variables
            .extend(digest.map(|digest| ("LATCHKEY_STORE_DIGEST".to_owned(), digest.to_owned())));
    })
}

async fn accepted(gateway: &TestGateway, name: &str, password: &str) {
    for version in [Version::V311, Version::V5] {
        let (_, ack) = MqttClient::connect(gateway, connect(version, name, name, password)).await;
        assert_eq!(ack.unwrap().code, ConnectReasonCode::Success, "`{name}`");
    }
}

async fn refused(gateway: &TestGateway, name: &str, password: &str) {
    for version in [Version::V311, Version::V5] {
        refusal::refused(gateway, connect(version, name, name, password), ConnectReasonCode::NotAuthorized)
            .await;
    }
}

/// Changes one byte of the indexed file.
fn damage(folder: &Path, at: impl Fn(usize) -> usize) {
    let path = folder.join("devices.indexed");
    let mut bytes = fs::read(&path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Why the function does not start.
async fn start_fault(start: Start) -> String {
    match start.try_run().await {
        Err(StartError::Authorizer(InvokeError::Init { code, message, .. })) => {
            assert_eq!(code, Some(64), "{message}");
            message
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it starts"),
    }
}

#[tokio::test]
async fn devices_of_the_file_connect_and_no_others() {
    let start = Start::with_authorizer();
    let (one, two) = (start.add("one", "own-topics"), start.add("two", "own-topics"));
    let digest = build(start.folder()).await;
    let gateway = indexed(start, Some(&digest)).run().await;
    accepted(&gateway, "one", &one).await;
    accepted(&gateway, "two", &two).await;
    refused(&gateway, "one", &two).await;
    refused(&gateway, "three", &one).await;
}

#[tokio::test]
async fn a_new_file_is_used_at_once_unless_another_is_pinned() {
    for is_pinned in [false, true] {
        let start = Start::with_authorizer();
        let one = start.add("one", "own-topics");
        let digest = build(start.folder()).await;
        let gateway = indexed(start, is_pinned.then_some(&digest)).run().await;
        accepted(&gateway, "one", &one).await;
        let two = gateway.add("two", "own-topics");
        refused(&gateway, "two", &two).await;
        build(gateway.folder.path()).await;
        accepted(&gateway, "one", &one).await;
        if is_pinned {
            // The last file that had the digest stays in force.
            refused(&gateway, "two", &two).await;
        } else {
            accepted(&gateway, "two", &two).await;
        }
    }
}

#[tokio::test]
async fn a_damaged_record_refuses_its_own_device() {
    let start = Start::with_authorizer();
    let (one, two) = (start.add("one", "own-topics"), start.add("two", "own-topics"));
    let digest = build(start.folder()).await;
    damage(start.folder(), |_| FIRST_RECORD);
    let gateway = indexed(start, Some(&digest)).run().await;
    refused(&gateway, "one", &one).await;
    accepted(&gateway, "two", &two).await;
    let checked = fleet(gateway.folder.path(), &["check", "--store", "indexed:devices.indexed"]).await;
    let problems = checked.out().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(checked.code, Some(1));
    assert!(problems.contains("device `one`: the entry is damaged: bytes 512 to "), "{problems}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_ends_the_start_and_its_place_is_named() {
    let other = "ab".repeat(32);
    for (damaged, pinned, parts) in [
        (Some(3), None, ["it is not an indexed file", "`latchkey fleet build`"]),
        (Some(16), None, ["the format's version is 17", "this program reads 1"]),
        (Some(90), None, ["the header is damaged: bytes 0 to 512", "`latchkey fleet build`"]),
        (
            None,
            Some(&other),
            ["its digest is ", "is pinned; deploy the file whose digest LATCHKEY_STORE_DIGEST has"],
        ),
    ] {
        let start = Start::with_authorizer();
        start.add("one", "own-topics");
        build(start.folder()).await;
        if let Some(at) = damaged {
            damage(start.folder(), |_| at);
        }
        let message = start_fault(indexed(start, pinned.map(|it| &**it))).await;
        assert!(message.contains("devices.indexed`: "), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let start = Start::with_authorizer();
    start.add("one", "own-topics");
    build(start.folder()).await;
    // The last bytes are the root of the last tree with entries.
    damage(start.folder(), |length| length - 1);
    let message = start_fault(indexed(start, None)).await;
    assert!(message.contains("the index is damaged: bytes "), "{message}");
    let message = start_fault(indexed(Start::with_authorizer(), None)).await;
    assert!(
        message.contains("can't read the device records in `") && message.contains("fleet build"),
        "{message}"
    );
    let start = Start::with_authorizer().with_program(|program| {
        program.variables.push(("LATCHKEY_STORE_DIGEST".to_owned(), other.clone()));
    });
    let message = start_fault(start).await;
    assert!(message.contains("LATCHKEY_STORE_DIGEST: is for an indexed file"), "{message}");
}

/// The deployment's tests read this file, whose digest they know.
#[tokio::test]
async fn the_file_of_the_deployments_tests_is_what_the_tool_makes() {
    let fixture = integration::fixture::path("indexed/devices.indexed");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(integration::fixture::path("indexed/devices.json"), folder.path().join("devices.json")).unwrap();
    let digest = build(folder.path()).await;
    assert_eq!(fs::read(folder.path().join("devices.indexed")).unwrap(), fs::read(fixture).unwrap());
    let deployment = include_str!("../../../infra/test/support/fixture.ts");
    assert!(deployment.contains(&format!("INDEXED_DIGEST = '{digest}'")), "{digest}");
}
