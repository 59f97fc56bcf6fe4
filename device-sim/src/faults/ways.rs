//! The ways to the server of devices whose fault is on the way.

use std::time::{Duration, UNIX_EPOCH};

use super::slow_link::{SlowLink, SlowLinkError};
use super::{DeviceFault, UNSET_CLOCK};
use crate::endpoint::{Endpoint, EndpointError, Target};

/// The endpoints of faulty devices. They are made once for a fleet, and only if a device needs them.
#[derive(Default)]
pub struct FaultyWays {
    wrong_clock: Option<Endpoint>,
    slow: Option<(Endpoint, SlowLink)>,
}

/// Why there are no such endpoints.
#[derive(Debug, thiserror::Error)]
pub enum FaultyWaysError {
    /// An endpoint can't be made.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// There is no slow link.
    #[error(transparent)]
    SlowLink(#[from] SlowLinkError),
}

impl FaultyWays {
    /// Makes the endpoints that devices with these faults need on their way to a server.
    ///
    /// # Errors
    ///
    /// [`FaultyWaysError`].
    pub async fn open(
        target: &Target,
        faults: impl IntoIterator<Item = DeviceFault>,
    ) -> Result<Self, FaultyWaysError> {
        let mut ways = Self::default();
        for fault in faults {
            match fault {
                DeviceFault::WrongClock if ways.wrong_clock.is_none() => {
                    let clock = Some(UNIX_EPOCH + Duration::from_millis(UNSET_CLOCK.0));
                    ways.wrong_clock = Some(Endpoint::new(Target { clock, ..target.clone() })?);
                }
                DeviceFault::SlowLink if ways.slow.is_none() => {
                    let link = SlowLink::open(target.address.clone(), target.proxy.clone()).await?;
                    let sni = target.sni.clone().or_else(|| Some(target.address.host().to_owned()));
                    let address = link.address().clone();
                    let slow = Target { address, sni, proxy: None, ..target.clone() };
                    ways.slow = Some((Endpoint::new(slow)?, link));
                }
                _ => {}
            }
        }
        Ok(ways)
    }

    /// The endpoint of a device with this fault, if it is another than that of healthy ones.
    #[must_use]
    pub fn endpoint(&self, fault: Option<DeviceFault>) -> Option<&Endpoint> {
        match fault? {
            DeviceFault::WrongClock => self.wrong_clock.as_ref(),
            DeviceFault::SlowLink => self.slow.as_ref().map(|(endpoint, _)| endpoint),
            _ => None,
        }
    }
}
