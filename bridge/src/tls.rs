//! The certificate of the TLS port, read again when its files change, and its dates.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::log::{Level, Line};
use crate::settings::TlsFiles;

/// A certificate or a key that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file has none.
    #[error("no {what} in `{path}`: {error}; it must be PEM")]
    Pem {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file.
        path: String,
        /// The error.
        error: rustls::pki_types::pem::Error,
    },
    /// A certificate is not one.
    #[error("a certificate in `{0}` can't be read")]
    Certificate(String),
    /// The two don't belong together, or are of a kind that TLS has not.
    #[error("the certificate and its key can't be used: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The ALPN protocols that AWS has for MQTT, for devices that offer one.
const ALPN: [&[u8]; 2] = [b"mqtt", b"x-amzn-mqtt-ca"];
/// A certificate that ends sooner than this is reported, unless its whole life is short.
const SOON: i64 = 21 * DAY;
/// A certificate of a short life is reported in the last of this number of parts of it.
const PARTS_OF_LIFE: i64 = 4;
const DAY: i64 = 24 * 3_600;

/// The configuration of the TLS port, and the dates of its certificate.
pub struct ServerTls {
    /// TLS 1.2 and 1.3, no client certificate, and neither ALPN nor SNI is needed.
    pub config: Arc<ServerConfig>,
    /// When the whole chain is valid.
    pub validity: Validity,
}

/// When a chain is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The latest beginning of its certificates.
    pub not_before: i64,
    /// The earliest end of its certificates.
    pub not_after: i64,
}

/// What is wrong with a certificate's dates at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateProblem {
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over soon.
    ExpiresSoon,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`]. A certificate whose time is over is none: its devices say what they think of it.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let error = |what, path: &Path| {
            let path = path.display().to_string();
            move |error| TlsError::Pem { what, path, error }
        };
        let chain = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(error("certificate", &files.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(error("key", &files.key))?;
        let validity = Validity::of(&chain);
        let validity =
            validity.ok_or_else(|| TlsError::Certificate(files.certificate.display().to_string()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        Ok(Arc::new(Self { config: Arc::new(config), validity }))
    }
}

impl Validity {
    fn of(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let dates = chain.iter().map(|certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            let validity = certificate.validity();
            Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
        });
        let dates = dates.collect::<Option<Vec<_>>>()?;
        let not_before = dates.iter().map(|(not_before, _)| *not_before).max()?;
        let not_after = dates.iter().map(|(_, not_after)| *not_after).min()?;
        Some(Self { not_before, not_after })
    }

    /// What is wrong with it at this moment.
    #[must_use]
    pub fn problem(&self, now: i64) -> Option<DateProblem> {
        let life = self.not_after.saturating_sub(self.not_before);
        if now < self.not_before {
            Some(DateProblem::NotYetValid)
        } else if now > self.not_after {
            Some(DateProblem::Expired)
        } else if self.not_after - now < SOON.min(life / PARTS_OF_LIFE) {
            Some(DateProblem::ExpiresSoon)
        } else {
            None
        }
    }

    /// A problem in words, with its cure.
    #[must_use]
    pub fn explain(&self, problem: DateProblem) -> [String; 2] {
        let details = match problem {
            DateProblem::Expired => format!("the certificate of `mqtts` expired on {}", day(self.not_after)),
            DateProblem::NotYetValid => {
                format!(
                    "the certificate of `mqtts` is valid from {} on, by this machine's clock",
                    day(self.not_before)
                )
            }
            DateProblem::ExpiresSoon => {
                format!("the certificate of `mqtts` expires on {}", day(self.not_after))
            }
        };
        let cure = match problem {
            DateProblem::Expired => {
                "devices that check it do not connect to `mqtts`: replace the files, which are read again \
                 within seconds; is this machine's clock right?"
            }
            DateProblem::NotYetValid => "is this machine's clock right? Otherwise wait, or replace the files",
            DateProblem::ExpiresSoon => "replace the files in time; they are read again within seconds",
        };
        [details, cure.to_owned()]
    }
}

/// The day of a moment, as `2026-11-30`.
fn day(moment: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(moment) {
        Ok(it) => format!("{:04}-{:02}-{:02}", it.year(), u8::from(it.month()), it.day()),
        Err(_) => "a day that no calendar has".to_owned(),
    }
}

/// Says what is wrong with a certificate's dates: at once, and then every day.
#[derive(Debug, Default)]
pub struct DateWatch {
    /// What was said last, and when.
    told: Option<(DateProblem, i64)>,
}

impl DateWatch {
    /// The line that is due at this moment.
    pub fn line(&mut self, validity: Validity, now: i64) -> Option<Line> {
        let problem = validity.problem(now);
        let Some(problem) = problem else {
            self.told = None;
            return None;
        };
        // A clock that is set back begins again.
        let is_due = |(told, at): (DateProblem, i64)| told != problem || !(0..DAY).contains(&(now - at));
        if !self.told.is_none_or(is_due) {
            return None;
        }
        self.told = Some((problem, now));
        let (reason, level) = match problem {
            DateProblem::Expired => ("CERTIFICATE_EXPIRED", Level::Error),
            DateProblem::NotYetValid => ("CERTIFICATE_NOT_YET_VALID", Level::Error),
            DateProblem::ExpiresSoon => ("CERTIFICATE_EXPIRES", Level::Warning),
        };
        let [details, cure] = validity.explain(problem);
        Some(Line { level, reason, details: Some(details), explanation: Some(cure), ..Line::default() })
    }
}

/// This machine's clock, in seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Validity = Validity { not_before: 1_000_000, not_after: 1_000_000 + 365 * DAY };

    #[test]
    fn a_certificate_is_reported_before_its_end_and_in_the_last_quarter_of_a_short_life() {
        let week = Validity { not_before: 0, not_after: 8 * DAY };
        let cases = [
            (YEAR, YEAR.not_before - 1, Some(DateProblem::NotYetValid)),
            (YEAR, YEAR.not_before, None),
            (YEAR, YEAR.not_after - 21 * DAY, None),
            (YEAR, YEAR.not_after - 21 * DAY + 1, Some(DateProblem::ExpiresSoon)),
            (YEAR, YEAR.not_after, Some(DateProblem::ExpiresSoon)),
            (YEAR, YEAR.not_after + 1, Some(DateProblem::Expired)),
            (week, 6 * DAY, None),
            (week, 6 * DAY + 1, Some(DateProblem::ExpiresSoon)),
        ];
        for (validity, now, problem) in cases {
            assert_eq!(validity.problem(now), problem, "{validity:?} at {now}");
        }
    }

    #[test]
    fn a_problem_is_said_at_once_then_daily_and_again_when_it_is_another() {
        let mut watch = DateWatch::default();
        let mut reason = |now| watch.line(YEAR, now).map(|line| line.reason);
        let soon = YEAR.not_after - 20 * DAY;
        assert_eq!(reason(soon - 2 * DAY), None);
        assert_eq!(reason(soon), Some("CERTIFICATE_EXPIRES"));
        let told = (1..=3 * DAY / 60).filter_map(|minute| reason(soon + minute * 60)).count();
        assert_eq!(told, 3, "once a day");
        assert_eq!(reason(YEAR.not_after + 1), Some("CERTIFICATE_EXPIRED"));
        assert_eq!(reason(YEAR.not_after + 2), None);
        // The clock is set back by years, and then right.
        assert_eq!(reason(0), Some("CERTIFICATE_NOT_YET_VALID"));
        assert_eq!(reason(YEAR.not_before + DAY), None);
        assert_eq!(reason(YEAR.not_after + 3), Some("CERTIFICATE_EXPIRED"));
    }

    #[test]
    fn the_certificate_of_a_chain_that_ends_first_counts() {
        let made = |from: i64, until: i64| {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_before = OffsetDateTime::from_unix_timestamp(from).unwrap();
            params.not_after = OffsetDateTime::from_unix_timestamp(until).unwrap();
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
        };
        let chain = [made(DAY, 300 * DAY), made(0, 200 * DAY)];
        assert_eq!(Validity::of(&chain), Some(Validity { not_before: DAY, not_after: 200 * DAY }));
        assert_eq!(Validity::of(&[]), None);
    }
}
