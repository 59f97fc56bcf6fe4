//! What happens to devices, as they report it.

use std::sync::Arc;
use std::time::Duration;

use device_core::Reading;

use crate::client::{ConnectError, RequestError};

/// Something that happened to one device.
#[derive(Debug)]
pub struct Event {
    /// The device's place in the plan, from 0.
    pub index: usize,
    /// Its name.
    pub device: Arc<str>,
    /// What happened.
    pub what: What,
}

/// What can happen to a device.
#[derive(Debug)]
pub enum What {
    /// It begins its first attempt to connect.
    Started,
    /// The server accepted it, so long after the attempt began.
    Connected(Duration),
    /// An attempt failed.
    NotConnected {
        /// Why.
        error: ConnectError,
        /// Whether the device tries again.
        again: bool,
    },
    /// A reading was published and acknowledged, so long after it was sent.
    Acknowledged(Reading, Duration),
    /// A reading was published and not acknowledged.
    Failed(RequestError),
    /// The connection was lost, or given up because nothing was acknowledged. The device connects again.
    Lost(RequestError),
    /// The sensor gave no reading.
    SensorFailed,
}
