//! Against a server on this machine that sends the right time, or a wrong response.

use std::net::UdpSocket;
use std::thread;

use edge_nal_std::Stack;
use futures_lite::future::block_on;

use super::*;

const NONCE: u64 = 0x0123_4567_89ab_cdef;
/// 2026-11-21T12:00:00Z.
const NOW: u64 = 1_795_262_400;
/// Bytes of a packet.
const LEN: usize = 48;
/// Seconds from 1900 to 1970.
const EPOCH: u64 = 2_208_988_800;

/// Asks a server that sends the datagrams that `responses` makes from the request.
fn request_from_server(
    responses: impl FnOnce([u8; LEN]) -> Vec<Vec<u8>> + Send + 'static,
) -> Result<UnixTime, SntpError> {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut request = [0; LEN];
        let (length, from) = server.recv_from(&mut request).unwrap();
        assert_eq!((length, request[0]), (LEN, 0x23));
        for response in responses(request) {
            server.send_to(&response, from).unwrap();
        }
        server
    });
    let outcome = block_on(request(&Stack::new(), address, NONCE));
    drop(thread.join().unwrap());
    outcome
}

/// A response with this time in seconds since 1970.
fn response(request: [u8; LEN], seconds: u64) -> Vec<u8> {
    let mut response = vec![0; LEN];
    response[0] = 0x24;
    response[1] = 2;
    response[24..32].copy_from_slice(&request[40..48]);
    response[40..44].copy_from_slice(&u32::try_from(seconds + EPOCH).unwrap().to_be_bytes());
    response
}

/// Asks a server that sends this time in a response with a change.
fn request_with_change(
    seconds: u64,
    change: impl FnOnce(&mut Vec<u8>) + Send + 'static,
) -> Result<UnixTime, SntpError> {
    request_from_server(move |request| {
        let mut bytes = response(request, seconds);
        change(&mut bytes);
        vec![bytes]
    })
}

#[test]
fn right_time_is_accepted() {
    assert_eq!(request_with_change(NOW, |_| {}).map(UnixTime::seconds), Ok(NOW));
}

#[test]
fn last_second_of_the_era_is_accepted() {
    let last = UnixTime::LATEST.seconds();
    assert_eq!(request_with_change(last, |_| {}).map(UnixTime::seconds), Ok(last));
    assert_eq!(last + EPOCH, u64::from(u32::MAX));
}

#[test]
fn server_that_counts_from_its_own_start_is_refused() {
    let outcome = |seconds: u32| {
        request_with_change(NOW, move |bytes| bytes[40..44].copy_from_slice(&seconds.to_be_bytes()))
    };
    assert_eq!(outcome(0), Err(SntpError::Unsynchronized));
    for seconds in [1, 1_000, 86_400 * 365 * 10, u32::MAX / 2] {
        assert!(matches!(outcome(seconds), Err(SntpError::Implausible(_))), "{seconds}");
    }
}

#[test]
fn server_without_a_response_times_out() {
    assert_eq!(request_from_server(|_| vec![]), Err(SntpError::Timeout));
}

#[test]
fn kiss_of_death_is_reported_with_its_code() {
    let outcome = |code: [u8; 4]| {
        request_with_change(NOW, move |bytes| {
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(&code);
        })
    };
    for (code, printed) in
        [(*b"RATE", "RATE"), (*b"DENY", "DENY"), (*b"RSTR", "RSTR"), ([0, 0x1b, b'A', b'\n'], "??A?")]
    {
        let Err(SntpError::KissOfDeath(code)) = outcome(code) else { panic!("no kiss-of-death {printed}") };
        assert_eq!(code.to_string(), printed);
    }
}

#[test]
fn implausible_time_is_refused_and_printed() {
    for (seconds, message) in [
        (946_684_800, "the time server says 2000-01-01T00:00:00Z, which is implausible; use another server"),
        (
            1_735_689_600,
            "the time server says 2025-01-01T00:00:00Z, which is implausible; use another server",
        ),
        (0, "the time server says 1970-01-01T00:00:00Z, which is implausible; use another server"),
    ] {
        let error = request_with_change(seconds, |_| {}).unwrap_err();
        assert!(matches!(error, SntpError::Implausible(_)));
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn unsynchronized_server_is_refused() {
    assert_eq!(request_with_change(NOW, |bytes| bytes[0] = 0xe4), Err(SntpError::Unsynchronized));
    assert_eq!(request_with_change(NOW, |bytes| bytes[1] = 16), Err(SntpError::Unsynchronized));
}

#[test]
fn datagrams_that_do_not_answer_the_request_are_skipped() {
    let outcome = request_from_server(|request| {
        let mut forged = response(request, NOW + 86_400);
        forged[31] ^= 1;
        let mut broadcast = response(request, NOW + 86_400);
        broadcast[0] = 0x25;
        let mut short = response(request, NOW + 86_400);
        short.truncate(LEN - 1);
        vec![forged, broadcast, short, vec![], response(request, NOW)]
    });
    assert_eq!(outcome.map(UnixTime::seconds), Ok(NOW));
}

#[test]
fn nonce_fills_the_transmit_timestamp() {
    let nonces = [0, 1 << 32, 1, NONCE, u64::MAX];
    let sent = nonces.map(|nonce| {
        let nonce = Nonce(nonce);
        assert!(nonce.timestamp_subsec_micros() < 1_000_000);
        (nonce.timestamp_sec(), nonce.timestamp_subsec_micros())
    });
    for (at, one) in sent.iter().enumerate() {
        assert!(!sent[..at].contains(one), "{one:?} twice");
    }
}
