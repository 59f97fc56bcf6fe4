//! The logger of every platform. It prints the device's own lines and never mbedtls's debug log, which contains keys.
//!
//! Two facts about a handshake appear only in that debug log: the number of the alert with which the server ended it,
//! and whether the certificates in the server's chain may sign others. [`HandshakeDetails`] keeps these two.

use core::cell::Cell;
use core::fmt::{self, Write as _};

use critical_section::Mutex;
use heapless::String;
use log::{LevelFilter, Log, Metadata, Record};

/// Prints each record of level `Info` or above with the platform's own function.
///
/// Install it with the maximum level [`SerialLog::MAX_LEVEL`], so that mbedtls's records reach it.
pub struct SerialLog {
    print: fn(fmt::Arguments<'_>),
}

impl SerialLog {
    /// The level to install it with.
    pub const MAX_LEVEL: LevelFilter = LevelFilter::Trace;

    /// A logger that calls `print` once for each line; `print` adds the line break.
    #[must_use]
    pub const fn new(print: fn(fmt::Arguments<'_>)) -> Self {
        Self { print }
    }
}

impl Log for SerialLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("mbedtls_rs") {
            HandshakeDetails::read_from(*record.args());
        } else if record.level() <= LevelFilter::Info {
            (self.print)(format_args!("{:<5} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// What mbedtls's debug log said since a handshake began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HandshakeDetails {
    /// The number of the server's fatal alert (RFC 8446, section 6).
    pub(crate) alert: Option<u8>,
    /// How many certificates the server sent.
    certificates: u8,
    /// Whether the last of them is a CA.
    last_is_ca: bool,
    /// Whether any other after the first is not a CA.
    issuer_is_not_ca: bool,
}

impl HandshakeDetails {
    /// What was logged since the last [`reset`](Self::reset).
    pub(crate) fn current() -> Self {
        critical_section::with(|section| DETAILS.borrow(section).get())
    }

    /// Forgets everything; call it before a handshake.
    pub(crate) fn reset() {
        critical_section::with(|section| DETAILS.borrow(section).set(Self::NONE));
    }

    /// Whether the server sent a certificate in an issuer's position that is not a CA.
    pub(crate) const fn issuer_is_not_ca(self) -> bool {
        self.issuer_is_not_ca || (self.certificates > 1 && !self.last_is_ca)
    }

    const NONE: Self = Self { alert: None, certificates: 0, last_is_ca: false, issuer_is_not_ca: false };

    fn read_from(line: fmt::Arguments<'_>) {
        let mut start = Truncated(String::new());
        // The facts are at the start of a line, so a truncated one is enough.
        _ = start.write_fmt(line);
        critical_section::with(|section| {
            let details = DETAILS.borrow(section);
            details.set(details.get().with(&start.0));
        });
    }

    fn with(mut self, line: &str) -> Self {
        if let Some((_, number)) = line.split_once("is a fatal alert message (msg ") {
            self.alert = number.split(')').next().and_then(|number| number.parse().ok());
        } else if line.contains("peer certificate #") {
            self.issuer_is_not_ca = self.issuer_is_not_ca();
            self.certificates = self.certificates.saturating_add(1);
            self.last_is_ca = false;
        } else if line.contains("CA=true") {
            self.last_is_ca = true;
        }
        self
    }
}

static DETAILS: Mutex<Cell<HandshakeDetails>> = Mutex::new(Cell::new(HandshakeDetails::NONE));

/// The start of a line.
struct Truncated(String<96>);

impl fmt::Write for Truncated {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| self.0.push(character)).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(lines: &[&str]) -> HandshakeDetails {
        lines.iter().fold(HandshakeDetails::NONE, |details, line| details.with(line))
    }

    #[test]
    fn alert_number_is_read_from_the_debug_log() {
        assert_eq!(details(&["(MbedTLS) is a fatal alert message (msg 120) (at a.c:1)"]).alert, Some(120));
        assert_eq!(details(&["(MbedTLS) is a fatal alert message (msg x"]).alert, None);
        assert_eq!(details(&["(MbedTLS) => read record"]).alert, None);
    }

    #[test]
    fn issuer_without_the_ca_constraint_is_detected_at_any_position() {
        let (leaf, ca) = ("(MbedTLS) peer certificate #1:", "(MbedTLS) basic constraints : CA=true");
        assert!(!details(&[leaf]).issuer_is_not_ca());
        assert!(!details(&[leaf, leaf, ca]).issuer_is_not_ca());
        assert!(details(&[leaf, leaf]).issuer_is_not_ca());
        assert!(details(&[leaf, leaf, leaf, ca]).issuer_is_not_ca());
        assert!(details(&[leaf, leaf, ca, leaf]).issuer_is_not_ca());
    }

    #[test]
    fn mbedtls_records_and_debug_lines_are_not_printed() {
        fn fail(line: fmt::Arguments<'_>) {
            panic!("printed: {line}");
        }
        let log = SerialLog::new(fail);
        for (target, level) in [("mbedtls_rs::session", log::Level::Error), ("app", log::Level::Debug)] {
            log.log(&Record::builder().target(target).level(level).args(format_args!("a key")).build());
        }
    }
}
