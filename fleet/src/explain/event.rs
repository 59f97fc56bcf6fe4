//! The authorizer's decision about one event, step by step, with the authorizer's own code.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::Context as _;
use cli::{
    console::{counted, wrapped},
    output::escaped,
};
use device_auth::{
    binding::{self, AlibabaSessions, PersistentSession},
    claim::Claim,
    credential::{self, FreshnessRules},
    decision::{Allowed, Stop},
    deny_reason::DenyReason,
    event::Event,
    jwt::{Leeway, Rules, keys::Keys},
    policy::PolicyDocument,
    request::{ConnectRequest, EventRequirements, Identification},
    store::{Lookup, snapshot::Snapshot},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{INDENT, Moment};
use crate::args::JwtArgs;

/// More than an event with the longest password and all headers.
const MAX_BYTES: u64 = 1024 * 1024;

/// How JSON Web Tokens are verified. Without keys no token is accepted.
pub(super) struct Verification(Option<(Keys, Rules)>);

/// The steps of a decision, up to the one that ended it.
pub(super) struct Trace {
    steps: Vec<Step>,
    /// The client id, once it was read.
    pub(super) client_id: Option<String>,
    /// The answer.
    pub(super) result: Result<Allowed, Stop<String>>,
}

struct Step {
    name: &'static str,
    text: String,
}

/// Reads a captured event.
///
/// # Errors
///
/// When the file can't be read, or is not an event.
pub(super) fn read(path: &Path) -> anyhow::Result<Event> {
    let unreadable = || format!("can't read `{}`", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES).read_to_string(&mut text).with_context(unreadable)?;
    Event::parse(&text).with_context(|| {
        format!("`{}` is not an event of a custom authorizer: JSON with `protocolData`", path.display())
    })
}

impl Verification {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// When there are none in the file.
    pub(super) fn read(args: &JwtArgs) -> anyhow::Result<Self> {
        let Some(location) = &args.jwt_keys else { return Ok(Self(None)) };
        let (kind, path) = location.split_once(':').unwrap_or_default();
        let parse = match kind {
            "pem" => Keys::from_pem,
            "jwks" => Keys::from_jwks,
            _ => anyhow::bail!("`--jwt-keys` is `pem:FILE` or `jwks:FILE`: download the JWKS of a URL first"),
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("can't read `{path}`"))?;
        let rules = Rules {
            issuer: args.jwt_issuer.clone(),
            audience: args.jwt_audience.clone(),
            leeway: Leeway::DEFAULT,
            device_claim: args.jwt_device_claim.clone(),
            grant_claim: args.jwt_grant_claim.clone(),
            grants: args.jwt_grants.iter().cloned().collect(),
        };
        Ok(Self(Some((parse(&text).with_context(|| format!("`{path}`"))?, rules))))
    }
}

/// Decides about an event as the function does with its default settings.
pub(super) fn decide(
    event: &Event,
    verification: &Verification,
    records: &Snapshot,
    moment: Moment<'_>,
) -> Trace {
    let mut trace = Trace { steps: Vec::new(), client_id: None, result: Err(DenyReason::NotAnEvent.into()) };
    trace.result = steps(event, verification, records, moment, &mut trace);
    if let Err(stop) = &trace.result {
        let text = match stop {
            Stop::Deny(reason) => format!("refused: {}", reason.as_str()),
            Stop::Fault(fault) => format!("fault: {fault}"),
        };
        if let Some(last) = trace.steps.last_mut() {
            last.text = if last.text.is_empty() { text } else { format!("{}; {text}", last.text) };
        }
    }
    trace
}

fn steps(
    event: &Event,
    Verification(jwt): &Verification,
    records: &Snapshot,
    Moment { account, now }: Moment<'_>,
    trace: &mut Trace,
) -> Result<Allowed, Stop<String>> {
    trace.begin("event", protocol(event));
    let requirements = EventRequirements { signature: false, jwt: jwt.is_some() };
    let ConnectRequest { identification, client_id, certificate } =
        ConnectRequest::read(event, requirements)?;
    trace.client_id = client_id.as_ref().map(|id| id.as_str().to_owned());
    let claim = match identification {
        Identification::Claim(claim) => claim,
        Identification::Jwt { token, user_name } => {
            trace.begin("token", String::new());
            let (keys, rules) = jwt.as_ref().ok_or(DenyReason::JwtNotConfigured)?;
            credential::claim_of_jwt(&token, user_name.as_ref(), keys, rules, now)?
        }
    };
    trace.begin("claim", claimed(&claim));
    let lookup = records.look_up(&claim.device, claim.token_grant());
    trace.begin("record", found(&lookup));
    let session = PersistentSession::of(&claim, AlibabaSessions::KeptClientIds);
    trace.begin("credential", String::new());
    let verified = credential::verify(claim, certificate, lookup, FreshnessRules::default(), now)?;
    trace.end(
        verified
            .matched()
            .map_or("accepted".to_owned(), |index| format!("number {index} of the record matches")),
    );
    trace.begin(
        "client id",
        client_id.as_ref().map_or("none: the device's name".to_owned(), ToString::to_string),
    );
    let bound = binding::bind(verified, client_id, session)?;
    trace.client_id = Some(bound.client_id().as_str().to_owned());
    if bound.session() == PersistentSession::Never {
        trace.end(format!("{}, which gets no persistent session", bound.client_id()));
    }
    trace.begin("documents", String::new());
    let allowed =
        Allowed::new(&bound, &account.function, now).map_err(|error| Stop::Fault(error.to_string()))?;
    let characters = allowed.documents.iter().map(PolicyDocument::characters).sum::<usize>();
    trace.end(format!(
        "{} of the grant `{}`, {characters} characters",
        counted(allowed.documents.len(), "document"),
        escaped(&allowed.grant)
    ));
    Ok(allowed)
}

fn protocol(event: &Event) -> String {
    let data = event.protocol_data.as_ref();
    let protocol = match data.map(|data| (&data.mqtt, &data.http)) {
        Some((Some(_), Some(_))) => "MQTT over WebSocket",
        Some((Some(_), None)) => "MQTT",
        Some((None, Some(_))) => "HTTPS publish",
        Some((None, None)) | None => "neither MQTT nor HTTPS",
    };
    let token = match (&event.token, event.signature_verified) {
        (None, _) => "",
        (Some(_), Some(true)) => ", a token with a verified signature",
        (Some(_), _) => ", a token without a verified signature",
    };
    format!("{protocol}{token}")
}

fn claimed(claim: &Claim<'_>) -> String {
    format!("the device `{}`, scheme {}", claim.device, claim.evidence.scheme().as_str())
}

fn found(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Found(record) => format!(
            "scheme {}, grant `{}`, {}",
            record.proof.scheme().as_str(),
            escaped(record.grant.name()),
            if record.enabled { "enabled" } else { "disabled" }
        ),
        Lookup::Unusable { error, .. } | Lookup::UnusableGrant { error, .. } => {
            format!("can't be used: {}", escaped(error.to_string()))
        }
        Lookup::Unknown { .. } => "none has this name".to_owned(),
    }
}

impl Trace {
    fn begin(&mut self, name: &'static str, text: String) {
        self.steps.push(Step { name, text });
    }

    /// Sets what the last step found.
    fn end(&mut self, text: String) {
        if let Some(last) = self.steps.last_mut() {
            last.text = text;
        }
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.result.is_ok()
    }

    /// The decision's reason or its numbers, as JSON.
    pub(super) fn json(&self) -> Map<String, Value> {
        let steps = self.steps.iter().map(|step| json!({"step": step.name, "result": step.text}));
        let mut json = Map::from_iter([("steps".to_owned(), steps.collect::<Value>())]);
        match &self.result {
            Ok(allowed) => {
                json.insert("grant".to_owned(), allowed.grant.clone().into());
                json.insert("principal_id".to_owned(), allowed.principal_id.clone().into());
                json.insert("refresh_after_seconds".to_owned(), allowed.timers.refresh_after.get().into());
                json.insert(
                    "disconnect_after_seconds".to_owned(),
                    allowed.timers.disconnect_after.get().into(),
                );
                json.insert("documents".to_owned(), json!(allowed.documents));
            }
            Err(Stop::Deny(reason)) => _ = json.insert("reason".to_owned(), reason.as_str().into()),
            Err(Stop::Fault(fault)) => _ = json.insert("fault".to_owned(), fault.clone().into()),
        }
        json
    }

    /// The steps and the answer, for people.
    pub(super) fn text(&self) -> String {
        let answer = match &self.result {
            Ok(allowed) => format!(
                "allow; refresh after {} s, disconnect after {} s",
                allowed.timers.refresh_after.get(),
                allowed.timers.disconnect_after.get()
            ),
            Err(Stop::Deny(reason)) => {
                format!("deny, {}: {}", reason.as_str(), reason.explanation())
            }
            Err(Stop::Fault(fault)) => format!("none: {fault}"),
        };
        let steps = self.steps.iter().map(|step| (step.name, step.text.as_str()));
        let lines = steps
            .chain([("answer", answer.as_str())])
            .map(|(name, text)| format!("{}\n", wrapped(INDENT, &format!("{name:<INDENT$}{text}"))));
        lines.collect()
    }
}
