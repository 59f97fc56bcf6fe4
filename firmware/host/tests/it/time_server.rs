//! An SNTP server that says what a test wants.

use std::cell::Cell;
use std::net::UdpSocket;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// A server with the right time; its port.
pub(crate) fn right() -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    serve(move |answer| answer[40..44].copy_from_slice(&ntp(now)))
}

/// A server that says this many seconds since 1970.
pub(crate) fn at(seconds: u64) -> u16 {
    serve(move |answer| answer[40..44].copy_from_slice(&ntp(seconds)))
}

/// A server that says this many seconds since 1970 once, and is right from then on.
pub(crate) fn corrected_after(seconds: u64) -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let says = Cell::new(seconds);
    serve(move |answer| answer[40..44].copy_from_slice(&ntp(says.replace(now))))
}

/// A server that wants to be left alone.
pub(crate) fn kiss_of_death() -> u16 {
    serve(|answer| {
        answer[1] = 0;
        answer[12..16].copy_from_slice(b"RATE");
    })
}

/// A socket that takes questions and never answers: it is given away, so that it stays open.
pub(crate) fn silent() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::mem::forget(socket);
    port
}

fn serve(change: impl Fn(&mut [u8; 48]) + Send + 'static) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut question = [0; 48];
        while let Ok((_, from)) = socket.recv_from(&mut question) {
            let mut answer = [0; 48];
            answer[0] = 0x24;
            answer[1] = 2;
            answer[24..32].copy_from_slice(&question[40..48]);
            change(&mut answer);
            socket.send_to(&answer, from).unwrap();
        }
    });
    port
}

fn ntp(seconds: u64) -> [u8; 4] {
    u32::try_from(seconds + 2_208_988_800).unwrap().to_be_bytes()
}
