//! How old what a device signed may be.

use credentials::alibaba::{Authentication, Freshness, Presented};

use crate::{decision::DenyReason, request::Evidence, unix_time::UnixTime};

/// Settings about the age of signatures.
///
/// IoT Core presents the CONNECT's credentials again at each refresh *(unverified)*, so a signature that has grown
/// too old by then ends the session: a window is for fleets that sign anew at each connect and may connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessRules {
    /// Alibaba: how far a signed timestamp may be from now, in seconds. `None` asks for none, because most SDKs
    /// sign a fixed one.
    pub alibaba_window: Option<u64>,
    /// Tencent: whether the user name's expiry is held against the clock.
    pub tencent_expiry: bool,
}

const MILLISECONDS: u64 = 1_000;

impl Default for FreshnessRules {
    fn default() -> Self {
        Self { alibaba_window: None, tencent_expiry: true }
    }
}

/// Until when a signature of this age is taken; `None` for ever.
pub(super) fn signed_until(
    evidence: &Evidence<'_>,
    rules: FreshnessRules,
    now: UnixTime,
) -> Result<Option<UnixTime>, DenyReason> {
    match evidence {
        // A device token is not signed, and neither is a timestamp beside it.
        Evidence::Alibaba(presented, _) if presented.authentication() == Authentication::DeviceSecret => {
            rules.alibaba_window.map(|window| alibaba(presented, window, now)).transpose()
        }
        Evidence::Tencent(presented, _) if rules.tencent_expiry => {
            let expiry = presented.expiry();
            if expiry.has_passed(now.0) {
                return Err(DenyReason::SignatureExpired);
            }
            Ok(Some(UnixTime(expiry.at_seconds())))
        }
        _ => Ok(None),
    }
}

fn alibaba(presented: &Presented<'_>, window: u64, now: UnixTime) -> Result<UnixTime, DenyReason> {
    match presented.freshness(now.0, window) {
        Freshness::Stale => Err(DenyReason::TimestampStale),
        Freshness::Future => Err(DenyReason::TimestampAhead),
        Freshness::Absent => Err(DenyReason::TimestampAbsent),
        Freshness::Fresh => {
            let sent = presented.timestamp().and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX);
            Ok(UnixTime((sent / MILLISECONDS).saturating_add(window)))
        }
    }
}
