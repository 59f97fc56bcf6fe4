//! What every connection of one gateway shares.

use std::sync::Arc;

use iot_policy::Scope;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    account_rates::AccountRates,
    broker::Broker,
    client_records::ClientRecords,
    clock::Clock,
    custom_auth::{admission::Authorizers, unnamed::ReportedDevices},
    delayed_will_limit::DelayedWillLimit,
    door::Doors,
    event_log::EventLog,
    handshake_limit::HandshakeLimit,
    lambda::functions::Functions,
    registry::Registry,
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
