//! The broker's rules: what the specifications and AWS say of packets, sessions, policies, quotas and timers.

mod conformance;
mod denials;
mod durability;
mod enforcement;
mod log;
mod packets;
mod presence;
mod quotas;
mod reason_strings;
mod reserved_topics;
mod sessions;
mod shared_subscriptions;
mod takeover;
mod timers;
