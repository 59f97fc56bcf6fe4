//! The operations of AWS IoT's data plane, in the order of their names.
//!
//! Source: the API model of AWS IoT data, version 2015-05-28, as of botocore 1.44.8.

use super::Operation;

/// All of them.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation::absent("DeleteConnection", "DELETE", "/connections/{clientId}"),
    Operation::absent("DeleteThingShadow", "DELETE", "/things/{thingName}/shadow"),
    Operation::absent("GetConnection", "GET", "/connections/{clientId}"),
    Operation::absent("GetRetainedMessage", "GET", "/retainedMessage/{topic}"),
    Operation::absent("GetThingShadow", "GET", "/things/{thingName}/shadow"),
    Operation::absent(
        "ListNamedShadowsForThing",
        "GET",
        "/api/things/shadow/ListNamedShadowsForThing/{thingName}",
    ),
    Operation::absent("ListRetainedMessages", "GET", "/retainedMessage"),
    Operation::absent("ListSubscriptions", "GET", "/connections/{clientId}/subscriptions"),
    Operation::absent("Publish", "POST", "/topics/{topic}"),
    Operation::absent("SendDirectMessage", "POST", "/connections/{clientId}/messages"),
    Operation::absent("UpdateThingShadow", "POST", "/things/{thingName}/shadow"),
];
