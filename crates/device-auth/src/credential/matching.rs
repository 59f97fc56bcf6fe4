//! Evidence against what a record holds, in a time that doesn't tell which part of it was right.

use credentials::{Choice, Secret, alibaba};
use subtle::ConditionallySelectable as _;

use crate::{
    claim::{Evidence, Password},
    deny_reason::DenyReason,
    record::{LiveSecret, MAX_VERIFIERS, Proof},
    time::UnixTime,
    verifier::LiveVerifier,
};

/// What there is to check evidence with.
pub(super) struct Known<'r> {
    pub(super) verifiers: &'r [LiveVerifier],
    pub(super) secrets: &'r [LiveSecret],
}

impl<'r> Known<'r> {
    pub(super) fn of(proof: &'r Proof) -> Self {
        match proof {
            Proof::Password(verifiers) => Self { verifiers, secrets: &[] },
            Proof::Alibaba(secrets) | Proof::Tencent(secrets) => Self { verifiers: &[], secrets },
            Proof::Jwt | Proof::Token => Self { verifiers: &[], secrets: &[] },
        }
    }

    /// When the verifier or secret at this place expires.
    pub(super) fn expiry(&self, at: usize) -> Option<UnixTime> {
        let verifier = self.verifiers.get(at).and_then(|verifier| verifier.expires_at);
        verifier.or_else(|| self.secrets.get(at).and_then(|secret| secret.expires_at))
    }
}

/// The place of a live verifier or secret that matches, found without stopping early.
///
/// # Errors
///
/// What is wrong with the form of a signature that no secret would make right.
pub(super) fn matching(
    evidence: &Evidence<'_>,
    known: &Known<'_>,
    now: UnixTime,
) -> Result<Option<usize>, DenyReason> {
    match evidence {
        Evidence::Password(password) => Ok(password_matching(password, known.verifiers, now)),
        Evidence::Alibaba(login, password) => signature_matching(known.secrets, now, |secret, nobodys| {
            let key = secret.and_then(|live| live.secret.alibaba_key(login.identity().id()));
            let is_key = Choice::from(u8::from(key.is_some()));
            let key = key.unwrap_or(alibaba::Key::DeviceSecret(nobodys));
            Ok(login.verify(key, password.as_bytes())? & is_key)
        }),
        Evidence::Tencent(login, password) => signature_matching(known.secrets, now, |secret, nobodys| {
            let psk = secret.and_then(|live| live.secret.psk());
            let is_psk = Choice::from(u8::from(psk.is_some()));
            Ok(login.verify(psk.unwrap_or(nobodys), password.as_bytes())? & is_psk)
        }),
        Evidence::Jwt(_) | Evidence::Token => Ok(None),
    }
}

fn password_matching(password: &Password, verifiers: &[LiveVerifier], now: UnixTime) -> Option<usize> {
    let mut found = Match::nothing();
    for (at, candidate) in (0_u64..).zip(verifiers) {
        runs::count();
        let live = Choice::from(u8::from(candidate.is_live(now)));
        found.note(at, candidate.verifier.matches(password.as_bytes()) & live);
    }
    found.place()
}

/// Checks as often as a record can have secrets; for those that it has not, with nobody's.
fn signature_matching(
    secrets: &[LiveSecret],
    now: UnixTime,
    matches: impl Fn(Option<&LiveSecret>, &Secret) -> Result<Choice, DenyReason>,
) -> Result<Option<usize>, DenyReason> {
    let nobodys = Secret::nobodys();
    let mut found = Match::nothing();
    let candidates = secrets.iter().map(Some).chain(std::iter::repeat(None)).take(MAX_VERIFIERS);
    for (at, candidate) in (0_u64..).zip(candidates) {
        runs::count();
        let live = Choice::from(u8::from(candidate.is_some_and(|secret| secret.is_live(now))));
        found.note(at, matches(candidate, &nobodys)? & live);
    }
    Ok(found.place())
}

struct Match {
    any: Choice,
    at: u64,
}

impl Match {
    fn nothing() -> Self {
        Self { any: Choice::from(0), at: 0 }
    }

    fn note(&mut self, at: u64, matches: Choice) {
        self.at.conditional_assign(&at, matches);
        self.any |= matches;
    }

    fn place(&self) -> Option<usize> {
        bool::from(self.any).then(|| usize::try_from(self.at).ok()).flatten()
    }
}

/// Counts how often something was checked, for the tests alone.
pub(super) mod runs {
    #[cfg(not(test))]
    pub(super) fn count() {}

    #[cfg(test)]
    pub(super) use counted::count;

    #[cfg(test)]
    pub(in crate::credential) mod counted {
        use std::cell::Cell;

        thread_local!(static RUNS: Cell<u32> = const { Cell::new(0) });

        pub(in crate::credential) fn count() {
            RUNS.set(RUNS.get() + 1);
        }

        /// How often since it was last asked.
        pub(in crate::credential) fn take() -> u32 {
            RUNS.take()
        }
    }
}
