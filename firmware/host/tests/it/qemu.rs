//! The same application as rv32imc machine code, on QEMU's `virt` machine.

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

/// The most heap that a connection may take, in bytes: what the chip has left beside the radio, with room to spare.
const HEAP_BUDGET: usize = 64 * 1_024;

/// How the guest reaches this machine.
const THIS_MACHINE: &str = "10.0.2.2";

fn switch_on(folder: &Path, mut entries: Entries) -> Device {
    for key in [Key::Address, Key::TimeHost] {
        entries.set(key, THIS_MACHINE);
    }
    let file = folder.join("configuration.bin");
    std::fs::write(&file, configure::partition(&entries).unwrap()).unwrap();
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
    Device::of(&mut qemu)
}

fn image() -> PathBuf {
    let built = "../target/riscv32imc-unknown-none-elf/release/qemu-virt";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(built);
    assert!(path.exists(), "`{}` is missing; `make firmware-test` builds it", path.display());
    path
}

/// The greatest of the peaks that it has printed.
fn peak(device: &mut Device) -> usize {
    let printed = device.printed();
    let peaks = printed
        .lines()
        .filter_map(|line| line.split_once("the session took ")?.1.split(' ').next()?.parse().ok());
    peaks.max().expect("a peak")
}

#[tokio::test]
async fn readings_arrive_also_after_an_outage_within_the_heap() {
    let mut gateway = Gateway::start();
    let mut viewer = gateway.viewer().await;
    let mut device = switch_on(gateway.folder(), gateway.device("sht20", "sht20", time_server::right()));
    let last = reading::arrives(&mut viewer, "sensor/sht20/temperature", 0).await;
    device.prints("mqtt: sent sensor/sht20/humidity");
    drop(viewer);
    gateway.stop();
    for _ in 0..4 {
        device.prints("before the next attempt");
    }
    gateway.start_again();
    let mut viewer = gateway.viewer().await;
    gateway.open();
    reading::arrives(&mut viewer, "sensor/sht20/temperature", last + 1).await;
    device.prints("mqtt: connected as sht20");
    device.prints("mqtt: sent sensor/sht20/humidity");
    assert!(reading::longest_gap(device.printed()) <= 2, "{}", device.printed());
    let peak = peak(&mut device);
    println!("the session took {peak} bytes of heap at most");
    assert!((1..HEAP_BUDGET).contains(&peak), "{peak} bytes of heap");
}

#[test]
fn a_refusal_is_obeyed() {
    let gateway = Gateway::start();
    let mut entries = gateway.device("sht20", "sht20", time_server::right());
    entries.set(Key::Secret, "another password");
    let mut device = switch_on(gateway.folder(), entries);
    assert!(device.prints("ERROR").contains("mqtt: the server refused the connection: not authorized"));
    device.prints("before the next attempt");
    assert!(!device.printed().contains("mqtt: connected"));
}

#[test]
fn a_server_that_is_not_trusted_is_refused() {
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
        (serve(&leaf, &[], &["mqtt"], Version::V13), other.pem(), "does not lead to `ca`"),
        (serve(&forged, &[&leaf], &["mqtt"], Version::V13), trusted.clone(), "issued by one that is no CA"),
        (serve(&expired, &[], &["mqtt"], Version::V12), trusted.clone(), "is expired at 20"),
        (serve(&early, &[], &["mqtt"], Version::V13), trusted.clone(), "is not valid yet at 20"),
        (serve(&elsewhere, &[], &["mqtt"], Version::V12), trusted.clone(), "is for another name"),
        (serve(&leaf, &[], &["http/1.1"], Version::V12), trusted.clone(), "(alert 120)"),
        (serve(&leaf, &[], &[], Version::V13), trusted, "takes no ALPN"),
    ];
    for (port, ca, line) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut device = switch_on(folder.path(), crate::device::entries(port, time_server::right(), &ca));
        let said = device.prints("ERROR");
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn without_the_time_nothing_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let entries = crate::device::entries(1, time_server::silent(), &Signer::root().pem());
    let mut device = switch_on(folder.path(), entries);
    assert!(device.prints("ERROR").contains("time: the time server is silent"));
}

#[test]
fn a_machine_without_configuration_says_so() {
    let mut qemu = Command::new("qemu-system-riscv32");
    qemu.args(["-M", "virt", "-m", "32M", "-bios", "none", "-nographic", "-monitor", "none", "-kernel"])
        .arg(image());
    assert!(Device::of(&mut qemu).prints("ERROR").contains("there is no configuration"));
}
