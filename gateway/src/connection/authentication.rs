//! Whom to ask about what a client sent, and the answer: the same for MQTT, WebSocket and HTTPS publish.

use std::sync::Arc;

use crate::{
    custom_auth::{
        self, Refusal,
        answer::Authorization,
        event::{Presented, Sent},
        http_request::HttpRequest,
        registry::Authorizer,
    },
    gateway::Shared,
    lambda::Call,
};

/// What a refresh needs: whom to ask, and with what.
pub(super) struct Credentials {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) presented: Presented,
}

/// Finds the authorizer that the client asks for, and asks it.
pub(super) async fn authenticate(
    sent: &Sent<'_>,
    shared: &Shared,
) -> Result<(Credentials, Authorization), Refusal> {
    let mut parameters = sent.http.map(HttpRequest::parameters).unwrap_or_default();
    if let Some(user_name) = sent.mqtt.and_then(|mqtt| mqtt.user_name) {
        parameters = parameters.with_user_name(user_name);
    }
    let admitted = shared.authorizers.admit(&parameters)?;
    let presented = Presented::new(sent, admitted.token());
    let authorizer = Arc::clone(admitted.authorizer());
    let authorization = custom_auth::authenticate(&authorizer, Call::Connect, &presented).await?;
    Ok((Credentials { authorizer, presented }, authorization))
}
