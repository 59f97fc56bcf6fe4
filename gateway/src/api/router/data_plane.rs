//! The operations of AWS IoT's data plane, in the order of their names.
//!
//! Source: the API model of AWS IoT data, version 2015-05-28, as of botocore 1.44.8.

use super::{Operation, at_once};
use crate::api::data::{connections, direct_messages, publish, retained, shadows};

/// All of them.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation::served("DeleteConnection", "DELETE", "/connections/{clientId}", |api, input| {
        at_once(connections::delete(api, input))
    }),
    Operation::served("DeleteThingShadow", "DELETE", "/things/{thingName}/shadow", |api, input| {
        Box::pin(shadows::delete(api, input))
    }),
    Operation::served("GetConnection", "GET", "/connections/{clientId}", |api, input| {
        at_once(connections::get(api, input))
    }),
    Operation::served("GetRetainedMessage", "GET", "/retainedMessage/{topic}", |api, input| {
        at_once(retained::get(api, input))
    }),
    Operation::served("GetThingShadow", "GET", "/things/{thingName}/shadow", |api, input| {
        Box::pin(shadows::get(api, input))
    }),
    Operation::served(
        "ListNamedShadowsForThing",
        "GET",
        "/api/things/shadow/ListNamedShadowsForThing/{thingName}",
        |api, input| at_once(shadows::list(api, input)),
    ),
    Operation::served("ListRetainedMessages", "GET", "/retainedMessage", |api, input| {
        at_once(retained::list(api, input))
    }),
    Operation::served("ListSubscriptions", "GET", "/connections/{clientId}/subscriptions", |api, input| {
        at_once(connections::list_subscriptions(api, input))
    }),
    Operation::served("Publish", "POST", "/topics/{topic}", |api, input| {
        Box::pin(publish::publish(api, input))
    }),
    Operation::served("SendDirectMessage", "POST", "/connections/{clientId}/messages", |api, input| {
        Box::pin(direct_messages::send(api, input))
    }),
    Operation::served("UpdateThingShadow", "POST", "/things/{thingName}/shadow", |api, input| {
        Box::pin(shadows::update(api, input))
    }),
];
