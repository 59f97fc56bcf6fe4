//! Secrets that must not be found again, and the search for them in every form in which they could be written.

use std::{collections::BTreeSet, path::Path};

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use fleet::secret::Secret;

/// How much of a secret is too much to be written.
const PIECE_BYTES: usize = 12;
/// How often an escaped text may be escaped again.
const LAYERS: usize = 3;

/// A secret, and each form of each of its pieces.
pub struct Canary {
    name: &'static str,
    secret: String,
    needles: Vec<(String, Vec<u8>)>,
}

/// Everything that a system has written, each part under its name.
#[derive(Default)]
pub struct Writings(Vec<(String, Vec<u8>)>);

impl Canary {
    /// A new secret of random letters and digits, `-` and `_`.
    pub fn new(name: &'static str) -> Self {
        Self::of(name, Secret::generate().unwrap().text())
    }

    /// A secret that exists already.
    pub fn of(name: &'static str, secret: &str) -> Self {
        let bytes = secret.as_bytes();
        assert!(bytes.len() >= PIECE_BYTES, "a secret this short is found everywhere");
        let last = &bytes[bytes.len() - PIECE_BYTES..];
        let pieces = bytes.chunks_exact(PIECE_BYTES).chain(std::iter::once(last));
        Self { name, secret: secret.to_owned(), needles: pieces.flat_map(forms).collect() }
    }

    /// The secret itself, to be planted.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The form in which the secret, or a piece of it, is in `text`, if it is.
    pub fn found_in(&self, text: &[u8]) -> Option<&str> {
        let mut text = text.to_vec();
        for _ in 0..=LAYERS {
            let found = self.needles.iter().find(|(_, needle)| contains(&text, needle));
            if let Some((form, _)) = found {
                return Some(form);
            }
            let plain = unescaped(&text);
            if plain == text {
                return None;
            }
            text = plain;
        }
        None
    }
}

impl Writings {
    /// Adds what one place holds.
    pub fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// Adds every file in `folder`.
    pub fn add_folder(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.add_folder(&path);
            } else {
                self.add(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }

    /// Each part, with its name.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(place, bytes)| (place.as_str(), &**bytes))
    }

    /// Where the canary is, and in which form.
    pub fn places_of<'a>(&'a self, canary: &'a Canary) -> Vec<(&'a str, &'a str)> {
        let found = |(place, bytes): &'a (String, Vec<u8>)| Some((place.as_str(), canary.found_in(bytes)?));
        self.0.iter().filter_map(found).collect()
    }

    /// Fails if any of the secrets is anywhere.
    pub fn assert_free_of(&self, canaries: &[&Canary]) {
        assert!(self.0.iter().any(|(_, bytes)| !bytes.is_empty()), "nothing was written at all");
        for canary in canaries {
            let places = self.places_of(canary);
            assert!(places.is_empty(), "`{}` was written: {places:?}", canary.name);
        }
    }

    /// Fails unless `text` was written: that the system came as far as the test meant it to.
    pub fn assert_says(&self, text: &str) {
        let part =
            |(place, bytes): &(String, Vec<u8>)| format!("{place}:\n{}", String::from_utf8_lossy(bytes));
        let all = self.0.iter().map(part).collect::<Vec<_>>().join("\n");
        assert!(all.contains(text), "nothing says `{text}`: {all}");
    }
}

/// Every form that a log, a dump or an encoding gives some bytes.
fn forms(piece: &[u8]) -> Vec<(String, Vec<u8>)> {
    let text = String::from_utf8(piece.to_vec()).unwrap();
    let numbers = |separator| piece.iter().map(u8::to_string).collect::<Vec<_>>().join(separator);
    let mut forms = vec![
        ("plain".to_owned(), text.clone()),
        ("lower case".to_owned(), text.to_ascii_lowercase()),
        ("upper case".to_owned(), text.to_ascii_uppercase()),
        ("backwards".to_owned(), text.chars().rev().collect()),
        ("hex".to_owned(), hex::encode(piece)),
        ("hex, upper case".to_owned(), hex::encode_upper(piece)),
        ("percent".to_owned(), each(piece, |byte| format!("%{byte:02x}"))),
        ("percent, upper case".to_owned(), each(piece, |byte| format!("%{byte:02X}"))),
        ("list of numbers".to_owned(), numbers(", ")),
        ("JSON list of numbers".to_owned(), numbers(",")),
    ];
    for before in 0..3 {
        forms.push((format!("base64 at {before}"), base64_within(&STANDARD_NO_PAD, before, piece)));
        forms.push((format!("URL-safe base64 at {before}"), base64_within(&URL_SAFE_NO_PAD, before, piece)));
    }
    forms
        .into_iter()
        .map(|(form, needle)| (form, needle.into_bytes()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

fn each(bytes: &[u8], form: fn(&u8) -> String) -> String {
    bytes.iter().map(form).collect()
}

/// The characters that `bytes` alone determine when `before` others precede them, and any follow.
fn base64_within(engine: &impl base64::Engine, before: usize, bytes: &[u8]) -> String {
    let encoded = engine.encode([&vec![0; before][..], bytes].concat());
    encoded[(before * 8).div_ceil(6)..(before + bytes.len()) * 8 / 6].to_owned()
}

/// Undoes the escapes of JSON, of Rust's `Debug` and of URLs; other text stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        let (value, length) = escape(rest).unwrap_or((u32::from(byte), 1));
        match u8::try_from(value) {
            Ok(byte) => plain.push(byte),
            Err(_) => plain.extend(char::from_u32(value).map_or("?".to_owned(), String::from).bytes()),
        }
        rest = &rest[length..];
    }
    plain
}

/// The escape with which `text` begins: its character and its length.
fn escape(text: &[u8]) -> Option<(u32, usize)> {
    let hex = |from: usize, to: usize| {
        let digits = std::str::from_utf8(text.get(from..to)?).ok()?;
        Some((u32::from_str_radix(digits, 16).ok()?, to))
    };
    match text {
        [b'%', ..] => hex(1, 3),
        [b'\\', b'x', ..] => hex(2, 4),
        [b'\\', b'u', b'{', rest @ ..] => {
            let digits = rest.iter().take(7).position(|byte| *byte == b'}')?;
            hex(3, 3 + digits).map(|(value, end)| (value, end + 1))
        }
        [b'\\', b'u', ..] => hex(2, 6),
        [b'\\', byte @ (b'"' | b'\\' | b'/' | b'\''), ..] => Some((u32::from(*byte), 2)),
        _ => None,
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE},
    };

    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let canary = Canary::new("secret");
        let secret = canary.secret();
        let u_escapes = |text: &str| each(text.as_bytes(), |byte| format!("\\u{byte:04x}"));
        let percent = |text: &str| each(text.as_bytes(), |byte| format!("%{byte:02X}"));
        let mut forms = vec![
            secret.to_owned(),
            secret[5..30].to_owned(),
            secret.to_ascii_lowercase(),
            secret.chars().rev().collect(),
            hex::encode(secret),
            hex::encode_upper(secret),
            percent(secret),
            percent(secret).to_ascii_lowercase(),
            percent(&percent(secret)),
            u_escapes(secret),
            u_escapes(secret).replace('\\', "\\\\"),
            each(secret.as_bytes(), |byte| format!("\\x{byte:02x}")),
            each(secret.as_bytes(), |byte| format!("\\u{{{byte:x}}}")),
            format!("{:?}", secret.as_bytes()),
            serde_json::to_string(secret.as_bytes()).unwrap(),
            serde_json::to_string(&serde_json::to_string(&secret).unwrap()).unwrap(),
            format!("{secret:?}"),
        ];
        for before in 0..4 {
            for after in 0..4 {
                let around = [&vec![0xff; before], secret.as_bytes(), &vec![0xff; after]].concat();
                forms.extend([STANDARD.encode(&around), URL_SAFE.encode(&around)]);
            }
        }
        for form in forms {
            let text = format!("{{\"field\":\"{form}\"}}");
            assert!(canary.found_in(text.as_bytes()).is_some(), "{form}");
        }
    }

    #[test]
    fn another_secret_is_not_found() {
        let (one, other) = (Canary::new("one"), Canary::new("other"));
        assert_eq!(one.found_in(STANDARD.encode(other.secret()).as_bytes()), None);
        assert_eq!(one.found_in(b""), None);
    }
}
