//! Compares evidence with a record's verifiers or secrets, in a time that does not show which of them matched.

use credentials::{Choice, Secret, alibaba};
use subtle::ConditionallySelectable as _;

use crate::{
    claim::{Evidence, Password},
    deny_reason::DenyReason,
    record::{LiveSecret, MAX_VERIFIERS, Proof},
    time::UnixTime,
    verifier::LiveVerifier,
};

/// The verifiers and secrets that evidence is compared with.
pub(super) struct Candidates<'r> {
    pub(super) verifiers: &'r [LiveVerifier],
    pub(super) secrets: &'r [LiveSecret],
}

impl<'r> Candidates<'r> {
    pub(super) fn of(proof: &'r Proof) -> Self {
        match proof {
            Proof::Password(verifiers) => Self { verifiers, secrets: &[] },
            Proof::Alibaba(secrets) | Proof::Tencent(secrets) => Self { verifiers: &[], secrets },
            Proof::Jwt | Proof::Token => Self { verifiers: &[], secrets: &[] },
        }
    }

    /// When the verifier or secret with this index expires.
    pub(super) fn expiry(&self, at: usize) -> Option<UnixTime> {
        let verifier = self.verifiers.get(at).and_then(|verifier| verifier.expires_at);
        verifier.or_else(|| self.secrets.get(at).and_then(|secret| secret.expires_at))
    }
}

/// The index of the valid verifier or secret that matches. The search does not stop at the first match.
///
/// # Errors
///
/// What is wrong with the form of a signature, whatever the secret is.
pub(super) fn matching(
    evidence: &Evidence<'_>,
    candidates: &Candidates<'_>,
    now: UnixTime,
) -> Result<Option<usize>, DenyReason> {
    match evidence {
        Evidence::Password(password) => Ok(password_matching(password, candidates.verifiers, now)),
        Evidence::Alibaba(login, password) => signature_matching(candidates.secrets, now, |secret, decoy| {
            let key = secret.and_then(|live| live.secret.alibaba_key(login.identity().id()));
            let is_key = Choice::from(u8::from(key.is_some()));
            let key = key.unwrap_or(alibaba::Key::DeviceSecret(decoy));
            Ok(login.verify(key, password.as_bytes())? & is_key)
        }),
        Evidence::Tencent(login, password) => signature_matching(candidates.secrets, now, |secret, decoy| {
            let psk = secret.and_then(|live| live.secret.psk());
            let is_psk = Choice::from(u8::from(psk.is_some()));
            Ok(login.verify(psk.unwrap_or(decoy), password.as_bytes())? & is_psk)
        }),
        Evidence::Jwt(_) | Evidence::Token => Ok(None),
    }
}

fn password_matching(password: &Password, verifiers: &[LiveVerifier], now: UnixTime) -> Option<usize> {
    let mut found = Match::nothing();
    for (at, candidate) in (0_u64..).zip(verifiers) {
        runs::count();
        let live = Choice::from(u8::from(candidate.is_live(now)));
        found.add(at, candidate.verifier.matches(password.as_bytes()) & live);
    }
    found.index()
}

/// Makes as many checks as a record can have secrets. For missing secrets it uses one that no device has.
fn signature_matching(
    secrets: &[LiveSecret],
    now: UnixTime,
    matches: impl Fn(Option<&LiveSecret>, &Secret) -> Result<Choice, DenyReason>,
) -> Result<Option<usize>, DenyReason> {
    let decoy = Secret::nobodys();
    let mut found = Match::nothing();
    let candidates = secrets.iter().map(Some).chain(std::iter::repeat(None)).take(MAX_VERIFIERS);
    for (at, candidate) in (0_u64..).zip(candidates) {
        runs::count();
        let live = Choice::from(u8::from(candidate.is_some_and(|secret| secret.is_live(now))));
        found.add(at, matches(candidate, &decoy)? & live);
    }
    Ok(found.index())
}

struct Match {
    any: Choice,
    at: u64,
}

impl Match {
    fn nothing() -> Self {
        Self { any: Choice::from(0), at: 0 }
    }

    fn add(&mut self, at: u64, matches: Choice) {
        self.at.conditional_assign(&at, matches);
        self.any |= matches;
    }

    fn index(&self) -> Option<usize> {
        bool::from(self.any).then(|| usize::try_from(self.at).ok()).flatten()
    }
}

/// Counts checks, for the tests.
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

        /// The number of checks since the last call of this.
        pub(in crate::credential) fn take() -> u32 {
            RUNS.take()
        }
    }
}
