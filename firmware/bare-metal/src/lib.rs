//! embassy-net's TCP, UDP and DNS as one network stack with the traits of edge-nal, as the application needs it.

#![no_std]

use core::net::{IpAddr, SocketAddr};

use edge_nal::{AddrType, TcpConnect, UdpBind};
use edge_nal_embassy::{
    Dns, DnsError, Tcp, TcpBuffers, TcpError, TcpSocket, Udp, UdpBuffers, UdpError, UdpSocket,
};
use embassy_net::Stack;

/// The number of embassy-net's sockets: TCP, UDP, DHCP and DNS, and one of each of the first two that is closing.
pub const SOCKETS: usize = 6;

/// The buffers of the sockets.
pub struct NetworkBuffers {
    tcp: TcpBuffers<2, 2_048, 4_096>,
    udp: UdpBuffers<2, 128, 512>,
}

impl NetworkBuffers {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self { tcp: TcpBuffers::new(), udp: UdpBuffers::new() }
    }
}

impl Default for NetworkBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// The network stack.
pub struct Network<'d> {
    tcp: Tcp<'d>,
    udp: Udp<'d>,
    dns: Dns<'d>,
}

impl<'d> Network<'d> {
    /// A network stack on embassy-net's.
    #[must_use]
    pub fn new(stack: Stack<'d>, buffers: &'d NetworkBuffers) -> Self {
        Self { tcp: Tcp::new(stack, &buffers.tcp), udp: Udp::new(stack, &buffers.udp), dns: Dns::new(stack) }
    }
}

impl TcpConnect for Network<'_> {
    type Error = TcpError;
    type Socket<'a>
        = TcpSocket<'a>
    where
        Self: 'a;

    async fn connect(&self, remote: SocketAddr) -> Result<Self::Socket<'_>, TcpError> {
        self.tcp.connect(remote).await
    }
}

impl UdpBind for Network<'_> {
    type Error = UdpError;
    type Socket<'a>
        = UdpSocket<'a>
    where
        Self: 'a;

    async fn bind(&self, local: SocketAddr) -> Result<Self::Socket<'_>, UdpError> {
        self.udp.bind(local).await
    }
}

impl edge_nal::Dns for Network<'_> {
    type Error = DnsError;

    async fn get_host_by_name(&self, host: &str, kind: AddrType) -> Result<IpAddr, DnsError> {
        self.dns.get_host_by_name(host, kind).await
    }

    async fn get_host_by_address(&self, address: IpAddr, result: &mut [u8]) -> Result<usize, DnsError> {
        self.dns.get_host_by_address(address, result).await
    }
}
