//! Device shadows.
//!
//! Source: API reference, `API_iotdata_GetThingShadow`, `API_iotdata_UpdateThingShadow`, `API_iotdata_DeleteThingShadow`,
//! `API_iotdata_ListNamedShadowsForThing`.

use serde_json::json;

use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::Input,
        page::Page,
        text::Text,
    },
    session::shadow,
    shadow::{Operation, RequestTopic, ShadowId},
};

/// The most names of a page.
const MAX_PAGE: usize = 100;

/// `GetThingShadow`.
///
/// # Errors
///
/// When a name does not meet its constraints, or the shadow does not exist.
pub async fn get(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    call(api, input, Operation::Get).await
}

/// `UpdateThingShadow`.
///
/// # Errors
///
/// When a name does not meet its constraints, or the change is rejected.
pub async fn update(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    call(api, input, Operation::Update).await
}

/// `DeleteThingShadow`.
///
/// # Errors
///
/// When a name does not meet its constraints, or the shadow does not exist.
pub async fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    call(api, input, Operation::Delete).await
}

/// `ListNamedShadowsForThing`.
///
/// # Errors
///
/// When a member does not meet its constraints.
pub fn list(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let thing = ShadowId::new(&input.path("thingName", &Text::THING_NAME)?, None)?;
    let page = Page::read(input, "ListNamedShadowsForThing", "pageSize", MAX_PAGE, "nextToken")?;
    let (shared, now) = (&api.shared, api.shared.clock.now());
    shared.account_rates.shadow(&thing, &shared.settings.quotas, now)?;
    let after = page.after.as_ref().and_then(|position| position.first()).map(String::as_str);
    let found = shared.broker.shadow_names(thing.thing(), after, page.limit());
    let (names, token) = page.cut(found, |last| vec![last.to_string()]);
    let names = names.iter().map(|name| &**name).collect::<Vec<_>>();
    let timestamp = shared.clock.epoch().unix_seconds(now);
    Ok(with(json!({"results": names, "timestamp": timestamp}), "nextToken", token).into())
}

/// Clients that sign their requests are not asked for a policy: the key is the account's own.
async fn call(api: &Api, input: &Input, operation: Operation) -> Result<Answer, ApiError> {
    let thing = input.path("thingName", &Text::THING_NAME)?;
    let name = input.query("name", &Text::SHADOW_NAME)?;
    let topic = RequestTopic { id: ShadowId::new(&thing, name.as_deref()), operation };
    let (shared, now) = (&api.shared, api.shared.clock.now());
    let request = shadow::request(topic, &input.body, &shared.settings.quotas, &shared.account_rates, now)?;
    let answered = shared.broker.call_shadow(request, shared.clock.epoch().unix_seconds(now), now).await;
    let answer = answered.map_err(|error| {
        tracing::error!(%error, "a shadow can't be written");
        ApiError::internal_failure()
    })?;
    Ok(Answer::payload(answer?.payload, "application/json"))
}
