//! Verifiers of other programs, malformed ones, and properties of any text.

#![expect(clippy::unwrap_used, reason = "a failure here is the test's failure")]

use std::time::Duration;

use device_auth::verifier::{LiveVerifier, Verifier, VerifierError, budget::FunctionMemory};
use proptest::prelude::*;

/// Verifiers of the password `correct horse`, each from a program that shares no code with this one. In Python,
/// `p = b"correct horse"`, `s = bytes(range(16))` and `e = lambda b: base64.b64encode(b).decode().rstrip("=")`.
const CORRECT_HORSE: &[(&str, &str)] = &[
    // f"$sha256${e(s)}${e(hashlib.sha256(s + p).digest())}"
    ("SaltedSha2(…)", "$sha256$AAECAwQFBgcICQoLDA0ODw$SsdijnPTV+9OdmKA2DFD8Dispz7omhyKa/mwrNYH4Po"),
    // The row that docs/records.md converts: hashlib.sha256(b"deadbeefcafe0123" + p).hexdigest()
    ("SaltedSha2(…)", "$sha256$ZGVhZGJlZWZjYWZlMDEyMw$c+uxYf5+AWafexVx/4qBq31reV3ts2wyIJDNjYlYByU"),
    // f"$sha256-suffix${e(s)}${e(hashlib.sha256(p + s).digest())}"
    ("SaltedSha2(…)", "$sha256-suffix$AAECAwQFBgcICQoLDA0ODw$NaflOb8tcuJzgZWOx3DMvDrKAMo6vx67woYKwMZIZ1Q"),
    // f"$sha512${e(s)}${e(hashlib.sha512(s + p).digest())}"
    (
        "SaltedSha2(…)",
        "$sha512$AAECAwQFBgcICQoLDA0ODw$ggepGvaG0ugxaw2Am2rfVOoOWZECiLafUOQ9+9OZNDRiktz5EtHvoBrZaH43CaHrqsuJ5a2X5NMLWIl8uFJRdw",
    ),
    // f"$sha512-suffix${e(s)}${e(hashlib.sha512(p + s).digest())}"
    (
        "SaltedSha2(…)",
        "$sha512-suffix$AAECAwQFBgcICQoLDA0ODw$RxX5hhIRRRK2fhVkXkwzRVPVrymNjBPeOec5l5Z7HoA1jxGKFYfpQLhcljmxJcIS20C9nDeAN3dRZ7qrc68T8w",
    ),
    // mosquitto 2.0.11: mosquitto_passwd -H sha512 -b FILE h6 'correct horse'
    (
        "SaltedSha2(…)",
        "$6$CsUI2zWYrDevIUCQ$eqyagtLMbWOMvs5/fkeWbOuL+pxOeS6TIHVKpJ/kz/1F2NgRgc0dVIIsdKiINgWuZG//zPvts/4WpOWqGID3rg==",
    ),
    // mosquitto 2.0.11: mosquitto_passwd -b FILE h7 'correct horse'
    (
        "Pbkdf2(…)",
        "$7$101$WUx+katBNyWpDxl4$HoFXnkVyLw7UCiemEhBFTxneL2ZNKRM3UdcQ2UJZjqqzkCLHKHpDzphvR/sHkZu21TVZzoA9qrkdYxeytwJ+JA==",
    ),
    // f"$pbkdf2-sha256$i=4096,l=32${e(s)}${e(hashlib.pbkdf2_hmac('sha256', p, s, 4096, 32))}"
    (
        "Pbkdf2(…)",
        "$pbkdf2-sha256$i=4096,l=32$AAECAwQFBgcICQoLDA0ODw$h1CtcwHvGyuAss6N7dxLICr03swV1Dw5yfzSy3Tfuc4",
    ),
    // f"$pbkdf2-sha256$i=1000,l=48${e(s)}${e(hashlib.pbkdf2_hmac('sha256', p, s, 1000, 48))}"
    (
        "Pbkdf2(…)",
        "$pbkdf2-sha256$i=1000,l=48$AAECAwQFBgcICQoLDA0ODw$yRTMTwbMbo9G0VfjobWqerzuuxe7BETNTErBbKKumGQVykgYqFUkGDPSqmamlmDo",
    ),
    // f"$pbkdf2-sha512$i=4096,l=64${e(s)}${e(hashlib.pbkdf2_hmac('sha512', p, s, 4096, 64))}"
    (
        "Pbkdf2(…)",
        "$pbkdf2-sha512$i=4096,l=64$AAECAwQFBgcICQoLDA0ODw$KU9N68wknx5PtIDhrB7D+Vj5DApKbjI6NAYiADilHqLEtzytmqn7qh4uhJEN1zvu3Iwx1PM8dgOQk9rdvK7/fw",
    ),
    // passlib 1.7.4: passlib.hash.pbkdf2_sha256.using(salt=bytes([0xfb] * 16), rounds=29000).hash(p)
    ("Pbkdf2(…)", "$pbkdf2-sha256$29000$./v7./v7./v7./v7./v7.w$bapmo6Z8CKd5FbekGpJ5d5D.zE3IHoTOiGfBEgvihqM"),
    // passlib 1.7.4: passlib.hash.pbkdf2_sha512.using(salt=bytes([0xfb] * 16), rounds=25000).hash(p)
    (
        "Pbkdf2(…)",
        "$pbkdf2-sha512$25000$./v7./v7./v7./v7./v7.w$HXh6n9w/4wMGTNyaLJNhLceRR1CwFiTdVVYfJaZR.Vl9V5lJkN8VwtD2DNWa7t2widlpcbTrKy7si/dP3Egf/w",
    ),
    // printf 'correct horse' | argon2 0123456789abcdef -id -t 2 -k 19456 -p 1 -e
    (
        "Argon2(…)",
        "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk",
    ),
    // argon2-cffi 25.1.0: argon2.low_level.hash_secret(p, b"0123456789abcdef", 1, 64, 4, 16, Type.ID)
    ("Argon2(…)", "$argon2id$v=19$m=64,t=1,p=4$MDEyMzQ1Njc4OWFiY2RlZg$MfwLPPWq6tSN0FADGtSfCw"),
    // argon2-cffi 25.1.0: argon2.low_level.hash_secret(p, b"0123456789abcdef", 3, 4096, 2, 32, Type.I)
    (
        "Argon2(…)",
        "$argon2i$v=19$m=4096,t=3,p=2$MDEyMzQ1Njc4OWFiY2RlZg$yzxlzPQyfoowuD37mZoLcXaK/on4xJJEDx4g1LOjzVg",
    ),
    // bcrypt 4.0.1 (PyPI): bcrypt.hashpw(p, b"$2a$05$abcdefghijklmnopqrstuu"), and with `2b`
    ("Bcrypt(…)", "$2a$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"),
    ("Bcrypt(…)", "$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"),
];

/// passlib 1.7.4: `passlib.hash.bcrypt.using(ident="2y", rounds=4, salt="abcdefghijklmnopqrstuu").hash("pässwörd")`
const BCRYPT_2Y: &str = "$2y$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC";
/// mosquitto 2.0.11: `mosquitto_passwd -b FILE h7u 'pässwörd'`
const MOSQUITTO_UTF8: &str = "$7$101$bd5e379Hz6hTm1Ea$yiwlBxwA9CzpOqFGHZ/I/OpLGSSF1H23UAouB+iz/UcM3IE4vdpSqEF74eNYML+IBMQI+hyINnVNKEJI/Ermdw==";
/// bcrypt 4.0.1 (PyPI): bcrypt.hashpw(b"x" * 71, b"$2b$04$abcdefghijklmnopqrstuu"), then with 72 and 0
const BCRYPT_71: &str = "$2b$04$abcdefghijklmnopqrstuu.gc7UY/21CSNJGJg21jJzx9QiOpJ9bO";
const BCRYPT_72: &str = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
const BCRYPT_EMPTY: &str = "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq";

fn parse(text: &str) -> Result<Verifier, VerifierError> {
    Verifier::try_from(text.to_owned())
}

fn accepts(text: &str, password: &[u8]) -> bool {
    parse(text).unwrap().matches(password).into()
}

fn live(text: &str) -> LiveVerifier {
    LiveVerifier { verifier: parse(text).unwrap(), expires_at: None }
}

#[test]
fn verifiers_of_other_programs_are_accepted() {
    for (_, text) in CORRECT_HORSE {
        assert!(accepts(text, b"correct horse"), "{text}");
        for wrong in [&b""[..], b"correct\0 horse", b"Correct horse", b"correct hors", b"correct horse "] {
            assert!(!accepts(text, wrong), "{text}");
        }
    }
    for text in [BCRYPT_2Y, MOSQUITTO_UTF8] {
        assert!(accepts(text, "pässwörd".as_bytes()) && !accepts(text, b"passwort"), "{text}");
    }
}

#[test]
fn bcrypt_uses_the_first_72_bytes_and_refuses_nul() {
    let x = |length| vec![b'x'; length];
    assert!(accepts(BCRYPT_71, &x(71)) && !accepts(BCRYPT_71, &x(70)) && !accepts(BCRYPT_71, &x(72)));
    assert!(accepts(BCRYPT_72, &x(72)) && accepts(BCRYPT_72, &x(73)) && accepts(BCRYPT_72, &x(65_535)));
    assert!(!accepts(BCRYPT_72, &x(71)));
    assert!(accepts(BCRYPT_EMPTY, b""));
    // Bcrypt repeats a password to 72 bytes, so these would have the same hash as the empty password and as each other.
    for nul in [&b"\0"[..], b"\0\0\0", b"x\0x"] {
        assert!(!accepts(BCRYPT_EMPTY, nul));
    }
    assert!(!accepts(BCRYPT_72, &[x(72), b"\0".to_vec()].concat()));
    let text = CORRECT_HORSE.last().unwrap().1;
    assert!(!accepts(text, b"correct horse\0correct horse"));
}

#[test]
fn trailing_nul_is_part_of_the_password_except_in_pbkdf2() {
    for (kind, text) in CORRECT_HORSE {
        assert_eq!(accepts(text, b"correct horse\0"), *kind == "Pbkdf2(…)", "{text}");
    }
}

#[test]
fn text_is_written_as_it_was_read_and_debug_shows_only_the_kind() {
    let others = [BCRYPT_2Y, BCRYPT_71].map(|text| ("Bcrypt(…)", text));
    for (kind, text) in CORRECT_HORSE.iter().copied().chain(others) {
        let verifier = parse(text).unwrap();
        assert_eq!(format!("{verifier:?}"), kind);
        assert_eq!(String::from(verifier), text);
    }
    for new in
        [Verifier::of_generated(b"\xff\0secret", [7; 16]), Verifier::of_chosen(b"hunter2", [9; 16]).unwrap()]
    {
        assert_eq!(parse(&String::from(new.clone())).as_ref(), Ok(&new));
    }
}

#[test]
fn malformed_verifier_is_refused_with_its_error() {
    let s = "AAECAwQFBgcICQoLDA0ODw";
    let (d32, d64) = ("A".repeat(43), "A".repeat(86));
    let (bs, bd) = (".".repeat(22), ".".repeat(31));
    let cases = [
        (String::new(), "unknown verifier"),
        ("plain".to_owned(), "unknown verifier"),
        ("$".to_owned(), "unknown verifier"),
        ("$2b$".to_owned(), "unknown verifier"),
        (format!("$SHA256${s}${d32}"), "unknown verifier"),
        (format!("x$sha256${s}${d32}"), "unknown verifier"),
        (format!("$sha256${s}${d32}$"), "unknown verifier"),
        (format!("$sha256${s}"), "unknown verifier"),
        (format!("$argon2d$v=19$m=8,t=1,p=1${s}${d32}"), "unknown verifier"),
        (format!("$argon2id$m=8,t=1,p=1${s}${d32}"), "unknown verifier"),
        (format!("$pbkdf2-sha1$1000${s}${d32}"), "unknown verifier"),
        (format!("$2x$05${bs}{bd}"), "unknown verifier"),
        (format!("name:$7$101${s}==${d64}=="), "unknown verifier"),
        (format!("$sha256${s}==${d32}"), "salt is not base64 without padding"),
        (format!("$sha256$AAECAwQFBgcICQoLDA0ODx${d32}"), "salt is not base64 without padding"),
        (format!("$sha256$AAAA${d32}"), "salt should have 8 to 64 bytes"),
        (format!("$sha256${s}$AAAA"), "digest should have 32 to 32 bytes"),
        (format!("$sha512-suffix${s}${d32}"), "digest should have 64 to 64 bytes"),
        (format!("$6${s}==${d64}"), "digest is not base64 with padding, as `mosquitto_passwd` writes it"),
        // crypt(3)'s SHA-512, which shares mosquitto's name.
        (format!("$6$saltsaltsaltsalt${}", "./".repeat(43)), "digest is not base64 with padding"),
        (format!("$6$rounds=5000$saltsalt${d64}"), "unknown verifier"),
        (format!("$argon2id$v=16$m=8,t=1,p=1${s}${d32}"), "version should be `v=19`"),
        (format!("$argon2id$v=19$m=8,t=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2id$v=19$m=8,t=1,p=1,x=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2i$v=19$t=1,m=8,p=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2i$v=19$m=+8,t=1,p=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2i$v=19$m=08,t=1,p=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2id$v=19$m=8,t=0,p=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2id$v=19$m=1,t=1,p=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2id$v=19$m=4294967296,t=1,p=1${s}${d32}"), "should be `m=KIB"),
        (format!("$argon2id$v=19$m=9999999,t=1,p=1${s}${d32}"), "`m` should be at most 2097152"),
        (format!("$argon2id$v=19$m=8,t=1001,p=1${s}${d32}"), "`t` should be at most 1000"),
        (format!("$argon2id$v=19$m=9999,t=1,p=65${s}${d32}"), "`p` should be at most 64"),
        (format!("$argon2id$v=19$m=8,t=1,p=1${s}$AAAA"), "digest should have 16 to 64 bytes"),
        (format!("$pbkdf2-sha256$i=1,l=31${s}${d32}"), "should be `i=ITERATIONS,l=BYTES`"),
        (format!("$pbkdf2-sha256$i=1${s}${d32}"), "should be `i=ITERATIONS,l=BYTES`"),
        (format!("$pbkdf2-sha256$i=0,l=32${s}${d32}"), "should be `i=ITERATIONS,l=BYTES`"),
        (format!("$pbkdf2-sha256$l=32,i=1${s}${d32}"), "should be `i=ITERATIONS,l=BYTES`"),
        (format!("$pbkdf2-sha256$0${s}${d32}"), "should be a number of iterations, at least 1"),
        (format!("$pbkdf2-sha256$${s}${d32}"), "should be a number of iterations, at least 1"),
        (format!("$pbkdf2-sha256$01${s}${d32}"), "should be a number of iterations, at least 1"),
        (format!("$pbkdf2-sha256$10000001${s}${d32}"), "number of iterations should be at most 10000000"),
        (
            format!("$pbkdf2-sha256$1${s}$+{}", "A".repeat(42)),
            "digest is not base64 without padding and with `.`",
        ),
        (format!("$pbkdf2-sha512$1${s}${d32}"), "digest should have 64 to 64 bytes"),
        (format!("$7$-1${s}==${d64}=="), "should be a number of iterations"),
        (format!("$7$1${s}${d64}=="), "salt is not base64 with padding"),
        (format!("$2b$5${bs}{bd}"), "should be a cost of two digits, at least 04"),
        (format!("$2b$03${bs}{bd}"), "should be a cost of two digits, at least 04"),
        (format!("$2b$+5${bs}{bd}"), "should be a cost of two digits, at least 04"),
        (format!("$2b$31${bs}{bd}"), "cost should be at most 20"),
        (format!("$2b$05${bs}"), "digest should have 23 to 23 bytes"),
        (format!("$2b$05${bs}{bd}."), "digest should have 23 to 23 bytes"),
        (format!("$2b$05${bs}{}/", ".".repeat(30)), "digest is not 22 and 31 characters of bcrypt's base64"),
        (format!("$2b$05${bs}{}", "é".repeat(16)), "digest is not 22 and 31 characters of bcrypt's base64"),
        (format!("$2b$05${}{bd}", "é".repeat(11)), "salt is not 22 and 31 characters of bcrypt's base64"),
    ];
    for (text, part) in cases {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn estimates_are_those_of_the_table() {
    let s = "AAECAwQFBgcICQoLDA0ODw";
    let (d32, d64) = ("A".repeat(43), "A".repeat(86));
    let cases = [
        (format!("$sha256${s}${d32}"), 500, 0),
        (format!("$argon2id$v=19$m=19456,t=2,p=1${s}${d32}"), 40_857, 19_456),
        (format!("$argon2i$v=19$m=65536,t=3,p=4${s}${d32}"), 183_500, 65_536),
        (format!("$pbkdf2-sha256$i=600000,l=32${s}${d32}"), 240_000, 0),
        (format!("$pbkdf2-sha256$i=600000,l=64${s}${d64}"), 480_000, 0),
        (format!("$pbkdf2-sha512$i=600000,l=32${s}${d32}"), 300_000, 0),
        (format!("$7$101${s}==${d64}=="), 50, 0),
        (format!("$2y$12${}{}", ".".repeat(22), ".".repeat(31)), 245_760, 0),
    ];
    for (text, micros, memory_kib) in cases {
        let estimate = parse(&text).unwrap().estimate();
        assert_eq!((estimate.time.as_micros(), estimate.memory_kib), (micros, memory_kib), "{text}");
    }
}

#[test]
fn function_accepts_verifiers_within_its_time_and_memory() {
    let s = "AAECAwQFBgcICQoLDA0ODw";
    let d32 = "A".repeat(43);
    let argon2id = |m: u32, t: u32| live(&format!("$argon2id$v=19$m={m},t={t},p=1${s}${d32}"));
    let bcrypt = |cost: &str| live(&format!("$2b${cost}${}{}", ".".repeat(22), ".".repeat(31)));
    let check = |mb: u32, verifiers: &[LiveVerifier]| {
        FunctionMemory::try_from(mb).unwrap().check(verifiers).map_err(|error| error.to_string())
    };
    assert_eq!(check(128, &[argon2id(19_456, 2), argon2id(19_456, 2)]), Ok(()));
    assert_eq!(check(128, &[argon2id(65_536, 1)]), Ok(()));
    assert_eq!(check(1_769, &[bcrypt("15")]), Ok(()));
    // 245.76 ms on a whole CPU, of which 128 MB has 128 parts in 1,769: 3,396.5 ms.
    let slow = "checking its verifiers would take about 3400 ms with 128 MB, the budget is 2500 ms; \
                give the function 174 MB or set a new password";
    assert_eq!(check(128, &[bcrypt("12")]), Err(slow.to_owned()));
    assert_eq!((check(173, &[bcrypt("12")]).is_ok(), check(174, &[bcrypt("12")])), (false, Ok(())));
    assert!(check(174, &[bcrypt("12"), bcrypt("12")]).is_err(), "both are checked");
    // More memory than a whole CPU's doesn't make one core faster.
    let too_slow = "checking its verifiers would take about 4000 ms on a whole CPU, the budget is 2500 ms; \
                    set a new password";
    assert_eq!(check(10_240, &[bcrypt("16")]), Err(too_slow.to_owned()));
    let memory = "checking a verifier would need 65 MB besides the function's own 64 MB, and the function has 128 MB; \
                  give it 129 MB or set a new password";
    assert_eq!(check(128, &[argon2id(65_537, 1)]), Err(memory.to_owned()));
    assert!(check(1, &[argon2id(8, 1)]).is_err());
    assert!(FunctionMemory::try_from(0).is_err());
}

#[test]
fn greatest_costs_do_not_overflow_the_estimate() {
    let (s, d64) = ("AAECAwQFBgcICQoLDA0ODw", "A".repeat(86));
    for text in [
        format!("$argon2id$v=19$m=2097152,t=1000,p=64${s}${d64}"),
        format!("$pbkdf2-sha256$i=10000000,l=64${s}${d64}"),
        format!("$2b$20${}{}", ".".repeat(22), ".".repeat(31)),
    ] {
        let verifier = live(&text);
        assert!(verifier.verifier.estimate().time > Duration::from_millis(2_500), "{text}");
        for mb in [1, 1_769, u32::MAX] {
            assert!(
                FunctionMemory::try_from(mb).unwrap().check(&[verifier.clone(), verifier.clone()]).is_err()
            );
        }
    }
}

/// Texts similar to a verifier's: names, separators and fields in any order, and valid ones with one change.
fn similar_text() -> impl Strategy<Value = String> {
    let names = "(sha(256|512)(-suffix)?|argon2(id|i)|pbkdf2-sha(256|512)|[67]|2[aby])";
    let shape =
        format!("\\${names}(\\$([0-9]{{1,11}}|[mtpil]=[0-9]{{1,11}}|v=19|[.+/=,A-Za-z0-9é]{{0,60}})){{0,6}}");
    let changed = (0..CORRECT_HORSE.len(), any::<prop::sample::Index>(), any::<char>());
    prop_oneof![
        proptest::string::string_regex(&shape).unwrap(),
        changed.prop_map(|(which, at, character)| {
            let mut text =
                CORRECT_HORSE.iter().map(|(_, text)| *text).nth(which).unwrap().chars().collect::<Vec<_>>();
            *at.get_mut(&mut text) = character;
            text.into_iter().collect()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_refused_or_read_without_loss(text in prop_oneof![any::<String>(), similar_text()]) {
        if let Ok(verifier) = parse(&text) {
            prop_assert_eq!(String::from(verifier.clone()), text);
            let live = LiveVerifier { verifier, expires_at: None };
            // A verifier that is too slow for a whole CPU is too slow for a part of one.
            let small = FunctionMemory::try_from(128).unwrap().check(std::slice::from_ref(&live));
            prop_assert!(small.is_err() || FunctionMemory::WHOLE_CPU.check(&[live]).is_ok());
        }
    }
}
