//! DNS and TCP.

use core::net::{IpAddr, SocketAddr};

use edge_nal::{AddrType, Dns, TcpConnect};
use embassy_time::{Duration, with_timeout};

use crate::configuration::Endpoint;
use crate::error::{ConnectionError, Stage};

const DNS_TIMEOUT: Duration = Duration::from_secs(20);
const TCP_TIMEOUT: Duration = Duration::from_secs(20);

/// The address of a host name, or the address itself if `host` is one.
pub(crate) async fn resolve(stack: &impl Dns, host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    with_timeout(DNS_TIMEOUT, stack.get_host_by_name(host, AddrType::IPv4)).await.ok()?.ok()
}

/// A TCP connection to the endpoint.
pub(crate) async fn connect<'s, S: TcpConnect + Dns>(
    stack: &'s S,
    endpoint: &Endpoint<'_>,
) -> Result<S::Socket<'s>, ConnectionError> {
    let address = match endpoint.address {
        Some(address) => address,
        None => resolve(stack, endpoint.name).await.ok_or(ConnectionError::HostNotFound)?,
    };
    let server = SocketAddr::new(address, endpoint.port);
    let socket = with_timeout(TCP_TIMEOUT, stack.connect(server))
        .await
        .map_err(|_| ConnectionError::Timeout(Stage::Network))?
        .map_err(|_| ConnectionError::Unreachable)?;
    log::info!("network: connected to {server}");
    Ok(socket)
}
