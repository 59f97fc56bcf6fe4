//! The addresses of names.

use core::net::IpAddr;

use edge_nal::{AddrType, Dns};
use embassy_time::{Duration, with_timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// The address of a name, or the address that the name is.
pub(crate) async fn resolve(stack: &impl Dns, name: &str) -> Option<IpAddr> {
    if let Ok(address) = name.parse() {
        return Some(address);
    }
    with_timeout(PATIENCE, stack.get_host_by_name(name, AddrType::IPv4)).await.ok()?.ok()
}
