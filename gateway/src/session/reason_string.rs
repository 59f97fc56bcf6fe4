//! The reason strings of MQTT 5, in AWS's form `PACKET:text:UUID`.
//!
//! The UUID is the connection's id, which each of the connection's lines in the log has as `connectionId`, and the
//! function's own lines too. What AWS's UUID names is not known.

use std::sync::Arc;

use cli::output::escaped;
use mqtt::ConnectReasonCode;
use uuid::Uuid;

/// AWS's text for 0x87.
pub const NOT_AUTHORIZED: &str = "Client is not authenticated/authorized to send the message";
/// AWS's text for a SUBSCRIBE with a Subscription Identifier.
pub(super) const SUBSCRIPTION_ID: &str = "Subscription Id is not supported now";
/// AWS's text for 0x85.
const CLIENT_ID: &str = "ClientId is invalid";

/// The reason string of a CONNACK that refuses a client. `details` is what the log says about it, and is sent where AWS's
/// text is not known.
#[must_use]
pub fn of_refusal(code: ConnectReasonCode, details: &str, connection_id: Uuid) -> Arc<str> {
    let text = match code {
        ConnectReasonCode::NotAuthorized => NOT_AUTHORIZED,
        ConnectReasonCode::ClientIdentifierNotValid => CLIENT_ID,
        _ => details,
    };
    reason_string("CONNACK", text, connection_id)
}

/// The reason string of a packet with this name. Clients print it.
pub(super) fn reason_string(packet: &str, text: &str, connection_id: Uuid) -> Arc<str> {
    escaped(format!("{packet}:{text}:{connection_id}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_texts_replace_the_details_where_they_are_known() {
        let id = Uuid::nil();
        for (code, text) in [
            (ConnectReasonCode::NotAuthorized, NOT_AUTHORIZED),
            (ConnectReasonCode::ClientIdentifierNotValid, "ClientId is invalid"),
            (ConnectReasonCode::QuotaExceeded, "details"),
        ] {
            let expected = format!("CONNACK:{text}:00000000-0000-0000-0000-000000000000");
            assert_eq!(&*of_refusal(code, "details", id), expected);
        }
    }
}
