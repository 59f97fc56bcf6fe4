//! The client ids that are a device's own.

use authorizer::{
    device_name::DeviceName,
    record::ClientIdRule,
    scheme::Scheme,
    store::document::{RecordDocument, SecretDocument},
};

/// The client ids that a record allows: those that it lists, or the device's own.
#[must_use]
pub fn of(name: &DeviceName, record: &RecordDocument) -> Vec<ClientIdRule> {
    match &record.client_ids {
        Some(rules) => rules.clone(),
        None => own(name, record.scheme, &record.secrets),
    }
}

/// The same as the authorizer's rule: in Alibaba's scheme `deviceName`, `productKey.deviceName` and the ids of
/// device tokens, in all others the name.
fn own(name: &DeviceName, scheme: Scheme, secrets: &[SecretDocument]) -> Vec<ClientIdRule> {
    let qualified = name.as_str().split_once('&').filter(|_| scheme == Scheme::Alibaba);
    let names = qualified.and_then(|(device, product)| {
        let qualified = DeviceName::try_from(format!("{product}.{device}")).ok()?;
        Some(vec![DeviceName::try_from(device).ok()?, qualified])
    });
    let names = names.unwrap_or_else(|| vec![name.clone()]);
    let tokens = secrets.iter().filter_map(|secret| secret.id.clone());
    let ids = names.into_iter().chain(tokens).map(|id| ClientIdRule::Exact(id.client_id().clone()));
    ids.collect()
}
