//! Authorizers: eight of the nine operations; the ninth is in [`test_invocation`](super::test_invocation).
//!
//! Messages are word for word those that were measured. Source: API reference, `API_CreateAuthorizer` and its neighbours.

use std::{collections::BTreeMap, sync::Arc};

use iot_policy::limits::MAX_AUTHORIZERS;
use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::{Answer, seconds, with},
        error::ApiError,
        input::{Input, Members, constraint_error, required},
        page::Page,
        text::Text,
    },
    custom_auth::{
        admission::{Authorizer, AuthorizerSet, DefaultAuthorizer, Origin},
        authorizer::{AuthorizerName, AuthorizerStatus},
        definition::{Changes, Definition},
    },
    registry::{
        Kind, RegistryError, authorizers,
        store::Tables,
        tags::{self, Tags},
    },
};

const STATUSES: [AuthorizerStatus; 2] = [AuthorizerStatus::Active, AuthorizerStatus::Inactive];

/// `CreateAuthorizer`.
///
/// # Errors
///
/// When AWS does not accept the authorizer, or there is one of its name.
pub async fn create(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let members = input.members()?;
    let changes = changes(&members)?;
    let tags = members.tags()?.unwrap_or_default();
    required("authorizerFunctionArn", changes.function_arn.as_ref())?;
    let _one_at_a_time = api.shared.authorizers.begin_change().await;
    let set = api.shared.authorizers.current();
    let definition = Definition::new(&name, changes, api.millis(api.shared.clock.now()))
        .map_err(|error| refused(&error))?;
    if set.get(&name).is_some() {
        let message = format!("Authorizer {name} already exist for this account");
        return Err(ApiError::already_exists(message, name.as_str(), &arn(api, &name)));
    }
    if set.all().count() >= MAX_AUTHORIZERS {
        return Err(ApiError::limit_exceeded(format!(
            "at most {MAX_AUTHORIZERS} authorizers can be registered"
        )));
    }
    put(api, &set, name, definition, tags).await
}

/// `UpdateAuthorizer`.
///
/// # Errors
///
/// When AWS does not accept the change, or there is no such authorizer.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let changes = changes(&input.members()?)?;
    let _one_at_a_time = api.shared.authorizers.begin_change().await;
    let set = api.shared.authorizers.current();
    let authorizer = own(api, &set, &name)?;
    let definition = authorizer
        .definition
        .updated(&name, changes, api.millis(api.shared.clock.now()))
        .map_err(|error| refused(&error))?;
    put(api, &set, name, definition, Tags::new()).await
}

/// `DescribeAuthorizer`.
///
/// # Errors
///
/// When there is no such authorizer.
pub fn describe(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let set = api.shared.authorizers.current();
    Ok(json!({"authorizerDescription": description(api, find(&set, &name)?)}).into())
}

/// `DeleteAuthorizer`.
///
/// # Errors
///
/// When there is no such authorizer, or it is ACTIVE or the default one.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = name(input)?;
    let _one_at_a_time = api.shared.authorizers.begin_change().await;
    let set = api.shared.authorizers.current();
    if own(api, &set, &name)?.is_active() {
        let message = format!(
            "Cannot delete authorizer {name} in ACTIVE status. Update status to INACTIVE and delete."
        );
        return Err(ApiError::invalid_request(message));
    }
    if set.default_authorizer().is_some_and(|default| *default.name() == name) {
        let message = format!("Cannot delete default authorizer {name}. Change default and retry delete.");
        return Err(ApiError::delete_conflict(message));
    }
    let deleted = name.clone();
    api.registry.write(move |tables| authorizers::delete(tables, &deleted)).await?;
    api.shared.authorizers.replace((*set).clone().without(&name));
    Ok(json!({}).into())
}

/// `ListAuthorizers`: the newest first.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let page = Page::read(input, "ListAuthorizers", "pageSize", 250, "marker")?;
    let status = status(input.query("status", &Text::ANY)?)?;
    let ascending = input.query_flag("isAscendingOrder")?;
    let set = api.shared.authorizers.current();
    let mut all =
        set.all().filter(|it| status.is_none_or(|status| it.definition.status == status)).collect::<Vec<_>>();
    // At most a hundred. Two of the same millisecond are in the order of their names.
    let position = |it: &Authorizer| (it.definition.created_at, it.name.to_string());
    all.sort_by_key(|authorizer| position(authorizer));
    if !ascending {
        all.reverse();
    }
    // The last one of the page before may be deleted by now.
    if let Some([created_at, name]) = page.after.as_deref() {
        let last = (created_at.parse().unwrap_or_default(), name.clone());
        all.retain(|it| if ascending { position(it) > last } else { position(it) < last });
    }
    let found = all.into_iter().take(page.limit()).collect();
    let (listed, token) = page.cut(found, |last: &&Arc<Authorizer>| {
        vec![last.definition.created_at.to_string(), last.name.to_string()]
    });
    let summaries = listed
        .iter()
        .map(|it| json!({"authorizerName": it.name.as_str(), "authorizerArn": arn(api, &it.name)}));
    Ok(with(json!({"authorizers": summaries.collect::<Vec<_>>()}), "nextMarker", token).into())
}

/// `SetDefaultAuthorizer`.
///
/// # Errors
///
/// When there is no such authorizer, or it is the default one.
pub async fn set_default(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = required("authorizerName", input.members()?.text("authorizerName", &Text::AUTHORIZER_NAME)?)?;
    let _one_at_a_time = api.shared.authorizers.begin_change().await;
    let set = api.shared.authorizers.current();
    let name = find_by_text(&set, &name)?.name.clone();
    match set.default_authorizer() {
        Some(DefaultAuthorizer::SetByApi(default) | DefaultAuthorizer::Set(default)) if *default == name => {
            let message = format!("Duplicate default authorizer {name} already configured for this account");
            return Err(ApiError::already_exists(message, name.as_str(), &arn(api, &name)));
        }
        default => changeable(api, default)?,
    }
    let default = name.clone();
    api.registry.write(move |tables| authorizers::set_default(tables, Some(&default))).await?;
    let default = Some(DefaultAuthorizer::SetByApi(name.clone()));
    api.shared.authorizers.replace((*set).clone().with_default(default));
    Ok(named(api, &name))
}

/// `ClearDefaultAuthorizer`.
///
/// # Errors
///
/// When there is none.
pub async fn clear_default(api: &Api, _input: &Input) -> Result<Answer, ApiError> {
    let _one_at_a_time = api.shared.authorizers.begin_change().await;
    let set = api.shared.authorizers.current();
    changeable(api, set.default_authorizer())?;
    if !matches!(set.default_authorizer(), Some(DefaultAuthorizer::SetByApi(_))) {
        return Err(no_default());
    }
    api.registry.write(|tables| authorizers::set_default(tables, None)).await?;
    let implied = api.shared.settings.default_authorizer.clone();
    let implied = implied.filter(|default| matches!(default, DefaultAuthorizer::Implied(_)));
    api.shared.authorizers.replace((*set).clone().with_default(implied));
    Ok(json!({}).into())
}

/// `DescribeDefaultAuthorizer`. One that no call and no settings file has set is none for AWS.
///
/// # Errors
///
/// When there is none.
pub fn describe_default(api: &Api, _input: &Input) -> Result<Answer, ApiError> {
    let set = api.shared.authorizers.current();
    match set.default_authorizer() {
        Some(DefaultAuthorizer::Set(name) | DefaultAuthorizer::SetByApi(name)) => {
            Ok(json!({"authorizerDescription": description(api, find(&set, name)?)}).into())
        }
        Some(DefaultAuthorizer::Implied(_)) | None => Err(no_default()),
    }
}

/// The authorizer with the name in the path.
///
/// # Errors
///
/// When the name does not meet its constraints, or there is no such authorizer.
pub(super) fn of_path(api: &Api, input: &Input) -> Result<Arc<Authorizer>, ApiError> {
    let name = name(input)?;
    find(&api.shared.authorizers.current(), &name).cloned()
}

/// Writes an authorizer into the file, and then puts it in force: the next connect is served by it.
async fn put(
    api: &Api,
    set: &AuthorizerSet,
    name: AuthorizerName,
    definition: Definition,
    tags: Tags,
) -> Result<Answer, ApiError> {
    let authorizer = Authorizer::of_api(name.clone(), definition.clone(), &api.shared.functions);
    let set = set.clone().with(authorizer.map_err(|error| refused(&error))?);
    let set = set.map_err(|error| ApiError::limit_exceeded(error.to_string()))?;
    let answer = named(api, &name);
    let put = move |tables: &Tables<'_>| {
        authorizers::put(tables, &name, &definition)?;
        tags::put(tables, Kind::Authorizer, name.as_str(), &tags)
    };
    api.registry.write(put).await?;
    api.shared.authorizers.replace(set);
    Ok(answer)
}

fn name(input: &Input) -> Result<AuthorizerName, ApiError> {
    let text = input.path("authorizerName", &Text::AUTHORIZER_NAME)?;
    AuthorizerName::try_from(text.as_str()).map_err(|error| ApiError::invalid_request(error.to_string()))
}

fn changes(members: &Members) -> Result<Changes, ApiError> {
    let keys = members.map("tokenSigningPublicKeys", &Text::KEY_NAME, &Text::KEY)?;
    Ok(Changes {
        function_arn: members.text("authorizerFunctionArn", &Text::FUNCTION_ARN)?,
        token_key_name: members.text("tokenKeyName", &Text::TOKEN_KEY_NAME)?,
        keys: keys.map(BTreeMap::from_iter),
        status: status(members.text("status", &Text::ANY)?)?,
        caching_for_http: members.flag("enableCachingForHttp")?,
        signing_disabled: members.flag("signingDisabled")?.unwrap_or_default(),
    })
}

fn status(text: Option<String>) -> Result<Option<AuthorizerStatus>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let status = STATUSES.into_iter().find(|status| status.as_str() == text);
    let names = STATUSES.map(AuthorizerStatus::as_str).join(", ");
    status
        .map(Some)
        .ok_or_else(|| constraint_error("status", &format!("Member must satisfy enum value set: [{names}]")))
}

fn find<'a>(set: &'a AuthorizerSet, name: &AuthorizerName) -> Result<&'a Arc<Authorizer>, ApiError> {
    set.get(name).ok_or_else(|| not_found(name.as_str()))
}

/// The authorizer with this name, if it is one.
pub(super) fn find_by_text<'a>(set: &'a AuthorizerSet, name: &str) -> Result<&'a Arc<Authorizer>, ApiError> {
    let found = AuthorizerName::try_from(name).ok().and_then(|name| set.get(&name));
    found.ok_or_else(|| not_found(name))
}

/// An authorizer that an API call has made.
pub(super) fn own<'a>(
    api: &Api,
    set: &'a AuthorizerSet,
    name: &AuthorizerName,
) -> Result<&'a Arc<Authorizer>, ApiError> {
    let authorizer = find(set, name)?;
    match authorizer.origin {
        Origin::Api => Ok(authorizer),
        Origin::Settings => Err(of_settings(api, name)),
    }
}

/// An error if the settings file sets the default authorizer.
fn changeable(api: &Api, default: Option<&DefaultAuthorizer>) -> Result<(), ApiError> {
    match default {
        Some(DefaultAuthorizer::Set(name)) => Err(of_settings(api, name)),
        _ => Ok(()),
    }
}

fn of_settings(api: &Api, name: &AuthorizerName) -> ApiError {
    let (name, path) = (name.to_string(), api.registry.settings_file().to_owned());
    RegistryError::OfSettingsFile { kind: Kind::Authorizer, name, path }.into()
}

fn not_found(name: &str) -> ApiError {
    ApiError::not_found(format!("Authorizer {name} not found"))
}

fn no_default() -> ApiError {
    ApiError::not_found("Default authorizer not found")
}

fn refused(error: &impl ToString) -> ApiError {
    ApiError::invalid_request(error.to_string())
}

fn arn(api: &Api, name: &AuthorizerName) -> String {
    api.arn(Kind::Authorizer, name.as_str())
}

fn named(api: &Api, name: &AuthorizerName) -> Answer {
    json!({"authorizerName": name.as_str(), "authorizerArn": arn(api, name)}).into()
}

/// Without signing, AWS answers null for the keys and their name (measured).
fn description(api: &Api, authorizer: &Authorizer) -> Value {
    let Definition { function_arn, token_key_name, keys, status, caching_for_http, created_at, modified_at } =
        &authorizer.definition;
    json!({
        "authorizerName": authorizer.name.as_str(), "authorizerArn": arn(api, &authorizer.name),
        "authorizerFunctionArn": function_arn, "tokenKeyName": token_key_name, "tokenSigningPublicKeys": keys,
        "status": status.as_str(), "creationDate": seconds(*created_at),
        "lastModifiedDate": seconds(*modified_at), "signingDisabled": keys.is_none(),
        "enableCachingForHttp": caching_for_http,
    })
}
