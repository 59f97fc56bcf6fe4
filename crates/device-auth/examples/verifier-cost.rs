//! Measures what `verifier::estimate` says, on one core: each line is a verifier, how long one check took
//! (the median of five) and the estimate.
//!
//! `cargo run --release -p device-auth --example verifier-cost`; with `RUSTFLAGS='--cfg sha2_backend="soft"'`
//! the hashes do without the processor's own instructions, as they do on a Lambda that has none.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use device_auth::verifier::Verifier;

#[expect(clippy::disallowed_methods, reason = "it prints its own text only")]
fn main() -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for (name, text, password) in verifiers() {
        let verifier = Verifier::try_from(text)?;
        let took = median(&verifier, &password).as_secs_f64() * 1_000.0;
        let estimate = verifier.estimate().time.as_secs_f64() * 1_000.0;
        writeln!(out, "{name:<36} {took:>9.2} ms   estimate {estimate:>9.2} ms")?;
    }
    Ok(())
}

fn verifiers() -> Vec<(String, String, Vec<u8>)> {
    let salt = "AAECAwQFBgcICQoLDA0ODw";
    let (d32, d64) = ("A".repeat(43), "A".repeat(86));
    let mut verifiers = vec![
        ("sha256 of 65,535 bytes".to_owned(), format!("$sha256${salt}${d32}"), vec![7; 65_535]),
        ("sha512 of 65,535 bytes".to_owned(), format!("$sha512${salt}${d64}"), vec![7; 65_535]),
    ];
    let mut add = |name: String, text: String| verifiers.push((name, text, b"correct horse".to_vec()));
    for cost in [
        "m=4096,t=3,p=1",
        "m=19456,t=2,p=1",
        "m=65536,t=3,p=4",
        "m=262144,t=1,p=1",
        "m=262144,t=4,p=1",
        "m=1048576,t=1,p=1",
    ] {
        for kind in ["argon2id", "argon2i"] {
            add(format!("{kind} {cost}"), format!("${kind}$v=19${cost}${salt}${d32}"));
        }
    }
    for iterations in [29_000, 600_000] {
        for (hash, bytes, digest) in [("sha256", 32, &d32), ("sha512", 64, &d64)] {
            let name = format!("pbkdf2-{hash} i={iterations}");
            add(name, format!("$pbkdf2-{hash}$i={iterations},l={bytes}${salt}${digest}"));
        }
    }
    for cost in ["08", "10", "12"] {
        add(format!("bcrypt {cost}"), format!("$2b${cost}${}{}", ".".repeat(22), ".".repeat(31)));
    }
    verifiers
}

fn median(verifier: &Verifier, password: &[u8]) -> Duration {
    let mut took = [Duration::ZERO; 5].map(|_| {
        let start = Instant::now();
        std::hint::black_box(verifier.matches(password));
        start.elapsed()
    });
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}
