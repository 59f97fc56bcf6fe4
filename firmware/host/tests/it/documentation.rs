//! docs/firmware.md against the errors, keys and partition of the application.

use app::UnixTime;
use app::configuration::ConfigurationError;
use app::configuration::partition::{FLASH_OFFSET, Key, MAX_LEN, PartitionError};
use app::error::{ConnectionError, Reason, ReasonCode, Stage};
use app::sensor::SensorError;
use app::sntp::SntpError;
use app::tls::TlsError;
use embedded_hal_async::i2c::ErrorKind;

const PAGE: &str = include_str!("../../../../docs/firmware.md");

#[test]
fn every_error_is_documented() {
    let refused = Reason(ReasonCode::NotAuthorized);
    let too_many = Reason(ReasonCode::QuotaExceeded);
    let implausible = UnixTime::try_from(946_684_800).unwrap_err();
    let time = [SntpError::Unreachable, SntpError::Timeout, SntpError::Unsynchronized]
        .into_iter()
        .chain([SntpError::Implausible(implausible)])
        .map(ConnectionError::Time);
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
        TlsError::Alert(40),
        TlsError::Closed,
    ]
    .map(ConnectionError::Tls);
    let connection = [
        ConnectionError::TimeServerNotFound,
        ConnectionError::HostNotFound,
        ConnectionError::Unreachable,
        ConnectionError::ConnectRefused(refused),
        ConnectionError::ClosedBeforeConnack,
        ConnectionError::PublishDeferred(too_many),
        ConnectionError::PacketTooLarge,
        ConnectionError::Closed,
        ConnectionError::Lost,
        ConnectionError::Protocol,
        ConnectionError::Timeout(Stage::Network),
        ConnectionError::Timeout(Stage::Tls),
        ConnectionError::Timeout(Stage::Mqtt),
    ];
    let sensor = [
        SensorError::NoAcknowledge,
        SensorError::BusStuck,
        SensorError::Bus(ErrorKind::Overrun),
        SensorError::Checksum,
        SensorError::Unfinished,
        SensorError::WrongQuantity,
        SensorError::OutOfRange(0),
    ];
    let configuration = [
        ConfigurationError::Partition(PartitionError::Absent),
        ConfigurationError::Partition(PartitionError::Incomplete),
        ConfigurationError::Partition(PartitionError::Checksum),
        ConfigurationError::ClientIdTooLong(80),
    ];
    let lines = time
        .chain(tls)
        .chain(connection)
        .map(|error| error.to_string())
        .chain(sensor.map(|error| error.to_string()))
        .chain(configuration.map(|error| error.to_string()));
    for line in lines {
        // The page has the text up to what differs each time, or up to the cure.
        let fixed = line.split([';', '(']).next().unwrap();
        let fixed = fixed.split("2026-").next().unwrap().split("alert 40").next().unwrap();
        let fixed = fixed.trim_end_matches(": Overrun").trim();
        assert!(PAGE.contains(fixed), "`{fixed}` is not in docs/firmware.md");
    }
}

#[test]
fn partition_table_has_the_configuration_where_the_firmware_reads_it() {
    let table = include_str!("../../../esp32c3/partitions.csv");
    let row = table.lines().find(|line| line.starts_with("latchkey,")).unwrap();
    let columns: Vec<&str> = row.split(',').map(str::trim).collect();
    assert_eq!(columns[3..], [format!("{FLASH_OFFSET:#x}"), format!("{MAX_LEN:#x}")]);
    assert!(PAGE.contains(&format!("write-bin --chip esp32c3 {FLASH_OFFSET:#x} ")));
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
