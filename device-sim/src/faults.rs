//! Faults of devices on demand: what each does, and which devices of a fleet have one.
//!
//! A faulty device makes its mistake on a real connection, as devices in the field do. The server's part is the server's:
//! nothing here knows how it answers.

use std::fmt;
use std::io;
use std::str::FromStr;

use clap::ValueEnum;
use device_core::SplitMix64;
use serde::{Deserialize, Serialize};

use crate::credentials_file::Row;
use crate::endpoint::Transport;
use crate::login::{Login, Password, Scheme};
use crate::sensor::Moment;

pub mod expectation;
pub mod outcomes;
pub mod slow_link;
pub mod ways;

/// What a simulated device does wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceFault {
    /// Presents a wrong password, or a wrong signature
    WrongPassword,
    /// Connects with a client id that is not its own
    WrongClientId,
    /// Publishes to the topics of another client id
    WrongTopic,
    /// Has a clock that shows the year 2000, so it finds no certificate valid
    WrongClock,
    /// Loses its link every few intervals, without DISCONNECT
    DroppedLink,
    /// Is on a link with a delay of 200 ms and 8,000 bytes a second
    SlowLink,
    /// Starts, loses its link and returns at the same moments as all others with this fault, without backoff
    Herd,
    /// Has a twin with the same credentials and client id
    Twin,
    /// Publishes messages above AWS's limit of 128 KB
    Oversize,
    /// Has a sensor that sends wrong checksums at a quarter of the measurements
    SensorCrc,
    /// Has a sensor that acknowledges nothing at a quarter of the measurements
    SensorNack,
    /// Has a sensor that repeats its first reading
    SensorStuck,
    /// Has a sensor that drifts by 0.25 °C and 0.5 %RH an hour
    SensorDrift,
}

impl DeviceFault {
    /// Every fault, in the order in which they are given to devices.
    pub const ALL: [Self; 13] = [
        Self::WrongPassword,
        Self::WrongClientId,
        Self::WrongTopic,
        Self::WrongClock,
        Self::DroppedLink,
        Self::SlowLink,
        Self::Herd,
        Self::Twin,
        Self::Oversize,
        Self::SensorCrc,
        Self::SensorNack,
        Self::SensorStuck,
        Self::SensorDrift,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong-password",
            Self::WrongClientId => "wrong-client-id",
            Self::WrongTopic => "wrong-topic",
            Self::WrongClock => "wrong-clock",
            Self::DroppedLink => "dropped-link",
            Self::SlowLink => "slow-link",
            Self::Herd => "herd",
            Self::Twin => "twin",
            Self::Oversize => "oversize",
            Self::SensorCrc => "sensor-crc",
            Self::SensorNack => "sensor-nack",
            Self::SensorStuck => "sensor-stuck",
            Self::SensorDrift => "sensor-drift",
        }
    }

    /// Whether a device with this fault stays connected and has readings acknowledged, so that a run expects it to.
    #[must_use]
    pub const fn gets_through(self) -> bool {
        matches!(
            self,
            Self::SlowLink | Self::SensorCrc | Self::SensorNack | Self::SensorStuck | Self::SensorDrift
        )
    }

    /// How many files a device with this fault may have open at once. A healthy one has its socket.
    pub(crate) const fn open_files(fault: Option<Self>) -> u64 {
        match fault {
            Some(Self::Twin) => 2,
            // Its own socket, and both sockets of the slow link.
            Some(Self::SlowLink) => 3,
            _ => 1,
        }
    }

    /// Changes what a device presents, so that it has this fault.
    pub(crate) fn spoil_row(self, row: &mut Row) {
        if self == Self::WrongClientId {
            row.client_id = another(&row.client_id);
        }
    }

    /// Changes what a device presents, so that it has this fault.
    pub(crate) fn spoil_login(self, login: &mut Login) {
        if self != Self::WrongPassword {
            return;
        }
        if login.password.expose().is_empty() {
            // The signature is at the end of the user name, unless the authorizer's name is.
            let end = login.user_name.find("&x-amz-customauthorizer-name=").unwrap_or(login.user_name.len());
            let mut bytes = login.user_name.clone().into_bytes();
            change_one(bytes.get_mut(..end).unwrap_or_default());
            login.user_name = String::from_utf8(bytes).unwrap_or_default();
        } else {
            let mut bytes = login.password.expose().to_vec();
            change_one(&mut bytes);
            login.password = Password::from(bytes);
        }
    }

    /// Why a fleet that connects in this way can't have the fault.
    const fn impossible(self, transport: Transport, scheme: Scheme) -> Option<&'static str> {
        match (self, transport, scheme) {
            (Self::WrongPassword, _, Scheme::Certificate) => Some("a certificate has no password"),
            (Self::WrongClientId | Self::Twin, Transport::Https, _) => {
                Some("an HTTPS request has no client id")
            }
            _ => None,
        }
    }
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A client id that is not the one given, and of the same form.
pub(crate) fn another(client_id: &str) -> String {
    const ENDING: &str = "-wrong";
    let room = device_core::ClientId::MAX_LEN - ENDING.len();
    let mut id: String = client_id.chars().take(room).collect();
    id.push_str(ENDING);
    id
}

/// Changes one character so that a secret is wrong, and its form is still right: base64 ends with bits that mean nothing,
/// and a Tencent signature with its method.
fn change_one(bytes: &mut [u8]) {
    let len = bytes.len();
    let index = if len >= 40 { len - 20 } else { len / 2 };
    if let Some(byte) = bytes.get_mut(index) {
        *byte = if *byte == b'0' { b'1' } else { b'0' };
    }
}

/// A part of a fleet: `3%` or a number of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Share {
    /// Thousandths of a percent.
    Percent(u32),
    /// A number of devices.
    Devices(u32),
}

impl Share {
    /// How many of `all` devices it is, rounded to the nearest.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Percent(thousandths) => {
                let all = u128::try_from(all).unwrap_or(u128::MAX);
                usize::try_from((all * u128::from(thousandths) + 50_000) / 100_000).unwrap_or(usize::MAX)
            }
            Self::Devices(count) => usize::try_from(count).unwrap_or(usize::MAX),
        }
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl TryFrom<String> for Share {
    type Error = ShareError;

    fn try_from(text: String) -> Result<Self, ShareError> {
        text.parse()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(thousandths) if thousandths % 1_000 == 0 => write!(f, "{}%", thousandths / 1_000),
            Self::Percent(thousandths) => {
                let decimals = format!("{:03}", thousandths % 1_000);
                write!(f, "{}.{}%", thousandths / 1_000, decimals.trim_end_matches('0'))
            }
            Self::Devices(count) => write!(f, "{count}"),
        }
    }
}

/// A text that is not a [`Share`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a share: write a percentage up to `100%`, with up to three decimals, or a number of devices"
)]
pub struct ShareError(String);

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let wrong = || ShareError(text.to_owned());
        let Some(percent) = text.strip_suffix('%') else {
            let count = text.parse().map_err(|_| wrong())?;
            return if digits(text) { Ok(Self::Devices(count)) } else { Err(wrong()) };
        };
        let (whole, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
        if whole.is_empty()
            || decimals.is_empty()
            || decimals.len() > 3
            || !digits(whole)
            || !digits(decimals)
        {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let decimals: u32 = format!("{decimals:0<3}").parse().map_err(|_| wrong())?;
        let thousandths = whole.checked_mul(1_000).and_then(|whole| whole.checked_add(decimals));
        thousandths.filter(|thousandths| *thousandths <= 100_000).map(Self::Percent).ok_or_else(wrong)
    }
}

/// A fault with the share of the devices that have it, as `wrong-password=3%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultShare {
    /// The fault.
    pub fault: DeviceFault,
    /// How many devices have it.
    pub share: Share,
}

impl fmt::Display for FaultShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.fault, self.share)
    }
}

/// A text that is not a [`FaultShare`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultShareError {
    /// There is no `=`.
    #[error("write the fault and its share, such as `wrong-password=3%`")]
    Form,
    /// There is no such fault.
    #[error("there is no fault `{0}`: use one of {names}", names = DeviceFault::ALL.map(DeviceFault::name).join(", "))]
    Fault(String),
    /// The share is not one.
    #[error(transparent)]
    Share(#[from] ShareError),
}

impl FromStr for FaultShare {
    type Err = FaultShareError;

    fn from_str(text: &str) -> Result<Self, FaultShareError> {
        let (name, share) = text.split_once('=').ok_or(FaultShareError::Form)?;
        let fault = DeviceFault::ALL.into_iter().find(|fault| fault.name() == name);
        let fault = fault.ok_or_else(|| FaultShareError::Fault(name.to_owned()))?;
        Ok(Self { fault, share: share.parse()? })
    }
}

/// Why the devices of a fleet can't have these faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// A device has one fault at most.
    #[error("the shares of `--fault` are {wanted} devices together, and the fleet has {all}")]
    TooMany {
        /// The shares together.
        wanted: usize,
        /// The devices.
        all: usize,
    },
    /// It has two shares.
    #[error("`--fault {0}=…` is there twice")]
    Repeated(DeviceFault),
    /// The way in has nothing that could be wrong.
    #[error("`--fault {fault}=…` can't be used: {why}")]
    Impossible {
        /// The fault.
        fault: DeviceFault,
        /// What is missing.
        why: &'static str,
    },
}

/// Gives faults to devices: which device has which is a function of the seed and of the devices' names. A device has one
/// fault at most. Other shares, or more devices, change the faults of few.
///
/// `devices` are the [`device_key`]s of the whole fleet, in the order of the result, also if this process runs a part of
/// it: then all parts agree.
///
/// # Errors
///
/// [`AssignError`].
pub fn assign(
    seed: u64,
    devices: &[u64],
    shares: &[FaultShare],
    transport: Transport,
    scheme: Scheme,
) -> Result<Vec<Option<DeviceFault>>, AssignError> {
    for (index, FaultShare { fault, .. }) in shares.iter().enumerate() {
        if let Some(why) = fault.impossible(transport, scheme) {
            return Err(AssignError::Impossible { fault: *fault, why });
        }
        if shares.iter().take(index).any(|earlier| earlier.fault == *fault) {
            return Err(AssignError::Repeated(*fault));
        }
    }
    let all = devices.len();
    let wanted = shares.iter().fold(0_usize, |sum, one| sum.saturating_add(one.share.of(all)));
    if wanted > all {
        return Err(AssignError::TooMany { wanted, all });
    }
    let mut faults = vec![None; all];
    // Not in the order of the command line, which decides nothing.
    for fault in DeviceFault::ALL {
        let Some(FaultShare { share, .. }) = shares.iter().find(|one| one.fault == fault) else { continue };
        let stream = SplitMix64::new(fnv1a(fault.name().as_bytes()) ^ seed).next_u64();
        let free = faults.iter().zip(devices).enumerate().filter(|(_, (has, _))| has.is_none());
        let mut ranks: Vec<(u64, usize)> =
            free.map(|(index, (_, device))| (SplitMix64::new(stream ^ device).next_u64(), index)).collect();
        ranks.sort_unstable();
        for (_, index) in ranks.into_iter().take(share.of(all)) {
            if let Some(place) = faults.get_mut(index) {
                *place = Some(fault);
            }
        }
    }
    Ok(faults)
}

/// The number of a device's name, from which its readings and its fault follow.
#[must_use]
pub fn device_key(name: &str) -> u64 {
    fnv1a(name.as_bytes())
}

/// FNV-1a. A device's readings and faults are the same on every machine and in every version, because this hash is.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes the faulty devices as CSV with the header `device,fault`.
///
/// # Errors
///
/// If the writer fails.
pub fn write_list<'a>(
    out: impl io::Write,
    devices: impl IntoIterator<Item = (&'a str, Option<DeviceFault>)>,
) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(out);
    writer.write_record(["device", "fault"])?;
    for (device, fault) in devices {
        if let Some(fault) = fault {
            writer.write_record([device, fault.name()])?;
        }
    }
    writer.flush()
}

/// What a clock shows that was never set: the 1st of January 2000, before any server's certificate was made.
pub(crate) const UNSET_CLOCK: Moment = Moment(946_684_800_000);
/// A message of this many bytes is one above AWS's limit (AWS General Reference, "AWS IoT Core endpoints and quotas").
pub(crate) const OVERSIZE_BYTES: usize = 128 * 1_024 + 1;
/// After how many intervals all devices of the herd lose their link, again and again.
pub(crate) const HERD_INTERVALS: u32 = 10;
/// A link is dropped after one to this many intervals.
pub(crate) const MAX_LINK_INTERVALS: u32 = 5;

#[cfg(test)]
mod tests;
