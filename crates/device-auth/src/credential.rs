//! Verifies what a device presents against its record. Only this module makes a [`VerifiedDevice`].

mod matching;

use std::sync::Arc;

use credentials::alibaba::{self, Authentication, Freshness};

use self::matching::Candidates;
use crate::{
    certificate::Certificate,
    claim::{Claim, Evidence},
    deny_reason::DenyReason,
    device_name::DeviceName,
    jwt::{self, Rules, VerifiedToken, keys::Keys},
    record::Record,
    scheme::Scheme,
    store::Lookup,
    time::UnixTime,
};

/// A device whose credential is right and whose record is valid now.
///
/// Its fields are private to this module, so [`verify`] is the only source. Binding and policies require one.
#[derive(Debug)]
pub struct VerifiedDevice {
    name: DeviceName,
    record: Arc<Record>,
    matched: Option<usize>,
    principal_id: String,
    credential_ends: Option<UnixTime>,
    token_ends: Option<UnixTime>,
}

impl VerifiedDevice {
    /// The device's name, which is proven.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// The device's record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The `principalId` of the answer: that of the certificate if there is one, else the name's digest.
    #[must_use]
    pub fn principal_id(&self) -> &str {
        &self.principal_id
    }

    /// The end of the credential or of the record, whichever comes first. From then on a refresh is refused.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        [self.credential_ends, self.token_ends, self.record.not_after].into_iter().flatten().min()
    }

    /// The end of its token. The connection must end by then, whether it is refreshed or not.
    #[must_use]
    pub fn ends_at(&self) -> Option<UnixTime> {
        self.token_ends
    }

    /// The index of the record's verifier or secret that matched. A token has none.
    #[must_use]
    pub fn matched(&self) -> Option<usize> {
        self.matched
    }
}

/// Verifies a token, and makes the claim that is in it.
///
/// # Errors
///
/// What is wrong with the token, or that the user name is another device's.
pub fn claim_of_jwt(
    token: &str,
    user_name: Option<&DeviceName>,
    keys: &Keys,
    rules: &Rules,
    now: UnixTime,
) -> Result<Claim<'static>, DenyReason> {
    let token = jwt::verify(token, keys, rules, now)?;
    if user_name.is_some_and(|name| name != token.device()) {
        return Err(DenyReason::JwtOtherDevice);
    }
    Ok(Claim { device: token.device().clone(), evidence: Evidence::Jwt(token) })
}

/// Verifies a claim against the device's record.
///
/// The evidence is checked first, and against every verifier, expired ones too. For an unknown device it is checked against a
/// decoy's verifiers. So the time of a refusal shows neither which devices exist nor how much of a guess was right.
///
/// # Errors
///
/// The reason for the refusal.
pub fn verify(
    claim: Claim<'_>,
    certificate: Option<Certificate<'_>>,
    lookup: Lookup,
    rules: FreshnessRules,
    now: UnixTime,
) -> Result<VerifiedDevice, DenyReason> {
    let Claim { device: name, evidence } = claim;
    let record = match lookup {
        Lookup::Unusable { decoy, .. } => {
            let _same_work =
                matching::matching(&evidence, &Candidates { verifiers: &decoy, secrets: &[] }, now);
            return Err(DenyReason::RecordUnusable);
        }
        Lookup::UnusableGrant { decoy, .. } => {
            let _same_work =
                matching::matching(&evidence, &Candidates { verifiers: &decoy, secrets: &[] }, now);
            return Err(DenyReason::JwtUnusableGrant);
        }
        Lookup::Unknown { decoy } => {
            // An unknown name is refused as unknown, whatever is wrong with the evidence too.
            let _same_work =
                matching::matching(&evidence, &Candidates { verifiers: &decoy, secrets: &[] }, now);
            return Err(match evidence {
                Evidence::Jwt(token) if token.grant().is_some() => DenyReason::JwtGrantNotAllowed,
                _ => DenyReason::UnknownDevice,
            });
        }
        Lookup::Found(record) => record,
    };
    let matched = matching::matching(&evidence, &Candidates::of(&record.proof), now)?;
    same_scheme(record.proof.scheme(), evidence.scheme())?;
    let matched = match evidence {
        Evidence::Jwt(ref token) => same_grant(&record, token).map(|()| None)?,
        Evidence::Token => None,
        Evidence::Password(_) => Some(matched.ok_or(DenyReason::WrongPassword)?),
        Evidence::Alibaba(..) | Evidence::Tencent(..) => Some(matched.ok_or(DenyReason::WrongSignature)?),
    };
    let signed_until = signed_until(&evidence, rules, now)?;
    in_force(&record, now)?;
    certified(&record, certificate)?;
    let own_end = matched.and_then(|matched| Candidates::of(&record.proof).expiry(matched));
    let credential_ends = [own_end, signed_until].into_iter().flatten().min();
    let token_ends = if let Evidence::Jwt(token) = &evidence { Some(token.expires_at()) } else { None };
    let principal_id = certificate.map_or_else(|| name.principal_id(), |own| own.principal_id().to_owned());
    Ok(VerifiedDevice { name, record, matched, principal_id, credential_ends, token_ends })
}

/// Checks that the evidence has the scheme of the record.
fn same_scheme(known: Scheme, presented: Scheme) -> Result<(), DenyReason> {
    match (known, presented) {
        (Scheme::Alibaba, Scheme::Password) => Err(DenyReason::AlibabaNoParameters),
        (Scheme::Tencent, Scheme::Password) => Err(DenyReason::TencentTooFewParts),
        (known, presented) if known == presented => Ok(()),
        _ => Err(DenyReason::SchemeMismatch),
    }
}

/// Checks that a token does not name another grant than the record.
fn same_grant(record: &Record, token: &VerifiedToken) -> Result<(), DenyReason> {
    match token.grant() {
        Some(grant) if grant != record.grant.name() => Err(DenyReason::JwtOtherGrant),
        _ => Ok(()),
    }
}

/// Checks that a record accepts its device at this moment.
///
/// # Errors
///
/// The reason for the refusal: the device is disabled, or the moment is outside the record's times.
pub fn in_force(record: &Record, now: UnixTime) -> Result<(), DenyReason> {
    if !record.enabled {
        return Err(DenyReason::DeviceDisabled);
    }
    if record.not_before.is_some_and(|from| now < from) {
        return Err(DenyReason::NotYetValid);
    }
    if record.not_after.is_some_and(|until| now >= until) {
        return Err(DenyReason::Expired);
    }
    Ok(())
}

/// Checks the certificate. A record with certificates requires one of them, and a record without any refuses a device that
/// presents one.
fn certified(record: &Record, certificate: Option<Certificate<'_>>) -> Result<(), DenyReason> {
    match certificate {
        None if record.certificates.is_empty() => Ok(()),
        None => Err(DenyReason::NoCertificate),
        Some(own) if record.certificates.contains(&own.fingerprint()) => Ok(()),
        Some(_) => Err(DenyReason::CertificateNotAllowed),
    }
}

/// The settings for the age of signatures.
///
/// IoT Core presents the CONNECT's credentials again at each refresh *(guess: a refresh presents the CONNECT's event
/// again)*, and a signature that is too old by then ends the session. So a window is for fleets that make a new signature
/// for each connect and may reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessRules {
    /// Alibaba: how far a signed timestamp may be from now, in seconds. `None` requires no timestamp, because most SDKs
    /// sign a constant one.
    pub alibaba_window: Option<u64>,
    /// Tencent: whether the user name's expiry is compared with the time.
    pub tencent_expiry: bool,
}

const MILLISECONDS: u64 = 1_000;

impl Default for FreshnessRules {
    fn default() -> Self {
        Self { alibaba_window: None, tencent_expiry: true }
    }
}

/// The time until which a signature is accepted. `None` means without a limit.
fn signed_until(
    evidence: &Evidence<'_>,
    rules: FreshnessRules,
    now: UnixTime,
) -> Result<Option<UnixTime>, DenyReason> {
    match evidence {
        // A device token is not signed, and neither is a timestamp that comes with it.
        Evidence::Alibaba(login, _) if login.authentication() == Authentication::DeviceSecret => {
            rules.alibaba_window.map(|window| alibaba_signed_until(login, window, now)).transpose()
        }
        Evidence::Tencent(login, _) if rules.tencent_expiry => {
            let expiry = login.expiry();
            if expiry.has_passed(now.0) {
                return Err(DenyReason::SignatureExpired);
            }
            Ok(Some(UnixTime(expiry.at_seconds())))
        }
        _ => Ok(None),
    }
}

fn alibaba_signed_until(
    login: &alibaba::Login<'_>,
    window: u64,
    now: UnixTime,
) -> Result<UnixTime, DenyReason> {
    match login.freshness(now.0, window) {
        Freshness::Stale => Err(DenyReason::TimestampStale),
        Freshness::Future => Err(DenyReason::TimestampAhead),
        Freshness::Absent => Err(DenyReason::TimestampAbsent),
        Freshness::Fresh => {
            let sent = login.timestamp().and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX);
            Ok(UnixTime((sent / MILLISECONDS).saturating_add(window)))
        }
    }
}

#[cfg(test)]
mod tests {
    //! Each refusal makes as many checks as the right credential does, so that its time shows nothing.

    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    use serde_json::{Value, json};

    use super::{matching::runs::counted, *};
    use crate::{
        claim::Password,
        record::{FunctionSettings, Unsealing},
        seal::Keyring,
        store::document::StoreDocument,
        time::Timers,
        verifier::{Verifier, budget::FunctionMemory},
    };

    const NOW: UnixTime = UnixTime(1_700_000_000);

    fn record(name: &str, record: &Value) -> Arc<Record> {
        let timers =
            Timers { refresh_after: 300.try_into().unwrap(), disconnect_after: 300.try_into().unwrap() };
        let unsealing = Unsealing::With(Arc::new(Keyring::empty().allow_plain()));
        let settings = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
        let text = json!({"version": 1, "devices": {name: record}}).to_string();
        let records = StoreDocument::parse(&text).unwrap().records(settings).unwrap();
        Arc::clone(&records.by_name[name])
    }

    fn disabled(mut device: Value) -> Value {
        device["enabled"] = json!(false);
        device
    }

    /// The outcome of a claim, and the number of checks that were made for it.
    fn checked(name: &str, evidence: Evidence<'_>, lookup: Lookup) -> (Result<(), DenyReason>, u32) {
        let claim = Claim { device: name.try_into().unwrap(), evidence };
        counted::take();
        let outcome = verify(claim, None, lookup, FreshnessRules::default(), NOW).map(drop);
        (outcome, counted::take())
    }

    fn password(text: &str) -> Password {
        Password::try_from(text.as_bytes().to_vec()).unwrap()
    }

    fn plain(secret: &str) -> String {
        format!("$plain${}", STANDARD_NO_PAD.encode(secret))
    }

    #[test]
    fn every_password_gets_the_same_number_of_checks() {
        for count in [1, 2] {
            let verifier = |text: &str| json!({"verifier": String::from(Verifier::of_generated(text.as_bytes(), [7; 16]))});
            let verifiers =
                [verifier("right"), verifier("other")].into_iter().take(count).collect::<Vec<_>>();
            let device = json!({"scheme": "password", "verifiers": verifiers, "grant": "own-topics"});
            let known = record("dev", &device);
            let decoy = Arc::from(known.proof.verifiers());
            let off = Lookup::Found(record("dev", &disabled(device)));
            for (lookup, text, outcome) in [
                (Lookup::Found(Arc::clone(&known)), "right", Ok(())),
                (Lookup::Found(known), "wrong", Err(DenyReason::WrongPassword)),
                (off.clone(), "right", Err(DenyReason::DeviceDisabled)),
                (off, "wrong", Err(DenyReason::WrongPassword)),
                (Lookup::Unknown { decoy: Arc::clone(&decoy) }, "right", Err(DenyReason::UnknownDevice)),
                (Lookup::Unknown { decoy }, "wrong", Err(DenyReason::UnknownDevice)),
            ] {
                let seen = checked("dev", Evidence::Password(password(text)), lookup);
                assert_eq!(seen, (outcome, u32::try_from(count).unwrap()), "{text}");
            }
        }
    }

    /// Look-ups of a device with one secret or two, and the outcome of a right signature for each.
    fn lookups(name: &str, devices: [Value; 2]) -> Vec<(Lookup, Result<(), DenyReason>)> {
        let mut lookups = vec![(Lookup::Unknown { decoy: Arc::from([]) }, Err(DenyReason::UnknownDevice))];
        for device in devices {
            lookups.push((Lookup::Found(record(name, &device)), Ok(())));
            lookups.push((Lookup::Found(record(name, &disabled(device))), Err(DenyReason::DeviceDisabled)));
        }
        lookups
    }

    #[test]
    fn every_alibaba_signature_gets_two_checks() {
        let device = credentials::alibaba::Device::new(
            credentials::alibaba::Identity::new("dev", "dev", "PK").unwrap(),
        );
        let right = device.sign(&credentials::Secret::try_from(&b"secret"[..]).unwrap());
        let client_id = device.client_id().to_string();
        let login = credentials::alibaba::Login::parse(&client_id, "dev&PK").unwrap();
        let secrets = json!([{"device_secret": plain("secret")}, {"device_token": plain("t"), "id": "x"}]);
        let records = [json!([secrets[0]]), secrets]
            .map(|secrets| json!({"scheme": "alibaba", "secrets": secrets, "grant": "alibaba"}));
        for (lookup, outcome) in lookups("dev&PK", records) {
            let evidence = |text: &str| Evidence::Alibaba(login, password(text));
            let unknown = matches!(lookup, Lookup::Unknown { .. });
            assert_eq!(checked("dev&PK", evidence(right.as_str()), lookup.clone()), (outcome, 2));
            let wrong = Err(if unknown { DenyReason::UnknownDevice } else { DenyReason::WrongSignature });
            assert_eq!(checked("dev&PK", evidence(&"0".repeat(64)), lookup), (wrong, 2));
        }
    }

    #[test]
    fn every_tencent_signature_gets_two_checks() {
        const PSK: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";
        let identity = credentials::tencent::Identity::new("AB12CD34EF", "dev").unwrap();
        let device = credentials::tencent::Device::new(identity, "c", u64::MAX).unwrap();
        let psk = credentials::Secret::from_base64(PSK).unwrap();
        let right = device.sign(&psk, credentials::tencent::SignMethod::HmacSha1);
        let user_name = device.user_name().to_string();
        let login = credentials::tencent::Login::parse(&user_name).unwrap();
        let secrets = json!([{"psk": plain(PSK)}, {"psk": plain("BwAJAA==")}]);
        let records = [json!([secrets[0]]), secrets]
            .map(|secrets| json!({"scheme": "tencent", "secrets": secrets, "grant": "tencent"}));
        for (lookup, outcome) in lookups("AB12CD34EFdev", records) {
            let evidence = |text: &str| Evidence::Tencent(login, password(text));
            let unknown = matches!(lookup, Lookup::Unknown { .. });
            assert_eq!(checked("AB12CD34EFdev", evidence(right.as_str()), lookup.clone()), (outcome, 2));
            let wrong = Err(if unknown { DenyReason::UnknownDevice } else { DenyReason::WrongSignature });
            let zeros = format!("{};hmacsha1", "0".repeat(40));
            assert_eq!(checked("AB12CD34EFdev", evidence(&zeros), lookup), (wrong, 2));
        }
    }
}
