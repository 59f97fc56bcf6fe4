//! Authentication of a client by the registry, by an authorizer's function or by both, the same way for MQTT, WebSocket and
//! HTTPS publish.

use std::sync::Arc;

use crate::{
    custom_auth::{
        self, AuthnError,
        admission::{Authorizer, AuthorizerChoice},
        answer::Authorization,
        event::{self, AuthorizerEvent, ClientRequest},
        http_request::HttpRequest,
        unnamed::Unnamed,
    },
    door::{ConnectionInfo, Identification},
    lambda::Call,
    registry::Certificate,
    shared::Shared,
};

/// A client that is authenticated.
pub(super) struct Authenticated {
    /// The client's principal and policies.
    pub(super) authorization: Authorization,
    /// The means to ask the authorizer again. Without an authorizer there is no refresh.
    pub(super) credentials: Option<Credentials>,
    /// What is to be said about a client that AWS would refuse, because it names no authorizer.
    pub(super) unnamed: Option<Unnamed>,
}

/// The means to ask an authorizer again: the authorizer, and the event.
pub(super) struct Credentials {
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) presented: AuthorizerEvent,
}

/// Authenticates a client.
pub(super) async fn authenticate(
    sent: &ClientRequest<'_>,
    info: &ConnectionInfo,
    shared: &Shared,
) -> Result<Authenticated, AuthnError> {
    match &info.identification {
        Identification::X509(certificate) => Ok(by_certificate(certificate, sent, shared)),
        Identification::Custom | Identification::CustomX509(_) => by_function(sent, info, shared).await,
    }
}

/// In the handshake, the client has proved that it has the certificate's key, and the certificate was checked. A client whose id is
/// the name of a Thing that the certificate is attached to also has the policies of the Thing's groups (developer guide,
/// `thing-groups`).
fn by_certificate(certificate: &Certificate, sent: &ClientRequest<'_>, shared: &Shared) -> Authenticated {
    let thing = sent.mqtt.and_then(|mqtt| mqtt.client_id).filter(|id| certificate.things.contains(*id));
    let of_groups = thing.map(|thing| shared.registry.group_policies(thing)).unwrap_or_default();
    let documents = if of_groups.is_empty() {
        Arc::clone(&certificate.policies)
    } else {
        certificate.policies.iter().cloned().chain(of_groups).collect()
    };
    let authorization =
        Authorization { principal_id: Arc::clone(certificate.id().as_str()), documents, lifetime: None };
    Authenticated { authorization, credentials: None, unnamed: None }
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
        allow_override: info.domain.definition.allow_authorizer_override,
    };
    let admitted = shared.authorizers.current().admit(&parameters, choice)?;
    let _room = shared.waiting_room.try_acquire_many(sent.weight_kib()).map_err(|_| AuthnError::Crowded)?;
    let presented = AuthorizerEvent::new(sent, admitted.token());
    shared.log.presented(sent.connection_id, || event::shown(sent, admitted.token()));
    let (authorizer, unnamed) = (Arc::clone(admitted.authorizer()), admitted.unnamed().cloned());
    let authorization =
        custom_auth::authenticate(&authorizer, Call::Connect, &presented, sent.connection_id, &shared.log)
            .await?;
    Ok(Authenticated { authorization, credentials: Some(Credentials { authorizer, presented }), unnamed })
}
