//! Connections and sessions: what they are, and what a person may do to them.

use std::sync::Arc;

use mqtt::Version;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Answer, CallError, Query, observer};
use crate::{
    broker::{inspection::SessionEntry, outbox::DeliveryLimits, registration::SessionRequest},
    client_records::{ConnectionRecord, ConnectionRequest, Deletion},
    clock::Moment,
    shared::Shared,
};

/// How long a connection may take to tell its state: one that waits for a slow client answers later.
const INSPECTION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// A connection that is to end.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Disconnect {
    client_id: String,
    #[serde(default)]
    clean_session: bool,
    #[serde(default)]
    prevent_will: bool,
}

/// A connection or session.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Named {
    client_id: String,
}

/// The open connections in the order of their client ids, from an offset on.
pub(super) fn list(shared: &Shared, query: &Query, now: Moment) -> Answer {
    let (offset, limit) = query.page()?;
    let text = query.text("text").to_lowercase();
    let mut all = shared.clients.open();
    all.retain(|(client_id, _)| text.is_empty() || client_id.to_lowercase().contains(&text));
    all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let shown = all.iter().skip(offset).take(limit);
    let rows = shown.map(|(client_id, record)| row(shared, client_id, record)).collect::<Vec<_>>();
    Ok(json!({"total": all.len(), "offset": offset, "connections": rows, "at": millis(shared, now)}))
}

fn row(shared: &Shared, client_id: &str, record: &ConnectionRecord) -> Value {
    let session = shared.broker.session(client_id);
    let (received, sent) = record.messages();
    let details = &record.details;
    let number = |of: fn(&SessionEntry) -> usize| session.as_ref().map_or(0, of);
    json!({
        "clientId": client_id, "since": millis(shared, record.since), "source": details.source.to_string(),
        "keepAlive": details.keep_alive, "version": session.as_ref().and_then(|it| it.version).map(version),
        "subscriptions": number(|it| it.subscriptions), "inflight": number(|it| it.inflight),
        "waiting": number(|it| it.waiting), "received": received, "sent": sent, "thingName": details.thing_name,
    })
}

/// One connection, with what its session knows.
pub(super) async fn get(shared: &Shared, query: &Query, now: Moment) -> Answer {
    let client_id = query.text("clientId");
    let Ok(record) = open(shared, client_id, now) else {
        return Ok(json!({"clientId": client_id, "connected": false}));
    };
    let mut answer = row(shared, client_id, &record);
    let subscriptions = shared.broker.subscriptions_of(client_id).unwrap_or_default();
    let subscriptions =
        subscriptions.iter().map(|(filter, qos)| json!({"filter": filter.as_str(), "qos": u8::from(*qos)}));
    let subscriptions = subscriptions.collect::<Vec<_>>();
    let (sender, state) = oneshot::channel();
    record.request(ConnectionRequest::Inspect(sender));
    let state = tokio::time::timeout(INSPECTION_TIMEOUT, state).await.ok().and_then(Result::ok);
    let details = &record.details;
    let moment = |at: Option<Moment>| at.map(|at| millis(shared, at));
    let Some(members) = answer.as_object_mut() else { return Ok(answer) };
    members.insert("connected".to_owned(), json!(true));
    members.insert("filters".to_owned(), json!(subscriptions));
    members.insert("cleanSession".to_owned(), json!(details.clean_session));
    members.insert("sessionExpiry".to_owned(), json!(details.session_expiry.as_secs()));
    members.insert("connectionNumber".to_owned(), json!(record.version));
    members.insert(
        "session".to_owned(),
        state.map_or(Value::Null, |state| {
            json!({
                "principalId": state.principal_id, "keepAlive": state.keep_alive.as_secs(),
                "heardAt": millis(shared, state.heard_at), "refreshAt": moment(state.refresh_at),
                "disconnectAt": moment(state.disconnect_at), "allows": state.allows, "documents": state.documents,
                "findings": state.findings, "lastWill": state.last_will.as_ref().map(mqtt::TopicName::as_str),
                "canRefresh": state.can_refresh,
            })
        }),
    );
    Ok(answer)
}

/// Ends a connection, as AWS's `DeleteConnection` does.
pub(super) fn disconnect(shared: &Shared, asked: &Disconnect, now: Moment) -> Answer {
    let Disconnect { client_id, clean_session, prevent_will } = asked;
    let deletion = Deletion { clean_session: *clean_session, prevent_will: *prevent_will };
    open(shared, client_id, now)?.request(ConnectionRequest::Delete(deletion));
    Ok(json!({}))
}

/// Lets a connection ask its authorizer again now.
pub(super) fn refresh(shared: &Shared, asked: &Named, now: Moment) -> Answer {
    open(shared, &asked.client_id, now)?.request(ConnectionRequest::Refresh);
    Ok(json!({}))
}

/// The sessions in the order of their client ids, from an offset on.
pub(super) fn list_sessions(shared: &Shared, query: &Query) -> Answer {
    let (offset, limit) = query.page()?;
    let text = query.text("text").to_lowercase();
    let mut all = shared.broker.client_ids();
    all.retain(|id| {
        !id.starts_with(observer::PREFIX) && (text.is_empty() || id.to_lowercase().contains(&text))
    });
    all.sort_unstable();
    let shown = all.iter().skip(offset).take(limit);
    let rows = shown.filter_map(|client_id| {
        let session = shared.broker.session(client_id)?;
        Some(json!({
            "clientId": client_id, "principalId": session.principal_id, "version": session.version.map(version),
            "connected": session.is_connected, "persistent": session.is_persistent,
            "endsAt": session.ends_at.map(|at| millis(shared, at)), "subscriptions": session.subscriptions,
            "waiting": session.waiting, "inflight": session.inflight, "bytes": session.bytes,
        }))
    });
    Ok(json!({"total": all.len(), "offset": offset, "sessions": rows.collect::<Vec<_>>()}))
}

/// Ends a session, with its connection if its client is connected.
pub(super) async fn delete_session(shared: &Shared, asked: &Named, now: Moment) -> Answer {
    let client_id: Arc<str> = asked.client_id.as_str().into();
    let known = shared.broker.session(&client_id).filter(|_| !client_id.starts_with(observer::PREFIX));
    let session = known.ok_or_else(|| CallError::not_found("there is no such session"))?;
    if session.is_connected {
        let deletion = Deletion { clean_session: true, prevent_will: false };
        open(shared, &client_id, now)?.request(ConnectionRequest::Delete(deletion));
        return Ok(json!({}));
    }
    // What a client does that connects with a new session and disconnects.
    let request = SessionRequest {
        principal_id: session.principal_id,
        version: session.version.unwrap_or(Version::V5),
        clean: true,
        expiry: std::time::Duration::ZERO,
        limits: DeliveryLimits {
            receive_maximum: std::num::NonZeroU16::MIN,
            resend_after: INSPECTION_TIMEOUT,
            resend_for: INSPECTION_TIMEOUT,
            stored_per_second: None,
            shared_per_second: None,
        },
    };
    let registration = shared.broker.register(&client_id, request, now).await;
    let registration = registration.map_err(|error| {
        tracing::error!(%error, "a session can't be ended");
        CallError::unavailable("the sessions' file can't be written")
    })?;
    registration.end(now).await;
    Ok(json!({}))
}

fn open(shared: &Shared, client_id: &str, now: Moment) -> Result<Arc<ConnectionRecord>, CallError> {
    match shared.clients.of(client_id, now) {
        Some((record, None)) => Ok(record),
        _ => Err(CallError::not_found("no client with this id is connected")),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}

fn millis(shared: &Shared, moment: Moment) -> i64 {
    shared.clock.epoch().unix_millis(moment)
}
