//! The answer that IoT Core reads.
//!
//! Source: AWS IoT Core developer guide, `custom-auth-lambda`.

use serde::Serialize;

use crate::document::PolicyDocument;

/// What the Lambda returns. A refusal is `{"isAuthenticated":false}` and nothing more.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// The device may connect.
    Allow(Grant),
    /// It may not.
    Deny(Refusal),
}

/// What a device that may connect is granted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    is_authenticated: bool,
    principal_id: String,
    disconnect_after_in_seconds: u32,
    refresh_after_in_seconds: u32,
    policy_documents: Vec<PolicyDocument>,
}

/// A refusal; the reason is in the log alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    is_authenticated: bool,
}

impl Grant {
    /// `principal_id` is `[a-zA-Z0-9]{1,128}`; the timers are in seconds, 300 to 86,400.
    #[must_use]
    pub fn new(
        principal_id: String,
        timers: crate::record::Timers,
        policy_documents: Vec<PolicyDocument>,
    ) -> Self {
        Self {
            is_authenticated: true,
            principal_id,
            disconnect_after_in_seconds: timers.disconnect_after.get(),
            refresh_after_in_seconds: timers.refresh_after.get(),
            policy_documents,
        }
    }

    /// The policy documents of this answer.
    #[must_use]
    pub fn policy_documents(&self) -> &[PolicyDocument] {
        &self.policy_documents
    }
}

impl Response {
    /// The refusal.
    #[must_use]
    pub fn deny() -> Self {
        Self::Deny(Refusal { is_authenticated: false })
    }
}
