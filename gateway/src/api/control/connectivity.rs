//! `GetThingConnectivityData`.
//!
//! Source: API reference, `API_GetThingConnectivityData`.

use serde_json::json;

use crate::{
    api::{
        Api,
        answer::{Answer, seconds},
        data::connections,
        error::ApiError,
        input::Input,
        text::Text,
    },
    registry::things,
};

/// `GetThingConnectivityData`: the last connection with the Thing's name as its client id.
///
/// # Errors
///
/// When the Thing does not exist.
pub fn get(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let name = input.path("thingName", &Text::THING_NAME)?;
    let with_sockets = input.members()?.flag("includeSocketInformation")?.unwrap_or_default();
    api.registry.read(|tables| things::get(tables, &name))?;
    let known = api.shared.clients.of(&name, api.shared.clock.now());
    let mut answer = match &known {
        Some((connection, end)) => connections::described(connection, *end, with_sockets),
        None => json!({"connected": false}),
    };
    // 0 for a Thing that never connected (measured, in a search of the fleet's index).
    let since = known.map(|(connection, end)| end.map_or(connection.since, |end| end.at));
    if let Some(members) = answer.as_object_mut() {
        members.insert("thingName".to_owned(), json!(name));
        members.insert("clientId".to_owned(), json!(name));
        let timestamp = since.map_or(0, |at| api.millis(at));
        members.insert("timestamp".to_owned(), json!(seconds(timestamp)));
    }
    Ok(answer.into())
}
