//! Against a server on this machine that answers the first questions only.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use edge_nal_std::Stack;
use embassy_futures::select::select;
use embassy_time::with_timeout;
use futures_lite::future::block_on;

use super::*;
use crate::clock::UnixTime;
use crate::known_number::KnownNumber;

/// 2026-11-21T12:00:00Z.
const SAID: u64 = 1_795_262_400;

/// A server that sends a kiss-of-death after `good` answers; its port, and how often it was asked.
fn server(good: usize) -> (u16, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        let mut question = [0; 48];
        while let Ok((_, from)) = socket.recv_from(&mut question) {
            let before = count.fetch_add(1, Ordering::SeqCst);
            let mut answer = [0; 48];
            answer[0] = 0x24;
            answer[1] = u8::from(before < good);
            answer[24..32].copy_from_slice(&question[40..48]);
            let said = u32::try_from(SAID + 2_208_988_800).unwrap();
            answer[40..44].copy_from_slice(&said.to_be_bytes());
            socket.send_to(&answer, from).unwrap();
        }
    });
    (port, asked)
}

fn clock() -> &'static WallClock {
    Box::leak(Box::new(WallClock::unset()))
}

fn keeper<'a>(
    stack: &'a Stack,
    port: u16,
    clock: &'static WallClock,
    old: Duration,
) -> Timekeeper<'a, Stack> {
    Timekeeper::new(stack, TimeServer { host: "127.0.0.1", port }, clock, old)
}

#[test]
fn a_clock_that_is_set_and_young_is_left_alone() {
    let (port, asked) = server(9);
    let (stack, clock) = (Stack::new(), clock());
    let keeper = keeper(&stack, port, clock, CLOCK_AGE);
    for _ in 0..2 {
        assert_eq!(block_on(keeper.make_ready(&mut KnownNumber(7))), Ok(()));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    clock.doubt();
    assert_eq!(block_on(keeper.make_ready(&mut KnownNumber(7))), Ok(()));
    assert_eq!((asked.load(Ordering::SeqCst), clock.is_doubted()), (2, false));
}

#[test]
fn without_an_answer_only_a_clock_that_is_merely_old_will_do() {
    let (port, asked) = server(0);
    let (stack, clock) = (Stack::new(), clock());
    let keeper = keeper(&stack, port, clock, Duration::MIN);
    assert!(matches!(block_on(keeper.make_ready(&mut KnownNumber(7))), Err(Failure::Time(_))));
    clock.set(UnixTime::EARLIEST);
    keeper.asked.set(None);
    assert_eq!(block_on(keeper.make_ready(&mut KnownNumber(7))), Ok(()));
    // The server said that it wants to be left alone.
    assert_eq!(block_on(keeper.make_ready(&mut KnownNumber(7))), Ok(()));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    clock.doubt();
    assert!(matches!(block_on(keeper.make_ready(&mut KnownNumber(7))), Err(Failure::Time(_))));
}

#[test]
fn an_old_clock_is_set_anew_during_a_connection() {
    let (port, _) = server(1);
    let (stack, clock) = (Stack::new(), clock());
    clock.set(UnixTime::EARLIEST);
    let keeper = keeper(&stack, port, clock, Duration::MIN);
    let mut random = KnownNumber(7);
    let set = async {
        while clock.now().is_none_or(|now| now.seconds() < SAID) {
            futures_lite::future::yield_now().await;
        }
    };
    let keeping = select(keeper.keep(&mut random), set);
    assert!(block_on(with_timeout(Duration::from_secs(60), keeping)).is_ok());
}
