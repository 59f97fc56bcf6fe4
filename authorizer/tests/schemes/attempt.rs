//! One attempt: records, an event, settings and a moment in, the answer or the reason out.

use std::sync::Arc;

use authorizer::handler::Answer;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use device_auth::{
    binding::AlibabaSessions,
    claim::IdentifiedRequest,
    credential::{self, FreshnessRules},
    decision::{DecisionContext, Stop, decide},
    deny_reason::DenyReason,
    event::Event,
    jwt::{Rules, keys::Keys},
    record::{FunctionSettings, Unsealing},
    request::{ConnectRequest, EventRequirements, Identification},
    seal::Keyring,
    store::{Lookup, document::StoreDocument, loader::Records},
    time::{Timers, UnixTime},
    verifier::budget::FunctionMemory,
};
use serde_json::{Value, json};

/// Records and settings to decide with.
pub(crate) struct Attempts {
    pub(crate) records: Records,
    pub(crate) freshness: FreshnessRules,
    pub(crate) jwt: Option<(Keys, Rules)>,
}

/// The records of a store with these devices. A record refreshes after an hour and disconnects after a day.
pub(crate) fn load(devices: &Value) -> Result<Records, String> {
    load_with(devices, &json!({}))
}

/// The same with grants of its own.
pub(crate) fn load_with(devices: &Value, grants: &Value) -> Result<Records, String> {
    let timers =
        Timers { refresh_after: 3_600.try_into().unwrap(), disconnect_after: 86_400.try_into().unwrap() };
    let unsealing = Unsealing::With(Arc::new(Keyring::empty().allow_plain()));
    let settings = FunctionSettings { timers, memory: FunctionMemory::WHOLE_CPU, unsealing };
    let text = json!({"version": 1, "grants": grants, "devices": devices}).to_string();
    let document = StoreDocument::parse(&text).map_err(|error| error.to_string())?;
    document.records(settings).map_err(|error| error.to_string())
}

impl Attempts {
    pub(crate) fn with(devices: &Value) -> Self {
        let freshness = FreshnessRules { alibaba_window: None, tencent_expiry: false };
        Self { records: load(devices).unwrap(), freshness, jwt: None }
    }

    /// The answer as JSON, or why not.
    pub(crate) fn decide(&self, event: &Value, now: u64) -> Result<Value, DenyReason> {
        let now = UnixTime(now);
        let event: Event = serde_json::from_value(event.clone()).unwrap();
        let requirements = EventRequirements { signature: false, jwt: self.jwt.is_some() };
        let ConnectRequest { identification, client_id, certificate } =
            ConnectRequest::read(&event, requirements)?;
        let claim = match (identification, &self.jwt) {
            (Identification::Claim(claim), _) => claim,
            (Identification::Jwt { .. }, None) => return Err(DenyReason::JwtNotConfigured),
            (Identification::Jwt { token, user_name }, Some((keys, rules))) => {
                credential::claim_of_jwt(&token, user_name.as_ref(), keys, rules, now)?
            }
        };
        let known = self.records.by_name.get(&claim.device).cloned();
        let lookup = known.map_or_else(|| Lookup::Unknown { decoy: Arc::from([]) }, Lookup::Found);
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f".parse().unwrap();
        let context = DecisionContext {
            arn: &arn,
            freshness: self.freshness,
            alibaba_sessions: AlibabaSessions::KeptClientIds,
            now,
        };
        let request = IdentifiedRequest { claim, client_id, certificate };
        match decide(request, lookup, context) {
            Ok(allowed) => Ok(serde_json::to_value(Answer::allow(allowed)).unwrap()),
            Err(Stop::Deny(reason)) => Err(reason),
            Err(Stop::Fault(fault)) => unreachable!("{fault}"),
        }
    }

    /// Whether the device is let in.
    pub(crate) fn outcome(&self, event: &Value) -> Result<(), DenyReason> {
        self.decide(event, 1_700_000_000).map(drop)
    }
}

/// A secret in plain text, as records hold it.
pub(crate) fn plain(secret: impl AsRef<[u8]>) -> String {
    format!("$plain${}", STANDARD_NO_PAD.encode(secret))
}

/// A CONNECT.
pub(crate) fn connect(client_id: &str, user_name: &str, password: impl AsRef<[u8]>) -> Value {
    let mqtt = json!({"clientId": client_id, "username": user_name, "password": STANDARD.encode(password)});
    json!({"protocols": ["tls", "mqtt"], "protocolData": {"mqtt": mqtt}})
}

/// Every resource of an answer, without the ARN in front.
pub(crate) fn resources(answer: &Value) -> Vec<String> {
    resources_where(answer, |_| true)
}

/// The resources of the statements with this effect.
pub(crate) fn resources_with(answer: &Value, effect: &str) -> Vec<String> {
    resources_where(answer, |statement| statement["Effect"] == effect)
}

fn resources_where(answer: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    let statements = answer["policyDocuments"].as_array().unwrap().iter();
    let statements = statements.flat_map(|document| document["Statement"].as_array().unwrap());
    let resources = statements
        .filter(|statement| wanted(statement))
        .flat_map(|statement| statement["Resource"].as_array().unwrap());
    let of_account = |resource: &Value| {
        resource.as_str().unwrap().strip_prefix("arn:aws:iot:us-east-1:123456789012:").unwrap().to_owned()
    };
    resources.map(of_account).collect()
}
