//! The program as a deploy uploads it: built by cargo-lambda for Lambda's system, and run here with the gateway's
//! Lambda Runtime API.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use device_sim::{ConnectError, Version};
use fleet::{
    secret::Secret,
    store_file::{NewDevice, StoreFile},
};
use integration::gateway_process::GatewayProcess;
use serde_json::Value;

/// What `make bundle` has left.
fn bundle() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bundle/bootstrap");
    assert!(path.exists(), "there is no `{}`: `make bundle` builds it", path.display());
    path
}

#[tokio::test]
async fn the_program_that_is_deployed_answers_events() {
    let folder = tempfile::tempdir().unwrap();
    let secret = Secret::generate().unwrap();
    let mut store = StoreFile::open(&folder.path().join("devices.json")).unwrap();
    let name = "hall-1".try_into().unwrap();
    store.add(NewDevice { name, client_ids: Vec::new(), grant: "sht20".to_owned() }, &secret).unwrap();
    store.save().unwrap();
    let program = bundle().display().to_string();
    let gateway = GatewayProcess::start_with(folder.path(), &["--authorizer", &program, "--json"], &[]).await;
    let connect = async |password: &str| {
        gateway
            .connect(
                Version::V5,
                "hall-1",
                "hall-1?x-amz-customauthorizer-name=latchkey",
                password.as_bytes(),
            )
            .await
    };
    let mut client = connect(secret.text()).await.unwrap();
    let topic = || "sensor/hall-1/temperature".try_into().unwrap();
    client.subscribe(topic(), device_sim::QoS::AtLeastOnce).await.unwrap();
    client.disconnect().await;
    assert!(matches!(connect("wrong").await, Err(ConnectError::Refused { .. })));
    gateway.stop().await;
    let log = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let decisions = lines.filter(|line| line["event"] == "decision").collect::<Vec<_>>();
    let summary = |line: &Value| {
        [&line["outcome"], &line["reason"], &line["device"]].map(|it| it.as_str().map(str::to_owned))
    };
    let expected =
        [[Some("allow"), None, Some("hall-1")], [Some("deny"), Some("wrong_password"), Some("hall-1")]];
    assert_eq!(
        decisions.iter().map(summary).collect::<Vec<_>>(),
        expected.map(|it| it.map(|it| it.map(str::to_owned)))
    );
}

/// Amazon Linux 2023 has glibc 2.34 (its release notes); what needs a later one does not start there.
#[test]
fn it_starts_where_glibc_is_as_old_as_lambdas() {
    let program = std::fs::read(bundle()).unwrap();
    assert_eq!(&program[..6], b"\x7fELF\x02\x01");
    assert_eq!(program[18..20], [0x3e, 0], "x86_64, as the tests' stage has it");
    let text = String::from_utf8_lossy(&program);
    let versions = text.split("GLIBC_2.").skip(1).filter_map(|rest| {
        let digits = rest.chars().take_while(char::is_ascii_digit).collect::<String>();
        digits.parse::<u32>().ok()
    });
    let newest = versions.max().expect("it is linked with glibc");
    assert!(newest <= 34, "it needs glibc 2.{newest}");
}
