//! Causes and cures of the reasons in AWS IoT's own log.
//!
//! Source: AWS IoT Core developer guide, `cwl-format` and `life-cycle-events`. Where a line explains its reason itself, its
//! words are shown instead.

use device_auth::deny_reason::DenyReason;

/// The cause and the cure, as `CAUSE; CURE`.
#[must_use]
pub fn explanation(reason: &str) -> Option<&'static str> {
    if let Some(deny) = DenyReason::all().find(|deny| deny.as_str() == reason) {
        return Some(deny.explanation());
    }
    REASONS.iter().find(|(name, _)| *name == reason).map(|(_, text)| *text)
}

/// The reasons of AWS's, and the gateway's own.
const REASONS: [(&str, &str); 37] = [
    (
        "AUTHORIZATION_FAILURE",
        "the policies do not allow it; `latchkey fleet explain` says which statement decides",
    ),
    ("ALPN_NOT_SUPPORTED", "no door has the client's ALPN protocol; use `mqtt` on port 443"),
    ("API_INITIATED_DISCONNECT", "somebody called DeleteConnection; the client may connect again"),
    (
        "AUTH_ERROR",
        "the client was refused at its refresh, or asked for what the policies deny; look at the line before",
    ),
    ("CLIENT_ERROR", "the client sent what is not valid; look at its firmware, or with `latchkey doctor`"),
    ("CLIENT_INITIATED_DISCONNECT", "the client disconnected; that is normal"),
    (
        "CONNECTION_LOST",
        "the network failed, or the client closed without DISCONNECT; that is normal on radio links",
    ),
    (
        "CUSTOMAUTH_TTL_EXPIRATION",
        "the time of the connection is over; connect again, or raise the record's `disconnect_after_seconds`",
    ),
    (
        "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR",
        "the function failed, took more than 5 s, or answered what is not valid; look at its own lines",
    ),
    (
        "CUSTOM_AUTHORIZER_NOT_FOUND",
        "there is no active authorizer of the name in the user name, and no default one; correct the name after \
         `x-amz-customauthorizer-name=`, or activate the authorizer",
    ),
    (
        "CUSTOM_AUTHORIZER_PARAMETER_INVALID",
        "a parameter of the user name is missing, a duplicate, too long or not valid; correct what comes after `?`",
    ),
    (
        "DEVICE_CERTIFICATE_INACTIVE",
        "the certificate is registered and not active; activate it, or give the device another one",
    ),
    (
        "DEVICE_CERTIFICATE_NOT_REGISTERED",
        "the certificate is not registered in this account; register it, or correct the endpoint",
    ),
    ("DEVICE_CERTIFICATE_REVOKED", "the certificate is revoked; give the device another one"),
    (
        "DOMAIN_CONFIGURATION_DISABLED",
        "the domain configuration of the client's server name is disabled; enable it, or correct the endpoint",
    ),
    (
        "DOMAIN_CONFIGURATION_INVALID",
        "the domain configuration of the client's server name has another service type; use one of the type DATA",
    ),
    (
        "DUPLICATE_CLIENTID",
        "another connection with the same client id took over; give each device a client id of its own, or wait longer \
         before a new connection",
    ),
    ("DUPLICATE_CLIENT_ID", "another connection with the same client id took over; give each device its own"),
    ("FORBIDDEN_ACCESS", "the credentials are not for this account or endpoint; correct the endpoint"),
    ("INTERNAL_SERVER_ERROR", "AWS IoT failed; try again, and see AWS's health page"),
    ("MQTT_KEEP_ALIVE_TIMEOUT", "no packet came for one and a half keep-alive times; send PINGREQ in time"),
    (
        "NOT_AUTHENTICATED",
        "the credentials are not accepted; if the function has no line, it was not called: check the signature of the token \
         and the authorizer's signing keys",
    ),
    ("NOT_ACKNOWLEDGED", "the client did not acknowledge a message; look at its firmware"),
    ("RESOURCE_ALREADY_EXISTS", "the session is in use; wait longer before a new connection"),
    ("SECURITY_TOKEN_EXPIRED", "the token's time is over; sign a new one, and check the client's clock"),
    ("SECURITY_TOKEN_INVALID", "the token is not valid; sign a new one"),
    (
        "SECURITY_TOKEN_SIGNATURE_MISMATCH",
        "the signature does not match; sign with a key of the account, and check region and host",
    ),
    ("SERVER_ERROR", "AWS IoT failed; try again, and see AWS's health page"),
    ("SERVER_INITIATED_DISCONNECT", "the server ended the connection; connect again, with backoff"),
    ("SNI_MISUSED", "the client's server name is not one of the account's; set SNI to the endpoint's name"),
    ("THROTTLED", "a limit of the account or of the client id is reached; connect and publish less often"),
    (
        "TLS_HANDSHAKE_FAILED",
        "TLS failed before anything was sent; check the client's CA, server name, ALPN and TLS version",
    ),
    ("WEBSOCKET_TTL_EXPIRATION", "a WebSocket connection lasts up to a day; connect again"),
    ("document_fault", "the function could not make the policy documents; the line's error says why"),
    (
        "runtime_exited",
        "the function's program ended; exit code 64 is a wrong setting, which the lines before name",
    ),
    ("store_fault", "the function's store does not answer; docs/stores.md has the kinds and fixes"),
    (
        "timed_out",
        "the function took too long: the store does not answer, or a verifier is too expensive for its memory; raise \
         `function.memoryMb`",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_cause_and_a_cure_and_is_there_once() {
        for (at, (name, text)) in REASONS.iter().enumerate() {
            assert!(REASONS.iter().skip(at + 1).all(|(other, _)| other != name), "{name}");
            let (cause, cure) = text.split_once("; ").unwrap_or_else(|| panic!("{name}: {text}"));
            assert!(!cause.is_empty() && !cure.is_empty(), "{name}");
        }
        assert!(explanation("wrong_password").is_some_and(|text| text.contains("; ")));
        assert_eq!(explanation("no such reason"), None);
    }
}
