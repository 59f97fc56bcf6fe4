//! What every connection of one gateway shares.

use std::sync::Arc;

use iot_policy::Scope;
use mqtt::{Publish, TopicName};
use server::handshake_limit::HandshakeLimit;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    account_rates::AccountRates,
    broker::{Broker, shadow_requests::ShadowMessage, store::StoreError},
    client_records::ClientRecords,
    clock::{Clock, Moment},
    custom_auth::{admission::Authorizers, unnamed::ReportedDevices},
    delayed_will_limit::DelayedWillLimit,
    door::Doors,
    event_log::EventLog,
    lambda::{functions::Functions, injected_fault::InjectedFaults},
    metrics::Direction,
    quotas::LimitError,
    registry::Registry,
    session::{reserved_topic::Recipient, shadow},
    settings::Settings,
};

/// What every connection shares.
pub struct Shared {
    /// The settings that the gateway was started with.
    pub settings: Arc<Settings>,
    /// The time.
    pub clock: Clock,
    /// The event log.
    pub log: EventLog,
    /// The message broker.
    pub broker: Arc<Broker>,
    /// The authorizers.
    pub authorizers: Authorizers,
    /// What runs in the place of functions that API calls name.
    pub functions: Functions,
    /// What tests make functions do.
    pub function_faults: InjectedFaults,
    /// The devices whose use of the implied default authorizer was reported.
    pub unnamed: ReportedDevices,
    /// The doors.
    pub doors: Doors,
    /// The limit on connections before their CONNECT or first request.
    pub handshakes: Arc<HandshakeLimit>,
    /// The limit on last wills that wait for their delay.
    pub delayed_wills: Arc<DelayedWillLimit>,
    /// The registered certificates and Things.
    pub registry: Arc<dyn Registry>,
    /// The memory that events may use while they wait for an authorizer, in KiB.
    pub waiting_room: Semaphore,
    /// The account that the log names.
    pub account_id: Arc<str>,
    /// Partition, region and account, with which policies name resources.
    pub scope: Arc<Scope>,
    /// The rates that all connections share.
    pub account_rates: Arc<AccountRates>,
    /// What is known of the last connection of each client id.
    pub clients: ClientRecords,
    /// Cancelled when the gateway stops.
    pub stopping: CancellationToken,
    /// Cancelled when the connections that have not ended by themselves are dropped.
    pub cut_off: CancellationToken,
}

/// Why a message of a sender without a session is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is one more than a rate of retained messages allows.
    #[error(transparent)]
    Throttled(LimitError),
    /// The sessions' file can't be written.
    #[error(transparent)]
    NotWritten(#[from] StoreError),
}

impl Shared {
    /// Publishes a message of a sender without a session: of an HTTPS request, an API call or the console. Whether the sender
    /// may publish it, and the quotas of the message itself, are checked before.
    ///
    /// # Errors
    ///
    /// When it exceeds a rate of retained messages, or the sessions' file can't be written.
    pub async fn publish(
        &self,
        topic: TopicName,
        publish: Publish,
        recipient: Option<Recipient>,
        now: Moment,
    ) -> Result<(), PublishError> {
        let quotas = &self.settings.quotas;
        // Taking a retained message away is not throttled (AWS general reference, `iot-core`).
        if publish.retain && !publish.payload.is_empty() {
            self.account_rates.retain(&topic, quotas, now).map_err(PublishError::Throttled)?;
        }
        // No client has an empty id, so no subscriber is taken for the sender.
        let from = Arc::default();
        match recipient {
            Some(Recipient::Service) => {}
            None => self.broker.publish(from, topic, publish, now).await?,
            Some(Recipient::Shadow(requests)) => {
                let request = shadow::request(requests, &publish.payload, quotas, &self.account_rates, now);
                let at = self.clock.epoch().unix_seconds(now);
                let message = ShadowMessage { topic, publish, request, unanswered: None };
                self.broker.request_shadow(from, message, at, now).await?;
            }
        }
        self.log.metrics().message(Direction::In);
        Ok(())
    }
}
