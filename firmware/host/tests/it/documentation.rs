//! docs/firmware.md against the errors and keys of the application.

use app::UnixTime;
use app::configuration::ConfigurationError;
use app::configuration::partition::{Key, PartitionError};
use app::error::{ConnectionError, Reason, ReasonCode, Stage};
use app::sensor::SensorError;
use app::sntp::SntpError;
use app::tls::TlsError;

const PAGE: &str = include_str!("../../../../docs/firmware.md");

#[test]
fn every_error_is_documented() {
    let tls = [
        TlsError::NoClock,
        TlsError::Expired(UnixTime::EARLIEST),
        TlsError::NotYetValid(UnixTime::EARLIEST),
        TlsError::NameMismatch,
        TlsError::IssuerNotCa,
        TlsError::UntrustedRoot,
        TlsError::AlpnIgnored,
        TlsError::NoApplicationProtocol,
        TlsError::UnrecognizedName,
        TlsError::Closed,
    ];
    let printed = tls.map(|error| ConnectionError::Tls(error).to_string());
    let sensor = [
        SensorError::NoAcknowledge,
        SensorError::BusStuck,
        SensorError::Checksum,
        SensorError::OutOfRange(0),
    ];
    let others = [
        ConnectionError::Time(SntpError::Timeout).to_string(),
        ConnectionError::TimeServerNotFound.to_string(),
        ConnectionError::ClosedBeforeConnack.to_string(),
        ConnectionError::PublishDeferred(Reason(ReasonCode::QuotaExceeded)).to_string(),
        ConnectionError::PacketTooLarge.to_string(),
        ConnectionError::Closed.to_string(),
        ConfigurationError::Partition(PartitionError::Absent).to_string(),
        ConfigurationError::Partition(PartitionError::Checksum).to_string(),
        ConfigurationError::ClientIdTooLong(80).to_string(),
    ];
    for line in printed.into_iter().chain(sensor.map(|error| error.to_string())).chain(others) {
        let fixed = line.split([';', '(']).next().unwrap().split("2026-").next().unwrap().trim();
        assert!(PAGE.contains(fixed), "`{fixed}` is not in docs/firmware.md");
    }
}

#[test]
fn every_configuration_key_is_documented() {
    for key in Key::ALL {
        assert!(PAGE.contains(&format!("`{key}`")), "`{key}` is not in docs/firmware.md");
    }
}

#[test]
fn error_starts_with_its_stage() {
    let refused = ConnectionError::ConnectRefused(Reason(ReasonCode::NotAuthorized)).to_string();
    assert!(
        refused.starts_with("mqtt: ")
            && PAGE.contains("mqtt: the server refused the connection: not authorized")
    );
    assert_eq!(ConnectionError::Timeout(Stage::Tls).to_string(), "tls: no answer in time");
}
