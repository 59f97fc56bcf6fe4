//! The time from a server, by SNTP (RFC 4330, RFC 5905): one request, one response.
//!
//! `sntpc` writes and checks the packets. The response has to repeat the request's transmit timestamp, which is a
//! random number here and not the time: so only a sender that has seen the request can set the clock. SNTP gives no
//! protection against a sender that has.

use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use edge_nal::{UdpBind, UdpReceive, UdpSend};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_time::{Duration, with_timeout};
use sntpc::{
    Error, KissOfDeathCode, NtpContext, NtpTimestampGenerator, NtpUdpSocket, sntp_process_response,
    sntp_send_request,
};

use crate::clock::{ImplausibleTime, UnixTime};

/// How long to wait for a response.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks a server for the time, once. `nonce` is a random number, a new one for each request.
///
/// # Errors
///
/// Why the server sent no usable time.
pub async fn request(stack: &impl UdpBind, server: SocketAddr, nonce: u64) -> Result<UnixTime, SntpError> {
    with_timeout(RESPONSE_TIMEOUT, exchange(stack, server, nonce)).await.unwrap_or(Err(SntpError::Timeout))
}

/// Why a server sent no usable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SntpError {
    /// The request could not be sent.
    #[error("the time server can't be reached")]
    Unreachable,
    /// There was no response.
    #[error("the time server does not answer; is UDP port 123 open?")]
    Timeout,
    /// The server does not want to be asked.
    #[error("the time server sent a kiss-of-death (`{0}`); use another server")]
    KissOfDeath(KissCode),
    /// The server's own clock is not set.
    #[error("the time server is not synchronized; use another server")]
    Unsynchronized,
    /// A time that can't be the current one.
    #[error("the time server says {0}, which is implausible; use another server")]
    Implausible(ImplausibleTime),
}

/// The four letters of a kiss-of-death (RFC 5905, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KissCode(KissOfDeathCode);

impl fmt::Display for KissCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A code that is not registered is printed as the server sent it, except for what could disturb the log.
        self.0
            .as_str()
            .chars()
            .try_for_each(|letter| f.write_char(if letter.is_ascii_alphanumeric() { letter } else { '?' }))
    }
}

async fn exchange(stack: &impl UdpBind, server: SocketAddr, nonce: u64) -> Result<UnixTime, SntpError> {
    let any_port = SocketAddr::new(
        match server.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        },
        0,
    );
    let socket = stack.bind(any_port).await.map_err(|_| SntpError::Unreachable)?;
    let socket = Socket(Mutex::new(socket));
    let request = sntp_send_request(server, &socket, NtpContext::new(Nonce(nonce)));
    let request = request.await.map_err(|_| SntpError::Unreachable)?;
    loop {
        return match sntp_process_response(server, &socket, NtpContext::new(FirstEra), request).await {
            Ok(response) => UnixTime::try_from(response.sec()).map_err(SntpError::Implausible),
            Err(Error::KissOfDeath(code)) => Err(SntpError::KissOfDeath(KissCode(code))),
            Err(
                Error::UnsynchronizedClock
                | Error::IncorrectStratumHeaders
                | Error::InvalidTimestamp
                | Error::ExcessiveRootDistance
                | Error::BackwardReferenceTimestamp,
            ) => Err(SntpError::Unsynchronized),
            Err(Error::Network) => Err(SntpError::Unreachable),
            // Not the response to this request: somebody else sent it, so the response may still come.
            Err(_) => continue,
        };
    }
}

/// The transmit timestamp of a request: random, because the server only repeats it.
#[derive(Clone, Copy)]
struct Nonce(u64);

impl NtpTimestampGenerator for Nonce {
    fn init(&mut self) {}

    fn timestamp_sec(&self) -> u64 {
        self.0 >> 32
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        // The remainder is below 1,000,000.
        u32::try_from((self.0 & u64::from(u32::MAX)) % 1_000_000).unwrap_or_default()
    }
}

/// The time of arrival. `sntpc` needs it only to choose the era of a response's 32-bit seconds.
#[derive(Clone, Copy)]
struct FirstEra;

impl NtpTimestampGenerator for FirstEra {
    fn init(&mut self) {}

    fn timestamp_sec(&self) -> u64 {
        UnixTime::EARLIEST.seconds()
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        0
    }
}

/// A socket as `sntpc` wants it.
struct Socket<S>(Mutex<NoopRawMutex, S>);

impl<S: UdpSend + UdpReceive> NtpUdpSocket for Socket<S> {
    async fn send_to(&self, bytes: &[u8], server: SocketAddr) -> sntpc::Result<usize> {
        self.0.lock().await.send(server, bytes).await.map_err(|_| Error::Network)?;
        Ok(bytes.len())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        self.0.lock().await.receive(buffer).await.map_err(|_| Error::Network)
    }
}

#[cfg(test)]
mod tests;
