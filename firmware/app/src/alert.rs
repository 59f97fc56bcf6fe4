//! What mbedtls says in its debug log and nowhere else: the number of the alert with which a server ended a handshake,
//! and whether the certificates that it sent may sign others.
//!
//! mbedtls prints them through the `log` crate. A platform's logger gives each record to [`is_ours`] first and prints
//! only what is left: the debug log holds keys.

use core::cell::Cell;
use core::fmt::Write as _;

use critical_section::Mutex;
use heapless::String;
use log::Record;

/// What was heard since a handshake began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Heard {
    /// The alert's number (RFC 8446, section 6).
    pub(crate) alert: Option<u8>,
    /// How many certificates the server sent.
    certificates: u8,
    /// Whether the last of them is a CA.
    last_is_ca: bool,
    /// Whether one behind the first is none.
    leaf_as_issuer: bool,
}

/// Takes a record that is not to be printed, and says whether it was one.
#[must_use]
pub fn is_ours(record: &Record<'_>) -> bool {
    let ours = record.target().starts_with("mbedtls_rs");
    if ours {
        let mut line = Line(String::new());
        // A line that is cut off is enough: what is looked for comes early.
        _ = line.write_fmt(*record.args());
        critical_section::with(|section| {
            let heard = HEARD.borrow(section);
            heard.set(heard.get().and(&line.0));
        });
    }
    ours
}

impl Heard {
    /// What was heard so far.
    pub(crate) fn so_far() -> Self {
        critical_section::with(|section| HEARD.borrow(section).get())
    }

    /// Forgets what was heard.
    pub(crate) fn nothing() {
        critical_section::with(|section| HEARD.borrow(section).set(Self::NOTHING));
    }

    /// Whether the server sent a certificate as an issuer that is no CA.
    pub(crate) const fn leaf_as_issuer(self) -> bool {
        self.leaf_as_issuer || (self.certificates > 1 && !self.last_is_ca)
    }

    const NOTHING: Self = Self { alert: None, certificates: 0, last_is_ca: false, leaf_as_issuer: false };

    fn and(mut self, line: &str) -> Self {
        if let Some((_, number)) = line.split_once("is a fatal alert message (msg ") {
            self.alert = number.split(')').next().and_then(|number| number.parse().ok());
        } else if line.contains("peer certificate #") {
            self.leaf_as_issuer = self.leaf_as_issuer();
            self.certificates = self.certificates.saturating_add(1);
            self.last_is_ca = false;
        } else if line.contains("CA=true") {
            self.last_is_ca = true;
        }
        self
    }
}

static HEARD: Mutex<Cell<Heard>> = Mutex::new(Cell::new(Heard::NOTHING));

/// The beginning of a line.
struct Line(String<96>);

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.chars().try_for_each(|character| self.0.push(character)).map_err(|_| core::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> Heard {
        lines.iter().fold(Heard::NOTHING, |heard, line| heard.and(line))
    }

    #[test]
    fn alerts_have_their_number() {
        assert_eq!(heard(&["(MbedTLS) is a fatal alert message (msg 120) (at a.c:1)"]).alert, Some(120));
        assert_eq!(heard(&["(MbedTLS) is a fatal alert message (msg x"]).alert, None);
        assert_eq!(heard(&["(MbedTLS) => read record"]).alert, None);
    }

    #[test]
    fn an_issuer_has_to_be_a_ca() {
        let (leaf, ca) = ("(MbedTLS) peer certificate #1:", "(MbedTLS) basic constraints : CA=true");
        assert!(!heard(&[leaf]).leaf_as_issuer());
        assert!(!heard(&[leaf, leaf, ca]).leaf_as_issuer());
        assert!(heard(&[leaf, leaf]).leaf_as_issuer());
        assert!(heard(&[leaf, leaf, leaf, ca]).leaf_as_issuer());
        assert!(heard(&[leaf, leaf, ca, leaf]).leaf_as_issuer());
    }
}
