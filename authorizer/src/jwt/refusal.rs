//! Why a token is refused.

/// Declares [`Refusal`] once: each variant with its stable name.
macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Why a token is refused. It holds nothing of the token.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[$doc])* $variant,)*
        }

        impl Refusal {
            /// Every reason, in the order in which a token meets them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name that logs and metrics carry.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

refusals! {
    /// The token is longer than [`super::token::MAX_TOKEN_BYTES`].
    TooLong => "jwt_too_long",
    /// The token is not three parts with two dots between them.
    NotThreeParts => "jwt_not_three_parts",
    /// A part is not base64url without padding (RFC 7515, section 2).
    NotBase64Url => "jwt_not_base64url",
    /// The header is not a JSON object, has a member twice, or its `kid` is not a string.
    Header => "jwt_header",
    /// The header has `crit`: it demands an extension, and none is known here (RFC 7515, section 4.1.11).
    Critical => "jwt_critical",
    /// The header's `alg` is none of the four known ones, or not the one of the key that `kid` means.
    Algorithm => "jwt_algorithm",
    /// The header has no `kid`, and there are several keys.
    NoKeyId => "jwt_no_key_id",
    /// No key has the header's `kid`.
    UnknownKey => "jwt_unknown_key",
    /// The signature is not the key's over this header and these claims.
    Signature => "jwt_signature",
    /// The claims are not a JSON object, or have a member twice.
    Claims => "jwt_claims",
    /// `iss` is not the issuer that the settings name.
    Issuer => "jwt_issuer",
    /// `aud` is neither the audience that the settings name nor a list with it.
    Audience => "jwt_audience",
    /// There is no `exp`: the token would be good for ever.
    NoExpiry => "jwt_no_expiry",
    /// `exp`, `nbf` or `iat` is not a number from 0 to 2^64 - 1.
    Time => "jwt_time",
    /// `exp` has passed.
    Expired => "jwt_expired",
    /// `exp` comes before AWS IoT Core could end the connection
    /// ([`iot_policy::limits::MIN_DISCONNECT_SECONDS`]).
    ExpiresTooSoon => "jwt_expires_too_soon",
    /// `nbf` lies ahead by more than the leeway.
    NotYetValid => "jwt_not_yet_valid",
    /// `iat` lies ahead by more than the leeway.
    IssuedAhead => "jwt_issued_ahead",
    /// The claim that should name the device is absent or not a device name.
    DeviceClaim => "jwt_device_claim",
    /// The claim that should name the grant is absent, empty or not a string.
    GrantClaim => "jwt_grant_claim",
}
