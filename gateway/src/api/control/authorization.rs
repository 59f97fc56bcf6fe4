//! What a principal may do: `GetEffectivePolicies` and `TestAuthorization`, which asks the evaluator that the doors enforce with.
//!
//! Source: API reference, `API_GetEffectivePolicies` and `API_TestAuthorization`.

use iot_policy::{Action, Context, Decision, PolicyDocument, Request, evaluate, near_miss};
use serde_json::{Value, json};

use super::policies::named;
use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::{Input, Members, constraint_error, required},
        text::Text,
    },
    connection::context::with_thing,
    registry::{
        Certificate, CertificateId, Registry as _, RegistryError, certificates, policies, principal::Target,
        store::Tables, things,
    },
};

const RESOURCE: Text = Text { max: 2048, ..Text::ANY };
/// Requests that one call can ask about.
const MAX_REQUESTS: usize = 10;

/// A kind of request in `authInfos`.
#[derive(Clone, Copy)]
struct ActionType {
    name: &'static str,
    action: Action,
    /// What comes before the name in an ARN's resource.
    resource: &'static str,
}

const ACTION_TYPES: [ActionType; 4] = [
    ActionType { name: "PUBLISH", action: Action::Publish, resource: "topic" },
    ActionType { name: "SUBSCRIBE", action: Action::Subscribe, resource: "topicfilter" },
    ActionType { name: "RECEIVE", action: Action::Receive, resource: "topic" },
    ActionType { name: "CONNECT", action: Action::Connect, resource: "client" },
];

/// A policy's name and text.
type NamedPolicy = (String, String);

/// `GetEffectivePolicies`: the policies of a certificate, and those of the groups that a Thing is in.
///
/// # Errors
///
/// When a member does not meet its constraints, or the certificate or the Thing does not exist.
pub fn effective_policies(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let principal = principal(&input.members()?)?;
    let thing = input.query("thingName", &Text::THING_NAME)?;
    let found = api.registry.read(|tables| {
        if let Some(thing) = &thing {
            things::get(tables, thing)?;
        }
        let certificate = certificate(tables, principal.as_deref())?;
        policies::effective(tables, certificate.as_deref(), thing.as_deref())
    })?;
    let policies = found.into_iter().map(|(name, document)| {
        let policy = named(api, &name);
        with(policy, "policyDocument", Some(document))
    });
    Ok(json!({"effectivePolicies": policies.collect::<Vec<_>>()}).into())
}

/// `TestAuthorization`. The member `latchkeyNearMiss` of a result, which is not AWS's and which SDKs ignore, says which statement
/// comes closest to allowing what is denied.
///
/// # Errors
///
/// When a member does not meet its constraints, or the certificate or a policy does not exist.
pub fn test(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let members = input.members()?;
    let principal = principal(&members)?;
    let client_id = input.query("clientId", &Text::ANY)?;
    let added = members.texts("policyNamesToAdd", &Text::POLICY_NAME)?.unwrap_or_default();
    let skipped = members.texts("policyNamesToSkip", &Text::POLICY_NAME)?.unwrap_or_default();
    let requests = required("authInfos", members.structures("authInfos")?)?;
    if requests.is_empty() || requests.len() > MAX_REQUESTS {
        let constraint = format!("Member must have length from 1 to {MAX_REQUESTS}");
        return Err(constraint_error("authInfos", &constraint));
    }
    let (policies, certificate) = api.registry.read(|tables| {
        let id = certificate(tables, principal.as_deref())?;
        let mut policies = policies::effective(tables, id.as_deref(), client_id.as_deref())?;
        policies.retain(|(name, _)| !skipped.contains(name));
        for name in added {
            if policies.iter().all(|(known, _)| *known != name) {
                let (_, version) = policies::version(tables, &name, None)?;
                policies.push((name, version.document));
            }
        }
        Ok((policies, id))
    })?;
    // Every document was parsed when it was created.
    let documents = policies.iter().map(|(_, document)| PolicyDocument::parse(document));
    let documents = documents.collect::<Result<Vec<_>, _>>().map_err(|_| ApiError::internal_failure())?;
    let certificate = certificate.and_then(|id| api.registry.certificate(&CertificateId::named(&id)));
    let context = context(api, certificate.as_deref(), client_id.as_deref());
    let tested = Tested { api, policies: &policies, documents: &documents, context: &context };
    let results = requests.iter().map(|request| tested.result(request)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"authResults": results}).into())
}

struct Tested<'a> {
    api: &'a Api,
    policies: &'a [NamedPolicy],
    documents: &'a [PolicyDocument],
    context: &'a Context,
}

impl Tested<'_> {
    /// The result of one of `authInfos`: allowed if all its resources are.
    fn result(&self, members: &Members) -> Result<Value, ApiError> {
        let action = members.text("actionType", &Text::ANY)?.unwrap_or_else(|| "PUBLISH".to_owned());
        let resources = required("resources", members.texts("resources", &RESOURCE)?)?;
        let known = ACTION_TYPES.iter().find(|known| known.name == action);
        let known = known.ok_or_else(|| {
            let constraint = "Member must satisfy enum value set: [PUBLISH, SUBSCRIBE, RECEIVE, CONNECT]";
            constraint_error("actionType", constraint)
        })?;
        let (mut allowing, mut denied) = (Vec::new(), None);
        for resource in &resources {
            let prefix = self.api.shared.settings.account.iot_arn(known.resource, "");
            let name = resource.strip_prefix(&*prefix).ok_or_else(|| {
                ApiError::invalid_request(format!("a resource of {action} has to begin with {prefix}"))
            })?;
            let request = Request::new(known.action, &self.api.shared.scope, name, self.context);
            match evaluate(self.documents, &request) {
                Decision::Allowed(statement) => allowing.push(statement.document()),
                Decision::Denied(statement) => denied = Some((Some(statement.document()), None)),
                Decision::NotAllowed => {
                    let near = near_miss(self.documents, &request).map(|near| near.to_string());
                    denied.get_or_insert((None, near));
                }
            }
        }
        let info = json!({"actionType": action, "resources": resources});
        Ok(match denied {
            None => json!({
                "authInfo": info, "authDecision": "ALLOWED", "missingContextValues": [],
                "allowed": {"policies": self.named(&allowing)},
            }),
            Some((Some(document), _)) => json!({
                "authInfo": info, "authDecision": "EXPLICIT_DENY", "missingContextValues": [],
                "denied": {"explicitDeny": {"policies": self.named(&[document])}},
            }),
            Some((None, near)) => {
                let result = json!({
                    "authInfo": info, "authDecision": "IMPLICIT_DENY", "missingContextValues": [],
                    "denied": {"implicitDeny": {"policies": []}},
                });
                with(result, "latchkeyNearMiss", near)
            }
        })
    }

    /// The policies with these documents, each once.
    fn named(&self, documents: &[usize]) -> Vec<Value> {
        let used = self.policies.iter().enumerate().filter(|(n, _)| documents.contains(n));
        used.map(|(_, (name, _))| named(self.api, name)).collect()
    }
}

/// The values that policies can name, as far as the call says them.
fn context(api: &Api, certificate: Option<&Certificate>, client_id: Option<&str>) -> Context {
    let mut context = Context::empty();
    if let Some(client_id) = client_id {
        context = context.with_client_id(client_id);
    }
    let Some(certificate) = certificate else { return context };
    let context = context.with_certificate(certificate.fields().clone());
    // No Thing has an empty name.
    with_thing(context, certificate, client_id.unwrap_or_default(), &*api.registry)
}

/// The member `principal`. A Cognito identity pool has no policies here, so its id is only checked.
fn principal(members: &Members) -> Result<Option<String>, ApiError> {
    members.text("cognitoIdentityPoolId", &Text::ANY)?;
    members.text("principal", &Text::ANY)
}

/// The id of a principal's certificate, which has to exist.
fn certificate(tables: &Tables<'_>, principal: Option<&str>) -> Result<Option<String>, RegistryError> {
    match principal.map(|text| Target::read(tables, text)).transpose()? {
        Some(Target::Certificate(id)) => Ok(Some(certificates::get(tables, &id)?.id)),
        _ => Ok(None),
    }
}
