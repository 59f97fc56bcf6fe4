//! Devices that are cut off, refused, or never heard.

use std::sync::atomic::{AtomicUsize, Ordering};

use device_sim::command::Exit;
use mqtt::{ConnectReasonCode, DisconnectReasonCode, PubAckCode};
use serde_json::json;

use crate::command::{args, published, run};
use crate::server::{Manner, Seen, Server};

/// Treats the first connection in one way, and those after it in another.
fn at_first(first: Manner, then: Manner) -> impl Fn(&mqtt::Connect) -> Manner {
    let connections = AtomicUsize::new(0);
    move |_| if connections.fetch_add(1, Ordering::Relaxed) == 0 { first } else { then }
}

#[tokio::test]
async fn a_device_that_is_cut_off_comes_back() {
    let code = DisconnectReasonCode::ServerShuttingDown;
    let mut server = Server::start(at_first(Manner::DisconnectOnPublish(code), Manner::Kind)).await;
    let args = args(&server, &["a"], &["--json"]);
    // The first message is the one that the server closes on.
    let ran = run(&args, published(&mut server, &["a"], 3)).await;
    let summary = ran.json();
    assert_eq!(ran.exit, Exit::Through, "{summary}");
    assert_eq!(summary["lost"], json!({"server_shutting_down": 1}));
    assert_eq!(summary["failed"], json!({"server_shutting_down": 1}));
    assert_eq!(summary["messages"], json!({"sent": 3, "acknowledged": 2, "failed": 1}));
    assert_eq!((&summary["devices"]["lost"], &summary["devices"]["online"]), (&json!(1), &json!(1)));
    let warning = "a-name: connection lost: the server ended the connection: server shutting down (0x8b)";
    assert!(ran.err.contains(warning), "{}", ran.err);
}

#[tokio::test]
async fn a_device_that_is_lost_at_the_end_did_not_get_through() {
    let mut server = Server::start(|_| Manner::CloseOnPublish).await;
    let args = args(&server, &["a"], &["--json"]);
    let ran = run(&args, published(&mut server, &["a"], 1)).await;
    assert_eq!(ran.exit, Exit::NotThrough);
    assert_eq!(ran.json()["devices"]["got_through"], 0);
    assert_eq!(ran.json()["lost"], json!({"closed_by_server": 1}));
}

#[tokio::test]
async fn a_refused_device_tries_again_as_often_as_allowed() {
    let refused = Manner::Refuse(ConnectReasonCode::ServerBusy);
    let mut server = Server::start(at_first(refused, Manner::Kind)).await;
    let args = args(&server, &["a"], &["--json", "--retries", "1"]);
    let ran = run(&args, published(&mut server, &["a"], 1)).await;
    let summary = ran.json();
    assert_eq!(ran.exit, Exit::Through, "{summary}");
    assert_eq!(summary["refused"], json!({"server_busy": 1}));
    assert_eq!(summary["devices"]["refused"], 0);
    assert!(
        ran.err.contains("server busy (0x89); the log of `latchkey local`, or on AWS the log of the function, says why; trying again"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn refused_messages_do_not_end_the_connection() {
    let mut server = Server::start(|_| Manner::RefusePublish(PubAckCode::QuotaExceeded)).await;
    let args = args(&server, &["a"], &["--json"]);
    let ran = run(&args, published(&mut server, &["a"], 2)).await;
    let summary = ran.json();
    assert_eq!(ran.exit, Exit::NotThrough);
    assert_eq!(summary["failed"], json!({"quota_exceeded": 2}));
    assert_eq!((&summary["devices"]["online"], &summary["lost"]), (&json!(1), &json!({})));
}

#[tokio::test]
async fn a_ca_that_is_not_the_servers_ends_every_device() {
    let (server, other) = (Server::kind().await, Server::kind().await);
    let mut args = args(&server, &["a", "b"], &["--json"]);
    args.connection.ca = Some(other.ca.clone());
    let ran = run(&args, std::future::pending()).await;
    assert_eq!(ran.exit, Exit::NotThrough);
    assert_eq!(ran.json()["unreachable"], json!({"tls_unknown_ca": 2}));
    assert_eq!(ran.json()["devices"]["unreachable"], 2);
    // Said once, not for each device.
    assert_eq!(ran.err.matches("is not signed by the CA").count(), 1, "{}", ran.err);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_nothing_reaches_ends_the_run() {
    let server = Server::kind().await;
    let mut args = args(&server, &["a", "b"], &["--json"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    args.connection.endpoint = Some(free.local_addr().unwrap().to_string().parse().unwrap());
    drop(free);
    let ran = run(&args, std::future::pending()).await;
    let summary = ran.json();
    assert_eq!((ran.exit, &summary["devices"]["unreachable"]), (Exit::NotThrough, &json!(2)), "{summary}");
    let attempts = summary["unreachable"]["tcp_connection_refused"].as_u64().unwrap();
    assert!((4..=8).contains(&attempts), "{summary}");
    let warning = "no device has reached the server in 4 attempts, so the run ends\n";
    assert!(ran.err.contains(warning) && ran.err.contains("nothing listens on `127.0.0.1:"), "{}", ran.err);
}

#[tokio::test]
async fn shards_have_the_faults_of_the_whole_fleet() {
    let server = Server::kind().await;
    let ids: Vec<String> = (0..30).map(|number| format!("d{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut whole = args(&server, &ids, &["--json", "--ramp", "1000", "--duration", "1ms", "--seed", "5"]);
    whole.fault = ["wrong-password=20%", "sensor-stuck=3"].map(|text| text.parse().unwrap()).to_vec();
    whole.expect.expect_refused = Some("100%".parse().unwrap());
    let mut faulty = Vec::new();
    for shard in [None, Some("0/3"), Some("1/3"), Some("2/3")] {
        let list = server.folder.path().join("faults.csv");
        whole.shard = shard.map(|text| text.parse().unwrap());
        whole.fault_list = Some(list.clone());
        let ran = run(&whole, std::future::pending()).await;
        // What was expected is judged when the shards are merged.
        let expectation = &ran.json()["expectations"][0];
        let met = if shard.is_none() { json!(false) } else { json!(null) };
        assert_eq!((&expectation["of"], &expectation["met"]), (&json!("refused"), &met), "{shard:?}");
        let text = std::fs::read_to_string(list).unwrap();
        let mut lines: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        lines.sort_unstable();
        faulty.push(lines);
    }
    assert_eq!(faulty[0].len(), 6 + 3, "{faulty:?}");
    let mut parts = faulty[1..].concat();
    parts.sort_unstable();
    assert_eq!(parts, faulty[0]);
}

#[tokio::test]
async fn a_stop_during_the_ramp_starts_no_more_devices() {
    let mut server = Server::kind().await;
    let ids: Vec<String> = (0..100).map(|number| format!("d{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let args = args(&server, &ids, &["--json", "--ramp", "1"]);
    let connected = server.until(|seen| matches!(seen, Seen::Connect(_)).then_some(()));
    let ran = run(&args, connected).await;
    let devices = &ran.json()["devices"];
    assert_eq!((ran.exit, &devices["expected"]), (Exit::NotThrough, &json!(100)));
    assert!(devices["started"].as_u64().unwrap() < 100, "{devices}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_devices_get_through() {
    let mut server = Server::kind().await;
    let ids: Vec<String> = (0..200).map(|number| format!("d{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let args = args(&server, &ids, &["--json", "--ramp", "1000", "--interval", "1h"]);
    let ran = run(&args, published(&mut server, &ids, 2)).await;
    let summary = ran.json();
    assert_eq!(ran.exit, Exit::Through, "{summary}");
    assert_eq!(summary["messages"], json!({"sent": 400, "acknowledged": 400, "failed": 0}));
    assert_eq!(summary["devices"]["got_through"], 200);
}
