//! Against a server on this machine that answers only the first requests.

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
use crate::login::tests::ConstantRng;

/// 2026-11-21T12:00:00Z.
const SERVER_TIME: u64 = 1_795_262_400;

/// A server that sends a kiss-of-death after `good` responses; its port, and the number of requests so far.
fn server(good: usize) -> (u16, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    thread::spawn(move || {
        let mut request = [0; 48];
        while let Ok((_, from)) = socket.recv_from(&mut request) {
            let before = count.fetch_add(1, Ordering::SeqCst);
            let mut response = [0; 48];
            response[0] = 0x24;
            response[1] = u8::from(before < good);
            response[24..32].copy_from_slice(&request[40..48]);
            let seconds = u32::try_from(SERVER_TIME + 2_208_988_800).unwrap();
            response[40..44].copy_from_slice(&seconds.to_be_bytes());
            socket.send_to(&response, from).unwrap();
        }
    });
    (port, requests)
}

fn clock() -> &'static WallClock {
    Box::leak(Box::new(WallClock::unset()))
}

fn time_sync<'a>(
    stack: &'a Stack,
    port: u16,
    clock: &'static WallClock,
    max_age: Duration,
) -> TimeSync<'a, Stack> {
    TimeSync::new(stack, TimeServer { host: "127.0.0.1", port }, clock, max_age)
}

#[test]
fn clock_that_is_set_and_young_is_not_set_again_unless_it_is_suspect() {
    let (port, requests) = server(9);
    let (stack, clock) = (Stack::new(), clock());
    let sync = time_sync(&stack, port, clock, MAX_CLOCK_AGE);
    for _ in 0..2 {
        assert_eq!(block_on(sync.before_connect(&mut ConstantRng(7))), Ok(()));
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    clock.mark_suspect();
    assert_eq!(block_on(sync.before_connect(&mut ConstantRng(7))), Ok(()));
    assert_eq!((requests.load(Ordering::SeqCst), clock.is_suspect()), (2, false));
}

#[test]
fn server_without_the_time_stops_a_device_unless_its_clock_is_only_old() {
    let (port, requests) = server(0);
    let (stack, clock) = (Stack::new(), clock());
    let sync = time_sync(&stack, port, clock, Duration::MIN);
    assert!(matches!(block_on(sync.before_connect(&mut ConstantRng(7))), Err(ConnectionError::Time(_))));
    clock.set(UnixTime::EARLIEST);
    sync.last_request.set(None);
    assert_eq!(block_on(sync.before_connect(&mut ConstantRng(7))), Ok(()));
    // The server sent a kiss-of-death, so it is not asked again yet.
    assert_eq!(block_on(sync.before_connect(&mut ConstantRng(7))), Ok(()));
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    clock.mark_suspect();
    assert!(matches!(block_on(sync.before_connect(&mut ConstantRng(7))), Err(ConnectionError::Time(_))));
}

#[test]
fn old_clock_is_set_during_a_connection() {
    let (port, _) = server(1);
    let (stack, clock) = (Stack::new(), clock());
    clock.set(UnixTime::EARLIEST);
    let sync = time_sync(&stack, port, clock, Duration::MIN);
    let mut random = ConstantRng(7);
    let set = async {
        while clock.now().is_none_or(|now| now.seconds() < SERVER_TIME) {
            futures_lite::future::yield_now().await;
        }
    };
    let syncing = select(sync.during_connection(&mut random), set);
    assert!(block_on(with_timeout(Duration::from_secs(60), syncing)).is_ok());
}
