//! What policies can ask about a connection.

use std::net::IpAddr;

use iot_policy::Context;

use crate::door::Arrival;

/// What is known of every request.
pub(super) fn of_request(arrival: &Arrival, source_ip: IpAddr) -> Context {
    let context = Context::empty().with_source_ip(source_ip);
    match &arrival.server_name {
        Some(name) => context.with_domain_name(name),
        None => context,
    }
}

/// What is known of an MQTT client beside.
pub(super) fn of_client(arrival: &Arrival, source_ip: IpAddr, client_id: &str) -> Context {
    of_request(arrival, source_ip).with_client_id(client_id)
}
