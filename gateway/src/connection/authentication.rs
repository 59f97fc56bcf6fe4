//! Whom to ask about what a client sent, and the answer: the same for MQTT, WebSocket and HTTPS publish.

use std::sync::Arc;

use crate::{
    custom_auth::{
        self, Refusal,
        answer::Authorization,
        event::{Presented, Sent},
        http_request::HttpRequest,
    },
    gateway::Shared,
    lambda::pool::{Call, Pool},
};

/// What a refresh needs: whom to ask, and with what.
pub(super) struct Credentials {
    pub(super) pool: Arc<Pool>,
    pub(super) presented: Presented,
}

/// Finds the authorizer that the client asks for, and asks it. The HTTP request's own word comes first, then the user
/// name's *(unverified)*.
pub(super) async fn authenticate(
    sent: &Sent<'_>,
    shared: &Shared,
) -> Result<(Credentials, Authorization), Refusal> {
    let pool = match sent.http.and_then(HttpRequest::authorizer) {
        Some(name) => shared.authorizers.named(Some(&name))?,
        None => shared.authorizers.find(sent.mqtt.and_then(|mqtt| mqtt.user_name))?,
    };
    let presented = Presented::new(sent);
    let authorization = custom_auth::authenticate(&pool, Call::Connect, &presented).await?;
    Ok((Credentials { pool, presented }, authorization))
}
