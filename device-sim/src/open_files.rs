//! Whether this process may open as many files as its devices need, because every connection is one.

use cli::console::counted;

use crate::faults::DeviceFault;

/// The process may open too few files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} need {needed} open files, and this process may open {limit}: raise the limit with `ulimit -n {needed}`{}",
    counted(*devices, "device"),
    offer(*fewer)
)]
pub struct TooFewFiles {
    /// The devices of the run.
    pub devices: usize,
    /// The files that they need.
    pub needed: u64,
    /// The files that the process may open.
    pub limit: u64,
    /// How many devices can run, the first ones of the file.
    pub fewer: usize,
}

fn offer(fewer: usize) -> String {
    match fewer {
        0 => String::new(),
        fewer => format!(", or run fewer devices with `--devices {fewer}`"),
    }
}

/// Standard streams, the runtime, the file of the credentials, and look-ups of names.
const BESIDES: u64 = 32;

/// Raises the limit of open files as far as the system allows, and checks that it is enough for devices with these faults.
///
/// # Errors
///
/// [`TooFewFiles`].
pub fn allow(faults: &[Option<DeviceFault>]) -> Result<(), TooFewFiles> {
    #[cfg(unix)]
    {
        // Where it can't be read, the devices that are too many say so themselves.
        let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
        enough(limit, faults)
    }
    #[cfg(not(unix))]
    {
        enough(u64::MAX, faults)
    }
}

fn enough(limit: u64, faults: &[Option<DeviceFault>]) -> Result<(), TooFewFiles> {
    let mut needed = BESIDES;
    let mut fewer = 0;
    for fault in faults {
        needed += DeviceFault::open_files(*fault);
        fewer += usize::from(needed <= limit);
    }
    if needed <= limit { Ok(()) } else { Err(TooFewFiles { devices: faults.len(), needed, limit, fewer }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_limit_the_need_and_an_offer() {
        let healthy = vec![None; 10_000];
        assert_eq!(enough(10_032, &healthy), Ok(()));
        assert_eq!(
            enough(1_024, &healthy).unwrap_err().to_string(),
            "10000 devices need 10032 open files, and this process may open 1024: raise the limit with `ulimit -n \
             10032`, or run fewer devices with `--devices 992`"
        );
        let offered = enough(1_024, &healthy).unwrap_err().fewer;
        assert_eq!(enough(1_024, &healthy[..offered]), Ok(()));
        assert!(enough(1_024, &healthy[..=offered]).is_err());
        let none = enough(32, &[None]).unwrap_err().to_string();
        assert!(none.ends_with("1 device need 33 open files, and this process may open 32: raise the limit with `ulimit -n 33`"), "{none}");
    }

    #[test]
    fn twins_and_slow_links_need_more() {
        let faults = [Some(DeviceFault::Twin), Some(DeviceFault::SlowLink), Some(DeviceFault::Herd), None];
        assert_eq!(enough(0, &faults).unwrap_err().needed, 32 + 2 + 3 + 1 + 1);
    }
}
