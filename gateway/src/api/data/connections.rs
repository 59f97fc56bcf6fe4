//! Connections: what they are, what they subscribe to, and their end.
//!
//! Source: API reference, `API_iotdata_GetConnection`, `API_iotdata_ListSubscriptions` and `API_iotdata_DeleteConnection`.

use std::sync::Arc;

use mqtt::{QoS, TopicFilter};
use serde_json::{Value, json};

use crate::{
    api::{
        Api,
        answer::{Answer, with},
        error::ApiError,
        input::{Input, constraint_error},
        page::Page,
        text::Text,
    },
    client_records::{ConnectionEnd, ConnectionRecord, Deletion},
};

const CLIENT_ID: Text = Text { min: 1, max: 128, ..Text::ANY };

/// `GetConnection`. A connection that has ended is known for as long as its session, or for an hour.
///
/// # Errors
///
/// When nothing is known of the client.
pub fn get(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let client_id = client_id(input)?;
    let with_sockets = input.query_flag("includeSocketInformation")?;
    let (connection, end) = known(api, &client_id)?;
    let mut answer = described(&connection, end, with_sockets);
    if let Some(members) = answer.as_object_mut() {
        let since = match end {
            None => ("connectedSince", api.millis(connection.since)),
            Some(end) => ("disconnectedSince", api.millis(end.at)),
        };
        members.insert(since.0.to_owned(), json!(since.1));
        members.insert("clientId".to_owned(), json!(client_id));
    }
    Ok(answer.into())
}

/// `ListSubscriptions`, in the order of the topic filters.
///
/// # Errors
///
/// When the client has no session.
pub fn list_subscriptions(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let client_id = client_id(input)?;
    let page = Page::read(input, "ListSubscriptions", "maxResults", 200, "nextToken")?;
    let all = api.shared.broker.subscriptions_of(&client_id).ok_or_else(|| unknown(&client_id))?;
    let begin = match page.after.as_deref() {
        Some([last]) => all.partition_point(|(filter, _)| filter.as_str() <= last.as_str()),
        _ => 0,
    };
    let found = all.into_iter().skip(begin).take(page.limit()).collect();
    let (listed, token) = page.cut(found, |(last, _): &(TopicFilter, QoS)| vec![last.as_str().to_owned()]);
    let subscriptions = listed
        .iter()
        .map(|(filter, qos)| json!({"topicFilter": filter.as_str(), "qos": u8::from(*qos)}))
        .collect::<Vec<_>>();
    Ok(with(json!({"subscriptions": subscriptions}), "nextToken", token).into())
}

/// `DeleteConnection`. The connection ends soon after the answer.
///
/// # Errors
///
/// When the client is not connected.
pub fn delete(api: &Api, input: &Input) -> Result<Answer, ApiError> {
    let client_id = client_id(input)?;
    let deletion = Deletion {
        clean_session: input.query_flag("cleanSession")?,
        prevent_will: input.query_flag("preventWillMessage")?,
    };
    match known(api, &client_id)? {
        (connection, None) => connection.delete(deletion),
        (_, Some(_)) => return Err(unknown(&client_id)),
    }
    Ok(json!({}).into())
}

/// What both `GetConnection` and `GetThingConnectivityData` say of a connection.
pub(in crate::api) fn described(
    connection: &ConnectionRecord,
    end: Option<ConnectionEnd>,
    with_sockets: bool,
) -> Value {
    let details = &connection.details;
    let mut answer = json!({
        "connected": end.is_none(), "cleanSession": details.clean_session, "keepAliveDuration": details.keep_alive,
        "sessionExpiry": details.session_expiry.as_secs(),
    });
    let (source, target) = (Some(details.source), details.target);
    let sockets = [("sourceIp", "sourcePort", source), ("targetIp", "targetPort", target)];
    if let Some(members) = answer.as_object_mut() {
        members.extend(details.thing_name.as_ref().map(|name| ("thingName".to_owned(), json!(name))));
        members.extend(end.map(|end| ("disconnectReason".to_owned(), json!(end.reason))));
        for (ip, port, address) in sockets.into_iter().filter(|_| with_sockets) {
            if let Some(address) = address {
                members.insert(ip.to_owned(), json!(address.ip().to_canonical().to_string()));
                members.insert(port.to_owned(), json!(address.port()));
            }
        }
    }
    answer
}

fn known(api: &Api, client_id: &str) -> Result<(Arc<ConnectionRecord>, Option<ConnectionEnd>), ApiError> {
    let found = api.shared.clients.of(client_id, api.shared.clock.now());
    found.ok_or_else(|| unknown(client_id))
}

fn unknown(client_id: &str) -> ApiError {
    ApiError::not_found(format!("Connection not found for the client {client_id}"))
}

fn client_id(input: &Input) -> Result<String, ApiError> {
    let client_id = input.path("clientId", &CLIENT_ID)?;
    if client_id.starts_with('$') {
        let pattern = "Member must satisfy regular expression pattern: ^[^$].*";
        return Err(constraint_error("clientId", pattern));
    }
    Ok(client_id)
}
