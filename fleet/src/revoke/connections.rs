//! Connections of AWS IoT Core, or of the gateway in its place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_iotdataplane::{Client, config::Builder};

use crate::{
    args::ConnectionsArgs,
    aws::{call_error, has_code, patient},
};

/// The calls of a revocation.
pub(super) struct Connections {
    client: Client,
    /// Whether sessions end with their connections.
    clean_session: bool,
    /// Whether no last will is published.
    prevent_will: bool,
}

/// A client that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) since: SystemTime,
    /// Whether its session stays when the connection ends.
    pub(super) is_persistent: bool,
}

impl Connections {
    pub(super) fn new(aws: &SdkConfig, args: &ConnectionsArgs) -> Self {
        let config = Builder::from(aws).retry_partition(patient()).build();
        let ConnectionsArgs { clean_session, prevent_will, .. } = *args;
        Self { client: Client::from_conf(config), clean_session, prevent_will }
    }

    /// The client's connection, if it has one.
    pub(super) async fn get(&self, client_id: &str) -> anyhow::Result<Option<Connected>> {
        match self.client.get_connection().client_id(client_id).send().await {
            Ok(found) => {
                let since = Duration::from_millis(u64::try_from(found.connected_since).unwrap_or_default());
                let (since, is_persistent) = (UNIX_EPOCH + since, found.session_expiry > 0);
                Ok(found.connected.then_some(Connected { since, is_persistent }))
            }
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(None),
            Err(error) => Err(call_error(&error, "iot:GetConnection")),
        }
    }

    /// How many subscriptions the client's session has, up to the limit of one answer.
    pub(super) async fn subscriptions(&self, client_id: &str) -> anyhow::Result<usize> {
        match self.client.list_subscriptions().client_id(client_id).send().await {
            Ok(found) => Ok(found.subscriptions().len()),
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(0),
            Err(error) => Err(call_error(&error, "iot:ListSubscriptions")),
        }
    }

    /// Ends the client's connection, if it has one.
    pub(super) async fn delete(&self, client_id: &str) -> anyhow::Result<()> {
        let call = self.client.delete_connection().client_id(client_id);
        match call.clean_session(self.clean_session).prevent_will_message(self.prevent_will).send().await {
            Ok(_) => Ok(()),
            Err(error) if has_code(&error, "ResourceNotFoundException") => Ok(()),
            Err(error) => Err(call_error(&error, "iot:DeleteConnection")),
        }
    }
}
