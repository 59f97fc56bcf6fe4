//! What a device presents, checked for shape: the step from the wire to the domain.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    client_id::{ClientId, ClientIdError},
    decision::DenyReason,
    device_name::{DeviceName, DeviceNameError},
    event::{Event, MqttData},
};

/// A connect attempt whose parts all have the right shape. Nothing in it is verified yet.
pub struct ConnectRequest {
    /// The name that the device says it has.
    pub device: DeviceName,
    /// The password as the device sent it; the bytes need not be UTF-8.
    pub password: Password,
    /// The client id that the device asks for.
    pub client_id: ClientId,
}

/// The bytes of a password. No `Debug`, wiped when dropped.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Password {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl TryFrom<&Event> for ConnectRequest {
    type Error = DenyReason;

    fn try_from(event: &Event) -> Result<Self, DenyReason> {
        let mqtt = event.protocol_data.as_ref().and_then(|data| data.mqtt.as_ref());
        let mqtt = mqtt.ok_or(DenyReason::NoMqttData)?;
        Ok(Self { device: device(mqtt)?, password: password(mqtt)?, client_id: client_id(mqtt)? })
    }
}

/// The identity is what stands before the first `?`; behind it IoT Core's and the SDKs' parameters follow.
/// A second `?` is how some SDKs spoil the authorizer's name, so it is refused rather than guessed at.
fn device(mqtt: &MqttData) -> Result<DeviceName, DenyReason> {
    let user_name = mqtt.username.as_ref().ok_or(DenyReason::NoUserName)?;
    let (identity, query) = user_name.split_once('?').unwrap_or((user_name, ""));
    if query.contains('?') {
        return Err(DenyReason::UserNameSecondQuery);
    }
    DeviceName::try_from(identity).map_err(|DeviceNameError(error)| match error {
        ClientIdError::Empty => DenyReason::NoUserName,
        ClientIdError::TooLong(_) => DenyReason::UserNameTooLong,
        ClientIdError::Character(_) => DenyReason::UserNameInvalid,
    })
}

fn password(mqtt: &MqttData) -> Result<Password, DenyReason> {
    let encoded = mqtt.password.as_ref().ok_or(DenyReason::NoPassword)?;
    let bytes = STANDARD.decode(encoded.as_bytes()).map_err(|_| DenyReason::PasswordNotBase64)?;
    if bytes.is_empty() {
        return Err(DenyReason::NoPassword);
    }
    Ok(Password::from(bytes))
}

fn client_id(mqtt: &MqttData) -> Result<ClientId, DenyReason> {
    let client_id = mqtt.client_id.as_deref().ok_or(DenyReason::NoClientId)?;
    ClientId::try_from(client_id).map_err(|error| match error {
        ClientIdError::Empty => DenyReason::NoClientId,
        ClientIdError::TooLong(_) => DenyReason::ClientIdTooLong,
        ClientIdError::Character(_) => DenyReason::ClientIdInvalid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(user_name: &str, password: &str, client_id: &str) -> Result<ConnectRequest, DenyReason> {
        let mqtt = MqttData {
            username: Some(Zeroizing::new(user_name.to_owned())),
            password: Some(Zeroizing::new(password.to_owned())),
            client_id: Some(client_id.to_owned()),
        };
        let protocol_data = crate::event::ProtocolData { mqtt: Some(mqtt) };
        ConnectRequest::try_from(&Event { protocol_data: Some(protocol_data), connection_metadata: None })
    }

    #[test]
    fn the_identity_ends_at_the_first_question_mark() {
        for user_name in ["dev", "dev?", "dev?x-amz-customauthorizer-name=a&SDK=Python&Platform=(x)"] {
            assert_eq!(request(user_name, "cGFzcw==", "dev").unwrap().device.as_str(), "dev", "{user_name}");
        }
    }

    #[test]
    fn a_password_is_any_bytes_in_standard_base64() {
        assert_eq!(request("dev", "/wCA", "dev").unwrap().password.as_bytes(), [0xff, 0x00, 0x80]);
        for encoded in ["_wCA", "cGFzcw", "cGFzcw=", "cGFz cw==", "cGFzcw==\n", "p", "%"] {
            assert_eq!(
                request("dev", encoded, "dev").err(),
                Some(DenyReason::PasswordNotBase64),
                "{encoded:?}"
            );
        }
    }
}
