//! AWS IoT Core's limits, each once, with its page.
//!
//! `dg/x` is the AWS IoT Core developer guide's page `x`, `gr` the AWS general reference's page "AWS IoT Core
//! endpoints and quotas", `api/X` the AWS IoT API reference's operation `X`.

use core::num::{NonZeroU16, NonZeroU32};

/// Policy documents in one authorizer answer, at most (dg/custom-auth-lambda).
pub const MAX_POLICY_DOCUMENTS: usize = 10;
/// Characters of one policy document as [`counted_characters`] counts them, at most (dg/custom-auth-lambda).
pub const MAX_POLICY_DOCUMENT_CHARACTERS: usize = 2048;

/// Seconds of `refreshAfterInSeconds`, at least (dg/custom-auth-lambda).
pub const MIN_REFRESH_SECONDS: u32 = 300;
/// Seconds of `refreshAfterInSeconds`, at most (dg/custom-auth-lambda).
pub const MAX_REFRESH_SECONDS: u32 = 86_400;
/// Seconds of `disconnectAfterInSeconds`, at least (dg/custom-auth-lambda).
pub const MIN_DISCONNECT_SECONDS: u32 = 300;
/// Seconds of `disconnectAfterInSeconds`, at most (dg/custom-auth-lambda).
pub const MAX_DISCONNECT_SECONDS: u32 = 86_400;
/// Seconds by which the first refresh of an idle connection may be late (dg/custom-auth-lambda).
pub const MAX_REFRESH_DELAY_SECONDS: u32 = 300;
/// Seconds that the authorizer's Lambda function has to answer (dg/custom-authorizer).
pub const AUTHORIZER_TIMEOUT_SECONDS: u32 = 5;
/// Custom authorizers of one account, at most (gr).
pub const MAX_AUTHORIZERS: usize = 100;
/// Active custom authorizers of one account, at most (gr).
pub const MAX_ACTIVE_AUTHORIZERS: usize = 32;
/// Domain configurations of one account, at most (gr).
pub const MAX_DOMAIN_CONFIGURATIONS: usize = 10;

/// Characters of `principalId`, at least (dg/custom-auth-lambda).
pub const MIN_PRINCIPAL_ID_LENGTH: usize = 1;
/// Characters of `principalId`, at most (dg/custom-auth-lambda).
pub const MAX_PRINCIPAL_ID_LENGTH: usize = 128;
/// Characters of an authorizer's name, at most (api/CreateAuthorizer).
pub const MAX_AUTHORIZER_NAME_LENGTH: usize = 128;
/// Characters of an authorizer's token key name, at most (api/CreateAuthorizer).
pub const MAX_TOKEN_KEY_NAME_LENGTH: usize = 128;
/// A Thing's name, in characters (api/CreateThing).
pub const MAX_THING_NAME_LENGTH: usize = 128;
/// Attributes of a Thing without a type, at most (gr).
pub const MAX_THING_ATTRIBUTES: usize = 3;
/// Attributes of a Thing with a type, at most (gr).
pub const MAX_THING_ATTRIBUTES_WITH_TYPE: usize = 50;
/// Groups that a Thing can be in, at most (gr).
pub const MAX_GROUPS_OF_A_THING: usize = 10;
/// Groups from the root of a hierarchy to its lowest one, at most (gr).
pub const MAX_THING_GROUP_DEPTH: usize = 7;
/// Tags of a resource, at most (dg/tagging-iot).
pub const MAX_TAGS: usize = 50;
/// Versions of a policy, at most (gr).
pub const MAX_POLICY_VERSIONS: usize = 5;
/// Policies that are attached to a certificate, Thing group or identity, at most (gr).
pub const MAX_POLICIES_OF_A_TARGET: usize = 10;
/// Characters of a policy's name, at most (api/CreatePolicy).
pub const MAX_POLICY_NAME_LENGTH: usize = 128;
/// Characters of the token that a signing authorizer receives, at most (api/TestInvokeAuthorizer).
pub const MAX_TOKEN_LENGTH: usize = 6144;
/// Characters of the token's base64 signature, at most (api/TestInvokeAuthorizer).
pub const MAX_TOKEN_SIGNATURE_LENGTH: usize = 2560;
/// Public keys of a signing authorizer, at most (measured: `CreateAuthorizer` refuses a third).
pub const MAX_TOKEN_KEYS: usize = 2;
/// Bits of the RSA key that signs tokens, at least (dg/config-custom-auth).
pub const MIN_TOKEN_KEY_BITS: usize = 2048;

/// Bytes of an MQTT user name, password or client id on the wire, at most (api/TestInvokeAuthorizer, MQTT 1.5.3).
pub const MAX_WIRE_FIELD_BYTES: usize = 65_535;
/// Bytes of a client id in UTF-8, at most (gr).
pub const MAX_CLIENT_ID_BYTES: usize = 128;
/// Bytes of a topic or topic filter in UTF-8, at most (gr).
pub const MAX_TOPIC_BYTES: usize = 256;
/// Slashes in a topic or topic filter, at most (gr).
pub const MAX_TOPIC_SLASHES: usize = 7;
/// Bytes of a message's payload, at most: 128 KB, read as KiB (gr).
pub const MAX_PAYLOAD_BYTES: usize = 128 * 1024;

/// Topic filters in one SUBSCRIBE, at most (gr).
pub const MAX_FILTERS_PER_SUBSCRIBE: usize = 8;
/// Subscriptions of one connection, at most (gr).
pub const MAX_SUBSCRIPTIONS_PER_CONNECTION: usize = 50;
/// CONNECT packets a second for one account, at most, in large regions (gr).
pub const MAX_CONNECTS_PER_SECOND: u32 = 3_000;
/// CONNECT packets a second for one client id, at most (gr).
pub const MAX_CONNECTS_PER_SECOND_PER_CLIENT_ID: u32 = 1;
/// Publishes a second, in and out together, on one connection, at most (gr).
pub const MAX_PUBLISHES_PER_SECOND_PER_CONNECTION: u32 = 100;
/// Bytes a second on one connection, at most: 512 KB, read as KiB (gr).
pub const MAX_BYTES_PER_SECOND_PER_CONNECTION: u32 = 512 * 1024;
/// Bytes of an MQTT 5 content type, at most (gr).
pub const MAX_CONTENT_TYPE_BYTES: usize = 256;
/// Bytes of MQTT 5 correlation data, at most: 8 KB, read as KiB (gr).
pub const MAX_CORRELATION_DATA_BYTES: usize = 8 * 1024;
/// Bytes of the user properties of an MQTT 5 packet, names and values, at most: 8 KB, read as KiB (gr).
pub const MAX_USER_PROPERTY_BYTES: usize = 8 * 1024;
/// The Maximum Packet Size of an MQTT 5 client, at least, in bytes (gr).
pub const MIN_MAXIMUM_PACKET_BYTES: u32 = 512;
/// Seconds that a WebSocket connection lasts, at most (gr).
pub const MAX_WEBSOCKET_SECONDS: u32 = 86_400;
/// Retained messages a second on one topic, at most (gr).
pub const MAX_RETAINED_PUBLISHES_PER_SECOND_PER_TOPIC: u32 = 1;
/// Retained messages a second of one account, at most, in large regions (gr).
pub const MAX_RETAINED_PUBLISHES_PER_SECOND: u32 = 500;
/// Topic filters a second in the SUBSCRIBEs of one account, at most, in large regions (gr).
pub const MAX_SUBSCRIPTIONS_PER_SECOND: u32 = 3_000;
/// Messages that a client was sent and has not acknowledged, at most (gr).
pub const MAX_UNACKNOWLEDGED_MESSAGES: NonZeroU16 = NonZeroU16::new(100).unwrap();

/// Retained messages of one account, at most, in large regions (gr).
pub const MAX_RETAINED_MESSAGES: usize = 500_000;
/// Groups of shared subscriptions of one account, at most (gr).
pub const MAX_SHARED_GROUPS: usize = 100;
/// Members of one group, at most (gr).
pub const MAX_SHARED_GROUP_MEMBERS: usize = 100;
/// Stored messages that a resumed session gets in a second (dg/mqtt).
pub const MAX_STORED_MESSAGES_PER_SECOND: u32 = 10;
/// Messages that are stored in a second for sessions whose clients are away and in shared subscriptions, at most (gr).
pub const MAX_QUEUED_MESSAGES_PER_SECOND: u32 = 500;
/// Queued messages that a member of a shared subscription gets in a second (dg/mqtt).
pub const MAX_SHARED_QUEUED_MESSAGES_PER_SECOND: u32 = 20;
/// Seconds for which a message that an MQTT 3.1.1 client does not acknowledge is sent again (gr).
pub const MAX_RESEND_SECONDS_MQTT_3: u32 = 3_600;
/// Seconds for which a message that an MQTT 5 client does not acknowledge is sent again (gr).
pub const MAX_RESEND_SECONDS_MQTT_5: u32 = 960;

/// Seconds of keep-alive, at least; less is raised to this (gr).
pub const MIN_KEEP_ALIVE_SECONDS: NonZeroU16 = NonZeroU16::new(30).unwrap();
/// Seconds of keep-alive, at most; more, and 0, become this (gr).
pub const MAX_KEEP_ALIVE_SECONDS: NonZeroU16 = NonZeroU16::new(1200).unwrap();

/// Bytes in an MQTT 5 CONNACK's Maximum Packet Size (dg/mqtt).
pub const MQTT5_MAXIMUM_PACKET_SIZE: NonZeroU32 = NonZeroU32::new(149_504).unwrap();
/// The MQTT 5 CONNACK's Topic Alias Maximum (dg/mqtt).
pub const MQTT5_TOPIC_ALIAS_MAXIMUM: u16 = 8;
/// The MQTT 5 CONNACK's Receive Maximum (dg/mqtt).
pub const MQTT5_RECEIVE_MAXIMUM: NonZeroU16 = NonZeroU16::new(100).unwrap();
/// The MQTT 5 CONNACK's Maximum QoS (dg/mqtt).
pub const MAXIMUM_QOS: u8 = 1;
/// Seconds of a message expiry interval, at least; 0 becomes this (dg/mqtt).
pub const MIN_MESSAGE_EXPIRY_SECONDS: u32 = 1;
/// Seconds of a message expiry interval, at most: 7 days; more become this (gr, dg/mqtt).
pub const MAX_MESSAGE_EXPIRY_SECONDS: u32 = 604_800;
/// Seconds for which a persistent session is kept unless the account asks for more (gr).
pub const DEFAULT_SESSION_EXPIRY_SECONDS: u32 = 3600;
/// Seconds for which a persistent session is kept, at most: 7 days (gr).
pub const MAX_SESSION_EXPIRY_SECONDS: u32 = 604_800;

/// Characters of a shadow's name, at most (gr, api/GetThingShadow).
pub const MAX_SHADOW_NAME_LENGTH: usize = 64;
/// Bytes of a shadow's `desired` and `reported` sections, at most: 8 KB, read as KiB (gr).
pub const MAX_SHADOW_DOCUMENT_BYTES: usize = 8 * 1024;
/// Levels of a shadow's `desired` or `reported` section, at most (gr).
pub const MAX_SHADOW_LEVELS: usize = 8;
/// Bytes of a shadow request's `clientToken`, at most (dg/device-shadow-document).
pub const MAX_CLIENT_TOKEN_BYTES: usize = 64;
/// Requests a second for all shadows of one account, at most, in large regions (gr).
pub const MAX_SHADOW_REQUESTS_PER_SECOND: u32 = 4_000;
/// Requests a second for one shadow, at most (gr).
pub const MAX_SHADOW_REQUESTS_PER_SECOND_PER_SHADOW: u32 = 20;
/// Requests of one connection for the shadows of one Thing that are not answered yet, at most (gr).
pub const MAX_UNANSWERED_SHADOW_REQUESTS: usize = 10;
/// Seconds for which a deleted shadow's version is remembered: 48 hours (dg/device-shadow-data-flow).
pub const DELETED_SHADOW_SECONDS: u32 = 172_800;

/// Counts a policy document's text against [`MAX_POLICY_DOCUMENT_CHARACTERS`]: white space between JSON tokens is
/// free, everything else costs its bytes in UTF-8 (dg/custom-auth-lambda).
///
/// AWS doesn't say whether white space inside a JSON string counts, nor what a character beyond ASCII costs; this counts
/// both in full, so it never counts less than AWS can *(guess: the characters of a document are UTF-8 bytes)*.
#[must_use]
pub fn counted_characters(text: &str) -> usize {
    let mut counted = 0;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if in_string || !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            counted += 1;
        }
        let ends_or_starts_string = byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
        in_string ^= ends_or_starts_string;
    }
    counted
}

/// Whether a text is a `principalId`: 1 to 128 of `[a-zA-Z0-9]` (dg/custom-auth-lambda).
#[must_use]
pub fn is_principal_id(text: &str) -> bool {
    is_name(text, MAX_PRINCIPAL_ID_LENGTH, "")
}

/// Whether a text is an authorizer's name: 1 to 128 of `[\w=,@-]`, `\w` read as ASCII (api/CreateAuthorizer).
#[must_use]
pub fn is_authorizer_name(text: &str) -> bool {
    is_name(text, MAX_AUTHORIZER_NAME_LENGTH, "_=,@-")
}

/// Whether a text is a token key name: 1 to 128 of `[a-zA-Z0-9_-]` (api/CreateAuthorizer).
#[must_use]
pub fn is_token_key_name(text: &str) -> bool {
    is_name(text, MAX_TOKEN_KEY_NAME_LENGTH, "_-")
}

/// Whether AWS accepts `text` as a policy's name: `[\w+=,.@-]{1,128}` (api/CreatePolicy).
#[must_use]
pub fn is_policy_name(text: &str) -> bool {
    is_name(text, MAX_POLICY_NAME_LENGTH, "_+=,.@-")
}

/// Whether a text is a Thing's name: 1 to 128 of `[a-zA-Z0-9:_-]` (api/CreateThing).
#[must_use]
pub fn is_thing_name(text: &str) -> bool {
    is_name(text, MAX_THING_NAME_LENGTH, ":_-")
}

/// Whether a text is a shadow's name: 1 to 64 of `[$a-zA-Z0-9:_-]` (api/GetThingShadow).
#[must_use]
pub fn is_shadow_name(text: &str) -> bool {
    is_name(text, MAX_SHADOW_NAME_LENGTH, "$:_-")
}

fn is_name(text: &str, max_length: usize, punctuation: &str) -> bool {
    (1..=max_length).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_tokens_is_free() {
        let table = [
            ("", 0),
            (" \t\r\n", 0),
            ("{ }", 2),
            (r#"{ "a" : "b c" }"#, 11),
            (r#"{"a": "\" "}"#, 11),
            (r#"{"a": "\\" }"#, 10),
            (r#""é""#, 4),
            ("\u{a0}", 2),
            (r#"" "#, 2),
            (r"\ \ ", 2),
        ];
        for (text, counted) in table {
            assert_eq!(counted_characters(text), counted, "{text}");
        }
    }

    #[test]
    fn names() {
        let longest = "a".repeat(128);
        let too_long = "a".repeat(129);
        for good in ["a", "Z9", longest.as_str()] {
            assert!(is_principal_id(good) && is_authorizer_name(good) && is_token_key_name(good), "{good}");
        }
        for bad in ["", "é", "a b", "a:b", "a.b", "a\n", too_long.as_str()] {
            assert!(!is_principal_id(bad) && !is_authorizer_name(bad) && !is_token_key_name(bad), "{bad}");
        }
        assert!(is_authorizer_name("_=,@-") && !is_token_key_name("=") && !is_principal_id("a-b"));
        assert!(is_token_key_name("a_b-c"));
        assert!(is_thing_name("a:b_c-1") && !is_thing_name("a.b") && !is_thing_name(""));
        assert!(is_thing_name(&longest) && !is_thing_name(&too_long));
        for (text, is_name) in [("$a:b_c-1", true), ("", false), ("a/b", false)] {
            assert_eq!(is_shadow_name(text), is_name, "{text}");
        }
        assert!(is_shadow_name(&"a".repeat(64)) && !is_shadow_name(&"a".repeat(65)));
    }
}
