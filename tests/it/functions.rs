//! The authorizer and its function: events and answers, faults of a function, where functions run.

mod authorizers;
mod backends;
mod configuration;
mod faults;
mod garbage;
pub(crate) mod golden;
mod queue;
mod vendors;
