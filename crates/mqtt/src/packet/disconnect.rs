//! DISCONNECT (section 3.14).

use std::sync::Arc;

use crate::reason::DisconnectReasonCode;

/// The end of the connection (section 3.14). User properties are dropped.
///
/// In 3.1.1 only a client sends it, and it holds nothing. A server's codec writes nothing for it there, so that
/// a server can say why it closes without asking for the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why.
    pub code: DisconnectReasonCode,
    /// A new session expiry interval in seconds. Only a client sends it.
    pub session_expiry_interval: Option<u32>,
    /// An explanation for people.
    pub reason_string: Option<Arc<str>>,
    /// Another server. Only a server sends it.
    pub server_reference: Option<Arc<str>>,
}

impl Disconnect {
    /// A DISCONNECT with only a code.
    #[must_use]
    pub fn new(code: DisconnectReasonCode) -> Self {
        Self { code, session_expiry_interval: None, reason_string: None, server_reference: None }
    }
}
