//! The ports that AWS IoT Core has.

use std::fmt;

/// One of AWS's ports, whatever its number is on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// 443: everything, told apart by ALPN.
    P443,
    /// 8883: MQTT with a client certificate.
    P8883,
    /// 8443: HTTPS publish with a client certificate.
    P8443,
}

impl Port {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P443, Self::P8883, Self::P8443];

    /// AWS's number.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::P443 => 443,
            Self::P8883 => 8883,
            Self::P8443 => 8443,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
