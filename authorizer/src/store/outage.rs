//! A line in the log when a store stops answering and old records stand in, and one when it is back.

use std::sync::atomic::{AtomicBool, Ordering};

use super::StoreFault;

/// Whether old records stand in for a store's answers.
#[derive(Default)]
pub(super) struct Outage(AtomicBool);

impl Outage {
    /// An old record was served in the place of `fault`: one line for many of them.
    pub(super) fn goes_on(&self, fault: &StoreFault) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "authorizer::store",
                event = "store_outage",
                kind = fault.kind().as_str(),
                error = %fault,
                "the store does not answer; records that were read before stand in"
            );
        }
    }

    /// The store has answered.
    pub(super) fn is_over(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!(target: "authorizer::store", event = "store_back", "the store answers again");
        }
    }
}
