//! Why a device is refused.

use credentials::{HexError, alibaba, tencent};

use crate::jwt::token::TokenError;

/// Declares [`DenyReason`] once: each variant with the stable name that logs and metrics carry, and with its explanation,
/// which is also its row in docs/authorizer.md.
macro_rules! deny_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $explanation:literal;)*) => {
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

            /// The cause and the cure, for the log: `CAUSE; CURE`.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => $explanation,)*
                    Self::Jwt(error) => error.explanation(),
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
        "the payload is JSON, but not the event of a custom authorizer; call the function from IoT Core, \
         not by hand";
    /// IoT Core has not checked a token's signature, and the function's settings require it.
    SignatureNotVerified => "signature_not_verified",
        "`LATCHKEY_REQUIRE_SIGNATURE` is set, and IoT Core has not checked a signature; send the signed \
         token too, or enable signing on the authorizer";
    /// The event has neither `protocolData.mqtt` nor `protocolData.http`.
    NoProtocolData => "no_protocol_data",
        "the event has neither `protocolData.mqtt` nor `protocolData.http`; call the function from IoT \
         Core, not by hand";
    /// The client's certificate, or IoT Core's name for it, is missing or can't be read.
    CertificateInvalid => "certificate_invalid",
        "the certificate or its `principalId` is missing or can't be read; correct nothing on the device: \
         IoT Core writes both";
    /// No user name, or nothing before its first `?`.
    NoUserName => "no_user_name",
        "the user name is missing, or empty before its `?`; set the MQTT user name";
    /// The user name has more than one `?`.
    UserNameSecondQuery => "user_name_second_query",
        "the user name has two `?`; join parameters with `&`: an SDK appended its own `?`";
    /// The identity in the user name is longer than a device name can be.
    UserNameTooLong => "user_name_too_long",
        "the user name has more than 128 bytes before its `?`; shorten the name";
    /// The identity in the user name has a character that no device name has.
    UserNameInvalid => "user_name_invalid",
        "the user name has a character that no device name has; use only `A-Z a-z 0-9 _ . : @ = , | & ~ -`";
    /// No password, or an empty one.
    NoPassword => "no_password",
        "there is neither a password nor a token, or the password is empty; set the MQTT password";
    /// The password is not standard base64.
    PasswordNotBase64 => "password_not_base64",
        "the event's password is not standard base64; correct nothing on the device: IoT Core encodes it";
    /// No client id, or an empty one.
    NoClientId => "no_client_id",
        "the client id is missing; set the MQTT client id";
    /// The client id is longer than 128 bytes.
    ClientIdTooLong => "client_id_too_long",
        "the client id has more than 128 bytes, AWS's limit; shorten it: the parameters of an Alibaba \
         client id count too";
    /// The client id has a character that could mean something in a policy or a topic filter.
    ClientIdInvalid => "client_id_invalid",
        "the client id has a character that means something in a policy or a topic; use only `A-Z a-z 0-9 _ \
         . : @ = , | & ~ -`";
    /// An HTTP request without credentials.
    NoHttpCredentials => "no_http_credentials",
        "the request has no credential in any of the places; send `Authorization: Basic` or `Bearer`";
    /// An HTTP request with more than one credential.
    HttpCredentialsTwice => "http_credentials_twice",
        "the request has more than one credential, or a duplicate; send one";
    /// An `Authorization` header that is neither `Basic` nor `Bearer`, or not as their RFCs say.
    AuthorizationInvalid => "authorization_invalid",
        "`Authorization` is neither `Basic` with the base64 of `NAME:PASSWORD` nor `Bearer` with a token; \
         correct the header: a space after the scheme, standard base64 with padding";
    /// A token that is not a JSON Web Token and whose signature IoT Core has not checked.
    TokenNotVerified => "token_not_verified",
        "the token is not a JSON Web Token, and IoT Core has not checked its signature; enable signing on \
         the authorizer and send the signature; for a JSON Web Token set `LATCHKEY_JWT_KEYS`";
    /// A verified token that is not a device name.
    TokenInvalid => "token_invalid",
        "the token is not a device's name; sign the device's name itself";
    /// A verified token that names another device than the user name.
    TokenOtherDevice => "token_other_device",
        "the user name is another device's than the token's; leave the user name out, or send the token's";
    /// A JSON Web Token, and the function has no keys to verify it with.
    JwtNotConfigured => "jwt_not_configured",
        "there is a Bearer token, but the function has no keys; set `LATCHKEY_JWT_KEYS`; without it a token \
         in the MQTT password is an ordinary password (`scheme_mismatch`, `wrong_password`)";
    /// A JSON Web Token that names another device than the user name.
    JwtOtherDevice => "jwt_other_device",
        "the user name is another device's than the token's; leave the user name out, or send the token's";
    /// A JSON Web Token that names another grant than the device's record.
    JwtOtherGrant => "jwt_other_grant",
        "the token names another grant than the device's record; make the issuer name the record's, or \
         change the record";
    /// A JSON Web Token of a device without a record, with a grant that the settings let no token name, or in a store
    /// where a token can't stand in for a record.
    JwtGrantNotAllowed => "jwt_grant_not_allowed",
        "there is no record, and no token may name this grant; add a record, or add the grant to \
         `LATCHKEY_JWT_GRANTS`";
    /// A JSON Web Token of a device without a record, with a grant that does not exist or that the device can't have.
    JwtUnusableGrant => "jwt_unusable_grant",
        "there is no record, and the token's grant needs one; the line's `error` says why; name an existing \
         grant without placeholders of its own, or add a record";
    /// Alibaba: no `|` in the client id.
    AlibabaNoParameters => "alibaba_no_parameters",
        "the record is an Alibaba device's, but there is no client id (as over HTTPS), or it has no `|`; \
         send `id|securemode=2,signmethod=hmacsha256|`, not the id alone";
    /// Alibaba: no second `|` in the client id.
    AlibabaUnclosed => "alibaba_unclosed",
        "the client id has one `|` only; end the client id with `|`, or enlarge the buffer that truncates \
         it; a device with a plain password can't have a `|` in its client id";
    /// Alibaba: something after the client id's second `|`.
    AlibabaAfterParameters => "alibaba_after_parameters",
        "the client id has text after its second `|`; end the client id there; an SDK may append it";
    /// Alibaba: a parameter that is not `key=value`, or too many of them.
    AlibabaParameters => "alibaba_parameters",
        "a parameter in the client id is empty or has no `=`, or there are more than 32; write `key=value`, \
         with one comma between two";
    /// Alibaba: a duplicate parameter.
    AlibabaParameterTwice => "alibaba_parameter_twice",
        "the client id has a duplicate parameter; send each parameter once";
    /// Alibaba: an unknown `signmethod`.
    AlibabaSignMethod => "alibaba_sign_method",
        "`signmethod` is unknown; use `hmacmd5`, `hmacsha1` or `hmacsha256`, in lower case; without it \
         `hmacmd5` applies";
    /// Alibaba: a `timestamp` that is not a number.
    AlibabaTimestamp => "alibaba_timestamp",
        "`timestamp` has something other than digits; send milliseconds since 1970, or leave it out of the \
         client id and of the signed text";
    /// Alibaba: an unknown `securemode`.
    AlibabaSecureMode => "alibaba_secure_mode",
        "`securemode` is not `2`, `3` or `-2`; send `2`";
    /// Alibaba: an unknown `authType`.
    AlibabaAuthType => "alibaba_auth_type",
        "`authType` is not `connwl`; leave it out";
    /// Alibaba: the device asks to be registered.
    AlibabaRegistration => "alibaba_registration",
        "`authType` is `register` or `regnwl`: the device asks for its secret; registration is not \
         supported: give the device its secret first";
    /// Alibaba: one of `securemode=-2` and `authType=connwl` without the other.
    AlibabaAuthentication => "alibaba_authentication",
        "only one of `securemode=-2` and `authType=connwl` is there; send both with a device token, and \
         neither with a device secret";
    /// Alibaba: no `&` in the user name.
    AlibabaNoProductKey => "alibaba_no_product_key",
        "the user name has no `&`; send `deviceName&productKey`; a device with a plain password can't have \
         a `|` in its client id";
    /// Alibaba: more than one `&` in the user name.
    AlibabaSecondAmpersand => "alibaba_second_ampersand",
        "the user name has more than one `&`; put parameters of IoT Core after a `?`";
    /// Alibaba: the text before the first `|` is empty or too long.
    AlibabaId => "alibaba_id",
        "the client id's part before the first `|` is empty, or longer than 64 characters; choose a shorter \
         id, the device's name for example";
    /// Alibaba: not a device name of that platform.
    AlibabaDeviceName => "alibaba_device_name",
        "the device name is not 1 to 32 letters, digits and `-_@.:`; use it as the vendor's console shows \
         it";
    /// Alibaba: not a product key.
    AlibabaProductKey => "alibaba_product_key",
        "the product key has something other than letters and digits; use it as the vendor's console shows \
         it";
    /// Tencent: fewer than the user name's four parts.
    TencentTooFewParts => "tencent_too_few_parts",
        "the user name has fewer than four parts; send all four, or enlarge the buffer that truncates the \
         user name; a device with a plain password can't have a `;` in its user name";
    /// Tencent: more than the user name's four parts.
    TencentTooManyParts => "tencent_too_many_parts",
        "the user name has more than four parts; put parameters of IoT Core after a `?`";
    /// Tencent: not a product id.
    TencentProductId => "tencent_product_id",
        "the user name's first part does not begin with 10 letters and digits; begin it with the product id";
    /// Tencent: not a device name of that platform.
    TencentDeviceName => "tencent_device_name",
        "after the product id the user name has not 1 to 48 letters, digits and `:_-`; use the name as the \
         vendor's console shows it";
    /// Tencent: an `sdkappid` that is not a number.
    TencentSdkAppId => "tencent_sdk_app_id",
        "`sdkappid` has something other than digits; send the SDK's own, `12010126` for example";
    /// Tencent: an empty or unreadable `connid`.
    TencentConnId => "tencent_conn_id",
        "`connid` is empty, or has something other than visible ASCII; send a few random letters and digits";
    /// Tencent: an expiry that is not a number.
    TencentExpiry => "tencent_expiry",
        "`expiry` has something other than digits; send seconds since 1970";
    /// Tencent: no sign method after the signature.
    TencentNoSignMethod => "tencent_no_sign_method",
        "the password has no `;`; append `;hmacsha256` or `;hmacsha1`";
    /// Tencent: an unknown sign method.
    TencentSignMethod => "tencent_sign_method",
        "the text after the password's `;` is neither `hmacsha256` nor `hmacsha1`; use one of them, in \
         lower case";
    /// The signature has an odd number of hex digits.
    SignatureOddLength => "signature_odd_length",
        "the signature has an odd number of hex digits; print each byte with two digits, `%02x`, and check \
         that the buffer is not one byte too short";
    /// The signature has a character that is not a hex digit.
    SignatureNotHex => "signature_not_hex",
        "the signature has something other than hex digits; send hex, not base64, and no line end";
    /// The signature has another length than the sign method's.
    SignatureLength => "signature_length",
        "the signature's number of hex digits does not fit the sign method; send 32 for `hmacmd5`, 40 for \
         `hmacsha1`, 64 for `hmacsha256`, and name the method that you use";
    /// No record has this name.
    UnknownDevice => "unknown_device",
        "no record has this name; `latchkey fleet add NAME` adds one; a vendor's device needs its \
         `--scheme` and its vendor's names";
    /// The device's record can't be used. It refuses this device alone.
    RecordUnusable => "record_unusable",
        "the device's record can't be used; no other device is affected; correct the record: the line's \
         `error` says how; after a change of the keyring or the records both are read again";
    /// The record names another scheme than the one whose shape was presented.
    SchemeMismatch => "scheme_mismatch",
        "the credential is of another scheme than the record's; correct the record's `scheme`, or what the \
         device sends";
    /// No valid verifier matches the password.
    WrongPassword => "wrong_password",
        "no verifier that is not expired matches the password; check the password and the verifiers' \
         `expires_at`";
    /// No valid secret of the record makes this signature or is this token.
    WrongSignature => "wrong_signature",
        "no secret of the record that is not expired makes this signature or is this token; check the \
         secret, the signed text and the id in this order";
    /// Alibaba: the signed timestamp is too old.
    TimestampStale => "timestamp_stale",
        "the signed timestamp is older than the window allows; set the device's clock, sign again at each \
         connect, and use milliseconds, not seconds";
    /// Alibaba: the signed timestamp is too far in the future.
    TimestampAhead => "timestamp_ahead",
        "the signed timestamp is further in the future than the window allows; set the device's clock, and \
         use milliseconds; for the SDKs' fixed 2524608000000 remove the window";
    /// Alibaba: there is no timestamp, and the function's settings require a fresh one.
    TimestampAbsent => "timestamp_absent",
        "the client id has no timestamp, but a window is set; sign one, or remove \
         `LATCHKEY_ALIBABA_FRESHNESS_SECONDS`";
    /// Tencent: the user name's expiry has passed.
    SignatureExpired => "signature_expired",
        "the expiry in the user name has passed; set the device's clock, or sign a later expiry; for \
         devices without a clock set `LATCHKEY_TENCENT_EXPIRY=false`";
    /// The record is disabled.
    DeviceDisabled => "device_disabled",
        "the record is disabled; `latchkey fleet enable NAME` enables it";
    /// The record's `not_before` is in the future.
    NotYetValid => "not_yet_valid",
        "the time is before the record's `not_before`; wait, or change it";
    /// The record's `not_after` has passed.
    Expired => "expired",
        "the time is after the record's `not_after`; change it, or remove it";
    /// The record requires a certificate, and the client presented none.
    NoCertificate => "no_certificate",
        "the record names certificates, and the client has none; connect to the CUSTOM_AUTH_X509 domain \
         with the certificate, or remove `certificates` from the record";
    /// The client's certificate is not in the record.
    CertificateNotAllowed => "certificate_not_allowed",
        "the record does not name the client's certificate; add its SHA-256 to `certificates`";
    /// The record does not allow this client id.
    ClientIdNotAllowed => "client_id_not_allowed",
        "no rule of the record allows the client id; use one of the device's own, or list this one in \
         `client_ids`";
    /// A grant has the client id as a literal level in its topics.
    ClientIdReserved => "client_id_reserved",
        "the id is the first level of another grant's topics; use another client id";
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
