//! Against a small server that answers each PUBLISH with one reason code.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;

use device_core::Reading;
use embassy_futures::select::select;
use embedded_io_async::ErrorType;
use futures_lite::future::{block_on, yield_now};
use heapless::String as Text;
use minimq::ReasonCode;

use super::*;
use crate::clock::UnixTime;
use crate::configuration::Identity;
use crate::login::tests::ConstantRng;

/// A server in memory. Every packet of these tests is shorter than 128 bytes, so each length is one byte.
struct Server {
    received: Vec<u8>,
    answers: VecDeque<u8>,
    reason: ReasonCode,
}

impl ErrorType for Server {
    type Error = Infallible;
}

impl Read for Server {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if self.answers.is_empty() {
            return pending().await;
        }
        let length = buffer.len().min(self.answers.len());
        for (byte, answer) in buffer.iter_mut().zip(self.answers.drain(..length)) {
            *byte = answer;
        }
        Ok(length)
    }
}

impl Write for Server {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.received.extend(bytes);
        while self.received.len() > 1 && self.received.len() >= 2 + usize::from(self.received[1]) {
            let length = 2 + usize::from(self.received[1]);
            let packet: Vec<u8> = self.received.drain(..length).collect();
            match packet[0] >> 4 {
                1 => self.answers.extend([0x20, 3, 0, 0, 0]),
                3 => {
                    let id = 4 + usize::from(packet[3]);
                    self.answers.extend([0x40, 3, packet[id], packet[id + 1], self.reason.into()]);
                }
                other => panic!("a packet of the type {other}"),
            }
        }
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Publishes one reading whose PUBACK has this reason. Returns the error that ended the connection, if one did, and
/// how many readings are still queued.
fn publish_with_puback(code: ReasonCode) -> (Option<ConnectionError>, usize) {
    let (ring, clock, progress) = (Ring::new(), WallClock::unset(), Progress::new());
    clock.set(UnixTime::EARLIEST);
    ring.push(Reading::temperature(23_456), Instant::now());
    let connected = Cell::new(None);
    let publisher = Publisher {
        ring: &ring,
        clock: &clock,
        progress: &progress,
        connected: &connected,
        will_topic: None,
    };
    let mut user_name = Text::new();
    user_name.push_str("sht20").unwrap();
    let client_id = ClientId::try_from("sht20").unwrap();
    let identity = Identity::Password { client_id, user_name, password: "a password" };
    let login = Login::new(&identity, UnixTime::EARLIEST, &mut ConstantRng(7)).unwrap();
    let server = Server { received: Vec::new(), answers: VecDeque::new(), reason: code };
    let emptied = async {
        while !ring.is_empty() {
            yield_now().await;
        }
    };
    let outcome = block_on(select(publisher.run(server, &login), emptied));
    assert!(connected.get().is_some());
    let error = match outcome {
        Either::First(Err(error)) => Some(error),
        Either::Second(()) => None,
    };
    (error, ring.len())
}

#[test]
fn reading_that_is_accepted_or_permanently_refused_leaves_the_ring() {
    for code in [
        ReasonCode::Success,
        ReasonCode::NoMatchingSubscribers,
        ReasonCode::NotAuthorized,
        ReasonCode::TopicNameInvalid,
        ReasonCode::PayloadFormatInvalid,
    ] {
        assert_eq!(publish_with_puback(code), (None, 0), "{code:?}");
    }
}

#[test]
fn reading_that_is_temporarily_refused_stays_in_the_ring() {
    for code in [
        ReasonCode::UnspecifiedError,
        ReasonCode::ImplementationError,
        ReasonCode::QuotaExceeded,
        ReasonCode::ServerBusy,
        ReasonCode::Unknown,
    ] {
        assert_eq!(publish_with_puback(code), (Some(ConnectionError::PublishDeferred(Reason(code))), 1));
    }
}
