use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::seal::encoding;

/// Bytes 0 to 31.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The secret `vendor secret` of the device `sht20` under the key above, by Python's `cryptography` 50.0.2:
///
/// ```sh
/// python3 -c "
/// import base64
/// from cryptography.hazmat.primitives.ciphers.aead import AESGCM
/// b = lambda x: base64.b64encode(x).decode().rstrip('=')
/// nonce = bytes(range(12))
/// sealed = AESGCM(bytes(range(32))).encrypt(nonce, b'vendor secret', b'sht20')
/// print('\$aes256gcm\$2026-11\$' + b(nonce) + '\$' + b(sealed))"
/// ```
const FOREIGN: &str = "$aes256gcm$2026-11$AAECAwQFBgcICQoL$MWe4f6qX4mjoIuXuxWcls3JXhXzaNkAlPr+oI98";

fn keyring() -> Keyring {
    Keyring::parse(&format!(r#"{{"version":1,"current":"2026-11","keys":{{"2026-11":"{KEY}"}}}}"#)).unwrap()
}

fn id(text: &str) -> KeyId {
    text.try_into().unwrap()
}

fn device(name: &str) -> DeviceName {
    name.try_into().unwrap()
}

fn sealed(text: impl Into<String>) -> SealedSecret {
    text.into().try_into().unwrap()
}

#[test]
fn what_another_implementation_sealed_opens() {
    let secret = keyring().open(&sealed(FOREIGN), &device("sht20")).unwrap();
    assert_eq!(secret.as_slice(), b"vendor secret");
}

proptest! {
    #[test]
    fn what_was_sealed_opens(secret in proptest::collection::vec(any::<u8>(), 1..=256)) {
        let text = keyring().seal(&secret, &device("sht20")).unwrap();
        prop_assert!(text.starts_with("$aes256gcm$2026-11$"));
        let opened = keyring().open(&sealed(text), &device("sht20")).unwrap();
        prop_assert_eq!(opened.as_slice(), secret);
    }
}

#[test]
fn a_secret_is_never_sealed_alike() {
    let seal = || keyring().seal(b"secret", &device("a")).unwrap();
    assert_ne!(seal(), seal());
}

#[test]
fn another_device_or_another_key_opens_nothing() {
    let refused = Err(SealError::Refused(id("2026-11")));
    for name in ["sht2", "sht200", "SHT20", "other"] {
        assert_eq!(keyring().open(&sealed(FOREIGN), &device(name)), refused, "{name}");
    }
    let other = Keyring::generate(id("2026-11")).unwrap();
    assert_eq!(other.open(&sealed(FOREIGN), &device("sht20")), refused);
}

#[test]
fn a_flipped_bit_is_noticed() {
    let Form::Aes256Gcm { key, nonce, sealed } = sealed(FOREIGN).0 else { panic!("it is sealed") };
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let nonces = (0..nonce.len() * 8).map(|bit| (flipped(&nonce, bit), sealed.clone()));
    let boxes = (0..sealed.len() * 8).map(|bit| (nonce.to_vec(), flipped(&sealed, bit)));
    for (nonce, sealed) in nonces.chain(boxes) {
        let nonce = nonce.try_into().unwrap();
        let secret = SealedSecret(Form::Aes256Gcm { key: key.clone(), nonce, sealed });
        assert_eq!(keyring().open(&secret, &device("sht20")), Err(SealError::Refused(id("2026-11"))));
    }
}

#[test]
fn after_a_rotation_the_old_still_opens_and_the_new_key_seals() {
    let rotated = keyring().rotate(id("2026-12")).unwrap();
    assert_eq!((rotated.current(), rotated.ids().count()), (Some(&id("2026-12")), 2));
    assert_eq!(rotated.open(&sealed(FOREIGN), &device("sht20")).unwrap().as_slice(), b"vendor secret");
    let new = rotated.seal(b"vendor secret", &device("sht20")).unwrap();
    assert!(new.starts_with("$aes256gcm$2026-12$"));
    let unknown = Err(SealError::UnknownKey(id("2026-12")));
    assert_eq!(keyring().open(&sealed(new), &device("sht20")), unknown);
    assert_eq!(rotated.rotate(id("2026-11")).err(), Some(KeyringError::Taken(id("2026-11"))));
}

#[test]
fn plain_text_opens_only_where_it_is_allowed() {
    let secret = sealed("$plain$c2VjcmV0");
    assert_eq!(keyring().open(&secret, &device("a")), Err(SealError::PlainNotAllowed));
    assert_eq!(Keyring::empty().open(&secret, &device("a")), Err(SealError::PlainNotAllowed));
    let opened = Keyring::empty().allow_plain().open(&secret, &device("a")).unwrap();
    assert_eq!(opened.as_slice(), b"secret");
    let rotated = keyring().allow_plain().rotate(id("next")).unwrap();
    assert!(rotated.open(&secret, &device("a")).is_ok());
}

#[test]
fn what_can_not_be_sealed_is_told() {
    let seal = |keyring: Keyring, length| keyring.seal(&vec![7; length], &device("a")).err();
    assert_eq!(seal(keyring(), 0), Some(SealError::Length));
    assert_eq!(seal(keyring(), 257), Some(SealError::Length));
    assert_eq!(seal(keyring(), 256), None);
    assert_eq!(seal(Keyring::empty().allow_plain(), 1), Some(SealError::NoKey));
}

#[test]
fn a_keyring_is_read_as_it_was_written() {
    let keyring = keyring().rotate(id(&"x".repeat(64))).unwrap().rotate(id("2026-12")).unwrap();
    let json = keyring.to_json().unwrap();
    let again = Keyring::parse(&json).unwrap();
    assert_eq!(again.to_json(), Some(json));
    assert_eq!(again.current(), keyring.current());
    let text = keyring.seal(b"secret", &device("a")).unwrap();
    assert_eq!(again.open(&sealed(text), &device("a")).unwrap().as_slice(), b"secret");
    assert_eq!(Keyring::empty().to_json(), None);
}

#[test]
fn padding_is_no_matter_in_a_keyring() {
    let padded = format!(r#"{{"version":1,"current":"2026-11","keys":{{"2026-11":"{KEY}="}}}}"#);
    assert_eq!(Keyring::parse(&padded).unwrap().to_json(), keyring().to_json());
}

#[test]
fn a_broken_keyring_is_told_and_never_quoted() {
    let one =
        |current: &str, keys: &str| format!(r#"{{"version":1,"current":"{current}","keys":{{{keys}}}}}"#);
    let (short, long) = (encoding::encode(&[7; 31]), encoding::encode(&[7; 33]));
    let key = |id: &str, key: &str| format!(r#""{id}":"{key}""#);
    let entry = key("a", KEY);
    for (json, told) in [
        (String::new(), "is not JSON: see line 1, column 0"),
        (format!("{{\n{KEY}"), "is not JSON: see line 2, column 1"),
        ("[]".to_owned(), "should read `{\"version\":1,\"current\":\"ID\",\"keys\":{\"ID\":\"KEY\"}}`"),
        (format!(r#"{{"version":"{KEY}"}}"#), "should read"),
        (format!(r#"{{"version":1,"current":"a","keys":"{KEY}"}}"#), "should read"),
        (format!(r#"{{"version":1,"current":"a","keys":{{{entry}}},"{KEY}":1}}"#), "should read"),
        (format!(r#"{{"version":1,"current":"a","current":"a","keys":{{{entry}}}}}"#), "should read"),
        (format!(r#"{{"version":1,"version":1,"current":"a","keys":{{{entry}}}}}"#), "should read"),
        (format!(r#"{{"version":1,"keys":{{{entry}}}}}"#), "should read"),
        (r#"{"version":2,"ring":[]}"#.to_owned(), "the keyring's version is 2, this program reads 1"),
        (one("a", ""), "current key `a` is not among its keys"),
        (one("b", &entry), "current key `b` is not among its keys"),
        (one("a b", &entry), "the keyring's `current`: a key's id should be 1 to 64"),
        (one("a", &format!("{entry},{}", key("a/b", KEY))), "key 2 of the keyring: a key's id should be"),
        (one("a", &format!("{entry},{entry}")), "the keyring has two keys `a`"),
        (one("a", &format!(r#"{entry},"\u0061":"{KEY}""#)), "the keyring has two keys `a`"),
        (one("a", &key("a", &short)), "key `a` is not the base64 of 32 bytes; `openssl rand"),
        (one("a", &key("a", &long)), "key `a` is not the base64 of 32 bytes"),
        (one("a", &key("a", &format!("{KEY}!"))), "key `a` is not the base64 of 32 bytes"),
        (one("a", &key("a", "")), "key `a` is not the base64 of 32 bytes"),
    ] {
        let error = Keyring::parse(&json).err().unwrap();
        assert!(error.to_string().contains(told), "{json}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(![KEY, &short, &long].iter().any(|secret| shown.contains(*secret)), "{shown}");
    }
}

#[test]
fn errors_say_what_to_do() {
    for (error, told) in [
        (SealError::Length, "a vendor secret should have 1 to 256 bytes"),
        (SealError::NoKey, "make a keyring with `latchkey fleet keys new` and name it in LATCHKEY_DATA_KEYS"),
        (
            SealError::UnknownKey(id("2025-01")),
            "under the key `2025-01`, which is not in the keyring that LATCHKEY_DATA_KEYS names",
        ),
        (SealError::Refused(id("k")), "was sealed for another device or with another key, or is damaged"),
        (SealError::PlainNotAllowed, "set LATCHKEY_ALLOW_PLAIN_SECRETS=true"),
    ] {
        assert!(error.to_string().contains(told), "{error}");
    }
}
