//! What becomes of one connect attempt. A refusal is a value; only a fault is an error.

use crate::{client_id::ClientId, device_name::DeviceName, response::Response};

/// The outcome of one attempt, with what the log may say about it.
pub struct Decision {
    /// The device's name, once its shape was checked. It is what the device says, not proof of anything.
    pub device: Option<DeviceName>,
    /// The client id, once its shape was checked.
    pub client_id: Option<ClientId>,
    /// Let in or refused.
    pub outcome: Outcome,
}

/// Let in with an answer, or refused with a reason.
pub enum Outcome {
    /// The device may connect.
    Allow(Allowed),
    /// The device may not connect, and IoT Core is told no more than that.
    Deny(DenyReason),
}

/// What is said about a device that may connect.
pub struct Allowed {
    /// The answer for IoT Core.
    pub response: Response,
    /// The grant's name.
    pub grant: String,
    /// Which of the record's verifiers matched, counted from 0.
    pub verifier: usize,
}

/// Declares [`DenyReason`] once: each variant with the stable name that logs and metrics carry.
macro_rules! deny_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Why a device is refused. The text form goes to the log and to metrics, never to the device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DenyReason {
            $($(#[$doc])* $variant,)*
        }

        impl DenyReason {
            /// Every reason, in the order in which an attempt meets them.
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

deny_reasons! {
    /// The payload is JSON, but not a custom-authorizer event.
    NotAnEvent => "not_an_event",
    /// The event has no `protocolData.mqtt`.
    NoMqttData => "no_mqtt_data",
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
    /// No record has this name.
    UnknownDevice => "unknown_device",
    /// No live verifier matches the password.
    WrongPassword => "wrong_password",
    /// The record is switched off.
    DeviceDisabled => "device_disabled",
    /// The record's `not_before` lies ahead.
    NotYetValid => "not_yet_valid",
    /// The record's `not_after` has passed.
    Expired => "expired",
    /// The record does not allow this client id.
    ClientIdNotAllowed => "client_id_not_allowed",
    /// The client id is the first level of another grant's topics.
    ClientIdReserved => "client_id_reserved",
}
