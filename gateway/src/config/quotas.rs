//! AWS's quotas in the settings file.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use anyhow::ensure;
use iot_policy::limits::MAX_SESSION_EXPIRY_SECONDS;
use serde::Deserialize;

use crate::quotas::Quotas;

/// The table `[quotas]`. What it leaves out is as with AWS; a rate of 0 is one without a bound.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotasTable {
    client_id_bytes: Option<usize>,
    connects_per_second: Option<u32>,
    connects_per_second_per_client_id: Option<u32>,
    topic_bytes: Option<usize>,
    topic_slashes: Option<usize>,
    payload_bytes: Option<usize>,
    filters_per_subscribe: Option<usize>,
    subscriptions_per_connection: Option<usize>,
    publishes_per_second: Option<u32>,
    bytes_per_second: Option<u32>,
    unacknowledged_messages: Option<NonZeroU16>,
    min_keep_alive_seconds: Option<NonZeroU16>,
    max_keep_alive_seconds: Option<NonZeroU16>,
    packet_bytes: Option<NonZeroU32>,
    topic_aliases: Option<u16>,
    receive_maximum: Option<NonZeroU16>,
    session_expiry_seconds: Option<u32>,
}

impl QuotasTable {
    /// The quotas, with the time that a session outlives its connection if that was typed.
    ///
    /// # Errors
    ///
    /// When they contradict each other.
    pub fn merge(self, session_expiry_seconds: Option<u32>) -> anyhow::Result<Quotas> {
        let aws = Quotas::AWS;
        let rate = |set: Option<u32>, aws| set.map_or(aws, NonZeroU32::new);
        let expiry = session_expiry_seconds.or(self.session_expiry_seconds);
        let expiry = expiry.map(|seconds| seconds.min(MAX_SESSION_EXPIRY_SECONDS));
        let quotas = Quotas {
            client_id_bytes: self.client_id_bytes.unwrap_or(aws.client_id_bytes),
            connects_per_second: rate(self.connects_per_second, aws.connects_per_second),
            connects_per_second_per_client_id: rate(
                self.connects_per_second_per_client_id,
                aws.connects_per_second_per_client_id,
            ),
            topic_bytes: self.topic_bytes.unwrap_or(aws.topic_bytes),
            topic_slashes: self.topic_slashes.unwrap_or(aws.topic_slashes),
            payload_bytes: self.payload_bytes.unwrap_or(aws.payload_bytes),
            filters_per_subscribe: self.filters_per_subscribe.unwrap_or(aws.filters_per_subscribe),
            subscriptions_per_connection: self
                .subscriptions_per_connection
                .unwrap_or(aws.subscriptions_per_connection),
            publishes_per_second: rate(self.publishes_per_second, aws.publishes_per_second),
            bytes_per_second: rate(self.bytes_per_second, aws.bytes_per_second),
            unacknowledged_messages: self.unacknowledged_messages.unwrap_or(aws.unacknowledged_messages),
            min_keep_alive_seconds: self.min_keep_alive_seconds.unwrap_or(aws.min_keep_alive_seconds),
            max_keep_alive_seconds: self.max_keep_alive_seconds.unwrap_or(aws.max_keep_alive_seconds),
            packet_bytes: self.packet_bytes.unwrap_or(aws.packet_bytes),
            topic_aliases: self.topic_aliases.unwrap_or(aws.topic_aliases),
            receive_maximum: self.receive_maximum.unwrap_or(aws.receive_maximum),
            session_expiry: expiry.map_or(aws.session_expiry, |seconds| Duration::from_secs(seconds.into())),
        };
        ensure!(
            quotas.min_keep_alive_seconds <= quotas.max_keep_alive_seconds,
            "`min_keep_alive_seconds` is more than `max_keep_alive_seconds`"
        );
        ensure!(
            quotas.payload_bytes <= quotas.packet_bytes.get() as usize,
            "`payload_bytes` is more than `packet_bytes`: such a message can't be sent"
        );
        Ok(quotas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Quotas, String> {
        let table = toml::from_str::<QuotasTable>(text).map_err(|error| error.message().to_owned())?;
        table.merge(None).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_table_leaves_out_is_as_with_aws_and_a_rate_of_0_has_no_bound() {
        assert_eq!(read(""), Ok(Quotas::AWS));
        let rates = "connects_per_second = 0\nconnects_per_second_per_client_id = 0\npublishes_per_second = 0\n\
                     bytes_per_second = 0";
        assert_eq!(read(rates), Ok(Quotas::AWS.at_any_rate()));
        let quotas =
            read("publishes_per_second = 7\nsession_expiry_seconds = 9999999\ntopic_slashes = 3").unwrap();
        assert_eq!(quotas.publishes_per_second, NonZeroU32::new(7));
        assert_eq!(quotas.session_expiry, Duration::from_hours(7 * 24), "AWS keeps none for longer");
        assert_eq!((quotas.topic_slashes, quotas.topic_bytes), (3, Quotas::AWS.topic_bytes));
    }

    #[test]
    fn what_was_typed_wins() {
        let table = toml::from_str::<QuotasTable>("session_expiry_seconds = 10").unwrap();
        assert_eq!(table.merge(Some(20)).unwrap().session_expiry, Duration::from_secs(20));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        for (text, complaint) in [
            (
                "min_keep_alive_seconds = 60\nmax_keep_alive_seconds = 30",
                "`min_keep_alive_seconds` is more than",
            ),
            ("payload_bytes = 200000", "`payload_bytes` is more than `packet_bytes`"),
            ("receive_maximum = 0", "nonzero"),
            ("topic_bytes = -1", "integer"),
            ("topics = 1", "unknown field `topics`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
