//! The ports on this machine.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::net::TcpListener;

use super::{Addresses, StartError};
use crate::{door::port::Port, settings::Settings};

/// Takes the ports of all doors, and the status port, which only this machine reaches.
pub(super) async fn listen(
    settings: &Settings,
) -> Result<(BTreeMap<Port, TcpListener>, Option<TcpListener>), StartError> {
    let mut listeners = BTreeMap::new();
    for (port, number) in &settings.ports.doors {
        let cure = match port {
            Port::P443 => "`--port`",
            Port::P8883 => "`--port-8883`",
            Port::P8443 => "`--port-8443`",
        };
        listeners.insert(*port, bind(settings.listen, *number, cure).await?);
    }
    let status = match settings.ports.status {
        Some(number) => Some(bind(Ipv4Addr::LOCALHOST.into(), number, "`--port-status`").await?),
        None => None,
    };
    Ok((listeners, status))
}

/// Where they are, once the system has chosen those that are 0.
pub(super) fn addresses(
    listeners: &BTreeMap<Port, TcpListener>,
    status: Option<&TcpListener>,
) -> io::Result<Addresses> {
    let doors = listeners.iter().map(|(port, listener)| Ok((*port, listener.local_addr()?)));
    let doors = doors.collect::<io::Result<_>>()?;
    Ok(Addresses { doors, status: status.map(TcpListener::local_addr).transpose()? })
}

async fn bind(listen: IpAddr, number: u16, flag: &str) -> Result<TcpListener, StartError> {
    let address = SocketAddr::new(listen, number);
    TcpListener::bind(address).await.map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("; another program has the port: stop it, or choose another with {flag}")
            }
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 need privileges: the default is AWS's number and 10,000".to_owned()
            }
            _ => String::new(),
        };
        StartError::Listen { address, error, cure }
    })
}
