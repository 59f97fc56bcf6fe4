//! A CONNECT, over TLS or over WebSocket.

use crate::{
    claim::{Evidence, Password},
    client_id::{ClientId, ClientIdError},
    deny_reason::DenyReason,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use credentials::{alibaba, tencent};
use zeroize::Zeroizing;

use super::identification::{EventToken, Identification, device, identity};
use crate::event::MqttData;

pub(super) fn read<'e>(
    mqtt: &'e MqttData,
    token: &EventToken<'e>,
) -> Result<(Identification<'e>, Option<ClientId>), DenyReason> {
    let user_name = mqtt.username.as_deref().map(|text| identity(text)).transpose()?.flatten();
    let identification = match password(mqtt)? {
        Some(password) => with_password(user_name, password, mqtt.client_id.as_deref(), token.jwt)?,
        None => match token.identification(user_name) {
            Some(identification) => identification?,
            None if user_name.is_none() => return Err(DenyReason::NoUserName),
            None => return Err(DenyReason::NoPassword),
        },
    };
    Ok((identification, Some(client_id(mqtt)?)))
}

/// The form decides on the scheme: a JSON Web Token, a client id with parameters, a user name with several parts, or
/// otherwise a plain password.
fn with_password<'e>(
    user_name: Option<&'e str>,
    password: Password,
    client_id: Option<&'e str>,
    jwt: bool,
) -> Result<Identification<'e>, DenyReason> {
    if let Some(token) = password.as_jwt().filter(|_| jwt) {
        let token = Zeroizing::new(token.to_owned());
        return Ok(Identification::Jwt { token, user_name: user_name.map(device).transpose()? });
    }
    let user_name = user_name.ok_or(DenyReason::NoUserName)?;
    match client_id {
        Some(client_id) if client_id.contains('|') => {
            let login = alibaba::Login::parse(client_id, user_name)?;
            Ok(Identification::claim(device(user_name)?, Evidence::Alibaba(login, password)))
        }
        _ if user_name.contains(';') => {
            let login = tencent::Login::parse(user_name)?;
            Ok(Identification::claim(device(login.client_id())?, Evidence::Tencent(login, password)))
        }
        _ => Ok(Identification::claim(device(user_name)?, Evidence::Password(password))),
    }
}

fn password(mqtt: &MqttData) -> Result<Option<Password>, DenyReason> {
    let Some(encoded) = mqtt.password.as_ref().filter(|encoded| !encoded.is_empty()) else { return Ok(None) };
    let bytes = STANDARD.decode(encoded.as_bytes()).map_err(|_| DenyReason::PasswordNotBase64)?;
    Password::try_from(bytes).map(Some)
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
    use crate::claim::Claim;

    use super::*;
    use crate::{
        event::{Event, ProtocolData},
        request::{ConnectRequest, EventRequirements},
    };

    fn identify(user_name: &str, password: &str, client_id: &str) -> Result<(String, Vec<u8>), DenyReason> {
        let mqtt = MqttData {
            username: Some(Zeroizing::new(user_name.to_owned())),
            password: Some(Zeroizing::new(password.to_owned())),
            client_id: Some(client_id.to_owned()),
        };
        let protocol_data = Some(ProtocolData { mqtt: Some(mqtt), ..ProtocolData::default() });
        let event = Event { protocol_data, ..Event::default() };
        match ConnectRequest::read(&event, EventRequirements::default())?.identification {
            Identification::Claim(Claim { device, evidence: Evidence::Password(password) }) => {
                Ok((device.as_str().to_owned(), password.as_bytes().to_vec()))
            }
            _ => Err(DenyReason::SchemeMismatch),
        }
    }

    #[test]
    fn identity_ends_at_the_first_question_mark() {
        for user_name in ["dev", "dev?", "dev?x-amz-customauthorizer-name=a&SDK=Python&Platform=(x)"] {
            assert_eq!(identify(user_name, "cGFzcw==", "dev").unwrap().0, "dev", "{user_name}");
        }
    }

    #[test]
    fn password_is_any_bytes_in_standard_base64() {
        assert_eq!(identify("dev", "/wCA", "dev").unwrap().1, [0xff, 0x00, 0x80]);
        for encoded in ["_wCA", "cGFzcw", "cGFzcw=", "cGFz cw==", "cGFzcw==\n", "p", "%"] {
            let refused = identify("dev", encoded, "dev").err();
            assert_eq!(refused, Some(DenyReason::PasswordNotBase64), "{encoded:?}");
        }
    }
}
