//! Servers that a device must refuse, and times that it must not accept: each with the line that it prints.

use std::convert::Infallible;

use app::configuration::partition::Key;
use app::tls::{TlsConfig, TlsError, connect};
use app::{Configuration, WallClock};
use embedded_io_async::{ErrorType, Read, Write};
use getrandom::SysRng;
use mbedtls_rs::Tls;
use rand_core::UnwrapErr;
use rcgen::{BasicConstraints, IsCa, SanType};
use time::{Duration, OffsetDateTime};

use crate::device::{Device, entries};
use crate::time_server;
use crate::tls_server::{Signer, Version, serve};

/// The error that a device prints that trusts this root and has the right time.
fn error_of(port: u16, trusted: &Signer) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::start(folder.path(), &entries(port, time_server::correct(), &trusted.pem()));
    let line = device.wait_for_line("ERROR");
    assert!(!device.printed().contains("mqtt"), "it continued: {}", device.printed());
    line
}

fn assert_refused(leaf: &Signer, issuers: &[&Signer], trusted: &Signer, expected: &str) {
    for version in [Version::V12, Version::V13] {
        let error = error_of(serve(leaf, issuers, &["mqtt"], version), trusted);
        assert!(error.contains(expected), "{error} over {version:?}");
    }
}

#[test]
fn certificate_under_another_root_is_refused() {
    let (root, other) = (Signer::root(), Signer::root());
    assert_refused(
        &root.leaf(|_| {}),
        &[&root],
        &other,
        "tls: the server's certificate does not chain to `ca` (-0x2700)",
    );
}

#[test]
fn certificate_with_another_name_is_refused() {
    let root = Signer::root();
    let leaf = root.leaf(|params| {
        params.subject_alt_names = vec![SanType::DnsName("elsewhere.test".try_into().unwrap())];
    });
    assert_refused(
        &leaf,
        &[],
        &root,
        "tls: the server's certificate is for another name than `host` (-0x2700)",
    );
}

#[test]
fn expired_certificate_is_refused() {
    let root = Signer::root();
    let leaf = root.leaf(|params| params.not_after = OffsetDateTime::now_utc() - Duration::hours(1));
    assert_refused(&leaf, &[], &root, "tls: the server's certificate expired before 20");
}

#[test]
fn certificate_that_is_not_valid_yet_is_refused() {
    let root = Signer::root();
    let leaf = root.leaf(|params| params.not_before = OffsetDateTime::now_utc() + Duration::hours(1));
    assert_refused(&leaf, &[], &root, "tls: the server's certificate is not valid yet at 20");
}

#[test]
fn issuer_that_is_not_a_ca_is_refused() {
    let root = Signer::root();
    let leaf = root.leaf(|_| {});
    let explicit = root.leaf(|params| params.is_ca = IsCa::ExplicitNoCa);
    for issuer in [leaf, explicit] {
        let forged = issuer.leaf(|_| {});
        assert_refused(
            &forged,
            &[&issuer],
            &root,
            "tls: the issuer of the server's certificate is not a CA (-0x2700)",
        );
    }
}

#[test]
fn intermediate_ca_is_accepted() {
    let root = Signer::root();
    let intermediate = root.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let port = serve(&intermediate.leaf(|_| {}), &[&intermediate], &["mqtt"], Version::V13);
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::start(folder.path(), &entries(port, time_server::correct(), &root.pem()));
    device.wait_for_line("tls: verified localhost");
}

#[test]
fn server_without_alpn_is_refused() {
    let root = Signer::root();
    for version in [Version::V12, Version::V13] {
        let error = error_of(serve(&root.leaf(|_| {}), &[], &[], version), &root);
        assert!(error.contains("tls: the server does not support ALPN"), "{error}");
    }
}

#[test]
fn server_with_another_alpn_protocol_is_refused() {
    let root = Signer::root();
    for version in [Version::V12, Version::V13] {
        let error = error_of(serve(&root.leaf(|_| {}), &[], &["http/1.1"], version), &root);
        let expected = "tls: the server does not support the protocol offered by ALPN (alert 120)";
        assert!(error.contains(expected), "{error}");
    }
}

/// Nothing listens on the server's port.
#[test]
fn device_without_the_time_does_not_connect() {
    let cases = [
        (time_server::silent(), "time: the time server does not answer"),
        (time_server::kiss_of_death(), "time: the time server sent a kiss-of-death (`RATE`)"),
        (
            time_server::at(946_684_800),
            "time: the time server says 2000-01-01T00:00:00Z, which is implausible",
        ),
    ];
    for (time_port, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut device = Device::start(folder.path(), &entries(1, time_port, &Signer::root().pem()));
        let error = device.wait_for_line("ERROR");
        assert!(
            error.contains(expected) && error.contains("without the time no certificate can be checked"),
            "{error}"
        );
        assert!(!device.printed().contains("network:"), "{}", device.printed());
    }
}

/// The certificates are valid today, and the time server first sends 2036-02-06 or 2026-01-02.
#[test]
fn corrected_time_server_is_asked_again() {
    for (wrong, line) in
        [(2_085_868_800, "expired before 2036"), (1_767_312_000, "is not valid yet at 2026-01-0")]
    {
        let root = Signer::root();
        let port = serve(&root.leaf(|_| {}), &[], &["mqtt"], Version::V13);
        let folder = tempfile::tempdir().unwrap();
        let entries = entries(port, time_server::corrected_after(wrong), &root.pem());
        let mut device = Device::start(folder.path(), &entries);
        assert!(device.wait_for_line("ERROR").contains(line), "{}", device.printed());
        device.wait_for_line("tls: verified localhost");
    }
}

#[test]
fn ca_that_is_not_a_certificate_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = entries(1, 1, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    entries.set(Key::Interval, "60");
    let mut device = Device::start(folder.path(), &entries);
    assert!(device.wait_for_line("ERROR").contains("`ca` in the configuration is not a PEM certificate"));
}

#[test]
fn kiss_of_death_delays_the_next_attempt_by_five_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let entries = entries(1, time_server::kiss_of_death(), &Signer::root().pem());
    let mut device = Device::start(folder.path(), &entries);
    assert!(device.wait_for_line("before the next attempt").contains("wait: 300000 ms"));
}

/// A connection on which nothing may happen.
struct Unused;

impl ErrorType for Unused {
    type Error = Infallible;
}

impl Read for Unused {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
        panic!("it reads without knowing the time")
    }
}

impl Write for Unused {
    async fn write(&mut self, _: &[u8]) -> Result<usize, Infallible> {
        panic!("it sends without knowing the time")
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn handshake_without_the_time_sends_no_byte() {
    let bytes = entries(1, 1, &Signer::root().pem()).to_partition().unwrap();
    let configuration = Configuration::parse(&bytes).unwrap();
    let tls = Tls::new(Box::leak(Box::new(UnwrapErr(SysRng)))).unwrap();
    let config = TlsConfig::new(&configuration).unwrap();
    let clock = WallClock::unset();
    let handshake = connect(tls.reference(), Unused, &config, &clock);
    let error = futures_lite::future::block_on(handshake).err();
    assert_eq!(error, Some(TlsError::NoClock));
    assert!(TlsError::NoClock.to_string().contains("-0x2700"));
}
