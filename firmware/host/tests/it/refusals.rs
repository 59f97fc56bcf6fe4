//! Servers that a device must not talk to, and times that it must not believe: each with the line that it prints.

use app::configuration::partition::Key;
use rcgen::{BasicConstraints, IsCa, SanType};
use time::{Duration, OffsetDateTime};

use crate::device::{Device, entries};
use crate::time_server;
use crate::tls_server::{Signer, Version, serve};

/// What a device prints that trusts this root and has the right time.
fn printed(port: u16, trusted: &Signer) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::start(folder.path(), &entries(port, time_server::right(), &trusted.pem()));
    let line = device.prints("ERROR");
    assert!(!device.printed().contains("mqtt"), "it went on: {}", device.printed());
    line
}

fn refuses(leaf: &Signer, issuers: &[&Signer], trusted: &Signer, line: &str) {
    for version in [Version::V12, Version::V13] {
        let said = printed(serve(leaf, issuers, &["mqtt"], version), trusted);
        assert!(said.contains(line), "{said} over {version:?}");
    }
}

#[test]
fn another_root() {
    let (root, other) = (Signer::root(), Signer::root());
    refuses(
        &root.leaf(|_| {}),
        &[&root],
        &other,
        "tls: the server's certificate does not lead to `ca` (-0x2700)",
    );
}

#[test]
fn another_name() {
    let root = Signer::root();
    let leaf = root.leaf(|params| {
        params.subject_alt_names = vec![SanType::DnsName("elsewhere.test".try_into().unwrap())];
    });
    refuses(&leaf, &[], &root, "tls: the server's certificate is for another name than `host` (-0x2700)");
}

#[test]
fn an_expired_certificate() {
    let root = Signer::root();
    let leaf = root.leaf(|params| params.not_after = OffsetDateTime::now_utc() - Duration::hours(1));
    refuses(&leaf, &[], &root, "tls: the server's certificate is expired at 20");
}

#[test]
fn a_certificate_of_tomorrow() {
    let root = Signer::root();
    let leaf = root.leaf(|params| params.not_before = OffsetDateTime::now_utc() + Duration::hours(1));
    refuses(&leaf, &[], &root, "tls: the server's certificate is not valid yet at 20");
}

#[test]
fn a_leaf_as_issuer() {
    let root = Signer::root();
    let leaf = root.leaf(|_| {});
    let explicit = root.leaf(|params| params.is_ca = IsCa::ExplicitNoCa);
    for issuer in [leaf, explicit] {
        let forged = issuer.leaf(|_| {});
        refuses(
            &forged,
            &[&issuer],
            &root,
            "tls: the server's certificate is issued by one that is no CA (-0x2700)",
        );
    }
}

#[test]
fn an_intermediate_ca_is_taken() {
    let root = Signer::root();
    let intermediate = root.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let port = serve(&intermediate.leaf(|_| {}), &[&intermediate], &["mqtt"], Version::V13);
    let folder = tempfile::tempdir().unwrap();
    let mut device = Device::start(folder.path(), &entries(port, time_server::right(), &root.pem()));
    device.prints("tls: localhost is who it says");
}

#[test]
fn no_alpn() {
    let root = Signer::root();
    for version in [Version::V12, Version::V13] {
        let said = printed(serve(&root.leaf(|_| {}), &[], &[], version), &root);
        assert!(said.contains("tls: the server takes no ALPN"), "{said}");
    }
}

#[test]
fn another_alpn() {
    let root = Signer::root();
    for version in [Version::V12, Version::V13] {
        let said = printed(serve(&root.leaf(|_| {}), &[], &["http/1.1"], version), &root);
        assert!(said.contains("tls: the server does not speak what ALPN asks for (alert 120)"), "{said}");
    }
}

/// Without the time nothing is sent to the server at all: nobody listens at its port.
#[test]
fn no_time() {
    let cases = [
        (time_server::silent(), "time: the time server is silent"),
        (time_server::kiss_of_death(), "time: the time server sent a kiss-of-death (`RATE`)"),
        (time_server::at(946_684_800), "time: the time server says 2000-01-01T00:00:00Z, which can't be"),
    ];
    for (time_port, line) in cases {
        let folder = tempfile::tempdir().unwrap();
        let mut device = Device::start(folder.path(), &entries(1, time_port, &Signer::root().pem()));
        let said = device.prints("ERROR");
        assert!(
            said.contains(line) && said.contains("without the time no certificate can be checked"),
            "{said}"
        );
        assert!(!device.printed().contains("network:"), "{}", device.printed());
    }
}

/// 2036-02-06 and 2026-01-02, where the certificates are of today.
#[test]
fn a_time_server_that_was_corrected_is_asked_again() {
    for (wrong, line) in
        [(2_085_868_800, "is expired at 2036"), (1_767_312_000, "is not valid yet at 2026-01-0")]
    {
        let root = Signer::root();
        let port = serve(&root.leaf(|_| {}), &[], &["mqtt"], Version::V13);
        let folder = tempfile::tempdir().unwrap();
        let entries = entries(port, time_server::corrected_after(wrong), &root.pem());
        let mut device = Device::start(folder.path(), &entries);
        assert!(device.prints("ERROR").contains(line), "{}", device.printed());
        device.prints("tls: localhost is who it says");
    }
}

#[test]
fn a_ca_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut entries = entries(1, 1, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    entries.set(Key::Interval, "60");
    let mut device = Device::start(folder.path(), &entries);
    assert!(device.prints("ERROR").contains("`ca` in the configuration is no PEM certificate"));
}

#[test]
fn a_time_server_that_sent_a_kiss_of_death_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let entries = entries(1, time_server::kiss_of_death(), &Signer::root().pem());
    let mut device = Device::start(folder.path(), &entries);
    assert!(device.prints("before the next attempt").contains("wait: 300000 ms"));
}
