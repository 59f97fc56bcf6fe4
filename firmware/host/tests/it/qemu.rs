//! The application as rv32imc machine code, on QEMU's `virt` board.

use std::path::{Path, PathBuf};
use std::process::Command;

use app::configuration::partition::Key;
use configure::Entries;
use rcgen::SanType;
use time::{Duration, OffsetDateTime};

use crate::device::Device;
use crate::gateway_process::Gateway;
use crate::tls_server::{Signer, Version, serve};
use crate::{reading, time_server};

/// The most bytes of heap that a connection may use: what the radio leaves on the chip, with a reserve.
const HEAP_BUDGET: usize = 64 * 1_024;

/// The address of this machine in QEMU's network.
const HOST_ADDRESS: &str = "10.0.2.2";

fn start_qemu(folder: &Path, mut entries: Entries) -> Device {
    for key in [Key::Address, Key::TimeHost] {
        entries.set(key, HOST_ADDRESS);
    }
    let file = folder.join("configuration.bin");
    std::fs::write(&file, entries.to_partition().unwrap()).unwrap();
    let mut qemu = Command::new("qemu-system-riscv32");
    qemu.args(["-M", "virt", "-m", "32M", "-bios", "none", "-nographic", "-monitor", "none", "-kernel"])
        .arg(image());
    qemu.args([
        "-netdev",
        "user,id=n0",
        "-device",
        "virtio-net-device,netdev=n0",
        "-device",
        "virtio-rng-device",
    ]);
    qemu.arg("-device").arg(format!("loader,file={},addr=0x80f00000,force-raw=on", file.display()));
    Device::spawn(&mut qemu)
}

fn image() -> PathBuf {
    let built = "../target/riscv32imc-unknown-none-elf/release/qemu-virt";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(built);
    assert!(path.exists(), "`{}` is missing; `make firmware-test` builds it", path.display());
    path
}

/// The highest peak that the device has printed.
fn peak(device: &mut Device) -> usize {
    let printed = device.printed();
    let peaks =
        printed.lines().filter_map(|line| line.split_once("heap: peak ")?.1.split(' ').next()?.parse().ok());
    peaks.max().expect("a peak")
}

#[tokio::test]
async fn readings_arrive_also_after_an_outage_within_the_heap_budget() {
    let mut gateway = Gateway::start();
    let mut viewer = gateway.viewer().await;
    let mut device =
        start_qemu(gateway.folder(), gateway.add_device("sht20", "sht20", time_server::correct()));
    let last = reading::wait_for(&mut viewer, "sensor/sht20/temperature", 0).await;
    device.wait_for_line("mqtt: sent sensor/sht20/humidity");
    drop(viewer);
    gateway.stop();
    for _ in 0..4 {
        device.wait_for_line("before the next attempt");
    }
    gateway.restart();
    let mut viewer = gateway.viewer().await;
    gateway.open();
    reading::wait_for(&mut viewer, "sensor/sht20/temperature", last + 1).await;
    device.wait_for_line("mqtt: connected as sht20");
    device.wait_for_line("mqtt: sent sensor/sht20/humidity");
    assert!(reading::longest_gap(device.printed()) <= 2, "{}", device.printed());
    let peak = peak(&mut device);
    println!("heap: peak {peak} bytes");
    assert!((1..HEAP_BUDGET).contains(&peak), "{peak} bytes of heap");
}

#[test]
fn device_with_a_wrong_password_is_refused() {
    let gateway = Gateway::start();
    let mut entries = gateway.add_device("sht20", "sht20", time_server::correct());
    entries.set(Key::Secret, "another password");
    let mut device = start_qemu(gateway.folder(), entries);
    assert!(
        device.wait_for_line("ERROR").contains("mqtt: the server refused the connection: not authorized")
    );
    device.wait_for_line("before the next attempt");
    assert!(!device.printed().contains("mqtt: connected"));
}

#[test]
fn untrusted_server_is_refused() {
    let (root, other) = (Signer::root(), Signer::root());
    let leaf = root.leaf(|_| {});
    let forged = leaf.leaf(|_| {});
    let [hour_ago, in_an_hour] = [-1, 1].map(|hours| OffsetDateTime::now_utc() + Duration::hours(hours));
    let expired = root.leaf(|params| params.not_after = hour_ago);
    let early = root.leaf(|params| params.not_before = in_an_hour);
    let elsewhere = root.leaf(|params| {
        params.subject_alt_names = vec![SanType::DnsName("elsewhere.test".try_into().unwrap())];
    });
    let trusted = root.pem();
    let cases = [
        (serve(&leaf, &[], &["mqtt"], Version::V13), other.pem(), "does not chain to `ca`"),
        (serve(&forged, &[&leaf], &["mqtt"], Version::V13), trusted.clone(), "is not a CA"),
        (serve(&expired, &[], &["mqtt"], Version::V12), trusted.clone(), "expired before 20"),
        (serve(&early, &[], &["mqtt"], Version::V13), trusted.clone(), "is not valid yet at 20"),
        (serve(&elsewhere, &[], &["mqtt"], Version::V12), trusted.clone(), "is for another name"),
        (serve(&leaf, &[], &["http/1.1"], Version::V12), trusted.clone(), "(alert 120)"),
        (serve(&leaf, &[], &[], Version::V13), trusted, "does not support ALPN"),
    ];
    for (port, ca, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut device = start_qemu(folder.path(), crate::device::entries(port, time_server::correct(), &ca));
        let line = device.wait_for_line("ERROR");
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn device_without_the_time_does_not_connect() {
    let folder = tempfile::tempdir().unwrap();
    let entries = crate::device::entries(1, time_server::silent(), &Signer::root().pem());
    let mut device = start_qemu(folder.path(), entries);
    assert!(device.wait_for_line("ERROR").contains("time: the time server does not answer"));
}

#[test]
fn missing_configuration_is_reported() {
    let mut qemu = Command::new("qemu-system-riscv32");
    qemu.args(["-M", "virt", "-m", "32M", "-bios", "none", "-nographic", "-monitor", "none", "-kernel"])
        .arg(image());
    assert!(Device::spawn(&mut qemu).wait_for_line("ERROR").contains("there is no configuration"));
}
