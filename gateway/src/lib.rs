//! AWS IoT Core on one machine.
//!
//! A connection passes through these modules:
//!
//! 1. [`door`]: TLS. The port, ALPN and SNI decide whether the connection is accepted, which protocol is spoken on it
//!    and how its client authenticates.
//! 2. [`connection`]: the IO of one connection, which is MQTT, MQTT over WebSocket, or HTTPS publish.
//! 3. Authentication: by a certificate that the [`registry`] knows, or by [`custom_auth`], which calls the
//!    authorizer's function through [`lambda`] and checks its answer.
//! 4. [`session`]: what the client may do, and what follows from each packet. It does no IO and reads no clock.
//! 5. [`broker`]: carries messages from one connection to the others, and requests to the device [`shadow`]s.
//!
//! Two limits apply before a session begins: [`server::handshake_limit`], on connections that have not sent their CONNECT yet,
//! and [`account_rates`], on CONNECTs a second. One applies after its end: [`delayed_will_limit`].
//!
//! [`gateway`] builds all of this from [`settings`] and keeps what every connection needs in [`shared`].
//! Settings come from the command line ([`args`]) and the settings file ([`config`]); AWS's [`quotas`] are among them.
//! [`api`] serves AWS's own APIs, whose calls change the [`registry`].
//! [`event_log`] and [`metrics`] show what happens, [`why`] reads it again, [`client_records`] knows the last connection of each
//! client id, [`status`] serves the metrics and the [`console`], [`certificate`] is the local CA, and [`clock`] is the time, which
//! tests move, those of other languages through the [`test_api`].

pub mod account_rates;
pub mod api;
pub mod args;
pub mod broker;
pub mod certificate;
pub mod client_records;
pub mod clock;
pub mod config;
pub mod connection;
pub mod console;
pub mod custom_auth;
pub mod delayed_will_limit;
pub mod direct_message;
pub mod door;
pub mod event_log;
pub mod gateway;
pub mod lambda;
pub mod message_properties;
pub mod metrics;
pub mod quotas;
pub mod rate;
pub mod rate_by_key;
pub mod registry;
pub mod session;
pub mod settings;
pub mod shadow;
pub mod shared;
pub mod status;
pub mod test_api;
pub mod why;
