//! What policies can ask about a connection.

use std::net::IpAddr;

use iot_policy::{Context, Thing};

use crate::{
    door::{ConnectionInfo, Identification},
    registry::{self, Certificate, Registry},
};

/// What is known of every request. What a certificate says is known of those who came by one alone: behind an authorizer
/// it has no value *(unverified)*.
pub(super) fn of_request(info: &ConnectionInfo, source_ip: IpAddr) -> Context {
    let mut context = Context::empty().with_source_ip(source_ip);
    if let Some(name) = &info.server_name {
        context = context.with_domain_name(name);
    }
    if let Identification::X509(certificate) = &info.identification {
        context = context.with_certificate(certificate.fields().clone());
    }
    context
}

/// What is known of an MQTT client beside. The Thing of a certificate is the one that is called as the client is, and that
/// the certificate is attached to (developer guide, `thing-policy-variables`).
pub(super) fn of_client(
    info: &ConnectionInfo,
    source_ip: IpAddr,
    client_id: &str,
    registry: &dyn Registry,
) -> Context {
    let context = of_request(info, source_ip).with_client_id(client_id);
    match &info.identification {
        Identification::X509(certificate) => with_thing(context, certificate, client_id, registry),
        Identification::Custom | Identification::CustomX509(_) => context,
    }
}

fn with_thing(
    context: Context,
    certificate: &Certificate,
    client_id: &str,
    registry: &dyn Registry,
) -> Context {
    let attached = certificate.things.contains(client_id);
    let context = context.with_thing_attached(attached);
    match registry.thing(client_id).filter(|_| attached) {
        Some(thing) => context.with_thing(as_policies_see_it(&thing)),
        None => context,
    }
}

fn as_policies_see_it(thing: &registry::Thing) -> Thing {
    let mut seen = Thing::new(&thing.name);
    if let Some(type_name) = &thing.type_name {
        seen = seen.with_type_name(type_name);
    }
    thing.attributes.iter().fold(seen, |seen, (name, value)| seen.with_attribute(name, value))
}
