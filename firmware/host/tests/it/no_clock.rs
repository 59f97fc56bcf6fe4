//! A handshake that is asked for before the device knows the time.

use std::convert::Infallible;

use app::tls::{Security, TlsFailure, connect};
use app::{Configuration, WallClock};
use embedded_io_async::{ErrorType, Read, Write};
use getrandom::SysRng;
use mbedtls_rs::Tls;
use rand_core::UnwrapErr;

use crate::device::entries;
use crate::tls_server::Signer;

/// A connection on which nothing may happen.
struct Untouched;

impl ErrorType for Untouched {
    type Error = Infallible;
}

impl Read for Untouched {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Infallible> {
        panic!("it reads without knowing the time")
    }
}

impl Write for Untouched {
    async fn write(&mut self, _: &[u8]) -> Result<usize, Infallible> {
        panic!("it sends without knowing the time")
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn without_the_time_no_byte_is_sent() {
    let bytes = configure::partition(&entries(1, 1, &Signer::root().pem())).unwrap();
    let configuration = Configuration::parse(&bytes).unwrap();
    let tls = Tls::new(Box::leak(Box::new(UnwrapErr(SysRng)))).unwrap();
    let security = Security::new(&configuration).unwrap();
    let clock = WallClock::unset();
    let connecting = connect(tls.reference(), Untouched, &security, &clock);
    let failure = futures_lite::future::block_on(connecting).err();
    assert_eq!(failure, Some(TlsFailure::NoClock));
    assert!(TlsFailure::NoClock.to_string().contains("-0x2700"));
}
