//! Two legal things that the codec underneath refuses. They are written over before it sees them, and put back
//! into the packet that it returns.

use std::sync::Arc;

use crate::packet::Packet;

/// What has to be written over, as positions in the packet's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amendment {
    /// The connect flags of an MQTT 5 CONNECT that has neither a client id nor a clean start (section 3.1.3.1).
    pub(crate) connect_flags: Option<usize>,
    /// A message expiry interval of 0 (sections 3.1.3.2.4 and 3.3.2.3.3).
    pub(crate) zero_expiry: Option<usize>,
}

impl Amendment {
    /// Sets the clean start flag, and the interval to 1.
    pub(crate) fn apply(self, body: &mut [u8]) {
        if let Some(flags) = self.connect_flags.and_then(|position| body.get_mut(position)) {
            *flags |= 0b0000_0010;
        }
        if let Some(last) = self.zero_expiry.and_then(|position| body.get_mut(position + 3)) {
            *last = 1;
        }
    }

    /// Gives `packet` the values that the peer sent.
    pub(crate) fn undo(self, packet: &mut Packet) {
        match packet {
            Packet::Connect(connect) => {
                connect.clean_start &= self.connect_flags.is_none();
                if let Some(will) = connect.last_will.as_mut().filter(|_| self.zero_expiry.is_some()) {
                    will.properties.message_expiry_interval = Some(0);
                }
            }
            Packet::Publish(publish) if self.zero_expiry.is_some() => {
                if let Some(properties) = publish.properties.as_mut() {
                    Arc::make_mut(properties).message_expiry_interval = Some(0);
                }
            }
            _ => {}
        }
    }
}
