//! Why a device is refused.

use credentials::{HexError, alibaba, tencent};

use crate::jwt::token::TokenError;

/// Declares [`DenyReason`] once: each variant with the stable name that logs and metrics carry.
macro_rules! deny_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Why a device is refused. The text form goes to the log and to metrics, never to the device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DenyReason {
            $($(#[$doc])* $variant,)*
            /// The JSON Web Token is not valid.
            Jwt(TokenError),
        }

        impl DenyReason {
            /// Every reason: those of JSON Web Tokens last, the others in the order in which an attempt meets them.
            pub fn all() -> impl Iterator<Item = Self> {
                [$(Self::$variant,)*].into_iter().chain(TokenError::ALL.iter().copied().map(Self::Jwt))
            }

            /// The stable name that logs and metrics carry.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Jwt(error) => error.as_str(),
                }
            }
        }
    };
}

impl From<TokenError> for DenyReason {
    fn from(error: TokenError) -> Self {
        Self::Jwt(error)
    }
}

deny_reasons! {
    /// The payload is JSON, but not a custom-authorizer event.
    NotAnEvent => "not_an_event",
    /// IoT Core has not checked a token's signature, and the function's settings require it.
    SignatureNotVerified => "signature_not_verified",
    /// The event has neither `protocolData.mqtt` nor `protocolData.http`.
    NoProtocolData => "no_protocol_data",
    /// The client's certificate, or IoT Core's name for it, is missing or can't be read.
    CertificateInvalid => "certificate_invalid",
    /// No user name, or nothing before its first `?`.
    NoUserName => "no_user_name",
    /// The user name has more than one `?`.
    UserNameSecondQuery => "user_name_second_query",
    /// The identity in the user name is longer than a device name can be.
    UserNameTooLong => "user_name_too_long",
    /// The identity in the user name has a character that no device name has.
    UserNameInvalid => "user_name_invalid",
    /// No password, or an empty one.
    NoPassword => "no_password",
    /// The password is not standard base64.
    PasswordNotBase64 => "password_not_base64",
    /// No client id, or an empty one.
    NoClientId => "no_client_id",
    /// The client id is longer than 128 bytes.
    ClientIdTooLong => "client_id_too_long",
    /// The client id has a character that could mean something in a policy or a topic filter.
    ClientIdInvalid => "client_id_invalid",
    /// An HTTP request without credentials.
    NoHttpCredentials => "no_http_credentials",
    /// An HTTP request with more than one credential.
    HttpCredentialsTwice => "http_credentials_twice",
    /// An `Authorization` header that is neither `Basic` nor `Bearer`, or not as their RFCs say.
    AuthorizationInvalid => "authorization_invalid",
    /// A token that is not a JSON Web Token and whose signature IoT Core has not checked.
    TokenNotVerified => "token_not_verified",
    /// A verified token that is not a device name.
    TokenInvalid => "token_invalid",
    /// A verified token that names another device than the user name.
    TokenOtherDevice => "token_other_device",
    /// A JSON Web Token, and the function has no keys to verify it with.
    JwtNotConfigured => "jwt_not_configured",
    /// A JSON Web Token that names another device than the user name.
    JwtOtherDevice => "jwt_other_device",
    /// A JSON Web Token that names another grant than the device's record.
    JwtOtherGrant => "jwt_other_grant",
    /// A JSON Web Token of a device without a record, with a grant that the settings let no token name, or in a store
    /// where a token can't stand in for a record.
    JwtGrantNotAllowed => "jwt_grant_not_allowed",
    /// A JSON Web Token of a device without a record, with a grant that does not exist or that the device can't have.
    JwtUnusableGrant => "jwt_unusable_grant",
    /// Alibaba: no `|` in the client id.
    AlibabaNoParameters => "alibaba_no_parameters",
    /// Alibaba: no second `|` in the client id.
    AlibabaUnclosed => "alibaba_unclosed",
    /// Alibaba: something after the client id's second `|`.
    AlibabaAfterParameters => "alibaba_after_parameters",
    /// Alibaba: a parameter that is not `key=value`, or too many of them.
    AlibabaParameters => "alibaba_parameters",
    /// Alibaba: a duplicate parameter.
    AlibabaParameterTwice => "alibaba_parameter_twice",
    /// Alibaba: an unknown `signmethod`.
    AlibabaSignMethod => "alibaba_sign_method",
    /// Alibaba: a `timestamp` that is not a number.
    AlibabaTimestamp => "alibaba_timestamp",
    /// Alibaba: an unknown `securemode`.
    AlibabaSecureMode => "alibaba_secure_mode",
    /// Alibaba: an unknown `authType`.
    AlibabaAuthType => "alibaba_auth_type",
    /// Alibaba: the device asks to be registered.
    AlibabaRegistration => "alibaba_registration",
    /// Alibaba: one of `securemode=-2` and `authType=connwl` without the other.
    AlibabaAuthentication => "alibaba_authentication",
    /// Alibaba: no `&` in the user name.
    AlibabaNoProductKey => "alibaba_no_product_key",
    /// Alibaba: more than one `&` in the user name.
    AlibabaSecondAmpersand => "alibaba_second_ampersand",
    /// Alibaba: the text before the first `|` is empty or too long.
    AlibabaId => "alibaba_id",
    /// Alibaba: not a device name of that platform.
    AlibabaDeviceName => "alibaba_device_name",
    /// Alibaba: not a product key.
    AlibabaProductKey => "alibaba_product_key",
    /// Tencent: fewer than the user name's four parts.
    TencentTooFewParts => "tencent_too_few_parts",
    /// Tencent: more than the user name's four parts.
    TencentTooManyParts => "tencent_too_many_parts",
    /// Tencent: not a product id.
    TencentProductId => "tencent_product_id",
    /// Tencent: not a device name of that platform.
    TencentDeviceName => "tencent_device_name",
    /// Tencent: an `sdkappid` that is not a number.
    TencentSdkAppId => "tencent_sdk_app_id",
    /// Tencent: an empty or unreadable `connid`.
    TencentConnId => "tencent_conn_id",
    /// Tencent: an expiry that is not a number.
    TencentExpiry => "tencent_expiry",
    /// Tencent: no sign method after the signature.
    TencentNoSignMethod => "tencent_no_sign_method",
    /// Tencent: an unknown sign method.
    TencentSignMethod => "tencent_sign_method",
    /// The signature has an odd number of hex digits.
    SignatureOddLength => "signature_odd_length",
    /// The signature has a character that is not a hex digit.
    SignatureNotHex => "signature_not_hex",
    /// The signature has another length than the sign method's.
    SignatureLength => "signature_length",
    /// No record has this name.
    UnknownDevice => "unknown_device",
    /// The device's record can't be used. It refuses this device alone.
    RecordUnusable => "record_unusable",
    /// The record names another scheme than the one whose shape was presented.
    SchemeMismatch => "scheme_mismatch",
    /// No valid verifier matches the password.
    WrongPassword => "wrong_password",
    /// No valid secret of the record makes this signature or is this token.
    WrongSignature => "wrong_signature",
    /// Alibaba: the signed timestamp is too old.
    TimestampStale => "timestamp_stale",
    /// Alibaba: the signed timestamp is too far in the future.
    TimestampAhead => "timestamp_ahead",
    /// Alibaba: there is no timestamp, and the function's settings require a fresh one.
    TimestampAbsent => "timestamp_absent",
    /// Tencent: the user name's expiry has passed.
    SignatureExpired => "signature_expired",
    /// The record is disabled.
    DeviceDisabled => "device_disabled",
    /// The record's `not_before` is in the future.
    NotYetValid => "not_yet_valid",
    /// The record's `not_after` has passed.
    Expired => "expired",
    /// The record requires a certificate, and the client presented none.
    NoCertificate => "no_certificate",
    /// The client's certificate is not in the record.
    CertificateNotAllowed => "certificate_not_allowed",
    /// The record does not allow this client id.
    ClientIdNotAllowed => "client_id_not_allowed",
    /// A grant has the client id as a literal level in its topics.
    ClientIdReserved => "client_id_reserved",
}

impl From<alibaba::ParseError> for DenyReason {
    fn from(error: alibaba::ParseError) -> Self {
        use alibaba::{IdentityError as Identity, ParametersError as Parameters, ParseError as Error};
        match error {
            Error::NoParameters => Self::AlibabaNoParameters,
            Error::Unclosed => Self::AlibabaUnclosed,
            Error::AfterParameters => Self::AlibabaAfterParameters,
            Error::Parameters(Parameters::Repeated(_)) => Self::AlibabaParameterTwice,
            Error::Parameters(_) => Self::AlibabaParameters,
            Error::SignMethod => Self::AlibabaSignMethod,
            Error::Timestamp => Self::AlibabaTimestamp,
            Error::SecureMode => Self::AlibabaSecureMode,
            Error::AuthType => Self::AlibabaAuthType,
            Error::Registration => Self::AlibabaRegistration,
            Error::Authentication => Self::AlibabaAuthentication,
            Error::NoProductKey => Self::AlibabaNoProductKey,
            Error::SecondAmpersand => Self::AlibabaSecondAmpersand,
            Error::Identity(Identity::IdEmpty | Identity::IdTooLong(_) | Identity::IdBar(_)) => {
                Self::AlibabaId
            }
            Error::Identity(
                Identity::DeviceNameEmpty | Identity::DeviceNameTooLong(_) | Identity::DeviceNameCharacter(_),
            ) => Self::AlibabaDeviceName,
            Error::Identity(Identity::ProductKeyEmpty | Identity::ProductKeyCharacter(_)) => {
                Self::AlibabaProductKey
            }
        }
    }
}

impl From<alibaba::PasswordError> for DenyReason {
    fn from(error: alibaba::PasswordError) -> Self {
        match error {
            alibaba::PasswordError::Hex(error) => error.into(),
            alibaba::PasswordError::EmptyToken => Self::NoPassword,
        }
    }
}

impl From<tencent::ParseError> for DenyReason {
    fn from(error: tencent::ParseError) -> Self {
        use tencent::{IdentityError as Identity, ParseError as Error};
        match error {
            Error::TooFewParts(_) => Self::TencentTooFewParts,
            Error::TooManyParts => Self::TencentTooManyParts,
            Error::Identity(Identity::ProductIdLength(_) | Identity::ProductIdCharacter(_)) => {
                Self::TencentProductId
            }
            Error::Identity(
                Identity::DeviceNameEmpty | Identity::DeviceNameTooLong(_) | Identity::DeviceNameCharacter(_),
            ) => Self::TencentDeviceName,
            Error::SdkAppId => Self::TencentSdkAppId,
            Error::ConnId => Self::TencentConnId,
            Error::Expiry(_) => Self::TencentExpiry,
        }
    }
}

impl From<tencent::PasswordError> for DenyReason {
    fn from(error: tencent::PasswordError) -> Self {
        match error {
            tencent::PasswordError::NoSignMethod => Self::TencentNoSignMethod,
            tencent::PasswordError::SignMethod => Self::TencentSignMethod,
            tencent::PasswordError::Hex(error) => error.into(),
        }
    }
}

impl From<HexError> for DenyReason {
    fn from(error: HexError) -> Self {
        match error {
            HexError::OddLength(_) => Self::SignatureOddLength,
            HexError::Character(_) => Self::SignatureNotHex,
            HexError::Length { .. } => Self::SignatureLength,
        }
    }
}
