//! Why a client is not authenticated, in AWS's words.
//!
//! Source: AWS IoT Core developer guide, `cwl-format`, the error codes of `Connection.AuthNError`. Of AWS's codes the
//! gateway has those of what it supports.

/// Why a client is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthnReason {
    /// The authorizer's function failed, or its answer can't be used.
    FunctionFailed,
    /// There is no such authorizer.
    AuthorizerNotFound,
    /// A parameter can't be used.
    ParameterInvalid,
    /// The certificate is registered and not active.
    CertificateInactive,
    /// The certificate is not registered.
    CertificateNotRegistered,
    /// The certificate is revoked.
    CertificateRevoked,
    /// The domain configuration of the client's server name is disabled.
    DomainDisabled,
    /// The credentials are wrong.
    NotAuthenticated,
    /// The gateway's own: too many clients wait for the authorizers.
    Throttled,
}

impl AuthnReason {
    /// The error code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FunctionFailed => "CUSTOM_AUTHORIZER_LAMBDA_EXECUTION_ERROR",
            Self::AuthorizerNotFound => "CUSTOM_AUTHORIZER_NOT_FOUND",
            Self::ParameterInvalid => "CUSTOM_AUTHORIZER_PARAMETER_INVALID",
            Self::CertificateInactive => "DEVICE_CERTIFICATE_INACTIVE",
            Self::CertificateNotRegistered => "DEVICE_CERTIFICATE_NOT_REGISTERED",
            Self::CertificateRevoked => "DEVICE_CERTIFICATE_REVOKED",
            Self::DomainDisabled => "DOMAIN_CONFIGURATION_DISABLED",
            Self::NotAuthenticated => "NOT_AUTHENTICATED",
            Self::Throttled => "THROTTLED",
        }
    }

    /// AWS's error message, where the code is AWS's.
    #[must_use]
    pub fn message(self) -> Option<&'static str> {
        Some(match self {
            Self::FunctionFailed => "Custom authorizer Lambda invocation failed",
            Self::AuthorizerNotFound => "Could not find custom authorizer",
            Self::ParameterInvalid => "Custom authentication parameter is invalid",
            Self::CertificateInactive => "Device certificate is not active",
            Self::CertificateNotRegistered => "Device certificate is not registered",
            Self::CertificateRevoked => "Device certificate is revoked",
            Self::DomainDisabled => {
                "Domain configuration for the Server Name Indication (SNI) provided is disabled"
            }
            Self::NotAuthenticated => "The credentials provided could not be authenticated",
            Self::Throttled => return None,
        })
    }
}
