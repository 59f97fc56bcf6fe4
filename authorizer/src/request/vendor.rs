//! The shapes of two vendors' schemes, each malformed form with its own reason.

use credentials::{HexError, alibaba, tencent};

use super::{Evidence, Password, Presented, mqtt};
use crate::decision::DenyReason;

pub(super) fn alibaba<'e>(
    client_id: &'e str,
    user_name: &'e str,
    password: Password,
) -> Result<Presented<'e>, DenyReason> {
    let presented = alibaba::Presented::parse(client_id, user_name)?;
    Ok(Presented::claim(mqtt::device(user_name)?, Evidence::Alibaba(presented, password)))
}

pub(super) fn tencent(user_name: &str, password: Password) -> Result<Presented<'_>, DenyReason> {
    let presented = tencent::Presented::parse(user_name)?;
    Ok(Presented::claim(mqtt::device(presented.client_id())?, Evidence::Tencent(presented, password)))
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
