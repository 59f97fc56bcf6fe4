//! Policies, their versions, and what they are attached to.
//!
//! Source: API reference, `API_CreatePolicy` and the other operations on policies. `AttachPrincipalPolicy` and the three like it
//! are the older names of operations on targets.

use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, required},
        page::Page,
        text::Text,
    },
    registry::{Kind, RegistryError, policies, principal::Target, store::Tables},
};

/// The header of a principal in the older operations.
const PRINCIPAL: &str = "x-amzn-iot-principal";

/// `CreatePolicy`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let document = document(input)?;
    let tags = input.members()?.tags()?.unwrap_or_default();
    let (created, text) = (name.clone(), document.clone());
    api.registry.write(move |tables| policies::create(tables, &created, &text, &tags)).await?;
    let arn = api.arn(Kind::Policy, &name);
    Ok(json!({"policyName": name, "policyArn": arn, "policyDocument": document, "policyVersionId": "1"})
        .into())
}

/// `GetPolicy`.
///
/// # Errors
///
/// When the policy does not exist.
pub fn get(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let (policy, version) = api.registry.read(|tables| policies::version(tables, &name, None))?;
    Ok(json!({
        "policyName": name,
        "policyArn": api.arn(Kind::Policy, &name),
        "policyDocument": version.document,
        "defaultVersionId": policy.default_version.to_string(),
        "creationDate": seconds(policy.created_at),
        "lastModifiedDate": seconds(policy.modified_at),
        "generationId": generation(&name, policy.modified_at),
    })
    .into())
}

/// `DeletePolicy`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    api.registry.write(move |tables| policies::delete(tables, &name)).await?;
    Ok(json!({}).into())
}

/// `ListPolicies`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListPolicies", "pageSize", 250, "marker")?;
    let ascending = input.query_flag("isAscendingOrder")?;
    let after = page.after.as_ref().map(|_| page.after_text());
    let found = api.registry.read(|tables| policies::list(tables, ascending, after, page.limit()))?;
    Ok(listed(api, &page, found))
}

/// `CreatePolicyVersion`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn create_version(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let document = document(input)?;
    let set_as_default = input.query_flag("setAsDefault")?;
    let (policy, text) = (name.clone(), document.clone());
    let create = move |tables: &Tables<'_>| policies::create_version(tables, &policy, &text, set_as_default);
    let number = api.registry.write(create).await?;
    Ok(json!({
        "policyArn": api.arn(Kind::Policy, &name),
        "policyDocument": document,
        "policyVersionId": number.to_string(),
        "isDefaultVersion": set_as_default,
    })
    .into())
}

/// `GetPolicyVersion`.
///
/// # Errors
///
/// When the version does not exist.
pub fn get_version(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (name, number) = version(input)?;
    let (policy, version) = api.registry.read(|tables| policies::version(tables, &name, Some(number)))?;
    Ok(json!({
        "policyName": name,
        "policyArn": api.arn(Kind::Policy, &name),
        "policyDocument": version.document,
        "policyVersionId": version.version.to_string(),
        "isDefaultVersion": version.version == policy.default_version,
        "creationDate": seconds(version.created_at),
        "lastModifiedDate": seconds(version.created_at),
        "generationId": generation(&name, policy.modified_at),
    })
    .into())
}

/// `ListPolicyVersions`.
///
/// # Errors
///
/// When the policy does not exist.
pub fn list_versions(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let (policy, versions) = api.registry.read(|tables| policies::versions(tables, &name))?;
    let versions = versions.into_iter().map(|version| {
        let is_default = version.version == policy.default_version;
        json!({
            "versionId": version.version.to_string(), "isDefaultVersion": is_default,
            "createDate": seconds(version.created_at),
        })
    });
    Ok(json!({"policyVersions": versions.collect::<Vec<_>>()}).into())
}

/// `SetDefaultPolicyVersion`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn set_default_version(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (name, number) = version(input)?;
    api.registry.write(move |tables| policies::set_default(tables, &name, number)).await?;
    Ok(json!({}).into())
}

/// `DeletePolicyVersion`.
///
/// # Errors
///
/// When the registry refuses.
pub async fn delete_version(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let (name, number) = version(input)?;
    api.registry.write(move |tables| policies::delete_version(tables, &name, number)).await?;
    Ok(json!({}).into())
}

/// `AttachPolicy`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn attach(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let target = required("target", input.members()?.text("target", &Text::ANY)?)?;
    attach_to(api, input, target).await
}

/// `AttachPrincipalPolicy`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn attach_to_principal(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let target = required("principal", input.header(PRINCIPAL, "principal", &Text::ANY)?)?;
    attach_to(api, input, target).await
}

/// `DetachPolicy`. One that is not attached is a success too *(guess: a policy that is detached and was not attached)*.
///
/// # Errors
///
/// When a member does not meet its constraints, or the registry refuses.
pub async fn detach(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let target = required("target", input.members()?.text("target", &Text::ANY)?)?;
    let detach = move |tables: &Tables<'_>| policies::detach(tables, &name, &Target::read(tables, &target)?);
    api.registry.write(detach).await?;
    Ok(json!({}).into())
}

/// `DetachPrincipalPolicy`.
///
/// # Errors
///
/// When a member does not meet its constraints, or the policy is not attached.
pub async fn detach_from_principal(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let target = required("principal", input.header(PRINCIPAL, "principal", &Text::ANY)?)?;
    let detach = move |tables: &Tables<'_>| {
        if policies::detach(tables, &name, &Target::read(tables, &target)?)? {
            return Ok(());
        }
        Err(RegistryError::NotFound { kind: Kind::Policy, name })
    };
    api.registry.write(detach).await?;
    Ok(json!({}).into())
}

/// `ListAttachedPolicies`. With `recursive`, those of the groups above a Thing group are listed too *(guess: the groups above
/// it, whose policies count for its Things, and not those below it)*.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list_attached(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let target = input.path("target", &Text::ANY)?;
    let recursive = input.query_flag("recursive")?;
    let page = Page::read(input, "ListAttachedPolicies", "pageSize", 250, "marker")?;
    attached_to(api, &page, &target, recursive)
}

/// `ListPrincipalPolicies`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list_of_principal(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    // The order is that of the names.
    input.query_flag("isAscendingOrder")?;
    let target = required("principal", input.header(PRINCIPAL, "principal", &Text::ANY)?)?;
    let page = Page::read(input, "ListPrincipalPolicies", "pageSize", 250, "marker")?;
    attached_to(api, &page, &target, false)
}

/// `ListTargetsForPolicy`.
///
/// # Errors
///
/// When the policy does not exist.
pub fn list_targets(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let page = Page::read(input, "ListTargetsForPolicy", "pageSize", 250, "marker")?;
    targets(api, &page, &name, "targets")
}

/// `ListPolicyPrincipals`.
///
/// # Errors
///
/// When the policy does not exist.
pub fn list_principals(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    // The order is that of the targets.
    input.query_flag("isAscendingOrder")?;
    let name = required("policyName", input.header("x-amzn-iot-policy", "policyName", &Text::POLICY_NAME)?)?;
    let page = Page::read(input, "ListPolicyPrincipals", "pageSize", 250, "marker")?;
    targets(api, &page, &name, "principals")
}

/// A policy's name and ARN, as lists have them.
pub(super) fn named(api: &Api, name: &str) -> Value {
    json!({"policyName": name, "policyArn": api.arn(Kind::Policy, name)})
}

async fn attach_to(api: &Api, input: &Input, target: String) -> Result<Answer, ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let attach = move |tables: &Tables<'_>| policies::attach(tables, &name, &Target::read(tables, &target)?);
    api.registry.write(attach).await?;
    Ok(json!({}).into())
}

fn attached_to(api: &Api, page: &Page, target: &str, recursive: bool) -> Result<Answer, ApiError> {
    let found = api.registry.read(|tables| {
        let target = Target::read(tables, target)?;
        if recursive {
            policies::of_target_and_above(tables, &target, page.after_text(), page.limit())
        } else {
            policies::of_target(tables, &target.arn(tables), page.after_text(), page.limit())
        }
    })?;
    Ok(listed(api, page, found))
}

fn targets(api: &Api, page: &Page, name: &str, member: &str) -> Result<Answer, ApiError> {
    let found =
        api.registry.read(|tables| policies::targets(tables, name, page.after_text(), page.limit()))?;
    let (found, token) = page.cut(found, |target| vec![target.clone()]);
    Ok(with(json!({member: found}), "nextMarker", token).into())
}

fn listed(api: &Api, page: &Page, found: Vec<String>) -> Answer {
    let (found, token) = page.cut(found, |name| vec![name.clone()]);
    let policies = found.iter().map(|name| named(api, name)).collect::<Vec<_>>();
    with(json!({"policies": policies}), "nextMarker", token).into()
}

fn document(input: &Input) -> Result<String, ApiError> {
    required("policyDocument", input.members()?.text("policyDocument", &Text::POLICY_DOCUMENT)?)
}

fn version(input: &Input) -> Result<(String, i64), ApiError> {
    let name = input.path("policyName", &Text::POLICY_NAME)?;
    let number = input.path("policyVersionId", &Text::POLICY_VERSION)?;
    // A number that is too large is a version that does not exist.
    Ok((name, number.parse().unwrap_or(i64::MAX)))
}

/// AWS's `generationId` identifies a state of the policy.
fn generation(name: &str, modified_at: i64) -> String {
    format!("{name}-{modified_at}")
}
