//! The values that options take.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use device_auth::{
    device_name::DeviceName,
    record::{ClientIdRule, ClientIdRuleError},
    scheme::Scheme,
    seal::KeyId,
};

const VENDORS_AND_PASSWORD: [Scheme; 3] = [Scheme::Alibaba, Scheme::Tencent, Scheme::Password];
const ALL: [Scheme; 5] = [Scheme::Password, Scheme::Alibaba, Scheme::Tencent, Scheme::Jwt, Scheme::Token];

/// Any scheme.
pub(super) fn scheme() -> impl TypedValueParser<Value = Scheme> {
    one_of(&ALL)
}

/// A scheme whose credentials can stand in a file.
pub(super) fn movable() -> impl TypedValueParser<Value = Scheme> {
    one_of(&VENDORS_AND_PASSWORD)
}

pub(super) fn device_name(text: &str) -> Result<DeviceName, String> {
    DeviceName::try_from(text).map_err(|error| error.to_string())
}

pub(super) fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::try_from(text).map_err(|error| error.to_string())
}

pub(super) fn client_id_rule(text: &str) -> Result<ClientIdRule, ClientIdRuleError> {
    ClientIdRule::try_from(text.to_owned())
}

fn one_of(schemes: &'static [Scheme]) -> impl TypedValueParser<Value = Scheme> {
    PossibleValuesParser::new(schemes.iter().map(|scheme| scheme.as_str())).try_map(|name| {
        let known = schemes.iter().copied().find(|scheme| scheme.as_str() == name);
        known.ok_or("not a scheme")
    })
}
