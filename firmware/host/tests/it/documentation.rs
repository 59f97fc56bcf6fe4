//! The table of failures in docs/firmware.md against what is printed.

use app::UnixTime;
use app::configuration::ConfigurationError;
use app::configuration::partition::{Key, PartitionError};
use app::failure::{Failure, Refusal, Stage};
use app::sensor::SensorFailure;
use app::sntp::SntpFailure;
use app::tls::TlsFailure;

const PAGE: &str = include_str!("../../../../docs/firmware.md");

#[test]
fn every_failure_of_tls_and_the_sensor_stands_in_the_table() {
    let tls = [
        TlsFailure::NoClock,
        TlsFailure::Expired(UnixTime::EARLIEST),
        TlsFailure::NotYetValid(UnixTime::EARLIEST),
        TlsFailure::WrongHost,
        TlsFailure::LeafAsIssuer,
        TlsFailure::WrongCa,
        TlsFailure::AlpnMissing,
        TlsFailure::AlpnRefused,
        TlsFailure::NameRefused,
        TlsFailure::Broken,
    ];
    let printed = tls.map(|failure| Failure::Tls(failure).to_string());
    let sensor =
        [SensorFailure::Absent, SensorFailure::Stuck, SensorFailure::Checksum, SensorFailure::OutOfRange(0)];
    let others = [
        Failure::Time(SntpFailure::Silent).to_string(),
        Failure::TimeServerUnknown.to_string(),
        Failure::ClosedAtConnect.to_string(),
        Failure::Postponed(Refusal(app::failure::ReasonCode::QuotaExceeded)).to_string(),
        Failure::Unsendable.to_string(),
        Failure::Ended.to_string(),
        ConfigurationError::Partition(PartitionError::Absent).to_string(),
        ConfigurationError::Partition(PartitionError::Checksum).to_string(),
        ConfigurationError::ClientIdTooLong(80).to_string(),
    ];
    for line in printed.into_iter().chain(sensor.map(|failure| failure.to_string())).chain(others) {
        let fixed = line.split([';', '(']).next().unwrap().split("2026-").next().unwrap().trim();
        assert!(PAGE.contains(fixed), "`{fixed}` is not in docs/firmware.md");
    }
}

#[test]
fn every_key_of_the_configuration_is_documented() {
    for key in Key::ALL {
        assert!(PAGE.contains(&format!("`{key}`")), "`{key}` is not in docs/firmware.md");
    }
}

#[test]
fn a_stage_begins_each_line() {
    let refused = Failure::Refused(Refusal(app::failure::ReasonCode::NotAuthorized)).to_string();
    assert!(
        refused.starts_with("mqtt: ")
            && PAGE.contains("mqtt: the server refused the connection: not authorized")
    );
    assert_eq!(Failure::TimedOut(Stage::Tls).to_string(), "tls: no answer in time");
}
