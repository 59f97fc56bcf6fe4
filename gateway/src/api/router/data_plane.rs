//! The operations of AWS IoT's data plane, in the order of their names.
//!
//! Source: the API model of AWS IoT data, version 2015-05-28, as of botocore 1.44.8.

use super::Operation;
use crate::api::data::shadows;

/// All of them.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation::absent("DeleteConnection", "DELETE", "/connections/{clientId}"),
    Operation::served("DeleteThingShadow", "DELETE", "/things/{thingName}/shadow", |api, input| {
        Box::pin(shadows::delete(api, input))
    }),
    Operation::absent("GetConnection", "GET", "/connections/{clientId}"),
    Operation::absent("GetRetainedMessage", "GET", "/retainedMessage/{topic}"),
    Operation::served("GetThingShadow", "GET", "/things/{thingName}/shadow", |api, input| {
        Box::pin(shadows::get(api, input))
    }),
    Operation::served(
        "ListNamedShadowsForThing",
        "GET",
        "/api/things/shadow/ListNamedShadowsForThing/{thingName}",
        |api, input| Box::pin(std::future::ready(shadows::list(api, input))),
    ),
    Operation::absent("ListRetainedMessages", "GET", "/retainedMessage"),
    Operation::absent("ListSubscriptions", "GET", "/connections/{clientId}/subscriptions"),
    Operation::absent("Publish", "POST", "/topics/{topic}"),
    Operation::absent("SendDirectMessage", "POST", "/connections/{clientId}/messages"),
    Operation::served("UpdateThingShadow", "POST", "/things/{thingName}/shadow", |api, input| {
        Box::pin(shadows::update(api, input))
    }),
];
