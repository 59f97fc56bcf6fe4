//! The time, from a server (SNTP: RFC 4330, RFC 5905).
//!
//! One question, one answer. The answer has to carry the random number that the question went out with, so that
//! nobody who did not see the question can set the clock; who sees it can, as always with SNTP.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use edge_nal::{UdpBind, UdpReceive as _, UdpSend as _};
use embassy_time::{Duration, with_timeout};

use crate::clock::{AbsurdTime, UnixTime};

/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a server for the time, once. `nonce` is a random number, another each time.
///
/// # Errors
///
/// Why there is no time.
pub async fn ask(stack: &impl UdpBind, server: SocketAddr, nonce: u64) -> Result<UnixTime, SntpFailure> {
    with_timeout(PATIENCE, exchange(stack, server, nonce)).await.unwrap_or(Err(SntpFailure::Silent))
}

/// Why a server gave no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SntpFailure {
    /// The question could not be sent.
    #[error("the time server can't be reached")]
    Unreachable,
    /// No answer.
    #[error("the time server is silent; is UDP port 123 open?")]
    Silent,
    /// The server wants to be left alone.
    #[error("the time server sent a kiss-of-death (`{0}`); use another one")]
    KissOfDeath(Kiss),
    /// The server does not know the time itself.
    #[error("the time server does not know the time itself")]
    Unsynchronized,
    /// A time that can't be now.
    #[error("the time server says {0}, which can't be; use another one")]
    Absurd(AbsurdTime),
}

/// The four letters of a kiss-of-death (RFC 5905, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kiss([u8; 4]);

impl fmt::Display for Kiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| {
            let letter = if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '?' };
            fmt::Write::write_char(f, letter)
        })
    }
}

async fn exchange(stack: &impl UdpBind, server: SocketAddr, nonce: u64) -> Result<UnixTime, SntpFailure> {
    let mut socket = stack.bind(any_port(server)).await.map_err(|_| SntpFailure::Unreachable)?;
    let question = question(nonce);
    socket.send(server, &question).await.map_err(|_| SntpFailure::Unreachable)?;
    let mut answer = [0; LEN];
    loop {
        let (length, from) = socket.receive(&mut answer).await.map_err(|_| SntpFailure::Unreachable)?;
        // Whatever is not the answer to this question is somebody else's, and waited past.
        if from.ip() == server.ip() && length >= LEN && is_answer(&answer, nonce) {
            return read(&answer);
        }
    }
}

fn question(nonce: u64) -> [u8; LEN] {
    let mut question = [0; LEN];
    let transmitted = nonce.to_be_bytes();
    for (byte, value) in question.iter_mut().rev().zip(transmitted.iter().rev()) {
        *byte = *value;
    }
    let [first, ..] = &mut question;
    *first = QUESTION;
    question
}

const LEN: usize = 48;
/// Leap indicator 0, version 4, mode 3 (client).
const QUESTION: u8 = 0b00_100_011;
const MODE: u8 = 0b111;
const SERVER: u8 = 4;
/// Seconds from 1900 to 1970.
const EPOCH: u64 = 2_208_988_800;

fn is_answer(answer: &[u8; LEN], nonce: u64) -> bool {
    let [first, ..] = answer;
    answer.get(24..32) == Some(nonce.to_be_bytes().as_slice()) && first & MODE == SERVER
}

fn read(answer: &[u8; LEN]) -> Result<UnixTime, SntpFailure> {
    let [first, stratum, ..] = answer;
    let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, ..] = answer;
    match (stratum, first >> 6) {
        (0, _) => return Err(SntpFailure::KissOfDeath(Kiss([*a, *b, *c, *d]))),
        (16.., _) | (_, 3) => return Err(SntpFailure::Unsynchronized),
        _ => {}
    }
    let [.., a, b, c, d, _, _, _, _] = answer;
    let since_1900 = u64::from(u32::from_be_bytes([*a, *b, *c, *d]));
    if since_1900 == 0 {
        return Err(SntpFailure::Unsynchronized);
    }
    // The 32 bits begin anew on 2036-02-07. A small number would be a time after that, and is from a server that counts
    // from its own start; so there is no later era here, and what is before 1970 is told as 1970.
    UnixTime::try_from(since_1900.saturating_sub(EPOCH)).map_err(SntpFailure::Absurd)
}

fn any_port(server: SocketAddr) -> SocketAddr {
    let any = match server.ip() {
        IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, 0)
}

#[cfg(test)]
mod tests;
