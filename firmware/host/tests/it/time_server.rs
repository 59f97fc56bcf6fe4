//! SNTP servers on this machine. Each function returns the server's port.

use std::cell::Cell;
use std::net::UdpSocket;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// A server with the right time.
pub(crate) fn correct() -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    serve(move |response| response[40..44].copy_from_slice(&ntp(now)))
}

/// A server that sends this many seconds since 1970.
pub(crate) fn at(seconds: u64) -> u16 {
    serve(move |response| response[40..44].copy_from_slice(&ntp(seconds)))
}

/// A server that sends this many seconds since 1970 once, and then the right time.
pub(crate) fn corrected_after(seconds: u64) -> u16 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let next = Cell::new(seconds);
    serve(move |response| response[40..44].copy_from_slice(&ntp(next.replace(now))))
}

/// A server that sends a kiss-of-death.
pub(crate) fn kiss_of_death() -> u16 {
    serve(|response| {
        response[1] = 0;
        response[12..16].copy_from_slice(b"RATE");
    })
}

/// A server that never responses. Its socket is leaked, so that it stays open.
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
        let mut request = [0; 48];
        while let Ok((_, from)) = socket.recv_from(&mut request) {
            let mut response = [0; 48];
            response[0] = 0x24;
            response[1] = 2;
            response[24..32].copy_from_slice(&request[40..48]);
            change(&mut response);
            socket.send_to(&response, from).unwrap();
        }
    });
    port
}

fn ntp(seconds: u64) -> [u8; 4] {
    u32::try_from(seconds + 2_208_988_800).unwrap().to_be_bytes()
}
