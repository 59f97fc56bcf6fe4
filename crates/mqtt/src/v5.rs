//! MQTT 5: the packets of the codec underneath, from and to ours.

mod incoming;
mod outgoing;

pub(crate) use self::incoming::packet;
pub(crate) use self::outgoing::{Wire, wire};
