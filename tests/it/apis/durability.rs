//! What API calls have stored outlives the process, and `latchkey local reset` deletes it.

use std::{collections::BTreeSet, path::Path};

use aws_sdk_iot::{Client, types::AttributePayload};
use integration::{
    aws_api::{answers, call, configuration},
    gateway_process::GatewayProcess,
    programs::program,
    running::{Finished, Running},
    test_gateway::TestGateway,
};
use serde_json::json;
use tokio::{process::Command, task::JoinSet};

/// Calls that are answered before the process is killed.
const ANSWERED: usize = 300;
/// Clients that call at the same time.
const CLIENTS: usize = 8;

/// Creates Things until the gateway is gone, and reports each that was answered.
async fn create_things(client: Client, number: usize, answered: tokio::sync::mpsc::UnboundedSender<String>) {
    for n in 0.. {
        let name = format!("t-{number}-{n}");
        let attributes = AttributePayload::builder().attributes("own", &name).build();
        let created = client.create_thing().thing_name(&name).attribute_payload(attributes).send().await;
        if created.is_err() || answered.send(name).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_writes_the_gateway_has_every_answered_thing_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let authorizer = program("latchkey-authorizer").display().to_string();
    let flags = ["--authorizer", &*authorizer, "--json"];
    let gateway = GatewayProcess::start_with(folder.path(), &flags, &[]).await;
    let (sender, mut answered) = tokio::sync::mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::new(&configuration(folder.path()));
        clients.spawn(create_things(client, number, sender.clone()));
    }
    drop(sender);
    let mut names = BTreeSet::new();
    while names.len() < ANSWERED {
        names.insert(answered.recv().await.expect("the gateway answers"));
    }
    gateway.kill().await;
    clients.abort_all();
    while let Ok(name) = answered.try_recv() {
        names.insert(name);
    }

    let gateway = GatewayProcess::start_with(folder.path(), &flags, &[]).await;
    let client = Client::new(&configuration(folder.path()));
    let pages = client.list_things().max_results(250).into_paginator().send();
    let pages = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
    let mut listed = BTreeSet::new();
    for thing in pages.iter().flat_map(aws_sdk_iot::operation::list_things::ListThingsOutput::things) {
        let name = thing.thing_name().unwrap();
        assert_eq!(thing.attributes().unwrap()["own"], name, "half a Thing");
        listed.insert(name.to_owned());
    }
    let lost = names.difference(&listed).collect::<Vec<_>>();
    assert!(lost.is_empty(), "{lost:?}");
    let by_attribute = client.list_things().attribute_name("own").attribute_value(names.first().unwrap());
    assert_eq!(by_attribute.send().await.unwrap().things().len(), 1);
    gateway.stop().await;
}

async fn reset(folder: &Path) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(["local", "reset", "--data"]).arg(folder);
    Running::start(command).finish().await
}

#[tokio::test]
async fn reset_deletes_what_is_stored_and_keeps_the_key() {
    let gateway = TestGateway::open_to_all().await;
    let folder = gateway.folder.path();
    answers(folder, &[call("CreateThing", json!({"thingName": "a"}))]).await;
    let key = std::fs::read_to_string(folder.join("api.json")).unwrap();
    let refused = reset(folder).await;
    assert_eq!(refused.code, Some(64));
    assert!(refused.err().contains("another gateway uses"), "{}", refused.err());

    let start = gateway.stop().await;
    let folder = start.folder().to_owned();
    let finished = reset(&folder).await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
    for file in ["registry.sqlite3", "broker.sqlite3"] {
        assert!(finished.out().contains(file) && !folder.join(file).exists(), "{}", finished.out());
    }
    assert_eq!(std::fs::read_to_string(folder.join("api.json")).unwrap(), key);
    assert!(reset(&folder).await.out().starts_with("nothing is stored"));
    let gateway = start.run().await;
    let listed = answers(gateway.folder.path(), &[call("ListThings", json!({}))]).await;
    assert_eq!(listed[0]["output"]["things"], json!([]));
}
