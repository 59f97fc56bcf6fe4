//! The values of a connection that policies can name.

use std::net::IpAddr;

use iot_policy::Context;

use crate::{
    door::ConnectionInfo,
    registry::{Certificate, Registry},
};

/// The values of every request. A client with a certificate has those of its fields, also if an authorizer is asked too
/// (developer guide, `custom-auth-509cert`).
pub(super) fn of_request(info: &ConnectionInfo, source_ip: IpAddr) -> Context {
    let mut context = Context::empty().with_source_ip(source_ip);
    if let Some(name) = &info.server_name {
        context = context.with_domain_name(name);
    }
    if let Some(certificate) = info.certificate() {
        context = context.with_certificate(certificate.fields().clone());
    }
    context
}

/// The values of an MQTT client's requests. The client's Thing is the one whose name is the client id, if the certificate is
/// attached to it (developer guide, `thing-policy-variables`).
pub(super) fn of_client(
    info: &ConnectionInfo,
    source_ip: IpAddr,
    client_id: &str,
    registry: &dyn Registry,
) -> Context {
    let context = of_request(info, source_ip).with_client_id(client_id);
    match info.certificate() {
        Some(certificate) => with_thing(context, certificate, client_id, registry),
        None => context,
    }
}

/// Adds the values of the client's Thing, if there is one.
pub(crate) fn with_thing(
    context: Context,
    certificate: &Certificate,
    client_id: &str,
    registry: &dyn Registry,
) -> Context {
    let attached = certificate.things.contains(client_id);
    let context = context.with_thing_attached(attached);
    match attached.then(|| registry.thing(client_id)).flatten() {
        Some(thing) => context.with_thing(thing.in_policies()),
        None => context,
    }
}
