//! Who a client is and what it may do: asked of the registry, of an authorizer's function or of both, the same way for
//! MQTT, WebSocket and HTTPS publish.

use std::sync::Arc;

use crate::{
    custom_auth::{
        self, AuthnError,
        admission::{Authorizer, AuthorizerChoice},
        answer::Authorization,
        event::{AuthorizerEvent, ClientRequest},
        http_request::HttpRequest,
    },
    door::{ConnectionInfo, Identification},
    lambda::Call,
    registry::Certificate,
    shared::Shared,
};

/// A client that may be asked what it wants.
pub(super) struct Authenticated {
    /// Who it is, and what it may do.
    pub(super) authorization: Authorization,
    /// How to ask again; without a function nobody is asked again.
    pub(super) credentials: Option<Credentials>,
}

/// What a refresh needs: whom to ask, and with what.
pub(super) struct Credentials {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) presented: AuthorizerEvent,
}

/// Finds whom to ask about a client, and asks.
pub(super) async fn authenticate(
    sent: &ClientRequest<'_>,
    info: &ConnectionInfo,
    shared: &Shared,
) -> Result<Authenticated, AuthnError> {
    match &info.identification {
        Identification::X509(certificate) => Ok(by_certificate(certificate)),
        Identification::Custom | Identification::CustomX509(_) => by_function(sent, info, shared).await,
    }
}

/// The handshake has proved that the client has the certificate's key, and that it may be used.
fn by_certificate(certificate: &Certificate) -> Authenticated {
    let authorization = Authorization {
        principal_id: Arc::clone(certificate.id().as_str()),
        documents: Arc::clone(&certificate.policies),
        lifetime: None,
    };
    Authenticated { authorization, credentials: None }
}

async fn by_function(
    sent: &ClientRequest<'_>,
    info: &ConnectionInfo,
    shared: &Shared,
) -> Result<Authenticated, AuthnError> {
    let mut parameters = sent.http.map(HttpRequest::parameters).unwrap_or_default();
    if let Some(user_name) = sent.mqtt.and_then(|mqtt| mqtt.user_name) {
        parameters = parameters.with_user_name(user_name);
    }
    let choice = AuthorizerChoice {
        default: info.domain.default_authorizer.as_ref(),
        allow_override: info.domain.allow_authorizer_override,
    };
    let admitted = shared.authorizers.admit(&parameters, choice)?;
    let _room = shared.waiting_room.try_acquire_many(sent.weight_kib()).map_err(|_| AuthnError::Crowded)?;
    let presented = AuthorizerEvent::new(sent, admitted.token());
    let authorizer = Arc::clone(admitted.authorizer());
    let authorization =
        custom_auth::authenticate(&authorizer, Call::Connect, &presented, shared.log.metrics()).await?;
    Ok(Authenticated { authorization, credentials: Some(Credentials { authorizer, presented }) })
}
