//! `latchkey local init`, and a gateway with a settings file.

use std::path::Path;

use integration::{
    device_certificate::DeviceCertificate,
    gateway_process::GatewayProcess,
    programs::program,
    running::{Finished, Running},
};
use tokio::process::Command;

async fn latchkey(folder: &Path, args: &[&str]) -> Finished {
    let mut command = Command::new(program("latchkey"));
    command.args(args).current_dir(folder);
    Running::start(command).finish().await
}

#[tokio::test]
async fn it_writes_a_file_that_can_be_used_and_writes_over_none() {
    let folder = tempfile::tempdir().unwrap();
    let first = latchkey(folder.path(), &["local", "init"]).await;
    assert_eq!(first.code, Some(0), "{}", first.err());
    let file = folder.path().join("latchkey.toml");
    std::fs::write(&file, format!("{}\nregion = 'eu-west-1'\n", std::fs::read_to_string(&file).unwrap()))
        .unwrap();
    let second = latchkey(folder.path(), &["local", "init"]).await;
    assert_eq!(second.code, Some(64));
    assert!(
        second.err().contains("`latchkey.toml` already exists; `--force` overwrites it"),
        "{}",
        second.err()
    );
    assert!(std::fs::read_to_string(&file).unwrap().contains("eu-west-1"));
    let third = latchkey(folder.path(), &["local", "init", "--force"]).await;
    assert_eq!(third.code, Some(0));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("eu-west-1"));
    let elsewhere = latchkey(folder.path(), &["local", "init", "no/such/folder.toml"]).await;
    assert!(elsewhere.err().contains("can't write `no/such/folder.toml`"), "{}", elsewhere.err());
    let running = latchkey(folder.path(), &["local", "--port", "0", "init"]).await;
    assert_ne!(running.code, Some(0), "flags of a run are none of init's");
}

#[tokio::test]
async fn a_settings_file_says_all_that_there_is() {
    let folder = tempfile::tempdir().unwrap();
    DeviceCertificate::new("device").write(folder.path(), "device");
    let policy =
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}}"#;
    std::fs::write(folder.path().join("all.json"), policy).unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(
        &file,
        "[ports]\n443 = 0\nstatus = 'off'\n8443 = 'off'\n\
         [[domain]]\nname = 'd'\nserver_name = 'd.test'\nauthentication_type = 'CUSTOM_AUTH'\n\
         application_protocol = 'SECURE_MQTT'\ndefault_authorizer = 'latchkey'\n\
         [[thing]]\nname = 'device'\n[[policy]]\nname = 'all'\nfile = 'all.json'\n\
         [[certificate]]\nfile = 'device.pem'\npolicies = ['all']\nthings = ['device']\n",
    )
    .unwrap();
    let gateway =
        GatewayProcess::start_with(folder.path(), &["--json", "--config", file.to_str().unwrap()], &[]).await;
    assert_eq!(gateway.ports.keys().collect::<Vec<_>>(), ["443", "8883"]);
    let port = gateway.ports["8883"].port().to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args([
        "-h",
        "localhost",
        "-p",
        &port,
        "-V",
        "5",
        "-i",
        "device",
        "-t",
        "t",
        "-m",
        "x",
        "-q",
        "1",
    ]);
    command.args(["--cafile", "ca.pem", "--cert", "device.pem", "--key", "device.key"]);
    let finished = Running::start({
        command.current_dir(folder.path());
        command
    });
    let finished = finished.finish().await;
    assert_eq!(finished.code, Some(0), "{}", finished.err());
}
