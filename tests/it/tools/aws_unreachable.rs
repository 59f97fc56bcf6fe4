//! What commands do if an endpoint of AWS can't be reached: nothing that can't heal is tried again, and what is tried again is
//! said.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use integration::{
    cloud::outputs,
    programs::program,
    running::{Finished, Running},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

async fn latchkey(folder: &Path, endpoint: &str, words: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(words).current_dir(folder).env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    command.envs([("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    for name in ["AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "LATCHKEY_STORE"] {
        command.env_remove(name);
    }
    let nothing = folder.join("no-such-file");
    command.env("AWS_CONFIG_FILE", &nothing).env("AWS_SHARED_CREDENTIALS_FILE", &nothing);
    Running::start(command).finish().await
}

/// A folder with what the commands read before they call AWS.
async fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("cdk-outputs.json"), outputs("dev").to_string()).unwrap();
    let added = latchkey(
        path,
        "",
        &["fleet", "--store", "devices.json", "add", "hall-1", "--credentials", "passwords.csv"],
    );
    let added = added.await;
    assert_eq!(added.code, Some(0), "{}", added.err());
    let mqtt = json!({"clientId": "hall-1", "username": "hall-1", "password": "eA=="});
    let event = json!({"protocols": ["mqtt"], "protocolData": {"mqtt": mqtt}});
    fs::write(path.join("event.json"), event.to_string()).unwrap();
    folder
}

const LIVE: [&str; 9] = [
    "fleet",
    "--store",
    "devices.json",
    "explain",
    "--event",
    "event.json",
    "--live",
    "--authorizer",
    "latchkey",
];

#[tokio::test]
async fn a_closed_port_ends_each_command_with_its_cure_and_without_another_attempt() {
    let folder = folder().await;
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (table, secret) = ("dynamodb:devices", "secretsmanager:devices");
    let commands: [&[&str]; 10] = [
        &["fleet", "--store", table, "list"],
        &["fleet", "--store", table, "add", "hall-2"],
        &["fleet", "--store", table, "check"],
        &["fleet", "--store", secret, "list"],
        &["fleet", "--store", secret, "add", "hall-2"],
        &["fleet", "--store", table, "push", "devices.json"],
        &["fleet", "--store", table, "revoke", "hall-1", "--yes"],
        &["fleet", "provision", "--count", "1", "--name", "hall-#"],
        &["fleet", "logs", "--since", "1m"],
        &LIVE,
    ];
    for words in commands {
        let finished = latchkey(folder.path(), &format!("http://{closed}"), words).await;
        let (code, text) = (finished.code, finished.err());
        assert!(code.is_some_and(|code| code != 0), "{words:?}: {text}");
        assert!(text.contains(&format!("nothing accepts connections at `{closed}`: ")), "{words:?}: {text}");
        assert!(text.contains("AWS_ENDPOINT_URL"), "{words:?}: {text}");
        assert!(!text.contains("trying again") && !text.contains("dispatch failure"), "{words:?}: {text}");
    }
}

#[tokio::test]
async fn a_call_that_is_tried_again_says_so() {
    let folder = folder().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    let finished = latchkey(folder.path(), &format!("http://{address}"), &LIVE).await;
    let text = finished.err();
    assert!(finished.code.is_some_and(|code| code != 0), "{text}");
    assert_eq!(accepted.load(Ordering::Relaxed), 2, "{text}");
    assert_eq!(text.matches("trying again, 1 time at most").count(), 1, "{text}");
    assert_eq!(text.matches(&format!("the connection to `{address}` failed (")).count(), 2, "{text}");
}
