//! Against a server on this machine: one that is right, and many that are not.

use std::net::UdpSocket;
use std::thread;

use edge_nal_std::Stack;
use futures_lite::future::block_on;

use super::*;

const NONCE: u64 = 0x0123_4567_89ab_cdef;
/// 2026-11-21T12:00:00Z.
const NOW: u64 = 1_795_262_400;

/// Asks a server that sends these datagrams, made from the question.
fn ask_one_that(
    answers: impl FnOnce([u8; LEN]) -> Vec<Vec<u8>> + Send + 'static,
) -> Result<UnixTime, SntpFailure> {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut question = [0; LEN];
        let (length, from) = server.recv_from(&mut question).unwrap();
        assert_eq!((length, question[0]), (LEN, 0x23));
        for answer in answers(question) {
            server.send_to(&answer, from).unwrap();
        }
        server
    });
    let outcome = block_on(ask(&Stack::new(), address, NONCE));
    drop(thread.join().unwrap());
    outcome
}

/// A server's answer that says this many seconds since 1970.
fn answer(question: [u8; LEN], seconds: u64) -> Vec<u8> {
    let mut answer = vec![0; LEN];
    answer[0] = 0x24;
    answer[1] = 2;
    answer[24..32].copy_from_slice(&question[40..48]);
    answer[40..44].copy_from_slice(&u32::try_from(seconds + EPOCH).unwrap().to_be_bytes());
    answer
}

fn changed(
    seconds: u64,
    change: impl FnOnce(&mut Vec<u8>) + Send + 'static,
) -> Result<UnixTime, SntpFailure> {
    ask_one_that(move |question| {
        let mut bytes = answer(question, seconds);
        change(&mut bytes);
        vec![bytes]
    })
}

#[test]
fn the_right_time_is_taken() {
    assert_eq!(changed(NOW, |_| {}).map(UnixTime::seconds), Ok(NOW));
}

#[test]
fn the_last_second_of_the_era_is_taken() {
    let last = UnixTime::LATEST.seconds();
    assert_eq!(changed(last, |_| {}).map(UnixTime::seconds), Ok(last));
    assert_eq!(last + EPOCH, u64::from(u32::MAX));
}

#[test]
fn a_server_that_counts_from_its_own_start_is_refused() {
    let says =
        |seconds: u32| changed(NOW, move |bytes| bytes[40..44].copy_from_slice(&seconds.to_be_bytes()));
    assert_eq!(says(0), Err(SntpFailure::Unsynchronized));
    for seconds in [1, 1_000, 86_400 * 365 * 10, u32::MAX / 2] {
        assert!(matches!(says(seconds), Err(SntpFailure::Absurd(_))), "{seconds}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    assert_eq!(ask_one_that(|_| vec![]), Err(SntpFailure::Silent));
}

#[test]
fn a_kiss_of_death_is_obeyed_and_named() {
    for code in [*b"RATE", *b"DENY", *b"RSTR"] {
        let outcome = changed(NOW, move |bytes| {
            bytes[1] = 0;
            bytes[12..16].copy_from_slice(&code);
        });
        assert_eq!(outcome, Err(SntpFailure::KissOfDeath(Kiss(code))));
    }
    assert_eq!(Kiss(*b"RATE").to_string(), "RATE");
    assert_eq!(Kiss([0, 0x1b, b'A', b'\n']).to_string(), "??A?");
}

#[test]
fn an_absurd_time_is_refused() {
    for (seconds, date) in [
        (946_684_800, "the time server says 2000-01-01T00:00:00Z, which can't be; use another one"),
        (1_735_689_600, "the time server says 2025-01-01T00:00:00Z, which can't be; use another one"),
        (0, "the time server says 1970-01-01T00:00:00Z, which can't be; use another one"),
    ] {
        let failure = changed(seconds, |_| {}).unwrap_err();
        assert!(matches!(failure, SntpFailure::Absurd(_)));
        assert_eq!(failure.to_string(), date);
    }
}

#[test]
fn a_server_without_the_time_is_refused() {
    assert_eq!(changed(NOW, |bytes| bytes[0] = 0xe4), Err(SntpFailure::Unsynchronized));
    assert_eq!(changed(NOW, |bytes| bytes[1] = 16), Err(SntpFailure::Unsynchronized));
}

#[test]
fn what_does_not_answer_this_question_is_waited_past() {
    let outcome = ask_one_that(|question| {
        let mut forged = answer(question, NOW + 86_400);
        forged[31] ^= 1;
        let mut broadcast = answer(question, NOW + 86_400);
        broadcast[0] = 0x25;
        let mut short = answer(question, NOW + 86_400);
        short.truncate(LEN - 1);
        vec![forged, broadcast, short, vec![], answer(question, NOW)]
    });
    assert_eq!(outcome.map(UnixTime::seconds), Ok(NOW));
}
