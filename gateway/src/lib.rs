//! AWS IoT Core on one machine.
//!
//! A connection goes through the modules in this order:
//!
//! 1. [`door`]: TLS, and by port, ALPN and SNI whether it may come in, what it speaks and how it shows who it is.
//! 2. [`connection`]: the IO of one connection: MQTT, the same over WebSocket, or HTTPS publish. It has what was sent
//! 3. authenticated: by its certificate, which the [`registry`] knows, or by [`custom_auth`]: the authorizer's function is called through [`lambda`], its answer checked.
//! 4. [`session`]: what the client may do and what follows from it. No IO, no clock.
//! 5. [`broker`]: the way of a message from one connection to the others.
//!
//! [`gateway`] puts the parts together from [`settings`]; [`args`] is what a person types; [`event_log`] is
//! where all of it can be seen; [`certificate`] is the local CA; [`clock`] is the time, which tests move.

pub mod args;
pub mod broker;
pub mod certificate;
pub mod clock;
pub mod config;
pub mod connection;
pub mod connects;
pub mod custom_auth;
pub mod door;
pub mod event_log;
pub mod gateway;
pub mod lambda;
pub mod metrics;
pub mod openings;
pub mod registry;
pub mod session;
pub mod settings;
pub mod status;
